import { type Piece, PieceCutter, type Turns } from '../pieces.ts';
import type { PerfThread } from '../records/processes.ts';
import type { PtInfo } from '../records/pt-info.ts';

/** perf fills trace up to a multiple of eight bytes, and says where the next goes on. */
const mostPadding = 7;
/** Turns that wait for trace; of a second, at the rate of a busy processor. */
const mostTurns = 1 << 16;

/** A thread runs on a processor from one moment to another, in ticks. */
export interface Turn {
  readonly buffer: PipeBuffer;
  readonly thread: PerfThread;
  readonly time: number;
  /** Not known as long as it runs. */
  end: number;
}

/** A piece of a thread, as far as its trace has come. */
export interface GrowingPiece {
  readonly buffer: PipeBuffer;
  readonly piece: Piece<PerfThread>;
  /** Of its trace: what was not taken yet. */
  readonly parts: Uint8Array[];
  /** No more of it comes. */
  isWhole: boolean;
  /** Its first bytes were taken. */
  hasBegun: boolean;
}

/** The trace of one buffer as it comes through a pipe, cut into pieces of threads. */
export class PipeBuffer {
  /** Pieces of which something was not taken yet, in their order. */
  pieces: readonly GrowingPiece[] = [];
  readonly #turns: PipeTurns;
  readonly #cutter: PieceCutter<PerfThread>;
  /** Positions at which the kernel had no room for trace, ascending. */
  readonly #losses: number[] = [];
  /** Up to which positions the kernel had handed trace over, and when; those that have not come yet. */
  readonly #handed: { readonly position: number; readonly time: number }[] = [];
  /** In ticks: of what ran before, all trace is here. */
  completeTo: number = Number.NEGATIVE_INFINITY;
  /** Position, as the kernel counts, of the first byte that did not come; -1 = none has come. */
  #next = -1;
  /** The last bytes, which may be filling. */
  #tail: Uint8Array = new Uint8Array(0);
  /** What the cutter has of which it is not known yet whose it is, or not told. */
  #kept: Uint8Array = new Uint8Array(0);
  #keptFrom = 0;

  /** @param first  whose trace it is until the first turn */
  constructor(first: PerfThread, info: PtInfo | undefined) {
    this.#turns = new PipeTurns(first);
    this.#cutter = new PieceCutter(this.#turns, info?.mtc);
  }

  /** A thread runs from `time` on, in ticks. Times never go back. */
  turn(time: number, thread: PerfThread): Turn {
    const turn = { buffer: this, thread, time, end: Number.POSITIVE_INFINITY };
    this.#turns.come(turn);
    return turn;
  }

  /** The kernel has handed over all trace up to a position. @param time  in ticks */
  handOver(position: number, time: number): void {
    this.#handed.push({ position, time });
    this.#complete();
  }

  /** Without time: whose all trace is that comes from now on. */
  own(thread: PerfThread): void {
    this.#turns.owner = thread;
  }

  /** Trace was lost at a position, as the kernel counts. */
  loseAt(position: number): void {
    this.#losses.push(position);
    this.#losses.sort((a, b) => a - b);
  }

  /** @param offset  position of the first byte, as the kernel counts */
  add(offset: number, bytes: Uint8Array): void {
    const excess = this.#next < 0 ? 0 : this.#next - offset;
    const isFilled = excess > 0 && excess <= this.#tail.length;
    if (isFilled) this.#tail = this.#tail.subarray(0, this.#tail.length - excess);
    if (excess !== 0 && !isFilled) {
      this.#push(this.#tail);
      this.#tail = new Uint8Array(0);
      this.#lose();
    }
    this.#next = offset + bytes.length;
    const all = this.#tail.length === 0 ? bytes : Buffer.concat([this.#tail, bytes]);
    const start = this.#next - all.length;
    let from = 0;
    for (; this.#losses.length > 0 && this.#losses[0] < this.#next; this.#losses.shift()) {
      const cut = this.#losses[0] - start;
      if (cut < from) continue;
      this.#push(all.subarray(from, cut));
      this.#lose();
      from = cut;
    }
    // What was handed over ends here, or before what fills it up.
    const end = this.#handed.findLast(({ position }) => position <= this.#next);
    const to = Math.max(from, all.length - mostPadding, (end?.position ?? 0) - start);
    this.#push(all.subarray(from, to));
    this.#tail = all.slice(to);
    this.#complete();
  }

  /** No more comes. */
  end(): void {
    this.#push(this.#tail);
    this.#tail = new Uint8Array(0);
    this.#cutter.finish();
    this.#collect();
  }

  /** Forgets pieces that were taken to their end. */
  clear(): void {
    this.pieces = this.pieces.filter(
      ({ isWhole, hasBegun, parts }) => !isWhole || !hasBegun || parts.length > 0,
    );
  }

  #complete(): void {
    const come = this.#next - this.#tail.length;
    for (; this.#handed.length > 0 && this.#handed[0].position <= come; this.#handed.shift()) {
      this.completeTo = Math.max(this.completeTo, this.#handed[0].time);
    }
  }

  #lose(): void {
    this.#cutter.lose();
    this.#collect();
  }

  #push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#kept = this.#kept.length === 0 ? bytes : Buffer.concat([this.#kept, bytes]);
    this.#cutter.add(bytes);
    this.#collect();
  }

  /** Gives the pieces what is theirs for sure. */
  #collect(): void {
    const { open, pieces, settledTo } = this.#cutter;
    const come = pieces.splice(0).map((piece): GrowingPiece => {
      return { buffer: this, piece, parts: [], isWhole: false, hasBegun: false };
    });
    if (come.length > 0) this.pieces = [...this.pieces, ...come];
    for (const growing of this.pieces) {
      if (growing.isWhole) continue;
      growing.isWhole = growing.piece !== open;
      const to = growing.isWhole ? growing.piece.to : settledTo;
      const from = Math.max(growing.piece.from, this.#keptFrom);
      if (to > from) {
        growing.parts.push(this.#kept.slice(from - this.#keptFrom, to - this.#keptFrom));
      }
    }
    const needed = this.#cutter.neededFrom;
    this.#kept = this.#kept.slice(Math.max(0, needed - this.#keptFrom));
    this.#keptFrom = Math.max(this.#keptFrom, needed);
  }
}

/** Turns that become known while the trace comes. */
class PipeTurns implements Turns<PerfThread> {
  owner: PerfThread;
  readonly #waiting: Turn[] = [];
  #last: Turn | undefined;

  constructor(first: PerfThread) {
    this.owner = first;
  }

  come(turn: Turn): void {
    if (this.#last !== undefined) this.#last.end = turn.time;
    this.#last = turn;
    this.#waiting.push(turn);
    // A processor that runs no user code has nothing to cut.
    if (this.#waiting.length > mostTurns) this.#waiting.splice(0, mostTurns / 2);
  }

  advance(time: number): boolean {
    let isSwitched = false;
    for (; this.#waiting.length > 0 && this.#waiting[0].time <= time; this.#waiting.shift()) {
      this.owner = this.#waiting[0].thread;
      isSwitched = true;
    }
    return isSwitched;
  }
}
