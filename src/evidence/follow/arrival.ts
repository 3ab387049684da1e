/** How a block was reached, as far as call stacks explain it. */
export const Arrival = {
  /** By a transfer that stays on its stack and returns from nothing: nothing to say here. */
  none: 0,
  /** By a return to the instruction after the youngest open call: explained by the code. */
  returned: 1,
  /**
   * By leaving frames or changing stacks in a way that the run itself shows: a long jump, a landing pad,
   * a context that was set aside earlier, a signal handler's end.
   */
  unwound: 2,
  /** By a return whose call is not known: made before the trace, before a gap, in code without bytes. */
  unknown: 3,
  /** By a return that goes neither back to its call nor anywhere else that the run explains. */
  mismatch: 4,
  /**
   * By a return that the code uses as an indirect jump (`push reg; ret`, retpolines, the start of a
   * coroutine): to be judged like one.
   */
  jumped: 5,
} as const;

export type ArrivalKind = (typeof Arrival)[keyof typeof Arrival];
