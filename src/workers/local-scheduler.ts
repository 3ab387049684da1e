import { type Job, type Json, mostTries, type Outcome } from './job.ts';
import { JobStopped, ProcessEnded, setAside, type Verdict } from './process-pool.ts';
import type { Scheduler } from './scheduler.ts';

interface Waiting {
  readonly job: Job;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

/** Who does a job: a `ProcessPool`, or this process itself. */
export interface Executor {
  /** Jobs at the same time. */
  readonly size: number;
  /** @throws ProcessEnded when a process ended before it had an answer; JobStopped when it was closed */
  run(job: Job): Promise<Verdict>;
  close(): Promise<void>;
}

/** Does jobs on this machine, in the order in which they are handed in. */
export class LocalScheduler implements Scheduler {
  readonly width: number;
  readonly #executor: Executor;
  readonly #waiting: Waiting[] = [];
  readonly #signal: AbortSignal | undefined;
  readonly #stop: () => void;
  #running = 0;

  /** @param signal  stops the work: jobs not done are rejected with its reason */
  constructor(executor: Executor, signal?: AbortSignal) {
    this.width = executor.size;
    this.#executor = executor;
    this.#signal = signal;
    this.#stop = (): void => {
      for (const { reject } of this.#waiting.splice(0)) reject(signal?.reason);
      void this.#executor.close();
    };
    signal?.addEventListener('abort', this.#stop, { once: true });
  }

  submit(job: Job): Promise<Outcome> {
    this.#signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job, resolve, reject });
      this.#start();
    });
  }

  /** Jobs that are not done are rejected. */
  async close(): Promise<void> {
    for (const { reject } of this.#waiting.splice(0)) reject(new JobStopped('no worker is left'));
    this.#signal?.removeEventListener('abort', this.#stop);
    await this.#executor.close();
  }

  #start(): void {
    while (this.#running < this.width) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#running++;
      this.#try(next.job)
        .then(next.resolve, next.reject)
        .finally(() => {
          this.#running--;
          this.#start();
        });
    }
  }

  async #try(job: Job): Promise<Outcome> {
    for (let tries = 1; ; tries++) {
      try {
        const answer = await this.#executor.run(job);
        // What fails because it is stopped has not failed.
        if (answer.status === 'failed') this.#signal?.throwIfAborted();
        return toOutcome(answer, tries);
      } catch (error) {
        this.#signal?.throwIfAborted();
        if (!(error instanceof ProcessEnded)) throw error;
        if (tries >= mostTries) return setAside(error.message, tries);
      }
    }
  }
}

/** @returns the outcome that an answer is, after so many tries */
export function toOutcome(answer: Verdict, tries: number): Outcome {
  if (answer.status === 'failed') return { ...answer, tries };
  return { status: 'done', value: answer.value as Json, warnings: answer.warnings };
}
