import { messageOf, UserError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Confinement } from '../../workers/confinement.ts';
import type { Job } from '../../workers/job.ts';
import type { Answer } from '../../workers/process-pool.ts';
import { countTask } from './count.ts';
import { evaluateTask } from './evaluate.ts';
import { featuresTask } from './features.ts';
import { preprocessTask } from './preprocess.ts';
import type { Task } from './task.ts';

const tasks: ReadonlyMap<string, Task> = new Map<string, Task>([
  ['preprocess', preprocessTask],
  ['count', countTask],
  ['evaluate', evaluateTask],
  ['features', featuresTask],
]);

/** Names of the tasks that every worker can do. */
export const taskNames: readonly string[] = [...tasks.keys()];

/** Warnings that travel with an answer; more are counted. */
const mostWarnings = 20;

function taskOf({ task }: Job): Task {
  const found = tasks.get(task);
  if (found !== undefined) return found;
  throw new UserError('job-invalid', `there is no task ${JSON.stringify(task.slice(0, 40))}`, {
    category: 'arguments',
  });
}

/**
 * Refuses a job that is malformed, or that would use files outside of some folders.
 *
 * @param device  the one that a job which predicts is to use
 * @returns the job as it is to be done
 * @throws UserError
 */
export async function admitJob(job: Job, confinement: Confinement, device: string): Promise<Job> {
  await confinement.check(taskOf(job).folders(job.options));
  return Object.hasOwn(job.options, 'device')
    ? { ...job, options: { ...job.options, device } }
    : job;
}

/** Does a job in this process. It never rejects: what goes wrong is the answer. */
export async function runJob(job: Job, signal: AbortSignal): Promise<Answer> {
  const warnings: string[] = [];
  let left = 0;
  const log: Logger = {
    log: (level, message) => {
      if (level === 'debug' || level === 'info' || warnings.includes(message)) return;
      if (warnings.length < mostWarnings) warnings.push(message);
      else left++;
    },
  };
  try {
    const value = await taskOf(job).run(job.options, { log, signal });
    // What was read while it stopped may be cut short, and nobody could tell.
    if (signal.aborted) return { status: 'stopped' };
    if (left > 0) warnings.push(`and ${left} more warnings`);
    return { status: 'done', value, warnings };
  } catch (error) {
    if (signal.aborted) return { status: 'stopped' };
    const reason = error instanceof UserError ? error.message : `internal error: ${stackOf(error)}`;
    return { status: 'failed', reason };
  }
}

/** Message and place of a mistake of ours, for a report. */
function stackOf(error: unknown): string {
  const place = error instanceof Error ? /\n\s+at (.*)/.exec(error.stack ?? '')?.[1] : undefined;
  return place === undefined ? messageOf(error) : `${messageOf(error)} at ${place}`;
}
