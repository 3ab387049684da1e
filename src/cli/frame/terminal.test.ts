import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Step } from '../../base/log.ts';
import { openTerminal } from './terminal.ts';

let written: string[] = [];

beforeEach(() => {
  written = [];
  vi.useFakeTimers({ toFake: ['performance'] });
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    written.push(String(text));
    return true;
  });
  vi.stubEnv('NO_COLOR', '1');
  vi.stubEnv('CI', '1');
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  vi.useRealTimers();
});

describe('where there is no terminal', () => {
  test('a status line comes with each step, and then once an interval', () => {
    const { progress } = openTerminal({ minimum: 20, statusSeconds: 60, showsProgress: true });
    const at = (seconds: number, done: number, step: Step = 'training'): void => {
      vi.advanceTimersByTime(seconds * 1000);
      progress({ step, done, total: 4000, unit: 'windows', facts: { loss: 0.12345 } });
    };
    at(0, 0);
    at(30, 1000);
    at(31, 2000);
    at(1, 3000);
    at(1, 1, 'predicting');
    expect(written).toEqual([
      'info    training, 0/4,000 windows, loss 0.123\n',
      'info    training, 2,000/4,000 windows, about 61 s left, loss 0.123\n',
      'info    predicting, 1/4,000 windows, loss 0.123\n',
    ]);
  });

  test('what was done before the step began tells nothing of the time that is left', () => {
    const { progress } = openTerminal({ minimum: 20, statusSeconds: 10, showsProgress: true });
    const at = (done: number) => progress({ step: 'training', done, total: 100, unit: 'traces' });
    at(60);
    vi.advanceTimersByTime(20_000);
    at(80);
    expect(written.at(-1)).toBe('info    training, 80/100 traces, about 20 s left\n');
  });

  test.each([
    [10, ['debug   a\n', 'info    b\n', 'warning c\n', 'error   d\n']],
    [30, ['warning c\n', 'error   d\n']],
    [50, []],
  ])('--log-level %d hides what is less important, status lines too', (level, expected) => {
    const { log, progress } = openTerminal({
      minimum: level,
      statusSeconds: 60,
      showsProgress: true,
    });
    log('debug', 'a');
    log('info', 'b');
    log('warning', 'c');
    log('error', 'd');
    if (level > 20) progress({ step: 'training', done: 1, total: 2, unit: 'windows' });
    expect(written).toEqual(expected);
  });

  test('--no-progress hides the status lines and nothing else', () => {
    const { log, progress } = openTerminal({
      minimum: 20,
      statusSeconds: 60,
      showsProgress: false,
    });
    progress({ step: 'training', done: 1, total: 2, unit: 'windows' });
    log('info', 'b');
    expect(written).toEqual(['info    b\n']);
  });
});
