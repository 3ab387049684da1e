import { resolve } from 'node:path';
import { makeFolder } from '../../base/files/folder.ts';
import type { RunContext } from '../../model/first-layer.ts';
import { writeLeftOut } from '../../verdict/left-out.ts';
import type { Scheduler } from '../../workers/scheduler.ts';
import type { RunFolder } from '../run/folder.ts';
import {
  type EvaluationTask,
  modelIdentity,
  type Trained,
} from '../samples/evaluating/evaluate.ts';
import type { SampleSets } from '../samples/sets/choose.ts';
import type { SkippedSample } from '../samples/skipped.ts';
import type { LearnOptions } from '../training/options.ts';
import { evaluateSamples } from './evaluate-samples.ts';

/** Evaluates the calibration and test samples of a run of `learn`, unless that was not asked for. */
export async function evaluateSets(
  { calibrate, testNominal, testAnomalous }: SampleSets,
  trained: Trained,
  folder: RunFolder,
  options: LearnOptions,
  { scheduler, context }: { readonly scheduler: Scheduler; readonly context: RunContext },
): Promise<{
  /** Folder of the evaluations. */
  readonly evaluation: string;
  readonly evaluated: number;
  readonly skipped: readonly SkippedSample[];
}> {
  const evaluation = resolve(options.evaluationDir ?? folder.evaluation);
  if (options.skipEval) return { evaluation, evaluated: 0, skipped: [] };
  const model = modelIdentity(trained);
  if (trained.leftOut !== undefined) {
    await makeFolder(evaluation);
    await writeLeftOut(evaluation, trained.leftOut);
  }
  const tasks: readonly EvaluationTask[] = [
    ...calibrate.map((sample) => ({ sample, role: 'calibration' as const })),
    ...[...testNominal, ...testAnomalous].map((sample) => ({ sample, role: 'test' as const })),
  ];
  const { binDirs, rawImages, device, source, process, preprocessed, cpu, timeout } = options;
  const skipped = await evaluateSamples(
    tasks,
    {
      ...{ run: folder.root, model, out: evaluation, format: options.evaluationFormat },
      ...{ binDirs, rawImages, device, source, process, preprocessed, cpu, timeout },
    },
    scheduler,
    context,
  );
  return { evaluation, evaluated: tasks.length - skipped.length, skipped };
}
