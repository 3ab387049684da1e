import type { FunctionIdentity } from './function-identity.ts';

/** Offsets in an image from here on name code that an earlier build does not have: no file is so large. */
export const newCode: number = 2 ** 44;

/** Where the functions of one build of an image were in an earlier one. */
export class FunctionMatch {
  readonly #starts: Float64Array;
  readonly #sizes: Float64Array;
  readonly #before: Float64Array;
  /** Entries of functions that changed and have kept their names, with what they were. */
  readonly #entries: ReadonlyMap<number, number>;
  /** Functions of the earlier build that are the same, and those that are gone or changed. */
  readonly same: number;
  readonly changed: number;

  /**
   * Functions are the same where their code is. Of several with the same code, those at the same place are paired first,
   * and then, where both builds have as many, in their order.
   *
   * @param before  of the earlier build, all or some
   * @param now  all of this one
   */
  constructor(before: readonly FunctionIdentity[], now: readonly FunctionIdentity[]) {
    const pairs: (readonly [now: FunctionIdentity, before: FunctionIdentity])[] = [];
    const laterById = groupById(now);
    for (const [id, earlier] of groupById(before)) {
      const later = laterById.get(id) ?? [];
      const rest = new Map(later.map((one) => [one.start, one]));
      const left: FunctionIdentity[] = [];
      for (const one of earlier) {
        const same = rest.get(one.start);
        if (same === undefined) left.push(one);
        else {
          pairs.push([same, one]);
          rest.delete(one.start);
        }
      }
      const others = [...rest.values()];
      if (others.length !== left.length) continue;
      left.forEach((one, i) => {
        const other = others[i];
        if (other !== undefined) pairs.push([other, one]);
      });
    }
    pairs.sort(([a], [b]) => a.start - b.start);
    this.#starts = Float64Array.from(pairs, ([one]) => one.start);
    this.#sizes = Float64Array.from(pairs, ([one]) => one.size);
    this.#before = Float64Array.from(pairs, ([, one]) => one.start);
    this.#entries = entriesOf(before, now, new Set(pairs.flat()));
    this.same = pairs.length;
    this.changed = before.length - pairs.length;
  }

  /** @returns where the earlier build has the code at an offset; from `newCode` on where it has not */
  offsetBefore(offset: number): number {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const start = this.#starts[middle] ?? 0;
      if (offset < start) high = middle - 1;
      else if (offset >= start + (this.#sizes[middle] ?? 0)) low = middle + 1;
      else return (this.#before[middle] ?? 0) + offset - start;
    }
    return this.#entries.get(offset) ?? newCode + offset;
  }
}

/** Where a function of a name begins is the same place, whatever it does now: who calls it may go on doing so. */
function entriesOf(
  before: readonly FunctionIdentity[],
  now: readonly FunctionIdentity[],
  matched: ReadonlySet<FunctionIdentity>,
): ReadonlyMap<number, number> {
  const starts = new Map<string, number>();
  for (const one of before) {
    if (one.name !== undefined && !matched.has(one)) starts.set(one.name, one.start);
  }
  const entries = new Map<number, number>();
  for (const one of now) {
    const start = one.name === undefined ? undefined : starts.get(one.name);
    if (start !== undefined && !matched.has(one)) entries.set(one.start, start);
  }
  return entries;
}

function groupById(functions: readonly FunctionIdentity[]): Map<string, FunctionIdentity[]> {
  const groups = new Map<string, FunctionIdentity[]>();
  for (const one of functions) {
    const group = groups.get(one.id);
    if (group === undefined) groups.set(one.id, [one]);
    else group.push(one);
  }
  return groups;
}
