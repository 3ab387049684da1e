import { type ChildProcess, fork } from 'node:child_process';
import { assert } from '../base/errors.ts';
import type { Job, Outcome } from './job.ts';

/** What a process of the pool says first: it has loaded its code. */
export interface Ready {
  readonly status: 'ready';
}

/** What a process of the pool says when it has done a job. */
export type Answer =
  | { readonly status: 'done'; readonly value: unknown; readonly warnings: readonly string[] }
  | { readonly status: 'failed'; readonly reason: string }
  /** It was told to stop: whatever the job would have said, it is to be done again. */
  | { readonly status: 'stopped' };

/** An answer that says what became of a job. */
export type Verdict = Exclude<Answer, { status: 'stopped' }>;

/** What a process of the pool is told. */
export type Order = { readonly job: Job } | { readonly stop: true };

/** A job's process ended before it had an answer. */
export class ProcessEnded extends Error {
  override readonly name = 'ProcessEnded';
}

/** A job was broken off, by whoever closed the pool; that says nothing of the job. */
export class JobStopped extends Error {
  override readonly name = 'JobStopped';
}

export interface PoolOptions {
  /** Module that a process runs: it says `Ready`, and answers each `Order` with a `job` by an `Answer`. */
  readonly entry: URL;
  readonly size: number;
  /** Seconds for one job, after which its process is ended; `undefined` = any. */
  readonly jobSeconds?: number | undefined;
}

/** A process that is told to stop may clean up for so long, in milliseconds. */
const grace = 2000;
/** How much of what a process says on standard error is kept, in characters. */
const mostSaid = 2000;

/**
 * Processes that do one job at a time each. A process of its own, not a thread: one that runs out
 * of memory or crashes in native code takes nothing with it but its job.
 */
export class ProcessPool {
  readonly size: number;
  readonly #options: PoolOptions;
  readonly #idle: PoolProcess[] = [];
  readonly #busy: Set<PoolProcess> = new Set();
  #isClosed = false;

  constructor(options: PoolOptions) {
    this.size = options.size;
    this.#options = options;
  }

  /** Starts all processes, so that a job need not wait for one. */
  async warm(): Promise<void> {
    const { entry } = this.#options;
    const fresh = Array.from({ length: this.size }, () => new PoolProcess(entry));
    await Promise.all(fresh.map((process) => process.begun));
    this.#idle.push(...fresh);
  }

  /**
   * Does a job in a process that is free, or in a new one; callers run at most `size` at a time.
   *
   * @throws ProcessEnded when the process ends, or is ended because the job takes too long; JobStopped
   *   when the pool is closed before the job is done
   */
  async run(job: Job): Promise<Verdict> {
    assert(this.#busy.size < this.size, 'more jobs than processes');
    if (this.#isClosed) throw new JobStopped('the pool is closed');
    let process = this.#idle.pop();
    while (process?.hasEnded) process = this.#idle.pop();
    process ??= new PoolProcess(this.#options.entry);
    this.#busy.add(process);
    // Starting it, which takes long on a busy machine, is no part of the job.
    await process.begun;
    const seconds = this.#options.jobSeconds;
    let isLate = false;
    const timer =
      seconds === undefined
        ? undefined
        : setTimeout(() => {
            isLate = true;
            process.kill();
          }, seconds * 1000);
    try {
      const answer = await process.run(job);
      const isBrokenOff = this.#isClosed && answer.status === 'failed';
      if (answer.status === 'stopped' || isBrokenOff) {
        throw new JobStopped('it was told to stop');
      }
      if (!this.#isClosed) this.#idle.push(process);
      return answer;
    } catch (error) {
      // A process that does not stop in time is ended, which is no fault of its job.
      if (this.#isClosed) throw new JobStopped('the pool was closed');
      if (isLate) throw new ProcessEnded(`it was not done in ${seconds} s`);
      throw error;
    } finally {
      clearTimeout(timer);
      this.#busy.delete(process);
    }
  }

  /** Ends all processes; those at work are let clean up first, but not finish. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#idle.splice(0), ...this.#busy].map((process) => process.stop()));
  }
}

class PoolProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<string>;
  /** It is ready, or has ended. */
  readonly begun: Promise<unknown>;
  hasEnded = false;

  constructor(entry: URL) {
    this.#child = fork(entry, [], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    let said = '';
    this.#child.stderr?.on('data', (bytes: Buffer) => {
      said = (said + bytes.toString()).slice(-mostSaid);
    });
    this.#ended = new Promise((resolve) => {
      const end = (how: string): void => {
        this.hasEnded = true;
        resolve(how);
      };
      this.#child.once('error', (error) => end(error.message));
      // `close` comes after all that was said has been read.
      this.#child.once('close', (code, signal) => end(howItEnded(code, signal, said)));
    });
    const ready = new Promise((resolve) => this.#child.once('message', resolve));
    this.begun = Promise.race([ready, this.#ended]).then(() => this.#hold(false));
  }

  get id(): number | undefined {
    return this.#child.pid;
  }

  async run(job: Job): Promise<Answer> {
    await this.begun;
    this.#hold(true);
    let listen: (answer: Answer) => void = () => {};
    const answered = new Promise<Answer>((resolve) => {
      listen = resolve;
      this.#child.on('message', listen);
    });
    try {
      const order: Order = { job };
      // A failure to send is told by the end of the process.
      if (!this.hasEnded) this.#child.send(order, () => {});
      const first = await Promise.race([answered, this.#ended]);
      if (typeof first === 'string') throw new ProcessEnded(first);
      return first;
    } finally {
      this.#child.off('message', listen);
      this.#hold(false);
    }
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  async stop(): Promise<void> {
    if (this.hasEnded) return;
    const order: Order = { stop: true };
    if (this.#child.connected) this.#child.send(order, () => {});
    const timer = setTimeout(() => this.kill(), grace);
    await this.#ended;
    clearTimeout(timer);
  }

  /** A process keeps ours alive only while it has work. */
  #hold(isHeld: boolean): void {
    const { stderr, channel } = this.#child;
    const pipe = stderr as unknown as { ref(): void; unref(): void } | null;
    for (const item of [this.#child, channel, pipe]) {
      if (isHeld) item?.ref();
      else item?.unref();
    }
  }
}

function howItEnded(code: number | null, signal: string | null, said: string): string {
  const last = said
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => /error|fatal|abort|terminate/i.test(line))
    .at(0);
  const how = signal === null ? `with code ${code}` : `by ${signal}`;
  return `its process ended ${how}${last === undefined ? '' : `: ${last.slice(0, 200)}`}`;
}

/** @returns what is told of a job that has had all its tries */
export function setAside(reason: string, tries: number): Outcome {
  const times = tries === 1 ? 'once' : `${tries} times`;
  return { status: 'failed', reason: `tried ${times}, then set aside: ${reason}`, tries };
}
