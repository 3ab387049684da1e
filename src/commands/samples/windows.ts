import type { RunContext } from '../../model/first-layer.ts';
import type { SymbolTable } from '../../sequences/symbol-table.ts';
import { TraceWindower } from '../../sequences/trace-windower.ts';
import { WindowCounter } from '../../sequences/window-counter.ts';
import type { Sample } from '../../trace/sample.ts';
import { openSample, type SourceContext } from './source.ts';

export interface SampleWindows {
  readonly counter: WindowCounter;
  readonly blocks: number;
}

/**
 * Counts the windows of one sample in a counter of its own, so that a damaged trace leaves nothing
 * behind in what is gathered over all samples.
 *
 * @param limit  called after each batch; may drop windows
 * @throws UserError when the sample cannot be read whole
 */
export async function countSampleWindows(
  sample: Sample,
  options: {
    readonly table: SymbolTable;
    readonly windowLength: number;
    readonly filter: Uint8Array;
    readonly traces: SourceContext;
  },
  context: RunContext,
  limit?: (counter: WindowCounter) => void,
): Promise<SampleWindows> {
  const counter = new WindowCounter(options.windowLength);
  let blocks = 0;
  for (const { source, notes } of await openSample(sample, options.traces, context.signal)) {
    for (const note of notes ?? []) context.log.log('info', note);
    const windower = new TraceWindower({
      counter,
      table: options.table,
      blocks: source.blocks,
      marks: source.marks,
      filter: options.filter,
      record: false,
    });
    const summary = await source.run((batch) => {
      windower.add(batch);
      limit?.(counter);
    }, context);
    blocks += summary.blocks;
  }
  return { counter, blocks };
}
