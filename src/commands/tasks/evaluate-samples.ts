import { UserError } from '../../base/errors.ts';
import type { RunContext } from '../../model/first-layer.ts';
import type { Job } from '../../workers/job.ts';
import { LocalScheduler } from '../../workers/local-scheduler.ts';
import { outcomesOf, type Scheduler } from '../../workers/scheduler.ts';
import type { EvaluationTask, Evaluator } from '../samples/evaluating/evaluate.ts';
import type { SkippedSample } from '../samples/skipped.ts';
import { type EvaluateSetup, evaluateJob, evaluateSample, evaluateTask } from './evaluate.ts';

/** Samples that this process evaluates at the same time: one is read while another is predicted. */
const atOnce = 2;

/** Evaluates in this process, with a model that is in memory: it predicts on all threads. */
export function openInProcess(evaluator: Evaluator, context: RunContext): Scheduler {
  return new LocalScheduler(
    {
      size: atOnce,
      run: async ({ options }: Job) => {
        const signal = context.signal ?? new AbortController().signal;
        const value = await evaluateSample(evaluator, options as never, {
          log: context.log,
          signal,
        });
        signal.throwIfAborted();
        return { status: 'done', value, warnings: [] };
      },
      close: async () => {},
    },
    context.signal,
  );
}

/**
 * Evaluates samples, wherever the scheduler has it done.
 *
 * @returns the samples that are left out, in order
 * @throws UserError when not one could be evaluated
 */
export async function evaluateSamples(
  tasks: readonly EvaluationTask[],
  setup: EvaluateSetup,
  scheduler: Scheduler,
  context: RunContext,
): Promise<readonly SkippedSample[]> {
  const tell = (done: number): void =>
    context.progress({ step: 'evaluating', done, total: tasks.length, unit: 'traces' });
  const jobs = tasks.map(({ sample, role }) =>
    evaluateJob(sample.directory, role === 'calibration' ? role : 'test', setup),
  );
  const reasons = new Map<number, string>();
  const told = new Set<string>();
  const warn = (message: string): void => {
    if (told.has(message)) return;
    told.add(message);
    context.log.log('warning', message);
  };
  let done = 0;
  tell(done);
  for await (const [index, outcome] of outcomesOf(scheduler, jobs)) {
    tell(++done);
    if (outcome.status === 'done') for (const message of outcome.warnings) warn(message);
    const reason = reasonOf(outcome);
    if (reason === undefined) continue;
    reasons.set(index, reason);
    warn(`left out: ${outcome.status === 'done' ? '' : `${tasks[index].sample.name}: `}${reason}`);
  }
  if (tasks.length > 0 && reasons.size === tasks.length) {
    throw new UserError('nothing-evaluated', `no trace could be evaluated: ${reasons.get(0)}`, {
      category: 'input',
    });
  }
  return tasks.flatMap(({ sample }, index) => {
    const reason = reasons.get(index);
    return reason === undefined ? [] : [{ name: sample.name, reason }];
  });
}

function reasonOf(outcome: Awaited<ReturnType<Scheduler['submit']>>): string | undefined {
  if (outcome.status === 'failed') return outcome.reason;
  const value = evaluateTask.resultOf(outcome);
  return value.status === 'unreadable' ? value.reason : undefined;
}
