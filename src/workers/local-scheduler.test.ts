import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { Job, Outcome } from './job.ts';
import { LocalScheduler } from './local-scheduler.ts';
import { ProcessPool } from './process-pool.ts';
import { outcomesOf, type Scheduler } from './scheduler.ts';

const entry = new URL('../../test/workers/example-process.ts', import.meta.url);
const folder = mkdtempSync(join(tmpdir(), 'wayward-'));
const open: Scheduler[] = [];
const start = (size: number, signal?: AbortSignal, jobSeconds?: number): LocalScheduler => {
  const scheduler = new LocalScheduler(new ProcessPool({ entry, size, jobSeconds }), signal);
  open.push(scheduler);
  return scheduler;
};
afterAll(() => Promise.all(open.map((scheduler) => scheduler.close())));

async function collect(scheduler: Scheduler, jobs: readonly Job[]): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for await (const [index, outcome] of outcomesOf(scheduler, jobs)) {
    expect(outcomes[index]).toBeUndefined();
    outcomes[index] = outcome;
  }
  return outcomes;
}

const echo = (name: string): Job => ({ task: 'echo', options: { name } });

test('every job is answered once; one that ends its process is tried three times', async () => {
  const log = join(folder, 'starts');
  const jobs: Job[] = [
    ...['a', 'b', 'c'].map(echo),
    { task: 'crash', options: { log, name: 'crash' } },
    { task: 'leak', options: {} },
    { task: 'refuse', options: {} },
    ...['d', 'e'].map(echo),
  ];
  const outcomes = await collect(start(2), jobs);
  const done = (name: string): Outcome => ({ status: 'done', value: { name }, warnings: [] });
  expect(outcomes).toEqual([
    ...['a', 'b', 'c'].map(done),
    { status: 'failed', tries: 3, reason: expect.stringMatching(/3 times.*SIGKILL/) },
    { status: 'failed', tries: 3, reason: expect.stringContaining('no memory is left') },
    { status: 'failed', tries: 1, reason: 'is no sample' },
    ...['d', 'e'].map(done),
  ]);
  expect(readFileSync(log, 'utf8')).toBe('crash\n'.repeat(3));
});

test('a job that never ends has its process ended', async () => {
  const scheduler = start(1, undefined, 1);
  const [hung, next] = await collect(scheduler, [{ task: 'hang', options: {} }, echo('next')]);
  expect(hung).toMatchObject({ status: 'failed', reason: expect.stringContaining('not done in') });
  expect(next.status).toBe('done');
});

test('stopping rejects what is not done', async () => {
  const stop = new AbortController();
  const scheduler = start(1, stop.signal);
  const slow: Job = { task: 'echo', options: { milliseconds: 60_000 } };
  const waiting = [slow, echo('waits')].map((job) => scheduler.submit(job));
  const settled = Promise.allSettled(waiting);
  stop.abort(new Error('enough'));
  for (const end of await settled) {
    expect(end).toMatchObject({ status: 'rejected', reason: { message: 'enough' } });
  }
});

test('what fails because it is stopped has not failed, and is rejected', async () => {
  const stop = new AbortController();
  const byAbort = start(1, stop.signal);
  const byClose = start(1);
  const log = join(folder, 'grumbles');
  const jobs = [byAbort, byClose].flatMap((scheduler) => [
    scheduler.submit({ task: 'grumble', options: { log, name: 'grumble' } }),
    scheduler.submit(echo('waits')),
  ]);
  const settled = Promise.allSettled(jobs);
  while (!existsSync(log) || readFileSync(log, 'utf8').length < 2 * 'grumble\n'.length) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  stop.abort(new Error('enough'));
  await byClose.close();
  const reasons = (await settled).map((end) => end.status === 'rejected' && end.reason.name);
  expect(reasons).toEqual(['Error', 'Error', 'JobStopped', 'JobStopped']);
});
