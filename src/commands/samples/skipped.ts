/** A sample that was left out, and why. */
export interface SkippedSample {
  readonly name: string;
  readonly reason: string;
}

/** What was left out before, and of what came later the samples that were not. */
export function alsoSkipped(
  before: readonly SkippedSample[],
  later: readonly SkippedSample[],
): readonly SkippedSample[] {
  const names = new Set(before.map(({ name }) => name));
  return [...before, ...later.filter(({ name }) => !names.has(name))];
}
