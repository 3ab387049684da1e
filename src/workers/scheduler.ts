import type { Job, Outcome } from './job.ts';

/**
 * Where jobs are done: in processes of this machine (`LocalScheduler`), or by workers anywhere that
 * see the same files (`QueueScheduler`). Who hands jobs in need not know which.
 */
export interface Scheduler {
  /** How many jobs are done at the same time, as far as that is known; at least 1. */
  readonly width: number;
  /**
   * Hands in one job; as many as there are may be handed in at once.
   *
   * @returns what became of it, once, whatever happens to workers in between
   * @throws the reason of the abort, when the scheduler was stopped; UserError when it cannot go on
   */
  submit(job: Job): Promise<Outcome>;
  /** Ends the workers that belong to this scheduler. Jobs in a queue stay there. */
  close(): Promise<void>;
}

/** Answers of `submit` as they come: `[index of the job, outcome]`, each once. */
export async function* outcomesOf(
  scheduler: Scheduler,
  jobs: readonly Job[],
): AsyncGenerator<readonly [index: number, outcome: Outcome]> {
  const finished: (readonly [number, Outcome])[] = [];
  let wake = (): void => {};
  let failure: { readonly error: unknown } | undefined;
  for (const [index, job] of jobs.entries()) {
    scheduler.submit(job).then(
      (outcome) => {
        finished.push([index, outcome]);
        wake();
      },
      (error: unknown) => {
        failure ??= { error };
        wake();
      },
    );
  }
  for (let given = 0; given < jobs.length; ) {
    if (failure !== undefined) throw failure.error;
    const next = finished.splice(0);
    given += next.length;
    yield* next;
    if (next.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (finished.length > 0 || failure !== undefined) resolve();
      });
    }
  }
}
