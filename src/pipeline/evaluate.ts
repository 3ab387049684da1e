import { createHash } from 'node:crypto';
import { UserError } from '../base/errors.ts';
import type { Evidence } from '../flow/evidence.ts';
import { CodeFacts, CodeFactsCache } from '../flow/evidence-code.ts';
import { EvidenceCollector } from '../flow/evidence-collector.ts';
import type { TransferProfile } from '../flow/evidence-profile.ts';
import type { FirstLayer, RunContext } from '../model/first-layer.ts';
import { classifyWindows } from '../sequences/classify-windows.ts';
import type { SymbolTable } from '../sequences/symbol-table.ts';
import { TraceWindower } from '../sequences/trace-windower.ts';
import type { Vocabulary } from '../sequences/vocabulary.ts';
import { WindowCounter } from '../sequences/window-counter.ts';
import type { Predictions } from '../sequences/windows.ts';
import { openTraces } from '../trace/open-trace.ts';
import type { Sample } from '../trace/sample.ts';
import type { Evaluation, PredictionTable, TraceFacts } from '../verdict/evaluation.ts';
import type { CountOptions } from './count-windows.ts';
import type { SkippedSample } from './skipped.ts';

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

/** Traces whose windows are predicted together; each holds a few megabytes until then. */
const groupSize = 64;

/** Identity of a model and its vocabulary: evaluations of different ones do not mix. */
export function modelIdentity({ layer, vocabulary }: Trained): string {
  return createHash('sha256')
    .update(`${layer.fingerprint} ${vocabulary.fingerprint}`)
    .digest('hex')
    .slice(0, 16);
}

/**
 * Predicts every filtered transfer of some traces. Traces are read in groups, and every distinct
 * window of a group is predicted once.
 *
 * @param write  takes each evaluation, in the order of the tasks
 * @returns the samples that could not be read
 */
export async function evaluateTraces(
  tasks: readonly EvaluationTask[],
  trained: Trained,
  options: CountOptions,
  context: RunContext,
  write: (evaluation: Evaluation) => Promise<void>,
): Promise<readonly SkippedSample[]> {
  const skipped: SkippedSample[] = [];
  const identity = modelIdentity(trained);
  const facts = new CodeFactsCache();
  for (let from = 0; from < tasks.length; from += groupSize) {
    const group = tasks.slice(from, from + groupSize);
    const table = trained.vocabulary.makeTable();
    const counter = new WindowCounter(options.windowLength);
    const readings: Reading[] = [];
    for (const [index, task] of group.entries()) {
      context.signal?.throwIfAborted();
      context.progress({
        step: 'reading traces to evaluate',
        done: from + index,
        total: tasks.length,
        unit: 'traces',
      });
      try {
        readings.push(await readTrace(task, trained, table, counter, facts, options, context));
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        context.log.log('warning', `left out: ${error.message}`);
        skipped.push({ name: task.sample.name, reason: error.message });
      }
    }
    const { windows, indexOf } = classifyWindows(
      counter,
      trained.vocabulary.inputClassesOf(table),
      trained.vocabulary.outputClassesOf(table),
    );
    const predictions = await trained.layer.predict(windows, context);
    for (const reading of readings) {
      await write({
        sample: {
          name: reading.task.sample.name,
          directory: reading.task.sample.directory,
          file: reading.task.sample.file,
          label: reading.task.sample.label,
          family: reading.task.sample.family,
          role: reading.task.role,
        },
        model: identity,
        modelName: trained.layer.name,
        trace: reading.facts,
        ...predictionsOf(
          reading,
          counter,
          trained.vocabulary,
          windows.targets,
          indexOf,
          predictions,
        ),
        positions: reading.positions,
        unknownRuns: reading.unknownRuns,
        evidence: reading.evidence,
      });
    }
  }
  context.progress({
    step: 'reading traces to evaluate',
    done: tasks.length,
    total: tasks.length,
    unit: 'traces',
  });
  return skipped;
}

/** One trace, before its windows are predicted. */
interface Reading {
  readonly task: EvaluationTask;
  /** Index into the group's counter for each filtered transfer. */
  readonly occurrences: Int32Array;
  readonly positions: Int32Array;
  readonly unknownRuns: Int32Array;
  readonly evidence: readonly Evidence[];
  readonly facts: TraceFacts;
}

async function readTrace(
  task: EvaluationTask,
  { vocabulary, profile }: Trained,
  table: SymbolTable,
  counter: WindowCounter,
  factsCache: CodeFactsCache,
  options: CountOptions,
  context: RunContext,
): Promise<Reading> {
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
  };
  for (const trace of await openTraces(task.sample, options.traces)) {
    options.notes.tell(trace, context.log);
    const stream = { blocks: trace.source.blocks, marks: trace.source.marks };
    const windower = new TraceWindower({
      counter,
      table,
      ...stream,
      filter: options.filter,
      record: true,
      knownSymbols: vocabulary.blocks,
    });
    const collector = new EvidenceCollector(
      stream,
      trace.space === undefined
        ? { profile }
        : { space: trace.space, facts: new CodeFacts(trace.space, factsCache), profile },
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
    unknownRuns.push(windows.unknownRuns.map((value, i) => (i % 2 === 0 ? value + before : value)));
    for (const item of collector.evidence) {
      evidence.push(before === 0 ? item : { ...item, position: item.position + before });
    }
    facts.blocks += summary.blocks;
    facts.unknownBlocks += windows.unknownBlocks;
    facts.gaps += summary.gaps;
    facts.overflows += summary.overflows;
    facts.bytesLost += summary.bytesLost;
    facts.blocksOutsideImages += collector.blocksOutsideImages;
  }
  return {
    task,
    occurrences: concatenate(occurrences),
    positions: concatenate(positions),
    unknownRuns: concatenate(unknownRuns),
    evidence,
    facts,
  };
}

/** The distinct predictions of one trace, and which of them each transfer is. */
function predictionsOf(
  reading: Reading,
  counter: WindowCounter,
  vocabulary: Vocabulary,
  targets: Int32Array,
  indexOf: Int32Array,
  predictions: Predictions,
): { readonly predictions: PredictionTable; readonly occurrences: Int32Array } {
  const n = counter.windowLength;
  const own = new Int32Array(counter.length).fill(-1);
  const distinct: number[] = [];
  const occurrences = reading.occurrences.map((window) => {
    if (own[window] < 0) own[window] = distinct.push(window) - 1;
    return own[window];
  });
  const take = (source: Float32Array): Float32Array =>
    Float32Array.from(distinct, (window) => source[indexOf[window]]);
  return {
    occurrences,
    predictions: {
      length: distinct.length,
      predicted: Int32Array.from(distinct, (window) => predictions.predicted[indexOf[window]]),
      confidence: take(predictions.confidence),
      actual: Int32Array.from(distinct, (window) => targets[indexOf[window]]),
      actualProbability: take(predictions.targetProbability),
      unseenTransfer: Uint8Array.from(distinct, (window) => {
        const source = counter.symbols[window * n + n - 1];
        return vocabulary.hasTransfer(source, counter.targets[window]) ? 0 : 1;
      }),
    },
  };
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
