import { expect, test } from 'vitest';
import { learnTable, settleLearn } from '../../commands/training/options.ts';
import { defaultOf, flagsOf, givenOf } from '../frame/option.ts';
import { type LearnWords, learnRequestOf, learnSpecs } from './learn-words.ts';

/** What the command line hands over when a user says only these words. */
function words(said: Readonly<Record<string, unknown>>): LearnWords {
  const defaults = learnSpecs.map((option) => [flagsOf(option).key, defaultOf(option)]);
  return { ...Object.fromEntries(defaults), ...said } as LearnWords;
}

const settled = (said: Readonly<Record<string, unknown>>) =>
  settleLearn(learnRequestOf('samples', words(said)));

test('a command line without words asks for what a library call asks for', () => {
  expect(settled({})).toEqual(settleLearn({ root: 'samples' }));
});

test('every option has a word of its own, and a place in the help text', () => {
  const names = learnSpecs.map((option) => flagsOf(option).key);
  expect(new Set(names).size).toBe(names.length);
  for (const { flags, group } of learnSpecs) expect(group, flags).toMatch(/:$/);
  expect(givenOf(learnTable, { units: 7 })).toMatchObject({ network: { units: 7 } });
});

test('what follows from other options follows from those that were said', () => {
  expect(settled({ prior: 'none' }).epochs).toBe(16);
  expect(settled({ prior: 'none', epochs: 3 }).epochs).toBe(3);
  expect(settled({ optimizer: 'rmsprop' }).optimizer).toMatchObject({
    schedule: 'constant',
    clipNorm: 0,
  });
});

test('the words of the ancestor mean what they say', () => {
  const all = { disableRet: true, learnJmp: true, learnCall: true };
  expect(settled(all).filter).toEqual(['call', 'icall', 'jmp', 'ijmp']);
  expect(settled({ learnRet: true }).filter).toEqual(['ret']);
  expect(settled({ learnIjmp: true, learnRet: true, learnCall: true }).filter).toEqual([
    'ret',
    'call',
    'ijmp',
  ]);
  expect(settled({ testSize: 10, ratio: 0.3 }).sizes).toMatchObject({
    train: undefined,
    testNominal: 3,
    testAnomalous: 7,
  });
  expect(settled({ checkpointEarlyStop: true }).patience).toBe(1);
  expect(settled({ checkpointEarlyStop: true, patience: 4 }).patience).toBe(4);
  expect(settled({ multiGpu: 2 }).device).toBe('cuda:0,cuda:1');
  expect(() => settled({ multiGpu: 2, device: 'webgpu' })).toThrow('contradict each other');
  expect(settled({ attach: 'runs/a' }).resume).toBe('runs/a');
});
