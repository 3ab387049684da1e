import { PtEncoder } from '../../../pt/encoder.ts';
import { BlockEncoder } from '../block-encoder.ts';
import type { EncodedBlocks, Recording } from '../recording.ts';
import type { Tail } from './tail.ts';

/** What blocks in a tail are encoded to, from where the trace stands before them. */
export interface EncodedTail extends EncodedBlocks {
  /** Bytes of it before the end of the trace. */
  readonly length: number;
}

/**
 * Encodes what a CPU ran and did not send. The plugin would have made the same packets of it.
 *
 * @param nth  0 or 1: which of the states of the tail comes before `ids`
 * @param end  the trace ends there: whether a signal ended it
 * @returns `undefined` where nobody knows how the trace goes on
 * @throws UserError `recording-damaged`
 */
export function encodeTail(
  recording: Recording,
  { states }: Tail,
  nth: number,
  ids: Uint32Array,
  end?: { readonly died: boolean },
): EncodedTail | undefined {
  const state = nth === 0 ? states[0] : states[1];
  const known = recording.table.start.length;
  if (state === undefined || state.previous >= known || state.block >= known) return undefined;
  const parts: Uint8Array[] = [];
  const packets = new PtEncoder((part) => void parts.push(part), recording.encoding);
  packets.goOn(state);
  const encoder = new BlockEncoder(recording.table, packets, recording.handlers);
  encoder.goOn(state);
  encoder.add(ids, recording.encoding.maxBlocks);
  packets.drain();
  const length = packets.total;
  if (end !== undefined) encoder.finish(end.died);
  const blocks = encoder.blocks - state.blocks;
  return { bytes: Buffer.concat(parts), length, blocks, interrupts: encoder.interrupts };
}
