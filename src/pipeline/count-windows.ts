import { UserError } from '../base/errors.ts';
import { EvidenceCollector } from '../flow/evidence-collector.ts';
import { TransferProfile } from '../flow/evidence-profile.ts';
import type { RunContext } from '../model/first-layer.ts';
import { SymbolTable } from '../sequences/symbol-table.ts';
import { TraceWindower } from '../sequences/trace-windower.ts';
import { WindowCounter } from '../sequences/window-counter.ts';
import type { Sample } from '../trace/sample.ts';
import type { ImageNotes } from './image-notes.ts';
import { openSample, type SourceContext } from './sample-source.ts';
import type { SkippedSample } from './skipped.ts';

/** What training learns from, gathered over all its traces. */
export interface TrainingCorpus {
  readonly table: SymbolTable;
  readonly counter: WindowCounter;
  readonly symbolCounts: Float64Array;
  /** Which indirect calls and jumps went where, for the second layer's evidence. */
  readonly profile: TransferProfile;
  /** Samples that were read whole. */
  readonly samples: readonly Sample[];
  readonly skipped: readonly SkippedSample[];
  readonly blocks: number;
  readonly occurrences: number;
}

export interface CountOptions {
  readonly windowLength: number;
  readonly filter: Uint8Array;
  readonly traces: SourceContext;
  readonly notes: ImageNotes;
}

/**
 * Reads training traces and counts their windows. A sample that cannot be read whole adds nothing
 * and is listed.
 */
export async function countTrainingWindows(
  samples: readonly Sample[],
  options: CountOptions,
  context: RunContext,
): Promise<TrainingCorpus> {
  const table = new SymbolTable();
  const counter = new WindowCounter(options.windowLength);
  const profile = new TransferProfile();
  const read: Sample[] = [];
  const skipped: SkippedSample[] = [];
  let symbolCounts = new Float64Array(4096);
  let blocks = 0;
  let occurrences = 0;
  for (const [index, sample] of samples.entries()) {
    context.signal?.throwIfAborted();
    context.progress({
      step: 'reading training traces',
      done: index,
      total: samples.length,
      unit: 'traces',
      facts: { distinct: counter.length },
    });
    try {
      // A counter of its own, so that a damaged trace leaves nothing behind.
      const own = new WindowCounter(options.windowLength);
      const finished: (() => void)[] = [];
      for (const trace of await openSample(sample, options.traces)) {
        options.notes.tell(trace, context.log);
        const stream = { blocks: trace.source.blocks, marks: trace.source.marks };
        const windower = new TraceWindower({
          counter: own,
          table,
          ...stream,
          filter: options.filter,
          record: false,
        });
        const evidence = new EvidenceCollector(stream);
        const summary = await trace.source.run((batch) => {
          windower.add(batch);
          evidence.push(batch);
        }, context);
        finished.push(() => {
          symbolCounts = windower.addSymbolCounts(symbolCounts, table);
          profile.add(evidence.indirectTransfers);
          blocks += summary.blocks;
        });
      }
      for (const finish of finished) finish();
      occurrences += counter.addAll(own);
      read.push(sample);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      context.log.log('warning', `left out: ${error.message}`);
      skipped.push({ name: sample.name, reason: error.message });
    }
  }
  context.progress({
    step: 'reading training traces',
    done: samples.length,
    total: samples.length,
    unit: 'traces',
    facts: { distinct: counter.length },
  });
  return { table, counter, symbolCounts, profile, samples: read, skipped, blocks, occurrences };
}
