import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { agglomerate, cutBySilhouette, cutInto } from './agglomerate.ts';
import { adjustedRandIndex } from './agreement.ts';
import { clusterMethods, makeClusters, traitsOf } from './clusters.ts';
import { dbscan, kneeRadius } from './dbscan.ts';
import { DistanceMatrix } from './distances.ts';
import { mapOfDistances } from './embedding.ts';
import { nearestClusters } from './nearest-clusters.ts';
import { meanSilhouette, silhouettes } from './silhouette.ts';

/** Every fifth flower of Fisher's iris data. */
const iris = [
  [5.1, 3.5, 1.4, 0.2],
  [5.4, 3.9, 1.7, 0.4],
  [5.4, 3.7, 1.5, 0.2],
  [5.7, 4.4, 1.5, 0.4],
  [5.4, 3.4, 1.7, 0.2],
  [5.0, 3.0, 1.6, 0.2],
  [4.8, 3.1, 1.6, 0.2],
  [5.0, 3.2, 1.2, 0.2],
  [5.0, 3.5, 1.3, 0.3],
  [4.8, 3.0, 1.4, 0.3],
  [7.0, 3.2, 4.7, 1.4],
  [5.7, 2.8, 4.5, 1.3],
  [5.0, 2.0, 3.5, 1.0],
  [6.7, 3.1, 4.4, 1.4],
  [5.9, 3.2, 4.8, 1.8],
  [6.6, 3.0, 4.4, 1.4],
  [5.5, 2.4, 3.8, 1.1],
  [6.0, 3.4, 4.5, 1.6],
  [5.5, 2.6, 4.4, 1.2],
  [5.7, 3.0, 4.2, 1.2],
  [6.3, 3.3, 6.0, 2.5],
  [7.6, 3.0, 6.6, 2.1],
  [6.5, 3.2, 5.1, 2.0],
  [6.4, 3.2, 5.3, 2.3],
  [6.9, 3.2, 5.7, 2.3],
  [7.2, 3.2, 6.0, 1.8],
  [7.4, 2.8, 6.1, 1.9],
  [7.7, 3.0, 6.1, 2.3],
  [6.7, 3.1, 5.6, 2.4],
  [6.7, 3.0, 5.2, 2.3],
];
const species = iris.map((_, i) => Math.floor(i / 10));
const cosineDistance = (a: readonly number[], b: readonly number[]): number => {
  const dot = a.reduce((sum, v, i) => sum + v * b[i]!, 0);
  return 1 - dot / (Math.hypot(...a) * Math.hypot(...b));
};
const flowers = DistanceMatrix.from(iris.length, (i, j) => cosineDistance(iris[i]!, iris[j]!));
const euclid = (points: readonly (readonly number[])[]): DistanceMatrix =>
  DistanceMatrix.from(points.length, (i, j) =>
    Math.hypot(...points[i]!.map((v, axis) => v - points[j]![axis]!)),
  );

describe('adjusted Rand index', () => {
  // The examples of scikit-learn's documentation of adjusted_rand_score.
  test.each([
    [[0, 0, 1, 1], [0, 0, 1, 1], 1],
    [[0, 0, 1, 1], [1, 1, 0, 0], 1],
    [[0, 0, 1, 2], [0, 0, 1, 1], 0.5714285714285714],
    [[0, 0, 1, 1], [0, 0, 1, 2], 0.5714285714285714],
    [[0, 0, 0, 0], [0, 1, 2, 3], 0],
    [[0, 0, 1, 1], [0, 1, 0, 1], -0.5],
  ])('%j against %j is %d', (a, b, expected) => {
    expect(adjustedRandIndex(a, b)).toBeCloseTo(expected, 12);
  });

  test('of the same grouping is 1, whatever the groups are called', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(4), { minLength: 1, maxLength: 20 }), (groups) => {
        expect(
          adjustedRandIndex(
            groups,
            groups.map((g) => `group ${4 - g}`),
          ),
        ).toBeCloseTo(1, 9);
      }),
      { seed: 1 },
    );
  });
});

describe('against scikit-learn 1.9.1 and SciPy 1.17.1 on iris, cosine distance', () => {
  const merges = agglomerate(flowers);

  test('heights of scipy.cluster.hierarchy.average', () => {
    const expected = [
      5.37e-6, 4.963e-5, 7.143e-5, 0.00014288, 0.00014453, 0.00014757, 0.00029545, 0.00035169,
      0.00036551, 0.00036631, 0.00038312, 0.000547, 0.00058553, 0.00060017, 0.00085245, 0.00091601,
      0.00097002, 0.00101669, 0.00114736, 0.00141023, 0.00147537, 0.00187161, 0.00286191, 0.0028938,
      0.00330662, 0.00331339, 0.0039519, 0.00677748, 0.0936971,
    ];
    merges.forEach(({ height }, i) => {
      expect(height).toBeCloseTo(expected[i]!, 7);
    });
  });

  test('three clusters of fcluster, their silhouettes and adjusted Rand index', () => {
    const cut = cutInto(merges, 3);
    const expected = [
      0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 1, 1, 2, 1, 1, 1, 2, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    ];
    expect([...cut]).toEqual(expected);
    expect(adjustedRandIndex(species, cut as unknown as number[])).toBeCloseTo(0.7310420076, 9);
    expect(meanSilhouette(flowers, cut)).toBeCloseTo(0.6905895488656782, 4);
    const samples = silhouettes(flowers, cut);
    for (const [item, value] of [
      [0, 0.983851],
      [11, -0.299058],
      [18, -0.164531],
      [29, 0.598168],
    ]) {
      expect(samples[item!]).toBeCloseTo(value!, 4);
    }
  });

  test('the cut with the best silhouette', () => {
    const best = cutBySilhouette(flowers, merges);
    expect([...best]).toEqual(species.map((kind) => Math.min(kind, 1)));
  });

  test('DBSCAN(eps=0.001, min_samples=3)', () => {
    const expected = [
      0, 0, 0, -1, 1, 1, 1, 0, 0, 1, 2, 3, 2, 2, 4, 2, 2, -1, 3, -1, -1, 5, 4, 4, 4, 3, 5, 5, 4, 4,
    ];
    expect([...dbscan(flowers, { radius: 0.001, least: 3 })]).toEqual(expected);
  });

  test('classical scaling by numpy.linalg.eigh, of the straight distances', () => {
    const { x, y, shares } = mapOfDistances(flowers);
    // Axes may be mirrored.
    const [across, up] = [Math.sign(-x[0]!), Math.sign(-y[3]!)];
    for (const [item, at] of [
      [0, -0.301581],
      [3, -0.32219],
      [20, 0.222671],
    ]) {
      expect(across * x[item!]!).toBeCloseTo(at!, 4);
    }
    for (const [item, at] of [
      [3, -0.064222],
      [7, 0.019275],
      [20, -0.076427],
    ]) {
      expect(up * y[item!]!).toBeCloseTo(at!, 4);
    }
    expect(shares[0]).toBeCloseTo(1.261623875317288 / 1.3145498103406075, 4);
    expect(shares[1]).toBeCloseTo(0.04002815368441424 / 1.3145498103406075, 4);
  });
});

describe('DBSCAN', () => {
  test('the example of scikit-learn’s documentation', () => {
    const points = [
      [1, 2],
      [2, 2],
      [2, 3],
      [8, 7],
      [8, 8],
      [25, 80],
    ];
    expect([...dbscan(euclid(points), { radius: 3, least: 2 })]).toEqual([0, 0, 0, 1, 1, -1]);
  });

  test('the knee lies between distances inside of clusters and outside', () => {
    const points = [0, 0.1, 0.2, 0.3, 5, 5.1, 5.2, 5.3, 20, 40].map((at) => [at]);
    const radius = kneeRadius(euclid(points), 3);
    expect(radius).toBeGreaterThanOrEqual(0.2 - 1e-6);
    expect(radius).toBeLessThan(1);
    expect([...dbscan(euclid(points), { radius, least: 3 })]).toEqual([
      0, 0, 0, 0, 1, 1, 1, 1, -1, -1,
    ]);
  });
});

describe('average linkage', () => {
  test('heights of scipy’s documentation of average', () => {
    const corners = [
      [0, 0],
      [0, 1],
      [1, 0],
      [0, 4],
      [0, 3],
      [1, 4],
      [4, 0],
      [3, 0],
      [4, 1],
      [4, 4],
      [3, 4],
      [4, 3],
    ];
    const heights = agglomerate(euclid(corners)).map(({ height }) => height);
    const expected = [
      1, 1, 1, 1, 1.20710678, 1.20710678, 1.20710678, 1.20710678, 3.39675184, 3.39675184,
      4.09206523,
    ];
    heights.forEach((height, i) => {
      expect(height).toBeCloseTo(expected[i]!, 5);
    });
  });

  test('merges as the plain way does: the closest two groups, again and again', () => {
    const places = fc.array(fc.array(fc.nat(1000), { minLength: 2, maxLength: 2 }), {
      minLength: 2,
      maxLength: 14,
    });
    fc.assert(
      fc.property(places, (points) => {
        const distances = euclid(points);
        const heights = agglomerate(distances).map(({ height }) => height);
        plainHeights(distances).forEach((height, i) => {
          expect(heights[i]).toBeCloseTo(height, 1);
        });
      }),
      { seed: 2, numRuns: 100 },
    );
  });
});

function plainHeights(distances: DistanceMatrix): number[] {
  const groups = Array.from({ length: distances.size }, (_, i) => [i]);
  const heights: number[] = [];
  while (groups.length > 1) {
    let best = { i: 0, j: 1, height: Number.POSITIVE_INFINITY };
    for (let i = 0; i < groups.length; i++) {
      for (let j = i + 1; j < groups.length; j++) {
        let sum = 0;
        for (const a of groups[i]!) for (const b of groups[j]!) sum += distances.at(a, b);
        const height = sum / (groups[i]!.length * groups[j]!.length);
        // Of equals the first, as far as rounding lets one say.
        if (height < best.height) best = { i, j, height };
      }
    }
    heights.push(best.height);
    groups[best.i]!.push(...groups[best.j]!);
    groups.splice(best.j, 1);
  }
  return heights;
}

describe('clusters', () => {
  const points = [[0], [0.01], [0.02], [0.1], [0.11], [0.12], [0.5]];

  test('have members, medoid and silhouette; loners are in none', () => {
    for (const method of clusterMethods) {
      const { clusters, clusterOf } = makeClusters(euclid(points), {
        method,
        radius: 0.015,
        least: 2,
      });
      expect([...clusterOf]).toEqual([0, 0, 0, 1, 1, 1, -1]);
      expect(clusters.map(({ medoid }) => medoid)).toEqual([1, 4]);
      // Of 0: a = 1.5, b = 11; of 1: a = 1, b = 10; of 2: a = 1.5, b = 9. By hand.
      expect(clusters[0]!.silhouette).toBeCloseTo((9.5 / 11 + 9 / 10 + 7.5 / 9) / 3, 5);
    }
  });

  test('of nearest neighbours have a scale of their own, and skip parts of the same thing', () => {
    const dense = [[0], [0.1], [0.2]];
    const sparse = [[100], [130], [155]];
    const distances = euclid([...dense, ...sparse].map(([x]) => [x! / 1000]));
    expect([...nearestClusters(distances)]).toEqual([0, 0, 0, 1, 1, 1]);
    // Two slices of one trace lie side by side; each goes to another trace.
    const parts = euclid([[0], [0.01], [0.5], [0.51], [0.02], [0.52]]);
    const traces = ['a', 'a', 'b', 'b', 'c', 'd'];
    expect([...nearestClusters(parts, (item) => traces[item])]).toEqual([0, 0, 1, 1, 0, 1]);
  });

  test('of nearest neighbours leave alone what has nothing in common with others', () => {
    const apart = DistanceMatrix.from(4, (i, j) => (i + j === 1 ? 0.2 : 1));
    expect([...nearestClusters(apart)]).toEqual([0, 0, -1, -1]);
    expect([...nearestClusters(new DistanceMatrix(3), () => 'one trace')]).toEqual([-1, -1, -1]);
  });

  test('of nearest neighbours do not depend on the order of items', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.double({ min: 0, max: 0.9, noNaN: true }), {
          minLength: 2,
          maxLength: 12,
        }),
        (places) => {
          const forth = nearestClusters(euclid(places.map((x) => [x])));
          const back = nearestClusters(euclid(places.toReversed().map((x) => [x])));
          const alone = [...forth].filter((cluster) => cluster < 0).length;
          expect([...back].filter((cluster) => cluster < 0).length).toBe(alone);
          expect(new Set(back).size).toBe(new Set(forth).size);
        },
      ),
      { seed: 1 },
    );
  });

  test('one item, and none', () => {
    for (const size of [0, 1, 2]) {
      const { clusters } = makeClusters(new DistanceMatrix(size), {
        method: 'average',
        radius: undefined,
        least: 3,
      });
      expect(clusters.length).toBeLessThanOrEqual(1);
    }
  });

  test('are described by what most members have and few others', () => {
    const names = new Map([
      [1, 'libc!exit'],
      [2, 'tool!main'],
      [3, 'libc!system'],
    ]);
    const item = (...ids: number[]) => ({
      functions: { ids: Int32Array.from(ids), counts: new Int32Array(ids.length).fill(1) },
    });
    const terms = [item(1, 2), item(1, 2), item(2), item(2, 3)];
    const { functions, modules } = traitsOf([0, 1], terms, names);
    expect(functions).toEqual([
      { name: 'libc!exit', inside: 1, outside: 0 },
      { name: 'tool!main', inside: 1, outside: 1 },
    ]);
    expect(modules.map(({ name }) => name)).toEqual(['libc', 'tool']);
  });
});
