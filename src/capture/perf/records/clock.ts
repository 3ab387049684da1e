/**
 * Converts perf's clock to the time stamp counter, by the numbers that the kernel gave `perf record`
 * (`time_shift`, `time_mult`, `time_zero` of `perf_event_mmap_page`).
 *
 * @see linux/perf_event.h, `cap_user_time_zero`
 */
export class PerfClock {
  readonly #shift: bigint;
  readonly #mult: bigint;
  readonly #zero: bigint;

  constructor(shift: number, mult: number, zero: bigint) {
    this.#shift = BigInt(Math.min(63, Math.max(0, shift)));
    this.#mult = BigInt(Math.max(1, mult));
    this.#zero = BigInt.asUintN(64, zero);
  }

  /** @param time  nanoseconds; @returns ticks, as a double, of the 56 bits that a TSC packet has */
  ticks(time: bigint): number {
    const since = BigInt.asUintN(64, time - this.#zero);
    const whole = since / this.#mult;
    const rest = since % this.#mult;
    const ticks = (whole << this.#shift) + (rest << this.#shift) / this.#mult;
    return Number(BigInt.asUintN(56, ticks));
  }
}
