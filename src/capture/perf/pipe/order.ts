import { PieceJoiner } from '../piece-joiner.ts';
import type { PerfThread } from '../records/processes.ts';
import type { GrowingPiece, PipeBuffer, Turn } from './buffer.ts';

/** Turns that are kept of a thread; of more, on processors that hand nothing over, the oldest are taken for done. */
const mostTurns = 4096;
/** Trace that waits for what ran before it on another processor; of more, the oldest is told all the same. */
const mostWaitingBytes = 1 << 26;

interface ThreadOrder {
  readonly joiner: PieceJoiner;
  /** Where it ran, oldest first, from the first turn on of which trace may still come. */
  readonly turns: Turn[];
  /** The piece that was told last. */
  last: GrowingPiece | undefined;
}

/**
 * Puts the pieces of each thread together, from the buffers of all processors that it ran on, in the order in which they ran.
 * The kernel hands over the trace of one processor later than that of another; a piece waits until all of the turns
 * before it are there.
 */
export class PipeOrder {
  readonly #onTrace: (thread: PerfThread, bytes: Uint8Array) => void;
  readonly #threads: Map<PerfThread, ThreadOrder> = new Map();
  /** Pieces of which the trace came after what ran later was told. */
  late = 0;

  constructor(onTrace: (thread: PerfThread, bytes: Uint8Array) => void) {
    this.#onTrace = onTrace;
  }

  /** Turns of a thread come in the order of time. */
  turn(turn: Turn): void {
    const { turns } = this.#orderOf(turn.thread);
    turns.push(turn);
    if (turns.length > mostTurns) turns.splice(0, mostTurns / 2);
  }

  /** Tells what has come. @param isAll  no more does */
  tell(buffers: readonly PipeBuffer[], isAll: boolean): void {
    const byThread = new Map<PerfThread, GrowingPiece[]>();
    for (const { pieces } of buffers) {
      for (const growing of pieces) {
        const own = byThread.get(growing.piece.owner);
        if (own === undefined) byThread.set(growing.piece.owner, [growing]);
        else own.push(growing);
      }
    }
    for (const [thread, pieces] of byThread) {
      const order = this.#orderOf(thread);
      pieces.sort((a, b) => a.piece.time - b.piece.time);
      let waiting = pieces.reduce((sum, { parts }) => sum + bytesIn(parts), 0);
      for (const growing of pieces) {
        if (!isAll && waiting < mostWaitingBytes && !isNext(growing, order)) break;
        waiting -= bytesIn(growing.parts);
        this.#tell(thread, growing, order);
      }
    }
    for (const buffer of buffers) buffer.clear();
  }

  #tell(thread: PerfThread, growing: GrowingPiece, order: ThreadOrder): void {
    const { piece, parts, isWhole, hasBegun } = growing;
    const come = parts.splice(0);
    const { last } = order;
    const isLate = hasBegun
      ? last !== growing
      : last !== undefined && piece.time >= 0 && piece.time < last.piece.time;
    growing.hasBegun = true;
    if (isLate) {
      if (come.length > 0) this.late++;
      return;
    }
    order.last = growing;
    const head = hasBegun ? [] : [order.joiner.begin(piece)];
    const tail = isWhole ? [order.joiner.end(piece)] : [];
    const { buffer, byteOffset, length } = Buffer.concat([...head, ...come, ...tail]);
    if (length > 0) this.#onTrace(thread, new Uint8Array(buffer, byteOffset, length));
  }

  #orderOf(thread: PerfThread): ThreadOrder {
    let order = this.#threads.get(thread);
    if (order === undefined) {
      order = { joiner: new PieceJoiner(), turns: [], last: undefined };
      this.#threads.set(thread, order);
    }
    return order;
  }
}

/** Whether nothing that ran before it can still come. */
function isNext({ buffer, piece }: GrowingPiece, { turns }: ThreadOrder): boolean {
  while (turns.length > 0 && turns[0].buffer.completeTo >= turns[0].end) turns.shift();
  const [first] = turns;
  return first === undefined || first.buffer === buffer || first.time > piece.time;
}

function bytesIn(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}
