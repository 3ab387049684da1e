import { Queue, QueueEvents } from 'bullmq';
import { UserError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { redisCause } from '../base/text/redis-words.ts';
import { type Job, jobName, mostBytes, type Outcome, outcomeOf } from './job.ts';
import type { OutcomeJournal } from './outcome-journal.ts';
import { type Lane, prefix, type QueuedJob, queueName } from './queue-names.ts';
import { connectRedis, persist, type RedisClient, showRedisUrl } from './redis-link.ts';
import type { Scheduler } from './scheduler.ts';
import { listWorkers } from './worker-registry.ts';

export interface QueueSchedulerOptions {
  readonly url: string;
  readonly version: string;
  readonly lane: Lane;
  /** Identity of the run: jobs of different runs are different jobs. */
  readonly run: string;
  /** Where collected outcomes are kept; without one, who comes back does jobs again. */
  readonly journal?: OutcomeJournal | undefined;
  readonly log: Logger;
  /** Stops waiting. Jobs that are in the queue stay there. */
  readonly signal?: AbortSignal | undefined;
}

/** Most jobs of one submitter that lie in Redis at once: the memory there has a bound. */
const mostQueued = 10_000;
/** Jobs that are added, or looked at, in one go. */
const batch = 500;
/** Finished jobs that nobody collects are forgotten after so long, in seconds. */
const keptFor = 7 * 24 * 3600;
/** Events kept in Redis. They are hints only: a lost one costs time, no job. */
const mostEvents = 1000;
/** After so long without an event, in milliseconds, all jobs are looked at. */
const quiet = 1000;
/** All jobs are looked at every so often, in milliseconds, whatever events come. */
const interval = 15_000;

interface Pending {
  readonly job: Job;
  readonly name: string;
  readonly promise: Promise<Outcome>;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Does jobs through a BullMQ queue. A job is in Redis from when it is added until its outcome is in
 * the journal. Its hash there is the only truth: events say no more than that it is time to look.
 */
export class QueueScheduler implements Scheduler {
  readonly width: number;
  readonly #options: QueueSchedulerOptions;
  readonly #client: RedisClient;
  readonly #queue: Queue;
  readonly #events: QueueEvents;
  /** Not in Redis yet, oldest first. */
  readonly #backlog: Pending[] = [];
  /** In Redis, or on the way there. */
  readonly #queued: Map<string, Pending> = new Map();
  readonly #byName: Map<string, Pending> = new Map();
  /** Names of jobs that may have finished. */
  #hints: Set<string> = new Set();
  #wake: () => void = () => {};
  #isClosed = false;
  #adding: Promise<void> | undefined;
  readonly #collecting: Promise<void>;
  readonly #stop: () => void;
  #toldNoWorker = false;

  private constructor(options: QueueSchedulerOptions, client: RedisClient, width: number) {
    this.#options = options;
    this.#client = client;
    this.width = Math.max(1, width);
    const name = queueName(options.version, options.lane);
    const connection = client as never;
    this.#queue = new Queue(name, {
      connection,
      prefix,
      streams: { events: { maxLen: mostEvents } },
    });
    this.#events = new QueueEvents(name, { connection, prefix, blockingTimeout: 2000 });
    // Connections that are lost are made again; see `connectRedis`.
    this.#queue.on('error', () => {});
    this.#events.on('error', () => {});
    const hint = ({ jobId }: { jobId: string }): void => {
      if (!this.#queued.has(jobId)) return;
      this.#hints.add(jobId);
      this.#wake();
    };
    this.#events.on('completed', hint);
    this.#events.on('failed', hint);
    this.#stop = (): void => this.#fail(options.signal?.reason);
    options.signal?.addEventListener('abort', this.#stop, { once: true });
    this.#collecting = this.#collect().catch((error: unknown) => this.#fail(error));
  }

  /** @throws UserError `redis-url`, `redis-unreachable` */
  static async open(options: QueueSchedulerOptions): Promise<QueueScheduler> {
    const client = await connectRedis(options.url);
    try {
      const workers = await persist(
        () => listWorkers(client),
        () => false,
      );
      const fitting = workers.filter(
        ({ version, lane }) => version === options.version && lane === options.lane,
      );
      const width = fitting.reduce((sum, worker) => sum + worker.width, 0);
      return new QueueScheduler(options, client, width);
    } catch (cause) {
      client.destroy();
      throw new UserError('redis-unusable', `cannot be used: ${redisCause(cause)}`, {
        category: 'unavailable',
        path: showRedisUrl(options.url),
        cause,
      });
    }
  }

  submit(job: Job): Promise<Outcome> {
    this.#options.signal?.throwIfAborted();
    const name = jobName(this.#options.run, job);
    const known = this.#options.journal?.get(name);
    if (known !== undefined) return Promise.resolve(known);
    const same = this.#byName.get(name);
    if (same !== undefined) return same.promise;
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    const pending: Pending = { job, name, promise, resolve, reject };
    this.#byName.set(name, pending);
    this.#backlog.push(pending);
    this.#fill();
    return promise;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.signal?.removeEventListener('abort', this.#stop);
    this.#wake();
    // Neither waits for a server that is not there.
    this.#client.unref();
    await Promise.race([
      Promise.allSettled([this.#collecting, this.#adding]),
      new Promise((resolve) => setTimeout(resolve, 2000)),
    ]);
    await Promise.race([
      Promise.allSettled([this.#events.close(), this.#queue.close()]),
      new Promise((resolve) => setTimeout(resolve, 2000)),
    ]);
    this.#client.destroy();
  }

  /** Moves jobs from the backlog into Redis while there is room. */
  #fill(): void {
    this.#adding ??= (async () => {
      // What is handed in at once goes out at once.
      await null;
      while (!this.#isClosed && this.#backlog.length > 0) {
        const room = Math.min(batch, mostQueued - this.#queued.size);
        if (room <= 0) break;
        const next = this.#backlog.splice(0, room);
        for (const pending of next) this.#queued.set(pending.name, pending);
        await Promise.all(next.map((pending) => this.#add(pending)));
        // One that an earlier submitter added may have finished before.
        for (const { name } of next) this.#hints.add(name);
        this.#wake();
      }
    })()
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#adding = undefined;
      });
  }

  async #add({ job, name }: Pending): Promise<void> {
    const data: QueuedJob = { version: this.#options.version, options: job.options };
    await persist(
      () =>
        this.#queue.add(job.task, data, {
          jobId: name,
          attempts: 1,
          removeOnComplete: { age: keptFor },
          removeOnFail: { age: keptFor },
          stackTraceLimit: 0,
          sizeLimit: mostBytes,
        }),
      () => this.#isClosed,
    );
  }

  async #collect(): Promise<void> {
    let last = performance.now();
    while (!this.#isClosed) {
      if (this.#hints.size === 0) await this.#rest(quiet);
      const now = performance.now();
      let names = [...this.#hints].filter((name) => this.#queued.has(name));
      this.#hints = new Set();
      if (names.length === 0 || now - last > interval) {
        names = [...this.#queued.keys()];
        last = now;
        await this.#lookForWorkers();
      }
      for (let from = 0; from < names.length && !this.#isClosed; from += batch) {
        await this.#look(names.slice(from, from + batch));
      }
    }
  }

  /** Takes in the outcomes of those that have finished; adds again those that Redis has lost. */
  async #look(names: readonly string[]): Promise<void> {
    const found = await persist(
      () => Promise.all(names.map((name) => this.#outcomeOf(name))),
      () => this.#isClosed,
    );
    const finished: [Pending, Outcome][] = [];
    for (const [index, name] of names.entries()) {
      const pending = this.#queued.get(name);
      const state = found[index];
      if (pending === undefined || state === 'open') continue;
      if (state === 'lost') await this.#add(pending);
      else finished.push([pending, state]);
    }
    if (finished.length === 0) return;
    await this.#options.journal?.add(finished.map(([{ name }, outcome]) => [name, outcome]));
    for (const [pending, outcome] of finished) {
      this.#queued.delete(pending.name);
      this.#byName.delete(pending.name);
      pending.resolve(outcome);
    }
    this.#fill();
    await persist(
      () => Promise.all(finished.map(([{ name }]) => this.#queue.remove(name))),
      () => this.#isClosed,
    );
  }

  async #outcomeOf(name: string): Promise<Outcome | 'open' | 'lost'> {
    const [added, finished, value, reason, tries] = await this.#client.hmGet(
      this.#queue.toKey(name),
      ['timestamp', 'finishedOn', 'returnvalue', 'failedReason', 'ats'],
    );
    if (added === null) return 'lost';
    if (finished === null) return 'open';
    if (reason !== null) return { status: 'failed', reason, tries: Number(tries) };
    return parseOutcome(value);
  }

  async #lookForWorkers(): Promise<void> {
    if (this.#queued.size === 0 || this.#toldNoWorker) return;
    const { version, lane, url, log } = this.#options;
    const workers = await persist(
      () => listWorkers(this.#client),
      () => this.#isClosed,
    );
    if (workers.some((worker) => worker.version === version && worker.lane === lane)) return;
    this.#toldNoWorker = true;
    const others = workers.map((worker) => `${worker.version} for ${worker.lane}`);
    log.log(
      'warning',
      `no worker of Wayward ${version} for ${lane} listens at ${showRedisUrl(url)}${others.length === 0 ? '' : ` (there are: ${[...new Set(others)].join(', ')})`}; the jobs wait for one`,
    );
  }

  #rest(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = (): void => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #fail(error: unknown): void {
    if (this.#isClosed) return;
    const pending = [...this.#byName.values()];
    this.#byName.clear();
    this.#queued.clear();
    this.#backlog.length = 0;
    for (const { reject } of pending) reject(error);
  }
}

/** A queue is written by others: what is no outcome is none of the job's. */
function parseOutcome(text: string | null | undefined): Outcome {
  let value: unknown;
  try {
    value = JSON.parse(text ?? '');
  } catch {
    // No outcome, either.
  }
  const reason = 'the queue holds something else where its outcome should be';
  return outcomeOf(value) ?? { status: 'failed', reason, tries: 1 };
}
