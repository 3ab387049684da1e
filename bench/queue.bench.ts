// What a queue costs, and what it survives: `node bench/queue.bench.ts [cost] [faults] [scale]`.
// Takes Debian's redis-server; network namespaces stand for hosts where they are allowed.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { silentLogger } from '../src/base/log.ts';
import { preprocessJob } from '../src/commands/tasks/preprocess.ts';
import type { Job } from '../src/workers/job.ts';
import { LocalScheduler } from '../src/workers/local-scheduler.ts';
import { ProcessPool } from '../src/workers/process-pool.ts';
import { QueueScheduler } from '../src/workers/queue-scheduler.ts';
import { QueueWorker } from '../src/workers/queue-worker.ts';
import { connectRedis } from '../src/workers/redis-link.ts';
import type { Scheduler } from '../src/workers/scheduler.ts';
import { listWorkers } from '../src/workers/worker-registry.ts';
import { type RedisServer, startRedisServer } from '../test/redis-server.ts';
import { median, tell, watchMachine } from './figures.ts';
import { type Hosts, makeHosts } from './queue-hosts.ts';

const main = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url));
const corpus = fileURLToPath(new URL('../examples/corpus', import.meta.url));
const echo = new URL('../test/workers/example-process.ts', import.meta.url);
/** Samples of the run with faults. */
const count = Number(process.env.SAMPLES ?? 200);
/** Milliseconds between two kills. */
const killEvery = 3000;
const parts = process.argv.slice(2);
const wants = (part: string): boolean => parts.length === 0 || parts.includes(part);
const base = mkdtempSync(join(tmpdir(), 'wayward-'));
const show = (name: string, figure: string): void => console.log(`${name.padEnd(58)} ${figure}`);
const seconds = async (work: () => Promise<unknown>): Promise<number> => {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
};

watchMachine();
console.log(`${availableParallelism()} cores of ${cpus()[0]?.model}, Node ${process.version}`);
try {
  if (wants('cost')) for (const sync of ['everysec', 'always']) await measureCost(sync);
  if (wants('faults')) await runFaults();
  if (wants('scale')) await measureScale();
} finally {
  rmSync(base, { recursive: true, force: true });
}

/** Submission, Redis memory and overhead of a job. */
async function measureCost(sync: string): Promise<void> {
  const server = await startRedisServer({ settings: ['--appendfsync', sync] });
  console.log(`Redis with an append-only file, appendfsync ${sync}`);
  const client = await connectRedis(server.url);
  const used = async (): Promise<number> =>
    Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1]);
  const options = { url: server.url, version: 'bench', lane: 'cpu', log: silentLogger } as const;
  try {
    const scheduler = await QueueScheduler.open({ ...options, run: 'submit' });
    const many = 10_000;
    const jobs = Array.from({ length: many }, (_, i) =>
      preprocessJob(`/data/samples/2026-11/pdftotext-${String(i).padStart(6, '0')}`, {
        ...{ binDirs: ['/data/images/debian-13'], rawImages: false, format: 'wayward' },
        ...{ force: false, timeout: 600, partial: true },
      }),
    );
    const before = await used();
    const taken = await seconds(async () => {
      for (const job of jobs) scheduler.submit(job).catch(() => {});
      while ((await client.lLen('wayward:jobs-bench-cpu:wait')) < many) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    });
    show('10,000 jobs submitted', `${taken.toFixed(2)} s`);
    show('Redis memory, job waiting', `${Math.round(((await used()) - before) / many)} bytes`);
    await scheduler.close();
    await client.flushAll();

    const worker = await QueueWorker.start({
      ...{ ...options, width: 1, leaseSeconds: 30, entry: echo, jobSeconds: undefined },
      ...{ tasks: ['echo'], admit: async (job: Job) => job },
    });
    const local = new LocalScheduler(new ProcessPool({ entry: echo, size: 1 }));
    const queued = await QueueScheduler.open({ ...options, run: 'overhead' });
    let serial = 0;
    const each = async (where: Scheduler, many: number): Promise<number> => {
      const work = Array.from({ length: many }, () =>
        where.submit({ task: 'echo', options: { name: String(serial++) } }),
      );
      return (1000 * (await seconds(() => Promise.all(work)))) / many;
    };
    for (const where of [local, queued]) await each(where, 100);
    const differences: number[] = [];
    for (let round = 0; round < 5; round++) {
      differences.push((await each(queued, 500)) - (await each(local, 500)));
    }
    const goal = { most: 5 };
    tell({ name: `a job, appendfsync ${sync}`, value: median(differences), unit: 'ms', goal });
    show(
      'overhead of a job at the queue, median of 5 x 500',
      `${median(differences).toFixed(2)} ms`,
    );
    const alone: number[] = [];
    for (let i = 0; i < 50; i++) alone.push(await each(queued, 1));
    show(
      'from submission to outcome of a single job, median of 50',
      `${median(alone).toFixed(1)} ms`,
    );
    await queued.close();
    await local.close();
    await worker.drain();
    show(
      'Redis memory after all',
      `${Math.round(((await used()) - before) / 1024)} kB more than before`,
    );
  } finally {
    client.destroy();
    await server.stop();
  }
}

interface Cluster {
  readonly hosts: Hosts;
  readonly server: RedisServer;
  readonly url: string;
  start(host: number, ...words: readonly string[]): ChildProcess;
  close(): Promise<void>;
}

async function startCluster(count: number): Promise<Cluster> {
  const hosts = makeHosts(count);
  const server = await startRedisServer({
    password: 'bench',
    settings: ['--bind', ...new Set([hosts.address, '127.0.0.1'])],
  });
  const url = `redis://:bench@${hosts.address}:${server.port}`;
  const workers = new Set<ChildProcess>();
  const abandon = (): void => {
    for (const worker of workers) worker.kill('SIGKILL');
    hosts.close();
    process.exit(1);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, abandon);
  return {
    ...{ hosts, server, url },
    start: (host, ...words) => {
      const roots = ['--root', base, '--root', corpus];
      const line = [...hosts.on(host), process.execPath, main, 'worker', '--processes', '1'];
      const [program, ...rest] = [...line, ...roots, ...words];
      const worker = spawn(program, rest, {
        stdio: 'ignore',
        env: { ...process.env, WAYWARD_QUEUE: url },
      });
      workers.add(worker);
      return worker;
    },
    close: async () => {
      for (const worker of workers) worker.kill('SIGKILL');
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, abandon);
      await server.stop();
      hosts.close();
    },
  };
}

function wayward(...words: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...words], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(`wayward ${words.join(' ')}: ${stderr}`);
  return stdout;
}

/** As `wayward`, but others may go on meanwhile. */
function waywardBeside(...words: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let said = '';
    child.stdout.on('data', (bytes) => {
      out += bytes;
    });
    child.stderr.on('data', (bytes) => {
      said += bytes;
    });
    child.once('close', (code) => {
      if (code === 0) resolve(out);
      else reject(new Error(`wayward ${words.join(' ')}: ${said}`));
    });
  });
}

/** Copies samples of the bundled corpus. */
function copySamples(to: string, count: number): string {
  mkdirSync(join(base, to));
  const names = readdirSync(join(corpus, 'traces'));
  for (let i = 0; i < count; i++) {
    const name = names[i % names.length];
    const copy = i < names.length ? name : `${name}-${Math.floor(i / names.length)}`;
    cpSync(join(corpus, 'traces', name), join(base, to, copy), { recursive: true });
  }
  return join(base, to);
}

/** @returns a hash of all files of a folder, by name */
function hashFolder(folder: string, suffix: string): ReadonlyMap<string, string> {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(suffix))
    .sort();
  return new Map(
    files.map((name) => [
      name,
      createHash('sha256')
        .update(readFileSync(join(folder, name)))
        .digest('hex'),
    ]),
  );
}

function compare(
  name: string,
  local: ReadonlyMap<string, string>,
  queued: ReadonlyMap<string, string>,
): void {
  const names = new Set([...local.keys(), ...queued.keys()]);
  const different = [...names].filter((file) => local.get(file) !== queued.get(file));
  show(name, `${names.size - different.length} of ${names.size} files the same`);
  if (different.length > 0) {
    console.log(`  different: ${different.slice(0, 5).join(', ')}`);
    process.exitCode = 1;
  }
}

/** 200 samples over 3 hosts, a worker killed every 3 s, Redis killed and restarted once. */
async function runFaults(): Promise<void> {
  const [local, queued] = [copySamples('local', count), copySamples('queued', count)];
  const bin = ['--bin-dir', join(corpus, 'bin')];
  wayward('preprocess', local, ...bin);
  const learn = [...bin, '--model', 'ngram', '--train-size', '12', '--test-size-benign', '30'];
  const folderOf = (json: string): string => (JSON.parse(json) as { folder: string }).folder;
  const learned = folderOf(
    wayward('learn', queued, ...learn, '--test-size-malicious', '15', '--out', base, '--json'),
  );
  const cluster = await startCluster(3);
  let killed = 0;
  let restarts = 0;
  const workers = [0, 1, 2].map((host) => cluster.start(host, '--lease', '2'));
  let turn = 0;
  /** When each worker was first seen among those that take jobs. */
  const seen = new Map<number, number>();
  const watching = await connectRedis(cluster.url);
  const killing = setInterval(async () => {
    for (const { processId } of await listWorkers(watching).catch(() => [])) {
      if (!seen.has(processId)) seen.set(processId, performance.now());
    }
    for (const [host, worker] of workers.entries()) {
      // One that began while Redis was away has left; a service manager starts it again.
      if (worker.exitCode !== null) workers[host] = cluster.start(host, '--lease', '2');
    }
    const host = turn % workers.length;
    const since = seen.get(workers[host]?.pid ?? 0);
    // One that has not begun yet would be no loss.
    if (since === undefined || performance.now() - since < 2000) return;
    turn++;
    workers[host]?.kill('SIGKILL');
    killed++;
    workers[host] = cluster.start(host, '--lease', '2');
  }, killEvery);
  const restart = (): void => {
    void (async () => {
      await cluster.server.kill();
      await new Promise((resolve) => setTimeout(resolve, 500));
      await cluster.server.restart();
      restarts++;
    })();
  };
  try {
    console.log(`${count} samples over ${cluster.hosts.kind}`);
    let timer = setTimeout(restart, 4000);
    const stored = await seconds(() =>
      waywardBeside('preprocess', queued, ...bin, '--queue', cluster.url, '--out', base),
    );
    clearTimeout(timer);
    const first = killed;
    show('preprocess', `${stored.toFixed(1)} s, ${first} kills, ${restarts} restarts of Redis`);
    compare('  stored traces', hashFolder(local, '.wayward'), hashFolder(queued, '.wayward'));
    timer = setTimeout(restart, 4000);
    const sets = ['-i', join(learned, 'sets.txt'), '--skip-test'];
    let evaluated = '';
    const spent = await seconds(async () => {
      const words = ['learn', queued, ...bin, '--model', 'ngram', ...sets, '--out', base, '--json'];
      evaluated = folderOf(await waywardBeside(...words, '--queue', cluster.url));
    });
    clearTimeout(timer);
    show(
      'learn: counting and evaluation',
      `${spent.toFixed(1)} s, ${killed - first} kills, ${restarts} restarts in all`,
    );
    const evaluation = (run: string): ReadonlyMap<string, string> =>
      hashFolder(join(run, 'evaluation'), '.eval');
    compare('  evaluations', evaluation(learned), evaluation(evaluated));
    const client = await connectRedis(cluster.url);
    const keys = (await client.keys('wayward:*')).filter((key) => /:[\w-]{22}$/.test(key));
    show('  jobs that are left in Redis', String(keys.length));
    client.destroy();
  } finally {
    clearInterval(killing);
    watching.destroy();
    await cluster.close();
  }
}

/** The same work with 1, 2 and 4 workers, each on a host of its own. */
async function measureScale(): Promise<void> {
  const bin = ['--bin-dir', join(corpus, 'bin')];
  for (const size of (process.env.SIZES ?? '50,200').split(',').map(Number)) {
    const folder = copySamples(`scale${size}`, size);
    const words = ['preprocess', folder, ...bin, '-f'];
    const here = await seconds(() => waywardBeside(...words, '--threads', '1'));
    show(`${size} samples, local, 1 process`, `${here.toFixed(2)} s`);
    for (const workers of [1, 2, 4]) {
      const cluster = await startCluster(workers);
      try {
        const client = await connectRedis(cluster.url);
        for (let host = 0; host < workers; host++) cluster.start(host);
        while ((await client.hLen('wayward:workers')) < workers) {
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
        client.destroy();
        const run = (): Promise<string> =>
          waywardBeside(...words, '--queue', cluster.url, '--out', base);
        // The first run starts each worker's process and compiles its code.
        await run();
        const spent = await seconds(run);
        show(
          `${size} samples, ${workers} workers in ${cluster.hosts.kind}`,
          `${spent.toFixed(2)} s`,
        );
      } finally {
        await cluster.close();
      }
    }
  }
}
