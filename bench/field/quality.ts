/** @returns the chance that an anomalous score lies above a nominal one, ties counted half; NaN without both */
export function areaUnderCurve(nominal: readonly number[], anomalous: readonly number[]): number {
  let wins = 0;
  for (const high of anomalous) {
    for (const low of nominal) wins += high > low ? 1 : high === low ? 0.5 : 0;
  }
  return wins / (nominal.length * anomalous.length);
}

export interface Count {
  readonly count: number;
  readonly total: number;
}

export function countOf<T>(items: readonly T[], test: (item: T) => boolean): Count {
  return { count: items.filter(test).length, total: items.length };
}

export function showCount({ count, total }: Count): string {
  return `${count}/${total}`;
}
