import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { type Job as QueueJob, Worker } from 'bullmq';
import { messageOf, UserError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { type Job, mostBytes, mostLosses, mostTries, type Outcome } from './job.ts';
import { toOutcome } from './local-scheduler.ts';
import { JobStopped, ProcessEnded, ProcessPool, setAside } from './process-pool.ts';
import { type Lane, prefix, type QueuedJob, queueName } from './queue-names.ts';
import { connectRedis, isConnectionLoss, persist, type RedisClient } from './redis-link.ts';
import { record, text } from './schema.ts';
import { WorkerMetrics } from './worker-metrics.ts';
import { heartbeat, register, unregister, type WorkerCard } from './worker-registry.ts';

export interface QueueWorkerOptions {
  readonly url: string;
  readonly version: string;
  readonly lane: Lane;
  /** Jobs at the same time, each in a process of its own. */
  readonly width: number;
  /** Module of these processes; see `ProcessPool`. */
  readonly entry: URL;
  /** Seconds without a sign of life after which another worker may take a job. */
  readonly leaseSeconds: number;
  readonly jobSeconds: number | undefined;
  /** Names of the tasks that it can do. */
  readonly tasks: readonly string[];
  /** Refuses a job that is malformed or may not be done here; gives it as it is to be done. @throws UserError */
  readonly admit: (job: Job) => Promise<Job>;
  readonly log: Logger;
}

/** Half seconds that a server may be away while a worker leaves. */
const mostLost = 6;

/** Field of a job's hash, beside BullMQ's: how often the job has ended its process. */
const crashesField = 'crashes';

const envelope = record({
  version: text(100),
  options: (value: unknown) => value,
});

/** Takes jobs from a queue and does them, until it is told to leave. */
export class QueueWorker {
  readonly metrics: WorkerMetrics;
  readonly #options: QueueWorkerOptions;
  readonly #client: RedisClient;
  readonly #worker: Worker;
  readonly #pool: ProcessPool;
  readonly #id: string;
  /** Ends when it has drained; rejects when it cannot go on. */
  readonly working: Promise<void>;
  readonly #beating: NodeJS.Timeout;
  #isDraining = false;
  /** One slot cannot go on, so that none of them takes another job. */
  #hasFailed = false;
  /** Only one slot at a time asks for a job. */
  #fetching: Promise<unknown> = Promise.resolve();
  #tokens = 0;

  private constructor(options: QueueWorkerOptions, client: RedisClient) {
    this.#options = options;
    this.#client = client;
    this.#id = `${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`;
    this.metrics = new WorkerMetrics(options.version, options.lane, options.width);
    const { entry, width: size, jobSeconds } = options;
    this.#pool = new ProcessPool({ entry, size, jobSeconds });
    const lease = options.leaseSeconds * 1000;
    this.#worker = new Worker(queueName(options.version, options.lane), null, {
      connection: client as never,
      prefix,
      name: this.#id,
      autorun: false,
      // Seconds that one request for a job waits for one.
      drainDelay: 1,
      lockDuration: lease,
      stalledInterval: Math.max(500, lease / 2),
      // Tries are counted by us, as starts, whatever ended them.
      maxStalledCount: Number.MAX_SAFE_INTEGER,
    });
    this.#worker.on('error', (error) => {
      if (!isConnectionLoss(error)) options.log.log('warning', `queue: ${error.message}`);
    });
    this.#beating = setInterval(() => void this.#beat(), heartbeat);
    this.working = this.#work();
  }

  /** @throws UserError `redis-url`, `redis-unreachable` */
  static async start(options: QueueWorkerOptions): Promise<QueueWorker> {
    return new QueueWorker(options, await connectRedis(options.url));
  }

  get isConnected(): boolean {
    return this.#client.isReady;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Takes no more jobs, finishes those that it has, and leaves. */
  async drain(): Promise<void> {
    if (this.#isDraining) return;
    this.#isDraining = true;
    this.metrics.isDraining = true;
    void this.#beat();
    // Why it cannot go on is for whoever waits for `working`; leaving is for everybody.
    await Promise.race([this.working.catch(() => {}), this.#lossOfServer()]);
    clearInterval(this.#beating);
    await this.#pool.close();
    const leave = async (): Promise<void> => {
      await unregister(this.#client, this.#id);
      await this.#worker.close();
    };
    // A server that is gone keeps nobody.
    await Promise.race([
      leave().catch(() => {}),
      new Promise((resolve) => setTimeout(resolve, 3000)),
    ]);
    if (this.#client.isOpen) this.#client.destroy();
  }

  async #work(): Promise<void> {
    // Loading code is no time of a job.
    await this.#pool.warm();
    await this.#beat();
    await this.#worker.startStalledCheckTimer();
    const slots = Array.from({ length: this.#options.width }, async () => {
      try {
        await this.#slot();
      } catch (error) {
        this.#hasFailed = true;
        throw error;
      }
    });
    // Jobs of the other slots are finished before it ends.
    const ends = await Promise.allSettled(slots);
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  /** Ends when the server has been away for a while and no job is under way: requests for jobs would wait for ever. */
  #lossOfServer(): Promise<void> {
    let lost = 0;
    return new Promise((resolve) => {
      const look = setInterval(() => {
        lost = this.#client.isReady || this.metrics.busy > 0 ? 0 : lost + 1;
        if (lost > mostLost) end();
      }, 500);
      const end = (): void => {
        clearInterval(look);
        resolve();
      };
      this.working.then(end, end);
    });
  }

  /** One job after the other. */
  async #slot(): Promise<void> {
    while (!this.#isDraining && !this.#hasFailed) {
      const job = await this.#next();
      if (job === undefined) continue;
      if (this.#isDraining || this.#hasFailed) await this.#giveBack(job, true);
      else await this.#do(job);
    }
  }

  #next(): Promise<QueueJob | undefined> {
    const fetch = async (): Promise<QueueJob | undefined> => {
      if (this.#isDraining || this.#hasFailed) return undefined;
      try {
        return await this.#worker.getNextJob(`${this.#id}:${this.#tokens++}`, { block: true });
      } catch (error) {
        if (!isConnectionLoss(error)) {
          this.#options.log.log('warning', `queue: ${messageOf(error)}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 500));
        return undefined;
      }
    };
    const next = this.#fetching.then(fetch);
    this.#fetching = next;
    return next;
  }

  async #do(queued: QueueJob): Promise<void> {
    const { log, leaseSeconds } = this.#options;
    const token = queued.token ?? '';
    const lease = leaseSeconds * 1000;
    const renewing = setInterval(() => {
      queued.extendLock(token, lease).catch((error: unknown) => {
        if (!isConnectionLoss(error)) {
          log.log('debug', `job ${queued.id} was taken over: ${messageOf(error)}`);
        }
      });
    }, lease / 3);
    const started = performance.now();
    this.metrics.busy++;
    try {
      const outcome = await this.#outcomeOf(queued);
      if (outcome === undefined) await this.#giveBack(queued, false);
      else await this.#finish(queued, token, outcome);
      const seconds = (performance.now() - started) / 1000;
      this.metrics.count(queued.name, outcome?.status ?? 'crashed', seconds);
      if (outcome?.status === 'failed') log.log('warning', `${queued.name}: ${outcome.reason}`);
    } finally {
      this.metrics.busy--;
      clearInterval(renewing);
    }
  }

  /** @returns `undefined` when its process ended and it may be tried again */
  async #outcomeOf(queued: QueueJob): Promise<Outcome | undefined> {
    const begun = queued.attemptsStarted;
    const crashes = begun > 1 ? await this.#crashesOf(queued) : 0;
    if (begun - crashes > mostLosses + 1) {
      return setAside('the worker that had it was lost each time', begun - 1);
    }
    const tries = crashes + 1;
    let job: Job;
    try {
      job = await this.#options.admit(this.#read(queued));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return { status: 'failed', reason: `refused: ${error.message}`, tries };
    }
    try {
      return toOutcome(await this.#pool.run(job), tries);
    } catch (error) {
      if (error instanceof JobStopped) return undefined;
      if (!(error instanceof ProcessEnded)) throw error;
      this.#options.log.log('warning', `${job.task}: try ${tries}: ${error.message}`);
      if (tries >= mostTries) return setAside(error.message, tries);
      await this.#persistently(() => this.#client.hIncrBy(this.#keyOf(queued), crashesField, 1));
      return undefined;
    }
  }

  /** How often the job has ended its process, at whichever worker. */
  async #crashesOf(queued: QueueJob): Promise<number> {
    const found = await this.#persistently(() =>
      this.#client.hGet(this.#keyOf(queued), crashesField),
    );
    return Number(found ?? 0);
  }

  #keyOf(queued: QueueJob): string {
    return this.#worker.toKey(queued.id ?? '');
  }

  #persistently<T>(work: () => Promise<T>): Promise<T> {
    // Who leaves does not wait for a server: the lease ends, and another worker does the job.
    return persist(work, () => this.#isDraining && !this.#client.isReady);
  }

  /** @throws UserError when the job is none of ours */
  #read(queued: QueueJob): Job {
    const refuse = (why: string): never => {
      throw new UserError('job-refused', why, { category: 'arguments' });
    };
    const bytes = Buffer.byteLength(JSON.stringify(queued.data));
    if (bytes > mostBytes) refuse(`its options take ${bytes} bytes; ${mostBytes} are allowed`);
    const { version, options }: QueuedJob = envelope(queued.data, 'job');
    if (version !== this.#options.version) {
      refuse(`it is of Wayward ${version}, this worker is ${this.#options.version}`);
    }
    if (!this.#options.tasks.includes(queued.name)) {
      refuse(`there is no task ${JSON.stringify(queued.name.slice(0, 40))}`);
    }
    return { task: queued.name, options: options as Job['options'] };
  }

  async #finish(queued: QueueJob, token: string, outcome: Outcome): Promise<void> {
    try {
      await this.#persistently(async () => {
        if (outcome.status === 'done') await queued.moveToCompleted(outcome, token, false);
        else await queued.moveToFailed(new Error(outcome.reason), token, false);
      });
    } catch (error) {
      // Somebody else has it, or has finished it: what it wrote is what we wrote.
      this.metrics.lost++;
      this.#options.log.log('debug', `job ${queued.id}: ${messageOf(error)}`);
    }
  }

  /** @param isUnused  it was not begun, so that this is no try */
  async #giveBack(queued: QueueJob, isUnused: boolean): Promise<void> {
    try {
      if (isUnused) {
        await this.#client.hIncrBy(this.#keyOf(queued), 'ats', -1);
      }
      await queued.moveToWait(queued.token);
    } catch (error) {
      // Its lease ends, and another worker takes it.
      this.#options.log.log('debug', `job ${queued.id}: ${messageOf(error)}`);
    }
  }

  async #beat(): Promise<void> {
    const { version, lane, tasks, width } = this.#options;
    const card: WorkerCard = {
      ...{ id: this.#id, host: hostname(), processId: process.pid, node: process.version },
      ...{ version, lane, tasks, width, isDraining: this.#isDraining },
    };
    await register(this.#client, card).catch(() => {});
  }
}
