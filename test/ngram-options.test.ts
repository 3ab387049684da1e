import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { learn as call } from '../src/commands/learn.ts';
import { writeTinyCorpus } from './tiny-corpus.ts';
import { wayward } from './wayward.ts';

const root = writeTinyCorpus(40, 4);

async function learn(...words: string[]) {
  const out = mkdtempSync(join(tmpdir(), 'wayward-'));
  const { status, stdout, stderr } = await wayward([...words, '-p', '-s', '4', '--out', out]);
  const run = (): string => join(out, 'runs', readdirSync(join(out, 'runs'))[0]);
  const json = (name: string): Record<string, unknown> =>
    JSON.parse(readFileSync(join(run(), name), 'utf8')) as Record<string, unknown>;
  return { status, stdout, stderr, json };
}

test('a library call that names the samples does what the command line does', async () => {
  const words = await learn('learn', root, '--model', 'ngram');
  expect(words.status, words.stderr).toBe(0);
  const out = mkdtempSync(join(tmpdir(), 'wayward-'));
  const result = await call({ root, preprocessed: true, windowLength: 4, model: 'ngram', out });
  const record = JSON.parse(readFileSync(result.folder.record, 'utf8')) as {
    readonly options: object;
  };
  const said = words.json('run.json').options as object;
  expect(record.options).toEqual({ ...said, out });
  expect(result.model).toBe((words.json('run.json').result as { model: string }).model);
});

describe('learn with an n-gram', () => {
  test('prob has defaults of its own, and confidences are set right by held-out traces', async () => {
    const result = await learn('prob', root, '--train-size', '25');
    expect(result.status, result.stderr).toBe(0);
    expect(result.stderr).toContain('confidences set right by 2 training traces held out');
    expect(result.stdout).toContain('25 training, 14 calibration, 1 benign and 1 malicious');
    const { options } = result.json('run.json') as { options: Record<string, unknown> };
    expect(options).toMatchObject({
      model: 'ngram',
      maxOutputClasses: 256,
      smoothing: 'witten-bell',
    });
    const model = result.json('model/model.json');
    expect(model).toMatchObject({
      model: 'ngram',
      smoothing: 'witten-bell',
      lengths: [1, 2, 3, 4],
    });
    expect((model.calibration as unknown[]).length).toBeGreaterThan(0);
  });

  test('takes smoothing, order and the share of benign test samples', async () => {
    const words = [
      '--order',
      '2',
      '--smoothing',
      'kneser-ney',
      '--test-size',
      '4',
      '--ratio',
      '0.25',
    ];
    const result = await learn('learn', root, '--model', 'ngram', '--train-size', '5', ...words);
    expect(result.status, result.stderr).toBe(0);
    expect(result.stdout).toContain('5 training, 34 calibration, 1 benign and 3 malicious');
    expect(result.json('model/model.json')).toMatchObject({
      smoothing: 'kneser-ney',
      lengths: [1, 2],
    });
  });

  test('refuses contexts that are longer than the windows', async () => {
    const result = await learn('learn', root, '--model', 'ngram', '--order', '9');
    expect(result.status).toBe(1);
    expect(result.stderr).toContain('--order 9 is longer than the windows, which have 4 blocks');
  });
});
