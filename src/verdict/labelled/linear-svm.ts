import { assert } from '../../base/errors.ts';
import { loadLibsvm } from './libsvm.ts';

/** A point, features in a fixed order, with its class. */
export interface LabelledPoint {
  readonly values: readonly number[];
  readonly isAnomalous: boolean;
}

/** A hyperplane: a point is anomalous when `weights . (values - centre) / scale + bias > 0`. */
export interface Hyperplane {
  readonly centre: readonly number[];
  readonly scale: readonly number[];
  readonly weights: readonly number[];
  readonly bias: number;
}

export interface SvmOptions {
  /** LIBSVM's C. */
  readonly cost: number;
  /** Move the plane so far that no nominal point of the fit lies on its anomalous side. */
  readonly force: boolean;
}

/** @returns signed distance in units of the margin; above 0 = anomalous */
export function decisionValue(plane: Hyperplane, values: readonly number[]): number {
  let sum = plane.bias;
  for (let i = 0; i < values.length; i++) {
    sum += (plane.weights[i] * (values[i] - plane.centre[i])) / plane.scale[i];
  }
  return sum;
}

/**
 * Fits LIBSVM's C-SVC with a linear kernel to standardised points. Classes weigh the same, however
 * many points they have.
 *
 * @param points  of both classes, finite
 * @returns the plane; weights of 0 and a bias below 0 (nothing is flagged) when no plane separates
 *   anything, as with identical points
 * @see Chang and Lin, "LIBSVM: a library for support vector machines", 2011
 */
export async function fitLinearSvm(
  points: readonly LabelledPoint[],
  options: SvmOptions,
): Promise<Hyperplane> {
  const anomalous = points.filter((point) => point.isAnomalous).length;
  const nominal = points.length - anomalous;
  assert(anomalous > 0 && nominal > 0, 'an SVM needs both classes');
  const { centre, scale } = standardization(points);
  const standardized = points.map(({ values }) => values.map((v, i) => (v - centre[i]) / scale[i]));
  const SVM = await loadLibsvm();
  const costs = [0, 1].map((label) => points.length / (2 * (label === 1 ? anomalous : nominal)));
  const svm = new SVM({
    type: '0',
    kernel: '0',
    cost: options.cost,
    tolerance: 1e-6,
    weight: { 0: costs[0], 1: costs[1] },
    quiet: true,
  });
  let side: Side;
  try {
    svm.train(
      standardized,
      points.map((point) => (point.isAnomalous ? 1 : 0)),
    );
    side = sideOf(svm.serializeModel(), svm.getSVIndices(), standardized, (index) => {
      return options.cost * costs[points[index].isAnomalous ? 1 : 0];
    });
  } finally {
    svm.free();
  }
  const plane = { centre, scale, ...side };
  if (!(Math.hypot(...plane.weights) > 1e-9) || !Number.isFinite(plane.bias)) {
    return { centre, scale, weights: centre.map(() => 0), bias: -1 };
  }
  return options.force ? forced(plane, points) : plane;
}

/** Moves the plane past the most anomalous nominal point, if that lies beyond it. */
function forced(plane: Hyperplane, points: readonly LabelledPoint[]): Hyperplane {
  let worst = 0;
  for (const point of points) {
    if (!point.isAnomalous) worst = Math.max(worst, decisionValue(plane, point.values));
  }
  // A little further, so that rounding does not leave that point beyond it.
  return worst === 0 ? plane : { ...plane, bias: plane.bias - worst - 1e-9 * (1 + worst) };
}

function standardization(points: readonly LabelledPoint[]): {
  readonly centre: number[];
  readonly scale: number[];
} {
  const dimensions = points[0].values.map((_, i) => i);
  const centre = dimensions.map(
    (i) => points.reduce((sum, point) => sum + point.values[i], 0) / points.length,
  );
  const scale = dimensions.map((i) => {
    const squares = points.reduce((sum, point) => sum + (point.values[i] - centre[i]) ** 2, 0);
    // A constant feature says nothing, and stays 0.
    return Math.sqrt(squares / points.length) || 1;
  });
  return { centre, scale };
}

interface Side {
  readonly weights: number[];
  readonly bias: number;
}

/**
 * Weights and bias out of LIBSVM's model: `w = sum of coefficient * support vector`,
 * `bias = -rho`, positive side = the class named first. The model file rounds support vectors and
 * rho, so that both are taken from the samples again.
 */
function sideOf(
  model: string,
  supportVectors: readonly number[],
  samples: readonly (readonly number[])[],
  costOf: (index: number) => number,
): Side {
  const lines = model.split('\n');
  const header = (name: string): string =>
    lines.find((line) => line.startsWith(`${name} `))?.slice(name.length + 1) ?? '';
  const coefficients = lines.slice(lines.indexOf('SV') + 1).map(Number.parseFloat);
  const sign = header('label').startsWith('1') ? 1 : -1;
  const weights = samples[0].map((_, i) =>
    supportVectors.reduce((sum, v, k) => sum + sign * coefficients[k] * samples[v][i], 0),
  );
  const dot = (index: number): number =>
    samples[index].reduce((sum, value, i) => sum + weights[i] * value, 0);
  // Support vectors whose coefficient is not at its bound lie exactly on the margin.
  const free = supportVectors.flatMap((v, k) => {
    const size = Math.abs(coefficients[k]);
    const isFree = size > 1e-8 && size < costOf(v) * (1 - 1e-8);
    return isFree ? [Math.sign(coefficients[k]) * sign - dot(v)] : [];
  });
  const bias =
    free.length > 0
      ? free.reduce((sum, value) => sum + value, 0) / free.length
      : -sign * Number(header('rho'));
  return { weights, bias };
}
