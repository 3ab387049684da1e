import { describe, expect, test } from 'vitest';
import { Random } from '../../base/random.ts';
import { NeighbourIndex } from './neighbour-index.ts';
import type { TermCounts } from './slice-terms.ts';
import { cosine, type SparseVector, Vectorizer } from './sparse-vector.ts';

function termsOf(counts: Readonly<Record<number, number>>): TermCounts {
  return {
    ids: Int32Array.from(Object.keys(counts), Number),
    counts: Int32Array.from(Object.values(counts)),
  };
}

function plainNearest(vectors: readonly SparseVector[], query: SparseVector, k: number) {
  return vectors
    .map((vector, item) => ({ item, distance: 1 - cosine(query, vector) }))
    .sort((a, b) => a.distance - b.distance || a.item - b.item)
    .slice(0, k);
}

/** Few terms are common, most are rare, as functions are. */
function randomVectors(count: number, seed: number): SparseVector[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => {
    const ids = new Set(
      Array.from({ length: 1 + random.below(12) }, () => Math.floor(2000 * random.uniform() ** 4)),
    );
    const weights = Float32Array.from(ids, () => 0.1 + random.uniform());
    const length = Math.hypot(...weights);
    return { ids: Int32Array.from(ids).sort(), weights: weights.map((w) => w / length) };
  });
}

describe('nearest neighbours', () => {
  test('are those of comparing with every vector, long lists included', () => {
    // Lists longer than 4096 are where queries may stop early.
    const vectors = randomVectors(12_000, 1);
    const index = new NeighbourIndex(vectors);
    for (const query of randomVectors(20, 2)) {
      for (const k of [1, 5]) {
        const found = index.nearest(query, k);
        const plain = plainNearest(vectors, query, k);
        expect(found.length).toBe(k);
        found.forEach(({ item, distance }, i) => {
          expect(distance).toBeCloseTo(plain[i]!.distance, 5);
          // The distance that is told is the one between these two.
          expect(1 - cosine(query, vectors[item]!)).toBeCloseTo(distance, 5);
        });
      }
    }
  });

  test('leave out what is not wanted and what shares nothing', () => {
    const [a, b, c] = [[1], [1, 2], [3]].map((ids) => ({
      ids: Int32Array.from(ids),
      weights: new Float32Array(ids.length).fill(1 / Math.sqrt(ids.length)),
    })) as [SparseVector, SparseVector, SparseVector];
    const index = new NeighbourIndex([a, b, c]);
    expect(index.nearest(a, 5).map(({ item }) => item)).toEqual([0, 1]);
    expect(index.nearest(a, 5, (item) => item !== 0)).toEqual([
      { item: 1, distance: expect.closeTo(1 - Math.SQRT1_2, 6) },
    ]);
    // A query leaves nothing behind for the next one.
    expect(index.nearest(c, 5)).toEqual([{ item: 2, distance: 0 }]);
    expect(index.nearest({ ids: new Int32Array(0), weights: new Float32Array(0) }, 3)).toEqual([]);
    expect(new NeighbourIndex([]).nearest(a, 3)).toEqual([]);
  });
});

describe('vectors', () => {
  test('TF-IDF as scikit-learn’s TfidfTransformer(sublinear_tf=True)', () => {
    // The counts of the example in its user guide.
    const counts = [{ 0: 3, 2: 1 }, { 0: 2 }, { 0: 3 }, { 0: 4 }, { 0: 3, 1: 2 }, { 0: 3, 2: 2 }];
    const slices = counts.map((c) => ({ functions: termsOf(c) }));
    const vectorizer = new Vectorizer([['functions', 'tfidf']], slices);
    const expected = [
      [0.75062144, 0, 0.66073252],
      [1, 0, 0],
      [1, 0, 0],
      [1, 0, 0],
      [0.48205448, 0.87614124, 0],
      [0.55716945, 0, 0.83039882],
    ];
    slices.forEach((terms, i) => {
      const { ids, weights } = vectorizer.vector(terms);
      ids.forEach((id, at) => {
        expect(weights[at]).toBeCloseTo(expected[i]![id]!, 6);
      });
    });
  });

  test('give every part that has something the same weight', () => {
    const terms = {
      functions: termsOf({ 1: 5, 2: 5 }),
      evidence: termsOf({ 9: 1 }),
      transfers: termsOf({}),
    };
    const vector = new Vectorizer(
      [
        ['functions', 'presence'],
        ['evidence', 'presence'],
        ['transfers', 'presence'],
      ],
      [terms],
    ).vector(terms);
    expect([...vector.ids]).toEqual([1, 2, 9]);
    expect([...vector.weights]).toEqual([0.5, 0.5, Math.fround(Math.SQRT1_2)]);
  });
});
