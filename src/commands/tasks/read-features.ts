import { UserError } from '../../base/errors.ts';
import { gather, readEvaluations, type SkippedFile } from '../../evaluation/folder.ts';
import type { RunContext } from '../../model/first-layer.ts';
import { computeFeatures, type TraceFeatures } from '../../verdict/features/features.ts';
import { readTraceFeatures } from '../../verdict/features/stored-features.ts';
import { featuresOfLeftOut, readLeftOut } from '../../verdict/left-out.ts';
import { isNothingRead, whyNothingRead } from '../../verdict/nothing-read.ts';
import type { Scheduler } from '../../workers/scheduler.ts';
import type { RunPath } from '../run/path.ts';
import { featuresElsewhere } from './features.ts';

/**
 * Reads evaluations and keeps their features. Runs of which nothing was read are left out with a reason: they would pass for
 * nominal, or have others judged by nothing.
 *
 * @throws UserError
 */
export async function readFeatures(
  path: RunPath,
  ignoreCache: boolean,
  context: RunContext,
  scheduler?: Scheduler,
): Promise<{
  readonly traces: readonly TraceFeatures[];
  readonly skipped: readonly SkippedFile[];
}> {
  const found = await featuresAt(path.evaluation, ignoreCache, context, scheduler);
  const evaluations = found.evaluations.filter((trace) => !isNothingRead(trace));
  const unread = found.evaluations
    .filter(isNothingRead)
    .map((trace) => ({ path: trace.sample.name, reason: whyNothingRead(trace) }));
  const skipped = [...found.skipped, ...unread];
  for (const { path: file, reason } of skipped) {
    context.log.log('warning', `left out: ${file}: ${reason}`);
  }
  const leftOut = await readLeftOut(path.evaluation);
  if (evaluations.length === 0 && leftOut === undefined) {
    throw new UserError('no-evaluations', 'holds no evaluation that can be read', {
      category: 'input',
      path: path.evaluation,
    });
  }
  const model = evaluations[0]?.model ?? leftOut?.model;
  const isOfModel = leftOut !== undefined && leftOut.model === model;
  const traces = isOfModel ? [...evaluations, ...featuresOfLeftOut(leftOut)] : evaluations;
  return { traces, skipped };
}

async function featuresAt(
  directory: string,
  anew: boolean,
  { progress }: RunContext,
  scheduler: Scheduler | undefined,
): Promise<{ evaluations: readonly TraceFeatures[]; skipped: readonly SkippedFile[] }> {
  if (scheduler !== undefined) {
    const tell = (done: number, total: number): void =>
      progress({ step: 'reading evaluations', done, total, unit: 'traces' });
    return gather(directory, await featuresElsewhere(directory, anew, scheduler, tell));
  }
  if (!anew) return readTraceFeatures(directory);
  const { evaluations, skipped } = await readEvaluations(directory);
  return { evaluations: evaluations.map(computeFeatures), skipped };
}
