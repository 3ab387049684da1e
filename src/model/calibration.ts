/** A point of a rising line: `confidence` has proved to be right in a share `rate` of all cases. */
export type Knot = readonly [confidence: number, rate: number];

/** Confidences are sorted into this many groups of equal weight before they are compared. */
const groups = 64;

/**
 * What a model's confidences are worth, learned from predictions of windows that trained nothing:
 * isotonic regression (pool adjacent violators) over groups of equal weight, straight lines between.
 * It rises, so that a more confident prediction stays at least as confident as another.
 *
 * @see Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability
 *   estimates", KDD 2002
 */
export class Calibration {
  readonly knots: readonly Knot[];

  constructor(knots: readonly Knot[]) {
    this.knots = knots;
  }

  /**
   * @param isRight  1 where a prediction was right, else 0
   * @param weights  occurrences of each prediction
   */
  static fit(
    confidence: ArrayLike<number>,
    isRight: ArrayLike<number>,
    weights: ArrayLike<number>,
  ): Calibration {
    const order = Uint32Array.from({ length: confidence.length }, (_, i) => i);
    order.sort((a, b) => confidence[a] - confidence[b]);
    let total = 0;
    for (const i of order) total += weights[i];
    interface Pool {
      weight: number;
      confidence: number;
      right: number;
    }
    const pools: Pool[] = [];
    const rate = (pool: Pool): number => pool.right / pool.weight;
    let pool: Pool = { weight: 0, confidence: 0, right: 0 };
    order.forEach((i, at) => {
      pool.weight += weights[i];
      pool.confidence += weights[i] * confidence[i];
      pool.right += weights[i] * isRight[i];
      // Equal confidences cannot be told apart, so they stay together.
      const isLast = at + 1 === order.length;
      if (!isLast && (pool.weight < total / groups || confidence[order[at + 1]] === confidence[i]))
        return;
      for (let last = pools.at(-1); last !== undefined && rate(last) >= rate(pool); ) {
        pools.pop();
        pool.weight += last.weight;
        pool.confidence += last.confidence;
        pool.right += last.right;
        last = pools.at(-1);
      }
      pools.push(pool);
      pool = { weight: 0, confidence: 0, right: 0 };
    });
    return new Calibration(pools.map((p) => [p.confidence / p.weight, rate(p)]));
  }

  apply(confidence: number): number {
    const { knots } = this;
    let next = 0;
    while (next < knots.length && knots[next][0] < confidence) next++;
    if (next === 0) return knots[0][1];
    if (next === knots.length) return knots[next - 1][1];
    const [x0, y0] = knots[next - 1];
    const [x1, y1] = knots[next];
    return y0 + ((y1 - y0) * (confidence - x0)) / (x1 - x0);
  }
}

/** @returns whether a value read from a file is a list of knots as `Calibration` takes them; it may be empty */
export function isKnots(value: unknown): value is Knot[] {
  return (
    Array.isArray(value) &&
    value.length <= groups &&
    value.every(
      (knot: unknown, i) =>
        Array.isArray(knot) &&
        knot.length === 2 &&
        knot.every((n: unknown) => typeof n === 'number' && n >= 0 && n <= 1) &&
        (i === 0 || (knot[0] > value[i - 1][0] && knot[1] >= value[i - 1][1])),
    )
  );
}

/**
 * Expected calibration error: predictions are sorted into 15 equal ranges of confidence; the mean,
 * by weight, of the distance between a range's mean confidence and the share of it that was right.
 *
 * @param isRight  1 where a prediction was right, else 0
 * @see Guo et al., "On calibration of modern neural networks", ICML 2017
 */
export function calibrationError(
  confidence: ArrayLike<number>,
  isRight: ArrayLike<number>,
  weights: ArrayLike<number>,
): number {
  const ranges = 15;
  const excess = new Float64Array(ranges);
  let total = 0;
  for (let i = 0; i < confidence.length; i++) {
    const range = Math.min(ranges - 1, Math.floor(confidence[i] * ranges));
    excess[range] += weights[i] * (confidence[i] - isRight[i]);
    total += weights[i];
  }
  return excess.reduce((sum, value) => sum + Math.abs(value), 0) / total;
}
