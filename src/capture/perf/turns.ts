import type { Turns } from './pieces.ts';
import type { TraceBuffer } from './recording.ts';
import type { PerfThread } from './records/processes.ts';
import type { PtInfo } from './records/pt-info.ts';
import type { TraceStream } from './stream.ts';

/** Whose trace it is, by the best that the recording tells: context switches, else who ran at each flush. */
export function turnsOf(
  info: PtInfo,
  { chunks, switches, flushes, first }: TraceBuffer,
  stream: TraceStream,
): Turns<PerfThread> {
  const [{ cpu }] = chunks;
  if (info.clock !== undefined) {
    return new ListedTurns(first, switches.length, (next, time) =>
      switches[next].time <= time ? switches[next].thread : undefined,
    );
  }
  const byFlush = cpu >= 0 && !info.isSnapshot;
  return new ListedTurns(
    flushes[0]?.thread ?? first,
    byFlush ? flushes.length - 1 : 0,
    (next, _time, position) =>
      flushes[next].position <= stream.offsetOf(position) ? flushes[next + 1].thread : undefined,
  );
}

/** Turns that come one after the other, each when a place in the trace is reached. */
class ListedTurns implements Turns<PerfThread> {
  owner: PerfThread;
  readonly #count: number;
  readonly #turn: (next: number, time: number, position: number) => PerfThread | undefined;
  #next = 0;

  /** @param turn  the owner from turn `next` on if the place is not before it */
  constructor(
    first: PerfThread,
    count: number,
    turn: (next: number, time: number, position: number) => PerfThread | undefined,
  ) {
    this.owner = first;
    this.#count = count;
    this.#turn = turn;
  }

  advance(time: number, position: number): boolean {
    let isSwitched = false;
    while (this.#next < this.#count) {
      const owner = this.#turn(this.#next, time, position);
      if (owner === undefined) break;
      this.owner = owner;
      this.#next++;
      isSwitched = true;
    }
    return isSwitched;
  }
}
