/** Wall-clock seconds by phase. */
export class Stopwatch {
  readonly seconds: Record<string, number> = {};
  #phase: string | undefined;
  #since = 0;

  start(phase: string): void {
    this.stop();
    this.#phase = phase;
    this.#since = performance.now();
  }

  stop(): void {
    if (this.#phase === undefined) return;
    const spent = (performance.now() - this.#since) / 1000;
    this.seconds[this.#phase] = (this.seconds[this.#phase] ?? 0) + spent;
    this.#phase = undefined;
  }
}
