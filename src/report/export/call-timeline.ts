/** A stretch of a run, in block indices: its first block, and the one after its last. */
export interface Stretch {
  readonly start: number;
  readonly end: number;
}

/** A stretch that is to be seen at once, and why. */
export interface FlaggedStretch extends Stretch {
  readonly name: string;
}

export interface TimelineFrame {
  /** Function, as far as it has a name. */
  readonly name: string;
  /** File that holds it; empty where none does. */
  readonly module: string;
}

/**
 * Which functions were open when, of one thread: openings and closings in order, as parentheses. What is
 * open at the beginning of the stretch is opened there, what is open at its end closed there, so that
 * they are balanced.
 */
export interface CallTimeline extends Stretch {
  /** Of the thread. */
  readonly name: string;
  readonly frames: readonly TimelineFrame[];
  /** Index of a frame that is opened, or `closing`. */
  readonly events: ArrayLike<number>;
  /** When: block indices, never falling; as many as there are events. */
  readonly at: ArrayLike<number>;
  readonly flagged: readonly FlaggedStretch[];
}

/** An event that closes the youngest open frame. */
export const closing = -1;

/** Takes the functions that are open, block by block, and keeps what changes. */
export class CallTimelineBuilder {
  readonly #events: number[] = [];
  readonly #at: number[] = [];
  readonly #open: number[] = [];

  /** Openings and closings so far. */
  get length(): number {
    return this.#events.length;
  }

  /**
   * The frames that are open while the block at `at` runs.
   *
   * @param frames  the oldest first; read at once
   * @param depth  how many of them are valid
   */
  set(at: number, frames: ArrayLike<number>, depth: number): void {
    const open = this.#open;
    let same = 0;
    while (same < open.length && same < depth && open[same] === frames[same]) same++;
    this.#closeTo(same, at);
    for (let i = same; i < depth; i++) {
      open.push(frames[i]);
      this.#events.push(frames[i]);
      this.#at.push(at);
    }
  }

  finish(facts: Pick<CallTimeline, 'name' | 'frames' | 'start' | 'end' | 'flagged'>): CallTimeline {
    this.#closeTo(0, facts.end);
    return { ...facts, events: this.#events, at: this.#at };
  }

  #closeTo(depth: number, at: number): void {
    while (this.#open.length > depth) {
      this.#open.pop();
      this.#events.push(closing);
      this.#at.push(at);
    }
  }
}

/** @returns the part of a timeline that lies in a stretch, balanced again */
export function cutTimeline(
  timeline: CallTimeline,
  { start, end, name }: FlaggedStretch,
): CallTimeline {
  const from = Math.max(start, timeline.start);
  const to = Math.max(from, Math.min(end, timeline.end));
  const builder = new CallTimelineBuilder();
  forEachStack(timeline, (stack, since, until) => {
    if (since < to && until > from) builder.set(Math.max(since, from), stack, stack.length);
  });
  return builder.finish({ ...timeline, name, start: from, end: to });
}

/**
 * Visits each span of time in which the same frames were open.
 *
 * @param visit  gets the open frames, the oldest first, in an array that changes afterwards
 */
export function forEachStack(
  { events, at, start, end }: CallTimeline,
  visit: (stack: readonly number[], since: number, until: number) => void,
): void {
  const stack: number[] = [];
  let since = start;
  for (let i = 0; i < events.length; i++) {
    if (at[i] > since) {
      visit(stack, since, at[i]);
      since = at[i];
    }
    if (events[i] === closing) stack.pop();
    else stack.push(events[i]);
  }
  if (end > since) visit(stack, since, end);
}
