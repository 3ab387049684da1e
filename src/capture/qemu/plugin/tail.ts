import { type PtEncoderState, psbDistance, ringSize } from '../../../pt/encoder.ts';
import type { BlockEncoderState } from '../block-encoder.ts';

/** `struct tail` in `plugin.c`: a header, two of `struct encoder`, ids. */
export const tailHeaderBytes = 240;
const encoderBytes = 48 + 8 * ringSize;
const idsAt = tailHeaderBytes + 2 * encoderBytes;
export const mostTailIds = 16384;
export const tailBytes: number = idsAt + 4 * mostTailIds;
/** Instead of a block's id: there is none so far. */
const noBlock = 0xffff_ffff;

/** Where the trace of a CPU stands. */
export interface TraceState extends BlockEncoderState, PtEncoderState {}

/** What a CPU ran that has not been sent, from the file that it shares with the reader. */
export interface Tail {
  /** Frames of blocks that were sent before. */
  readonly sent: number;
  readonly ids: Uint32Array;
  /** Where the trace stands behind a frame, by whether its number is odd; `undefined` for what cannot be. */
  readonly states: readonly [TraceState | undefined, TraceState | undefined];
}

/** @param bytes  of the file, whatever it holds */
export function readTail(bytes: Uint8Array): Tail {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < idsAt) {
    return { sent: 0, ids: new Uint32Array(0), states: [undefined, undefined] };
  }
  const room = Math.min(mostTailIds, Math.floor((bytes.length - idsAt) / 4));
  const count = Math.min(view.getUint32(0, true), room);
  const ids = Uint32Array.from({ length: count }, (_, i) => view.getUint32(idsAt + 4 * i, true));
  const states = [
    readState(view, tailHeaderBytes),
    readState(view, tailHeaderBytes + encoderBytes),
  ] as const;
  return { sent: view.getUint32(4, true), ids, states };
}

/** @returns `undefined` for what no encoder is in; of the blocks it is not known here whether there are such */
function readState(view: DataView, at: number): TraceState | undefined {
  const word = (index: number): number => view.getUint32(at + 4 * index, true);
  const block = (index: number): number => (word(index) === noBlock ? -1 : word(index));
  const [bits, bitCount, last1, last2] = [word(2), word(3), word(4), word(5)];
  const psbLeft = view.getInt32(at + 24, true);
  const [top, depth, cut] = [word(7), word(8), word(9)];
  const blocks = Number(view.getBigUint64(at + 40, true));
  const ring = Float64Array.from({ length: ringSize }, (_, i) =>
    Number(view.getBigUint64(at + 48 + 8 * i, true)),
  );
  const hasBits = bitCount < 6 && bits < 1 << bitCount && last1 <= 0xffff && last2 <= 0xffff;
  const hasCalls = top < ringSize && depth <= ringSize && ring.every(Number.isSafeInteger);
  if (!hasBits || !hasCalls || psbLeft > psbDistance || !Number.isSafeInteger(blocks))
    return undefined;
  return {
    ...{ previous: block(0), block: block(1), isCut: cut !== 0, blocks },
    ...{ bits, bitCount, last1, last2, psbLeft, ring, top, depth },
  };
}
