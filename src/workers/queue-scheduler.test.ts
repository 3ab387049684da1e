import { type ChildProcess, fork } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Queue } from 'bullmq';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasRedisServer, type RedisServer, startRedisServer } from '../../test/redis-server.ts';
import { UserError } from '../base/errors.ts';
import { type Logger, silentLogger } from '../base/log.ts';
import { type Job, jobName, type Outcome } from './job.ts';
import { OutcomeJournal } from './outcome-journal.ts';
import { prefix, queueName } from './queue-names.ts';
import { QueueScheduler } from './queue-scheduler.ts';
import { QueueWorker, type QueueWorkerOptions } from './queue-worker.ts';
import { connectRedis, type RedisClient } from './redis-link.ts';
import { outcomesOf } from './scheduler.ts';
import { listWorkers } from './worker-registry.ts';

const folder = mkdtempSync(join(tmpdir(), 'wayward-'));
const starts = (log: string): string[] =>
  existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n').sort() : [];
const names = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `job${String(i).padStart(2, '0')}`);

describe.skipIf(!hasRedisServer)('with a real server', () => {
  let server: RedisServer;
  let client: RedisClient;
  const workers: ChildProcess[] = [];

  beforeAll(async () => {
    server = await startRedisServer({ password: 's3cret' });
    client = await connectRedis(server.url);
  });
  afterAll(async () => {
    for (const worker of workers) worker.kill('SIGKILL');
    client.destroy();
    await server.stop();
  });

  /** A worker that can be killed; its lease is short, so that others soon take over. */
  async function startProcess(): Promise<ChildProcess> {
    const file = new URL('../../test/workers/example-worker.ts', import.meta.url);
    const worker = fork(file, [server.url, '1'], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    workers.push(worker);
    await new Promise((resolve) => worker.once('message', resolve));
    return worker;
  }

  const startWorker = (change: Partial<QueueWorkerOptions> = {}): Promise<QueueWorker> =>
    QueueWorker.start({
      ...{ url: server.url, version: 'test', lane: 'cpu', width: 2, leaseSeconds: 5 },
      entry: new URL('../../test/workers/example-process.ts', import.meta.url),
      jobSeconds: undefined,
      tasks: ['echo', 'crash', 'refuse'],
      admit: async (job) => job,
      log: silentLogger,
      ...change,
    });

  const openScheduler = (
    run: string,
    journal?: OutcomeJournal,
    log: Logger = silentLogger,
  ): Promise<QueueScheduler> =>
    QueueScheduler.open({ url: server.url, version: 'test', lane: 'cpu', run, journal, log });

  async function collect(
    scheduler: QueueScheduler,
    jobs: readonly Job[],
  ): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = [];
    for await (const [index, outcome] of outcomesOf(scheduler, jobs)) outcomes[index] = outcome;
    return outcomes;
  }

  const keysOfJobs = async (): Promise<string[]> =>
    (await client.keys(`${prefix}:*`)).filter((key) => /:[\w-]{22}$/.test(key));

  test('every job is done once; a poisonous one is tried three times and set aside', async () => {
    const log = join(folder, 'once');
    const poison = join(folder, 'poison');
    const worker = await startWorker();
    const scheduler = await openScheduler('once');
    const jobs: Job[] = [
      ...names(8).map((name): Job => ({ task: 'echo', options: { log, name } })),
      { task: 'crash', options: { log: poison, name: 'poison' } },
      { task: 'refuse', options: {} },
    ];
    // Handed in twice is done once.
    const [outcomes] = await Promise.all([collect(scheduler, jobs), collect(scheduler, jobs)]);
    expect(outcomes).toEqual([
      ...names(8).map((name) => ({ status: 'done', value: { name }, warnings: [] })),
      { status: 'failed', tries: 3, reason: expect.stringMatching(/3 times.*SIGKILL/) },
      { status: 'failed', tries: 1, reason: 'is no sample' },
    ]);
    expect(starts(log)).toEqual(names(8));
    expect(starts(poison)).toHaveLength(3);
    expect(await listWorkers(client)).toMatchObject([{ version: 'test', lane: 'cpu', width: 2 }]);
    expect(worker.metrics.toPrometheus(true)).toContain('{task="echo",end="done"} 8');
    await Promise.all([scheduler.close(), worker.drain()]);
    expect(await listWorkers(client)).toEqual([]);
    expect(await keysOfJobs()).toEqual([]);
  });

  test('killed and stalled workers and a restarted server lose nothing', async () => {
    const log = join(folder, 'faults');
    const scheduler = await openScheduler('faults');
    const [killed, stalled] = await Promise.all([startProcess(), startProcess()]);
    const outcomes: Outcome[] = [];
    const jobs = names(24).map(
      (name): Job => ({ task: 'echo', options: { log, name, milliseconds: 100 } }),
    );
    let other: ChildProcess | undefined;
    for await (const [index, outcome] of outcomesOf(scheduler, jobs)) {
      expect(outcomes[index]).toBeUndefined();
      outcomes[index] = outcome;
      const count = Object.keys(outcomes).length;
      if (count === 4) {
        killed.kill('SIGKILL');
        other = await startProcess();
      }
      if (count === 8) stalled.kill('SIGSTOP');
      if (count === 12) {
        await server.kill();
        await server.restart();
      }
    }
    expect(outcomes).toEqual(
      names(24).map((name) => ({ status: 'done', value: { name }, warnings: [] })),
    );
    // At most the jobs of the killed and the stalled one, and those that the restart cut off.
    expect([...new Set(starts(log))]).toEqual(names(24));
    expect(starts(log).length).toBeLessThanOrEqual(24 + 4);
    stalled.kill('SIGCONT');
    await scheduler.close();
    for (const worker of [other, stalled]) {
      worker?.kill('SIGTERM');
      if (worker?.exitCode === null) await new Promise((resolve) => worker.once('exit', resolve));
      expect(worker?.exitCode).toBe(0);
    }
  }, 60_000);

  test('who goes away and comes back gets everything, and nothing is done again', async () => {
    const log = join(folder, 'back');
    const path = join(folder, 'outcomes.ndjson');
    const jobs = names(12).map((name): Job => ({ task: 'echo', options: { log, name } }));
    const first = await OutcomeJournal.open(path);
    const before = await openScheduler('back', first);
    for (const job of jobs) before.submit(job).catch(() => {});
    const worker = await startWorker();
    await before.submit(jobs[2]);
    await before.close();
    await first.close();
    const second = await OutcomeJournal.open(path);
    expect(second.size).toBeGreaterThan(0);
    const after = await openScheduler('back', second);
    const outcomes = await collect(after, jobs);
    expect(outcomes.map(({ status }) => status)).toEqual(names(12).map(() => 'done'));
    expect(starts(log)).toEqual(names(12));
    await Promise.all([after.close(), worker.drain()]);
    await second.close();
    expect(await keysOfJobs()).toEqual([]);
  });

  test('a worker that is told to leave finishes its job and gives nothing up', async () => {
    const log = join(folder, 'drain');
    const scheduler = await openScheduler('drain');
    const leaving = await startWorker({ width: 1 });
    const done = collect(
      scheduler,
      names(5).map((name): Job => ({ task: 'echo', options: { log, name, milliseconds: 150 } })),
    );
    while (leaving.metrics.busy === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    await leaving.drain();
    const begun = starts(log).length;
    expect(begun).toBeLessThan(5);
    const staying = await startWorker();
    expect((await done).map(({ status }) => status)).toEqual(names(5).map(() => 'done'));
    expect(starts(log)).toEqual(names(5));
    await Promise.all([scheduler.close(), staying.drain()]);
  });

  test('a worker that cannot go on still leaves', async () => {
    const scheduler = await openScheduler('broken');
    const admit = async (): Promise<never> => {
      throw new Error('broken');
    };
    const worker = await startWorker({ admit });
    const job = scheduler.submit({ task: 'echo', options: { name: 'a' } });
    job.catch(() => {});
    await expect(worker.working).rejects.toThrow('broken');
    await worker.drain();
    // The job is nobody's fault: the next worker does it.
    const next = await startWorker({ leaseSeconds: 1 });
    expect(await job).toMatchObject({ status: 'done' });
    await Promise.all([scheduler.close(), next.drain()]);
  }, 60_000);

  test('a submitter says when nobody listens', async () => {
    const said: string[] = [];
    const log: Logger = { log: (_, message) => said.push(message) };
    const other = await startWorker({ version: 'other' });
    const scheduler = await openScheduler('alone', undefined, log);
    scheduler.submit({ task: 'echo', options: {} }).catch(() => {});
    while (said.length === 0) await new Promise((resolve) => setTimeout(resolve, 50));
    expect(said[0]).toMatch(/no worker of Wayward test for cpu listens .*other for cpu/);
    expect(said[0]).not.toContain('s3cret');
    await Promise.all([scheduler.close(), other.drain()]);
    await client.flushAll();
  });

  test('jobs that are none of ours are refused, each with its reason', async () => {
    const queue = new Queue(queueName('test', 'cpu'), { connection: client as never, prefix });
    const worker = await startWorker({
      admit: async (job) => {
        if (job.options.bad !== undefined) {
          throw new UserError('outside-roots', 'lies outside', { category: 'arguments' });
        }
        return job;
      },
    });
    const ok = { version: 'test', options: {} };
    const sent: [task: string, data: unknown, reason: string][] = [
      ['echo', { ...ok, version: '9.9' }, 'it is of Wayward 9.9, this worker is test'],
      ['eval(1)', ok, 'there is no task "eval(1)"'],
      ['__proto__', ok, 'there is no task "__proto__"'],
      ['constructor', ok, 'there is no task'],
      ['echo', { ...ok, code: 'process.exit()' }, 'has no field "code"'],
      ['echo', [], 'must be an object'],
      ['echo', 'text', 'must be an object'],
      ['echo', { version: 'test', options: { x: 'y'.repeat(70_000) } }, 'bytes'],
      ['echo', { version: 'test', options: { bad: 1 } }, 'lies outside'],
    ];
    for (const [index, [task, data]] of sent.entries()) {
      await queue.add(task, data, { jobId: `forged-${index}`, removeOnFail: false });
    }
    const reasonOf = (index: number): Promise<string | null> =>
      client.hGet(queue.toKey(`forged-${index}`), 'failedReason');
    for (const [index, [, , reason]] of sent.entries()) {
      let found = await reasonOf(index);
      while (found === null) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        found = await reasonOf(index);
      }
      expect(found).toMatch(/^refused: /);
      expect(found).toContain(reason);
    }
    expect(worker.metrics.toPrometheus(true)).not.toContain('eval');
    await worker.drain();
    await queue.close();
  });

  test('no message shows the password', async () => {
    const wrong = server.url.replace('s3cret', 'wr0ng');
    const error = await connectRedis(wrong).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UserError);
    expect(String(error)).toContain(`redis://127.0.0.1:${server.port}`);
    expect(JSON.stringify([String(error), error])).not.toContain('wr0ng');
  });
});

test.each(['http://:pa55@host', 'pa55', 'redis://', 'redis:/pa55', ''])(
  'the URL %s is refused and not repeated',
  async (url) => {
    const error = await connectRedis(url).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'redis-url' });
    expect(String(error)).not.toContain('pa55');
  },
);

test('a server that is not there is said to be so', async () => {
  const error = await connectRedis('redis://:pa55@127.0.0.1:1/3').catch((e: unknown) => e);
  expect(String(error)).toBe(
    'UserError: redis://127.0.0.1:1/3: cannot be used: no server answers there',
  );
});

test('the name of a job depends on run, task and options, not on the order of their names', () => {
  const job = (options: Job['options']): string => jobName('r', { task: 't', options });
  expect(job({ a: 1, b: { c: 2, d: 3 } })).toBe(job({ b: { d: 3, c: 2 }, a: 1 }));
  expect(job({ a: 1 })).not.toBe(job({ a: '1' }));
  expect(job({ a: ['b', 'c'] })).not.toBe(job({ a: ['c', 'b'] }));
  expect(jobName('r', { task: 't', options: {} })).not.toBe(
    jobName('s', { task: 't', options: {} }),
  );
});
