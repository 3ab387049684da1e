import type { Logger } from '../../base/log.ts';
import type { JobFolders } from '../../workers/confinement.ts';
import type { Json, Outcome } from '../../workers/job.ts';
import type { Reader } from '../../workers/schema.ts';

/** What a task is given beside its options. */
export interface TaskContext {
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Something that a worker can do. Options come from outside and are checked. */
export interface Task<Result = unknown> {
  /** The folders that it would use. @throws UserError when the options are malformed */
  readonly folders: (options: unknown) => JobFolders;
  /** @throws UserError when it cannot be done, whoever tries it */
  readonly run: (options: unknown, context: TaskContext) => Promise<Json>;
  /** @param done  of a job of this task, done by this release: queues have its version in their names */
  readonly resultOf: (done: Extract<Outcome, { status: 'done' }>) => Result;
}

export function defineTask<Options, Result>(spec: {
  readonly read: Reader<Options>;
  readonly folders: (options: Options) => JobFolders;
  readonly run: (options: Options, context: TaskContext) => Promise<Result>;
}): Task<Result> {
  return {
    folders: (options) => spec.folders(spec.read(options, 'options')),
    // What comes out must be plain data: it travels as JSON, and is again what it was.
    run: async (options, context) =>
      (await spec.run(spec.read(options, 'options'), context)) as Json,
    resultOf: ({ value }) => value as Result,
  };
}
