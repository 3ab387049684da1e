import { createHash } from 'node:crypto';
import { assert } from '../../../base/errors.ts';
import type { Evaluation, SampleIdentity, TraceFacts } from '../../../evaluation/evaluation.ts';
import {
  ImageCodeCache,
  type KeptFacts,
  ProcessCode,
} from '../../../evidence/code/process-code.ts';
import { EvidenceCollector } from '../../../evidence/collector.ts';
import type { Evidence } from '../../../evidence/evidence.ts';
import type { CallFollower } from '../../../evidence/follow/call-follower.ts';
import type { TransferProfile } from '../../../evidence/profile.ts';
import type { BlockBatch, BlockTable } from '../../../flow/blocks.ts';
import type { FirstLayer, RunContext } from '../../../model/first-layer.ts';
import { HistoryModel } from '../../../model/histories/model.ts';
import { PredictionCache } from '../../../model/prediction-cache.ts';
import { classifyWindows } from '../../../sequences/classify-windows.ts';
import { RunFollower } from '../../../sequences/histories/follower.ts';
import { TraceWindower } from '../../../sequences/trace-windower.ts';
import type { Vocabulary } from '../../../sequences/vocabulary.ts';
import { WindowCounter } from '../../../sequences/window-counter.ts';
import type { Sample } from '../../../trace/sample.ts';
import type { LeftOut } from '../../../verdict/left-out.ts';
import { type OpenedSample, openSample, type SourceContext } from '../source.ts';
import { type EarlierBuilds, namedAsBefore } from './earlier-builds.ts';
import { classifyEvents, recordEvents } from './evaluate-histories.ts';
import { followTrace } from './follow.ts';
import type { ImageNotes } from './image-notes.ts';
import { knownIn, passOver } from './known-places.ts';
import { within } from './time-limit.ts';

/** What training leaves behind. */
export interface Trained {
  readonly layer: FirstLayer | HistoryModel;
  readonly vocabulary: Vocabulary;
  readonly profile: TransferProfile;
  /** How training runs do that are left out, where the model can tell. */
  readonly leftOut?: LeftOut | undefined;
  /** What training runs did, as a file, where the model can be learned anew from it. */
  readonly runs?: Uint8Array | undefined;
}

export interface EvaluationTask {
  readonly sample: Sample;
  readonly role: Evaluation['sample']['role'];
  /** Fingerprints of transfers that somebody found harmless. */
  readonly known?: readonly string[] | undefined;
}

export interface EvaluateOptions {
  readonly windowLength: number;
  readonly filter: Uint8Array;
  readonly traces: SourceContext;
  readonly notes: ImageNotes;
  /** Where the code of other builds was in those that were learned. */
  readonly builds?: EarlierBuilds | undefined;
  /** Seconds for reading one sample. */
  readonly timeout?: number | undefined;
  /** What other processes found out about the images' code. */
  readonly keptFacts?: KeptFacts | undefined;
  /** What this process found out about it, reading other samples from the same images; not with `keptFacts`. */
  readonly imageCode?: ImageCodeCache | undefined;
}

/** Identity of a model and its vocabulary: evaluations of different ones do not mix. */
export function modelIdentity({ layer, vocabulary }: Trained): string {
  return createHash('sha256')
    .update(`${layer.fingerprint} ${vocabulary.fingerprint}`)
    .digest('hex')
    .slice(0, 16);
}

/** @returns blocks in a window; 0 where there are none */
export function windowLengthOf(layer: Trained['layer']): number {
  return layer instanceof HistoryModel ? 0 : layer.windowLength;
}

/** What an evaluation says of its sample. */
export function identityOf(sample: Sample, role: SampleIdentity['role']): SampleIdentity {
  const { name, directory, file, label, family } = sample;
  return { name, directory, file, label, family, role };
}

/** Whether training ran a block; asked once for each block of a trace. */
function knownBlocks(vocabulary: Vocabulary): (module: string, offset: number) => boolean {
  return (module, offset) => vocabulary.knows(module, offset);
}

/** Predicts every filtered transfer of one trace after the other. */
export class Evaluator {
  readonly #trained: Trained;
  readonly #options: EvaluateOptions;
  readonly #identity: string;
  readonly #code: ImageCodeCache;
  /** What followed runs that were judged: their room serves the next ones. */
  readonly #idle: RunFollower[] = [];
  /** Of a model of windows: what was predicted in one trace is not predicted again in the next. */
  readonly predictions: PredictionCache | undefined;

  constructor(trained: Trained, options: EvaluateOptions) {
    this.#trained = trained;
    this.#options = options;
    this.#code = options.imageCode ?? new ImageCodeCache(options.keptFacts);
    this.#identity = modelIdentity(trained);
    const { layer } = trained;
    if (!(layer instanceof HistoryModel)) this.predictions = new PredictionCache(layer);
  }

  /** Keeps what was found out about images for the next process, where `keptFacts` were given. */
  keepFacts(): void {
    this.#code.keep();
  }

  /** @throws UserError when the sample cannot be read */
  async evaluate(task: EvaluationTask, context: RunContext): Promise<Evaluation> {
    const { layer } = this.#trained;
    const body =
      layer instanceof HistoryModel
        ? await this.#judge(layer, task, context)
        : await this.#predict(task.sample, context);
    return {
      sample: identityOf(task.sample, task.role),
      model: this.#identity,
      modelName: layer.name,
      ...body,
    };
  }

  /** By histories: the run is judged from its beginning to its end. */
  async #judge(
    layer: HistoryModel,
    { sample, known: harmless = [] }: EvaluationTask,
    context: RunContext,
  ): Promise<Findings> {
    const { vocabulary } = this.#trained;
    const knownPlaces = new Set(harmless);
    const run = this.#idle.pop() ?? new RunFollower();
    run.begin();
    const known = knownBlocks(vocabulary);
    const reading = await within(this.#options.timeout, sample, context.signal, (signal) =>
      this.#read(
        sample,
        { ...context, signal },
        (trace, calls, code, named) => {
          followTrace(run, trace, calls, this.#options.filter, code, known, named);
          return undefined;
        },
        knownPlaces,
      ),
    );
    const events = run.look();
    const { events: named, places } = classifyEvents(events, vocabulary);
    const judged = layer.judge(named);
    const noted = passOver(knownPlaces, events, judged, named);
    const record = recordEvents(named, judged, events, places, vocabulary.outputClasses);
    const { facts, evidence } = reading;
    this.#idle.push(run);
    return {
      ...record,
      places: noted,
      trace: { ...facts, unknownBlocks: run.unknownBlocks },
      unknownRuns: Int32Array.from(run.unknownRuns),
      evidence,
    };
  }

  /** By windows: each distinct one is predicted once. */
  async #predict(sample: Sample, context: RunContext): Promise<Findings> {
    const { vocabulary } = this.#trained;
    const table = vocabulary.makeTable();
    const counter = new WindowCounter(this.#options.windowLength);
    const windowed: Windowed = { occurrences: [], positions: [], unknownRuns: [] };
    let unknownBlocks = 0;
    const reading = await within(this.#options.timeout, sample, context.signal, (signal) =>
      this.#read(sample, { ...context, signal }, ({ source, fromStart = false }, _, __, named) => {
        const windower = new TraceWindower({
          counter,
          table,
          ...{ blocks: named, marks: source.marks },
          filter: this.#options.filter,
          record: true,
          knownSymbols: vocabulary.blocks,
          fromStart,
        });
        return {
          add: (batch) => windower.add(batch),
          finish: (before) => {
            const windows = windower.finish();
            windowed.occurrences.push(windows.occurrences);
            windowed.positions.push(windows.positions.map((position) => position + before));
            windowed.unknownRuns.push(
              windows.unknownRuns.map((v, i) => (i % 2 === 0 ? v + before : v)),
            );
            unknownBlocks += windows.unknownBlocks;
          },
        };
      }),
    );
    const { windows, indexOf } = classifyWindows(
      counter,
      vocabulary.inputClassesOf(table),
      vocabulary.outputClassesOf(table),
    );
    const { predicted, confidence, targetProbability } = await this.#cache.predict(
      windows,
      context,
    );
    const n = counter.windowLength;
    const spread = (values: Float32Array): Float32Array =>
      Float32Array.from(indexOf, (index) => values[index]);
    return {
      trace: { ...reading.facts, unknownBlocks },
      // One for each distinct window of blocks: those that the vocabulary cannot tell apart are one
      // window to the first layer, but their transfers may differ.
      predictions: {
        length: counter.length,
        predicted: indexOf.map((index) => predicted[index]),
        confidence: spread(confidence),
        actual: indexOf.map((index) => windows.targets[index]),
        actualProbability: spread(targetProbability),
        unseenTransfer: Uint8Array.from({ length: counter.length }, (_, window) =>
          vocabulary.hasTransfer(counter.symbols[window * n + n - 1], counter.targets[window])
            ? 0
            : 1,
        ),
      },
      occurrences: concatenate(windowed.occurrences),
      positions: concatenate(windowed.positions),
      unknownRuns: concatenate(windowed.unknownRuns),
      evidence: reading.evidence,
    };
  }

  get #cache(): PredictionCache {
    assert(this.predictions !== undefined, 'windows are predicted by a model of windows');
    return this.predictions;
  }

  /**
   * @param open  makes what takes the batches of one trace, where watching its calls is not enough
   * @param knownPlaces  fingerprints of transfers that are no evidence
   */
  async #read(
    sample: Sample,
    context: RunContext,
    open: (
      trace: OpenedSample,
      calls: CallFollower,
      code: ProcessCode | undefined,
      named: BlockTable,
    ) => BatchTaker | undefined,
    knownPlaces: ReadonlySet<string> = new Set(),
  ): Promise<Reading> {
    const { traces, notes } = this.#options;
    const { profile } = this.#trained;
    const evidence: Evidence[] = [];
    const facts = {
      blocks: 0,
      unknownBlocks: 0,
      gaps: 0,
      overflows: 0,
      bytesLost: 0,
      blocksOutsideImages: 0,
      crashed: false,
    };
    const opened = await openSample(sample, traces, context.signal);
    for (const trace of opened) {
      notes.tell(trace, context.log);
      const stream = { blocks: trace.source.blocks, marks: trace.source.marks };
      const named = namedAsBefore(stream.blocks, this.#options.builds ?? new Map());
      const isHarmless = knownIn(knownPlaces, named);
      const code = trace.space === undefined ? undefined : new ProcessCode(trace.space, this.#code);
      const collector = new EvidenceCollector(
        stream,
        trace.space === undefined || code === undefined
          ? { profile, named, isHarmless }
          : { space: trace.space, code, profile, named, isHarmless, isAlone: opened.length === 1 },
      );
      const taker = open(trace, collector.follower, code, named);
      const summary = await trace.source.run((batch) => {
        collector.push(batch);
        taker?.add(batch);
      }, context);
      // Threads follow each other: their block indices go on where the thread before ended.
      const before = facts.blocks;
      taker?.finish(before);
      for (const item of collector.evidence) {
        evidence.push(before === 0 ? item : { ...item, position: item.position + before });
      }
      facts.blocks += summary.blocks;
      facts.gaps += summary.gaps;
      facts.overflows += summary.overflows;
      facts.bytesLost += summary.bytesLost;
      facts.blocksOutsideImages += collector.blocksOutsideImages;
      facts.crashed ||= summary.crashed;
    }
    return { evidence, facts };
  }
}

/** What an evaluation says beyond what it is of. */
type Findings = Omit<Evaluation, 'sample' | 'model' | 'modelName'>;

/** Takes the blocks of one trace of a sample. */
interface BatchTaker {
  add(batch: BlockBatch): void;
  /** @param before  blocks of the traces before it */
  finish(before: number): void;
}

/** By trace of a sample. */
interface Windowed {
  /** Index into the counter for each filtered transfer. */
  readonly occurrences: Int32Array[];
  readonly positions: Int32Array[];
  readonly unknownRuns: Int32Array[];
}

/** What a sample's traces prove by themselves. */
interface Reading {
  readonly evidence: readonly Evidence[];
  readonly facts: TraceFacts;
}

function concatenate(parts: readonly Int32Array[]): Int32Array {
  if (parts.length === 1) return parts[0];
  const whole = new Int32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
