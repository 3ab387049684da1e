import { requirePackage } from '../base/optional-package.ts';
import type { NominalEvidence } from '../evidence/nominal-evidence.ts';
import { type FitScore, type RunContext, silentContext } from '../model/first-layer.ts';
import { tryDevices } from '../model/lstm/engine.ts';
import { type Novelty, noveltyOf } from '../verdict/left-out.ts';
import type { Scheduler } from '../workers/scheduler.ts';
import { judgeTraining, type UnlikeSample } from './judging/training-look.ts';
import { keepProfile } from './profile/of-run.ts';
import type { RunFolder } from './run/folder.ts';
import { Stopwatch } from './run/stopwatch.ts';
import { Evaluator, modelIdentity } from './samples/evaluating/evaluate.ts';
import { chooseSamples } from './samples/sets/choose.ts';
import type { ChosenSets } from './samples/sets/choose-sets.ts';
import { alsoSkipped, type SkippedSample } from './samples/skipped.ts';
import { countElsewhere } from './tasks/count-elsewhere.ts';
import { openInProcess } from './tasks/evaluate-samples.ts';
import { evaluateSets } from './tasks/evaluate-sets.ts';
import { checkLearn } from './training/check-options.ts';
import { openCorpusReading } from './training/corpus-reading.ts';
import { type Findings, findingsBefore, LearningRun } from './training/learning-run.ts';
import { keepModel, type ObtainedModel, obtainModel, testModel } from './training/obtain-model.ts';
import type { LearnRequest } from './training/options.ts';
import { openStartingPoint } from './training/starting-point.ts';
import type { TrainingSummary } from './training/train.ts';

export interface LearnResult {
  readonly folder: RunFolder;
  readonly evaluation: string;
  /** All that `judge` needs; `undefined` when nothing calibrates, so that it could not judge. */
  readonly profile: string | undefined;
  readonly model: string;
  readonly sets: Readonly<Record<keyof ChosenSets, number>>;
  readonly training: TrainingSummary | undefined;
  /** On the windows of test traces that are nominal. */
  readonly test: FitScore | undefined;
  /** Of the runs that both trained and calibrate. */
  readonly novelty: Novelty | undefined;
  /** Of the same: those that stand out, or else the one that is most unlike the others. */
  readonly unlike: readonly UnlikeSample[];
  readonly evaluated: number;
  readonly skipped: readonly SkippedSample[];
  readonly seconds: Readonly<Record<string, number>>;
}

/**
 * Learns normal control flow from nominal traces, tests how well it predicts unseen nominal ones,
 * and writes one evaluation for each calibration and test trace.
 *
 * `learn({ root })` is enough; what is not said holds as it does on the command line.
 *
 * @param open  who reads and evaluates; without it, this process
 * @throws UserError
 */
export async function learn(
  request: LearnRequest,
  context: RunContext = silentContext,
  open?: (folder: RunFolder, context: RunContext) => Promise<Scheduler>,
): Promise<LearnResult> {
  const clock = new Stopwatch();
  const options = await checkLearn(request);
  if (options.model === 'lstm') await tryDevices(options.device);
  if (options.saveWeights !== undefined) requirePackage('h5wasm', 'a file of weights for Keras');
  const before = await findingsBefore(options);
  const start = await openStartingPoint(options, before !== undefined);
  const { sets, skipped } = await chooseSamples(options, context);
  const run = await LearningRun.open(options, sets, before);
  const elsewhere = await open?.(run.folder, context);
  const counting = elsewhere && countElsewhere(elsewhere, options, run.folder.counts);
  const reading = openCorpusReading(options, start, run.folder, counting);
  let model: ObtainedModel | undefined;
  try {
    const work = { options, reading, folder: run.folder, context, clock };
    model = await obtainModel(start, sets.train, work);
    const look = judgeTraining(model);
    if (look !== undefined)
      model = { ...model, trained: { ...model.trained, leftOut: look.leftOut } };
    await keepModel(model.trained, work);
    warnOfProofs(model.trained.profile.evidence, context);
    const unlike =
      (await look?.unlike({ ...options, traces: reading.evaluate.traces }, context)) ?? [];
    warnOfUnlike(unlike, context);
    const evaluator = new Evaluator(model.trained, reading.evaluate);
    const findings: Findings = before ?? {
      training: model.summary,
      skipped: model.skipped,
      test: await testModel(evaluator, model.trained, sets.testNominal, work),
    };
    await run.note(findings);
    clock.start('evaluation');
    const scheduler = elsewhere ?? openInProcess(evaluator, context);
    const judged = await evaluateSets(sets, model.trained, run.folder, options, {
      scheduler,
      context,
    });
    clock.stop();
    const { trained } = model;
    const profile = await keepProfile(
      run.folder,
      judged.evaluation,
      trained,
      sets,
      options,
      reading.evaluate.traces.images,
      context,
    );
    return await run.finish({
      ...findings,
      ...judged,
      profile,
      novelty: trained.leftOut && noveltyOf(trained.leftOut),
      unlike,
      folder: run.folder,
      model: modelIdentity(model.trained),
      skipped: alsoSkipped([...skipped, ...findings.skipped], judged.skipped),
      seconds: clock.seconds,
    });
  } catch (error) {
    throw run.whyStopped(error, context.signal);
  } finally {
    await elsewhere?.close();
    await model?.trained.layer.dispose();
    reading.dispose();
  }
}

/** Says so when nominal runs do what the code does not explain. */
function warnOfProofs(evidence: NominalEvidence, { log }: RunContext): void {
  const most = evidence.mostFrequent();
  if (most === undefined) return;
  log.log(
    'warning',
    `${evidence.runsHolding} of ${evidence.runs} training traces, which are nominal, hold proofs; most often ${most.place} (${most.runs} traces): what is usual at a place is no proof there`,
  );
}

/** An attack among the runs that are learned from would hide the next one like it. */
function warnOfUnlike(unlike: readonly UnlikeSample[], { log }: RunContext): void {
  const out = unlike.filter(({ standsOut }) => standsOut);
  if (out.length === 0) return;
  const names = out.map(({ name, place }) => `${name}${place === undefined ? '' : ` (${place})`}`);
  log.log(
    'warning',
    `${out.length} training runs stand out from all others: ${names.join('; ')}; what they do counts as normal: look at them before you trust the profile, and learn without those that are not harmless`,
  );
}
