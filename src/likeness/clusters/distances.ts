/** Distances between every two of some items: symmetric, 0 on the diagonal. */
export class DistanceMatrix {
  readonly size: number;
  /** Row after row of the lower triangle, without the diagonal. */
  readonly #values: Float32Array;

  constructor(size: number) {
    this.size = size;
    this.#values = new Float32Array((size * (size - 1)) / 2);
  }

  /** @param distance  is asked once for each pair, with `i > j` */
  static from(size: number, distance: (i: number, j: number) => number): DistanceMatrix {
    const matrix = new DistanceMatrix(size);
    for (let i = 1; i < size; i++) for (let j = 0; j < i; j++) matrix.set(i, j, distance(i, j));
    return matrix;
  }

  at(i: number, j: number): number {
    if (i === j) return 0;
    return this.#values[i > j ? (i * (i - 1)) / 2 + j : (j * (j - 1)) / 2 + i];
  }

  set(i: number, j: number, distance: number): void {
    this.#values[i > j ? (i * (i - 1)) / 2 + j : (j * (j - 1)) / 2 + i] = distance;
  }

  copy(): DistanceMatrix {
    const copy = new DistanceMatrix(this.size);
    copy.#values.set(this.#values);
    return copy;
  }
}
