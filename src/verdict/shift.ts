import { Random } from '../base/random.ts';

/** Whether recent scores look as if drawn like the calibration scores. */
export interface ShiftCheck {
  readonly calibration: number;
  readonly recent: number;
  /** Largest distance between the two distribution functions (two-sample Kolmogorov-Smirnov). */
  readonly distance: number;
  /** By permutation, so exact whatever the sizes and ties; 1 when either side has fewer than 5 scores. */
  readonly pValue: number;
  readonly verdict: 'too few traces to say' | 'no shift found' | 'shifted';
}

const permutations = 1999;
const fewest = 5;

/**
 * Compares two sets of scores. A p-value at or below 0.01 is called a shift: either the program,
 * its inputs or the recorder changed since calibration, or many recent traces are anomalous; in
 * both cases the promised false-positive rate does not speak about the recent traces.
 */
export function shiftCheck(
  calibration: ArrayLike<number>,
  recent: ArrayLike<number>,
  seed: number,
): ShiftCheck {
  const counts = { calibration: calibration.length, recent: recent.length };
  const pooled = Float64Array.from([...Array.from(calibration), ...Array.from(recent)]);
  const order = Uint32Array.from(pooled, (_, index) => index).sort((a, b) => pooled[a] - pooled[b]);
  const isLast = Uint8Array.from(order, (index, i) =>
    pooled[index] === pooled[order[i + 1]] ? 0 : 1,
  );
  const isRecent = Uint8Array.from(order, (index) => (index < calibration.length ? 0 : 1));
  const distance = ksDistance(isLast, isRecent);
  if (calibration.length < fewest || recent.length < fewest) {
    return { ...counts, distance, pValue: 1, verdict: 'too few traces to say' };
  }
  const random = new Random(seed);
  let atLeast = 1;
  for (let i = 0; i < permutations; i++) {
    random.shuffle(isRecent);
    if (ksDistance(isLast, isRecent) >= distance - 1e-12) atLeast++;
  }
  const pValue = atLeast / (permutations + 1);
  return { ...counts, distance, pValue, verdict: pValue <= 0.01 ? 'shifted' : 'no shift found' };
}

/**
 * Largest distance between the distribution functions of two samples.
 *
 * @param isLast  for each of the pooled values, ascending, whether the next one is greater
 * @param isSecond  for each, whether it belongs to the second sample
 */
function ksDistance(isLast: Uint8Array, isSecond: Uint8Array): number {
  let second = 0;
  for (const flag of isSecond) second += flag;
  const first = isSecond.length - second;
  if (first === 0 || second === 0) return 0;
  // Both functions times first * second: whole numbers, whose difference goes one way or the other with each value.
  let apart = 0;
  let worst = 0;
  for (let i = 0; i < isSecond.length; i++) {
    apart += isSecond[i] === 1 ? -first : second;
    // Equal values step together.
    if (isLast[i] === 0) continue;
    if (apart > worst) worst = apart;
    else if (-apart > worst) worst = -apart;
  }
  return worst / (first * second);
}
