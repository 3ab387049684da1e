import { createHash } from 'node:crypto';
import type { Evaluation, TraceFacts } from '../../evaluation/evaluation.ts';
import { ImageCodeCache, ProcessCode } from '../../evidence/code/process-code.ts';
import { CodeFacts, CodeFactsCache } from '../../evidence/code.ts';
import { EvidenceCollector } from '../../evidence/collector.ts';
import type { Evidence } from '../../evidence/evidence.ts';
import type { TransferProfile } from '../../evidence/profile.ts';
import type { FirstLayer, RunContext } from '../../model/first-layer.ts';
import { PredictionCache } from '../../model/prediction-cache.ts';
import { classifyWindows } from '../../sequences/classify-windows.ts';
import type { SymbolTable } from '../../sequences/symbol-table.ts';
import { TraceWindower } from '../../sequences/trace-windower.ts';
import type { Vocabulary } from '../../sequences/vocabulary.ts';
import { WindowCounter } from '../../sequences/window-counter.ts';
import type { Sample } from '../../trace/sample.ts';
import type { ImageNotes } from './image-notes.ts';
import { openSample, type SourceContext } from './source.ts';
import { within } from './time-limit.ts';

/** What training leaves behind. */
export interface Trained {
  readonly layer: FirstLayer;
  readonly vocabulary: Vocabulary;
  readonly profile: TransferProfile;
}

export interface EvaluationTask {
  readonly sample: Sample;
  readonly role: Evaluation['sample']['role'];
}

export interface EvaluateOptions {
  readonly windowLength: number;
  readonly filter: Uint8Array;
  readonly traces: SourceContext;
  readonly notes: ImageNotes;
  /** Seconds for reading one sample. */
  readonly timeout?: number | undefined;
}

/** Identity of a model and its vocabulary: evaluations of different ones do not mix. */
export function modelIdentity({ layer, vocabulary }: Trained): string {
  return createHash('sha256')
    .update(`${layer.fingerprint} ${vocabulary.fingerprint}`)
    .digest('hex')
    .slice(0, 16);
}

/** Predicts every filtered transfer of one trace after the other. */
export class Evaluator {
  readonly #trained: Trained;
  readonly #options: EvaluateOptions;
  readonly #identity: string;
  readonly #facts = new CodeFactsCache();
  readonly #code = new ImageCodeCache();
  /** What was predicted in one trace is not predicted again in the next. */
  readonly predictions: PredictionCache;

  constructor(trained: Trained, options: EvaluateOptions) {
    this.#trained = trained;
    this.#options = options;
    this.#identity = modelIdentity(trained);
    this.predictions = new PredictionCache(trained.layer);
  }

  /** @throws UserError when the sample cannot be read */
  async evaluate({ sample, role }: EvaluationTask, context: RunContext): Promise<Evaluation> {
    const { layer, vocabulary } = this.#trained;
    const table = vocabulary.makeTable();
    const counter = new WindowCounter(this.#options.windowLength);
    const reading = await within(this.#options.timeout, sample, context.signal, (signal) =>
      this.#read(sample, table, counter, { ...context, signal }),
    );
    const { windows, indexOf } = classifyWindows(
      counter,
      vocabulary.inputClassesOf(table),
      vocabulary.outputClassesOf(table),
    );
    const { predicted, confidence, targetProbability } = await this.predictions.predict(
      windows,
      context,
    );
    const n = counter.windowLength;
    const spread = (values: Float32Array): Float32Array =>
      Float32Array.from(indexOf, (index) => values[index]);
    return {
      sample: {
        name: sample.name,
        directory: sample.directory,
        file: sample.file,
        label: sample.label,
        family: sample.family,
        role,
      },
      model: this.#identity,
      modelName: layer.name,
      trace: reading.facts,
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
      occurrences: reading.occurrences,
      positions: reading.positions,
      unknownRuns: reading.unknownRuns,
      evidence: reading.evidence,
    };
  }

  async #read(
    sample: Sample,
    table: SymbolTable,
    counter: WindowCounter,
    context: RunContext,
  ): Promise<Reading> {
    const { filter, traces, notes } = this.#options;
    const { vocabulary, profile } = this.#trained;
    const occurrences: Int32Array[] = [];
    const positions: Int32Array[] = [];
    const unknownRuns: Int32Array[] = [];
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
      const windower = new TraceWindower({
        counter,
        table,
        ...stream,
        filter,
        record: true,
        knownSymbols: vocabulary.blocks,
        fromStart: trace.fromStart ?? false,
      });
      const collector = new EvidenceCollector(
        stream,
        trace.space === undefined
          ? { profile }
          : {
              space: trace.space,
              code: new ProcessCode(trace.space, this.#code),
              facts: new CodeFacts(trace.space, this.#facts),
              profile,
              isAlone: opened.length === 1,
            },
      );
      const summary = await trace.source.run((batch) => {
        windower.add(batch);
        collector.push(batch);
      }, context);
      const windows = windower.finish();
      // Threads follow each other: their block indices go on where the thread before ended.
      const before = facts.blocks;
      occurrences.push(windows.occurrences);
      positions.push(windows.positions.map((position) => position + before));
      unknownRuns.push(windows.unknownRuns.map((v, i) => (i % 2 === 0 ? v + before : v)));
      for (const item of collector.evidence) {
        evidence.push(before === 0 ? item : { ...item, position: item.position + before });
      }
      facts.blocks += summary.blocks;
      facts.unknownBlocks += windows.unknownBlocks;
      facts.gaps += summary.gaps;
      facts.overflows += summary.overflows;
      facts.bytesLost += summary.bytesLost;
      facts.blocksOutsideImages += collector.blocksOutsideImages;
      facts.crashed ||= summary.crashed;
    }
    return {
      occurrences: concatenate(occurrences),
      positions: concatenate(positions),
      unknownRuns: concatenate(unknownRuns),
      evidence,
      facts,
    };
  }
}

/** One trace, before its windows are predicted. */
interface Reading {
  /** Index into the counter for each filtered transfer. */
  readonly occurrences: Int32Array;
  readonly positions: Int32Array;
  readonly unknownRuns: Int32Array;
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
