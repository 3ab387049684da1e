/** Lengths, in consecutive predictions, at which traces are searched for their worst stretch. */
export const windowLengths = [5, 10, 50, 1000] as const;
export type WindowLength = (typeof windowLengths)[number];

/**
 * Lengths, in consecutive blocks, at which traces are searched for crowded surprises.
 *
 * Ordinary code makes an indirect transfer every eight blocks or so, new code as much as known. A
 * chain of hijacked transfers has nothing but such transfers in it.
 */
export const crowdLengths = [4, 8, 16] as const;
export type CrowdLength = (typeof crowdLengths)[number];

/** Blocks in which the nats of transfers at the scale of their places are added up: 1 = single transfers. */
export const surpriseLengths = [1, 4, 16, 64] as const;
export type SurpriseLength = (typeof surpriseLengths)[number];

/**
 * The largest sum of `length` consecutive values; of all of them, when there are fewer.
 *
 * @param values  in trace order, not negative
 */
export function worstSum(values: Float64Array, length: number): number {
  const first = Math.min(length, values.length);
  let sum = 0;
  for (let i = 0; i < first; i++) sum += values[i];
  let worst = sum;
  for (let i = length; i < values.length; i++) {
    sum += values[i] - values[i - length];
    if (sum > worst) worst = sum;
  }
  return worst;
}

/**
 * The largest sum of values that lie within `length` consecutive places.
 *
 * For series that are 0 nearly everywhere: only the others need be given.
 *
 * @param values  not negative
 * @param places  of each value, ascending: the number of its transfer, or of its block
 */
export function crowdedSum(values: Float64Array, places: Int32Array, length: number): number {
  let worst = 0;
  let sum = 0;
  let first = 0;
  for (let i = 0; i < values.length; i++) {
    while (places[first] <= places[i] - length) sum -= values[first++];
    // No rounding is carried from one stretch to another.
    sum = first === i ? values[i] : sum + values[i];
    if (sum > worst) worst = sum;
  }
  return worst;
}

/** `crowdedSum` of values that come one after the other, to the last bit. */
export class CrowdedSum {
  worst = 0;
  /** Place of the value that made it the worst. */
  worstAt = -1;
  readonly #length: number;
  readonly #values: number[] = [];
  readonly #places: number[] = [];
  #sum = 0;

  constructor(length: number) {
    this.#length = length;
  }

  /** @returns whether it is worse than all before */
  push(value: number, place: number): boolean {
    const values = this.#values;
    const places = this.#places;
    let gone = 0;
    while (gone < places.length && places[gone] <= place - this.#length) {
      this.#sum -= values[gone++];
    }
    values.splice(0, gone);
    places.splice(0, gone);
    this.#sum = values.length === 0 ? value : this.#sum + value;
    values.push(value);
    places.push(place);
    if (this.#sum <= this.worst) return false;
    this.worst = this.#sum;
    this.worstAt = place;
    return true;
  }
}

/**
 * The largest share of unknown blocks in any stretch of `length` blocks.
 *
 * @param runs  pairs of block index and run length, ascending, disjoint
 */
export function worstUnknownShare(runs: Int32Array, length: number): number {
  // The best stretch can be moved, without losing anything, until it starts where a run starts.
  let worst = 0;
  let inside = 0;
  let next = 0;
  for (let i = 0; i < runs.length; i += 2) {
    const end = runs[i] + length;
    while (next < runs.length && runs[next] + runs[next + 1] <= end) {
      inside += runs[next + 1];
      next += 2;
    }
    const partial = next < runs.length ? Math.max(0, end - Math.max(runs[next], runs[i])) : 0;
    worst = Math.max(worst, inside + partial);
    // A run that is longer than the stretch was never counted as a whole.
    if (next > i) inside -= runs[i + 1];
    else next = i + 2;
  }
  return worst / length;
}
