import type { DistanceMatrix } from './distances.ts';

/** Where items lie on a map: x and y of each. */
export interface MapPoints {
  readonly x: Float64Array;
  readonly y: Float64Array;
  /** Share of the squared distances that each axis shows, 0 to 1. */
  readonly shares: readonly [number, number];
}

/** Multiplications of a matrix with a vector at most, and numbers that they may take in all. */
const mostSteps = 1000;
const mostWork = 2e9;

/**
 * Classical multidimensional scaling to two dimensions: unit vectors seen along the two directions
 * in which they differ most. The same distances give the same map.
 *
 * @param distances  cosine distances. Two unit vectors lie the root of twice that apart, which is
 *   what the map shows: cosine distances themselves are not those of points in any space
 * @see Torgerson, "Multidimensional scaling: I. Theory and method", Psychometrika 17, 1952
 */
export function mapOfDistances(distances: DistanceMatrix): MapPoints {
  const n = distances.size;
  const inner = innerProducts(distances);
  let trace = 0;
  for (let i = 0; i < n; i++) trace += inner[i * n + i];
  const first = largestEigen(inner, n);
  // What the first axis shows is taken out before the second one is looked for.
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      inner[i * n + j] -= first.value * first.vector[i] * first.vector[j];
    }
  }
  const second = largestEigen(inner, n);
  const share = (value: number): number => (trace > 0 ? Math.max(0, value) / trace : 0);
  return {
    x: first.vector.map((v) => v * Math.sqrt(Math.max(0, first.value))),
    y: second.vector.map((v) => v * Math.sqrt(Math.max(0, second.value))),
    shares: [share(first.value), share(second.value)],
  };
}

/** -1/2 J D J, where D holds squares of straight distances and J takes away means. */
function innerProducts(distances: DistanceMatrix): Float64Array {
  const n = distances.size;
  const squares = new Float64Array(n * n);
  const means = new Float64Array(n);
  let mean = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      squares[i * n + j] = 2 * distances.at(i, j);
      means[i] += squares[i * n + j] / n;
    }
    mean += means[i] / n;
  }
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      squares[i * n + j] = -(squares[i * n + j] - means[i] - means[j] + mean) / 2;
    }
  }
  return squares;
}

/** Power iteration from a fixed start; the largest component of the vector is positive. */
function largestEigen(
  matrix: Float64Array,
  n: number,
): { readonly value: number; readonly vector: Float64Array } {
  let vector = Float64Array.from({ length: n }, (_, i) => Math.sin(i + 1));
  let value = 0;
  const steps = Math.min(mostSteps, Math.ceil(mostWork / (n * n)));
  for (let step = 0; step < steps; step++) {
    const next = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      let sum = 0;
      for (let j = 0; j < n; j++) sum += matrix[i * n + j] * vector[j];
      next[i] = sum;
    }
    const length = Math.sqrt(next.reduce((sum, v) => sum + v * v, 0));
    if (length < 1e-12) return { value: 0, vector: new Float64Array(n) };
    for (let i = 0; i < n; i++) next[i] /= length;
    const change = next.reduce((sum, v, i) => sum + Math.abs(v - vector[i]), 0);
    vector = next;
    value = length;
    if (change < 1e-10) break;
  }
  let largest = 0;
  for (let i = 1; i < n; i++) if (Math.abs(vector[i]) > Math.abs(vector[largest])) largest = i;
  const sign = vector[largest] < 0 ? -1 : 1;
  return { value, vector: vector.map((v) => sign * v) };
}
