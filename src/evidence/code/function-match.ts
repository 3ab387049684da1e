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
   * Functions are the same where their code is. Several with the same code are paired by name, then in their order where
   * both builds have as many, and else where they stayed.
   *
   * @param before  of the earlier build, those that matter
   * @param now  all of this one
   * @param twins  of the earlier build, all others that have the code of one that matters: without them nobody knows
   *   which of several it was
   */
  constructor(
    before: readonly FunctionIdentity[],
    now: readonly FunctionIdentity[],
    twins: readonly FunctionIdentity[] = [],
  ) {
    const earlier = [...before, ...twins].sort((a, b) => a.start - b.start);
    const laterById = groupById(now);
    const all = [...groupById(earlier)].flatMap(([id, group]) =>
      pairSameCode(group, laterById.get(id) ?? []),
    );
    const wanted = new Set(before);
    const pairs = all.filter(([, one]) => wanted.has(one));
    pairs.sort(([a], [b]) => a.start - b.start);
    this.#starts = Float64Array.from(pairs, ([one]) => one.start);
    this.#sizes = Float64Array.from(pairs, ([one]) => one.size);
    this.#before = Float64Array.from(pairs, ([, one]) => one.start);
    this.#entries = entriesOf(before, now, new Set(all.flat()));
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

/** What a function is now, and what it was. */
type Pair = readonly [now: FunctionIdentity, before: FunctionIdentity];

/** @param before  all functions of one code, in order; so is `now` */
function pairSameCode(
  before: readonly FunctionIdentity[],
  now: readonly FunctionIdentity[],
): readonly Pair[] {
  const names = new Map(now.flatMap((one) => (one.name === undefined ? [] : [[one.name, one]])));
  const named = before.flatMap((one): Pair[] => {
    const same = one.name === undefined ? undefined : names.get(one.name);
    return same === undefined ? [] : [[same, one]];
  });
  const paired = new Set(named.flat());
  const [left, rest] = [before, now].map((list) => list.filter((one) => !paired.has(one)));
  if (left.length === rest.length) return [...named, ...left.map((one, i): Pair => [rest[i], one])];
  const places = new Map(rest.map((one) => [one.start, one]));
  return [
    ...named,
    ...left.flatMap((one): Pair[] => {
      const same = places.get(one.start);
      return same === undefined ? [] : [[same, one]];
    }),
  ];
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
