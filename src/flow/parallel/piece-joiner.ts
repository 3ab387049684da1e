import { enlarged } from '../../base/bytes/typed-array.ts';
import { packetLength } from '../../pt/packet.ts';
import { batchSize } from '../batch-writer.ts';
import { rowSize } from '../control-flow-graph.ts';
import { firstOpen } from '../final-ids.ts';
import type { Mark } from '../mark.ts';
import { type CallsOfPiece, goesOnFrom } from '../standing.ts';
import type { TraceDecoder } from '../trace-decoder.ts';
import { type DecodedPiece, headSize, type Piece, type PieceSetup } from './piece.ts';

type Time = number | undefined;

/** Ids of the nodes of one decoder. */
interface NodeTable {
  ids: Int32Array<ArrayBuffer>;
  length: number;
}

/** Adds pieces that other decoders decoded to the one that is right, one after the other. */
export class PieceJoiner {
  readonly #decoder: TraceDecoder;
  readonly #setup: PieceSetup;
  /** By index of the decoder that a piece comes from. */
  #tables: NodeTable[] = [];

  constructor(decoder: TraceDecoder, setup: PieceSetup) {
    this.#decoder = decoder;
    this.#setup = setup;
  }

  /** The decoders of pieces have forgotten all. */
  renew(): void {
    this.#tables = [];
  }

  /**
   * @param source  index of the decoder that decoded the piece
   * @returns the ids of the blocks that were new to it; `undefined` where the piece does not begin where flow
   *   stands: then nothing is done
   */
  join(piece: Piece, found: DecodedPiece, source: number): Int32Array<ArrayBuffer> | undefined {
    const decoder = this.#decoder;
    const { state, graph, log, overflows, asyncTransfers } = decoder.parts;
    if (decoder.position !== piece.offset + piece.head) return undefined;
    if (!goesOnFrom(found.start, decoder.standing, found.isStartUsed)) return undefined;
    // Where a limit may be reached, it has to be reached at the right packet.
    const { maxBlocks, maxMarks } = this.#setup;
    if (graph.length + found.rows.length / rowSize > maxBlocks) return undefined;
    if (log.marks.length + found.marks.length > maxMarks) return undefined;

    this.#tables[source] ??= { ids: new Int32Array(1 << 10), length: 0 };
    const table = this.#tables[source];
    const known = table.length;
    this.#addNodes(found, table, state.at);
    const times = this.#timesOf(found.ticks);
    this.#addBatches(found, table.ids, times);
    this.#addCalls(found.calls, table.ids);
    log.gaps += found.gaps;
    log.bytesLost += found.bytesLost;
    decoder.takeOver({
      standing: found.end,
      position: piece.offset + piece.bytes.length,
      before: piece.bytes,
      time: times[times.length - 1],
      overflows: overflows + found.overflows,
      asyncTransfers: asyncTransfers + found.asyncTransfers,
    });
    return table.ids.slice(known, table.length);
  }

  /** @param at  the block that flow stands in, which the piece knows from where PSB+ told it on */
  #addNodes({ rows, startNode }: DecodedPiece, table: NodeTable, at: number): void {
    const { graph } = this.#decoder.parts;
    const length = table.length + rows.length / rowSize;
    if (length > table.ids.length) table.ids = enlarged(table.ids, length * 2);
    for (let row = 0; row < rows.length; row += rowSize) {
      table.ids[table.length++] = graph.adopt(rows, row);
    }
    table.ids[startNode] = at;
  }

  /** @returns the time after each number of ticks */
  #timesOf(ticks: Uint8Array): Time[] {
    const { clock, time } = this.#decoder.parts;
    const times: Time[] = [time];
    for (let at = 0, now = time; at < ticks.length; ) {
      clock.packet(ticks, at);
      if (clock.time >= 0) now = clock.time;
      times.push(now);
      at += packetLength(ticks, at, ticks.length);
    }
    return times;
  }

  #addBatches(found: DecodedPiece, ids: Int32Array, times: readonly Time[]): void {
    const { batch } = this.#decoder.parts.state;
    const { heads, entries } = found;
    const marks = this.#addMarks(found, times);
    close(found, ids);
    let from = 0;
    for (let at = 0; at < heads.length; at += headSize) {
      const [length, traceOffset, tick] = heads.subarray(at, at + headSize);
      const isLast = at + headSize === heads.length;
      const lastTick = isLast ? times.length - 1 : heads[at + headSize + 2];
      // A batch gets the first time that is told in it, where none was told before.
      const told = times.slice(tick, this.#setup.isTimed ? tick + 1 : lastTick + 1);
      const time = told.find((known) => known !== undefined);
      const isFirst = traceOffset === found.firstHead;
      if (!isFirst || batch.length + length > batchSize) batch.flush(traceOffset, time);
      else if (time !== undefined) batch.setTime(time);
      const part = entries.subarray(from, from + length);
      from += length;
      // What comes next may belong to the last one.
      if (batch.length === 0 && !isLast) batch.handOn(part, marks(from));
      else batch.addAll(part, marks(from));
    }
  }

  /** @returns tells how many of the marks that were not counted yet stand before an index of the entries */
  #addMarks(
    { entries, marks, marksAt }: DecodedPiece,
    times: readonly Time[],
  ): (to: number) => number {
    const { log } = this.#decoder.parts;
    for (const [index, mark] of marks.entries()) {
      entries[marksAt[index]] = ~log.add(timed(mark, times));
    }
    let next = 0;
    return (to) => {
      const before = next;
      while (next < marksAt.length && marksAt[next] < to) next++;
      return next - before;
    };
  }

  #addCalls({ made, isCleared, deepest, outerReturns }: CallsOfPiece, ids: Int32Array): void {
    const { state, graph } = this.#decoder.parts;
    const { calls } = state;
    if (isCleared) calls.clear();
    else {
      for (const returned of outerReturns) {
        calls.leaveRoom(returned.deepest);
        const call = calls.pop();
        const isItsCall = call >= 0 && graph.address[call] + graph.size[call] === returned.to;
        if (call >= 0 && !isItsCall) calls.push(call);
      }
      calls.leaveRoom(deepest);
    }
    for (const call of made) calls.push(ids[call]);
  }
}

/** Puts ids for open ones. */
function close({ entries, open }: DecodedPiece, ids: Int32Array): void {
  for (let range = 0; range < open.length; range += 2) {
    const to = open[range + 1];
    for (let i = open[range]; i < to; i++) {
      const entry = entries[i];
      if (entry >= firstOpen) entries[i] = ids[entry - firstOpen];
    }
  }
}

/** @param mark  whose time counts ticks */
function timed(mark: Mark, times: readonly Time[]): Mark {
  if (mark.kind === 'thread') return mark;
  const { time: tick, ...rest } = mark;
  const time = times[tick ?? 0];
  return time === undefined ? rest : { ...rest, time };
}
