/** A sample that was left out, and why. */
export interface SkippedSample {
  readonly name: string;
  readonly reason: string;
}
