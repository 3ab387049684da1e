import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Candidate, chooseSets, withoutDuplicates } from './choose-sets.ts';

const samples = (nominal: number, anomalous: number): Candidate[] => [
  ...Array.from({ length: nominal }, (_, i) => ({
    directory: `/n${i}`,
    label: 'nominal' as const,
  })),
  ...Array.from({ length: anomalous }, (_, i) => ({
    directory: `/a${i}`,
    label: 'anomalous' as const,
  })),
];

describe('chooseSets', () => {
  test('puts every sample into one set at most, with the sizes asked for', () => {
    const size = fc.nat(6);
    fc.assert(
      fc.property(
        size,
        size,
        size,
        fc.option(size, { nil: undefined }),
        fc.nat(),
        (a, b, c, d, seed) => {
          const sizes = { train: a, testNominal: b, testAnomalous: c, calibrate: d };
          const sets = chooseSets(samples(a + b + (d ?? 3), c), sizes, seed);
          const all = Object.values(sets).flat();
          expect(new Set(all).size).toBe(all.length);
          expect(sets.train.length).toBe(a);
          expect(sets.testNominal.length).toBe(b);
          expect(sets.testAnomalous.length).toBe(c);
          expect(sets.calibrate.length).toBe(d ?? 3);
          expect(sets.testAnomalous.every((path) => path.startsWith('/a'))).toBe(true);
        },
      ),
      { seed: 1 },
    );
  });

  test('where nobody says how many, takes what serves best', () => {
    const nothing = {
      train: undefined,
      testNominal: 0,
      testAnomalous: undefined,
      calibrate: undefined,
    };
    const numbers = (nominal: number, more: object = {}): readonly number[] => {
      const { train, calibrate, testNominal, testAnomalous } = chooseSets(
        samples(nominal, 3),
        { ...nothing, ...more },
        1,
      );
      return [train, calibrate, testNominal, testAnomalous].map(({ length }) => length);
    };
    // A rate of 5 % takes 19 that calibrate; half where there are not enough for both.
    expect(numbers(100)).toEqual([67, 33, 0, 3]);
    expect(numbers(50)).toEqual([30, 20, 0, 3]);
    expect(numbers(20)).toEqual([10, 10, 0, 3]);
    expect(numbers(1)).toEqual([1, 0, 0, 3]);
    expect(numbers(50, { testNominal: 10 })).toEqual([20, 20, 10, 3]);
    expect(numbers(50, { calibrate: 5 })).toEqual([45, 5, 0, 3]);
    expect(numbers(50, { train: 12 })).toEqual([12, 38, 0, 3]);
    // Each trains and calibrates, where the model can tell.
    expect(numbers(50, { trainingCalibrates: true })).toEqual([50, 0, 0, 3]);
    expect(numbers(50, { trainingCalibrates: true, testNominal: 10 })).toEqual([40, 0, 10, 3]);
    expect(() => numbers(0)).toThrow('1 benign ones are asked for, 0 are there');
  });

  test('depends on the seed, not on the order of the samples', () => {
    const sizes = { train: 8, testNominal: 4, testAnomalous: 2, calibrate: undefined };
    const listed = samples(30, 5);
    const sets = chooseSets(listed, sizes, 1);
    expect(chooseSets([...listed].reverse(), sizes, 1)).toEqual(sets);
    expect(chooseSets(listed, sizes, 2)).not.toEqual(sets);
  });

  test('names everything that is too small at once', () => {
    const sizes = { train: 8, testNominal: 2, testAnomalous: 2, calibrate: 1 };
    expect(() => chooseSets(samples(10, 1), sizes, 1)).toThrow(
      'too few samples: 11 benign ones are asked for, 10 are there; 2 malicious ones are asked for, 1 are there',
    );
  });

  test('spreads families over the sets in proportion', () => {
    const listed = samples(60, 30).map((sample, i) => ({ ...sample, family: `f${i % 3}` }));
    const sizes = { train: 30, testNominal: 15, testAnomalous: 15, calibrate: 15 };
    for (let seed = 0; seed < 20; seed++) {
      const sets = chooseSets(listed, sizes, seed);
      for (const list of Object.values(sets)) {
        for (const family of ['f0', 'f1', 'f2']) {
          const inside = listed.filter(
            (one) => one.family === family && list.includes(one.directory),
          );
          expect(Math.abs(inside.length - list.length / 3)).toBeLessThanOrEqual(2);
        }
      }
    }
  });
});

describe('withoutDuplicates', () => {
  test('keeps one of each trace, the nominal one first, and names the others', () => {
    const listed: Candidate[] = [
      { directory: '/a', label: 'anomalous', content: 'x' },
      { directory: '/c', label: 'nominal', content: 'x' },
      { directory: '/b', label: 'nominal', content: 'x' },
      { directory: '/d', label: 'nominal', content: 'y' },
      { directory: '/e', label: 'nominal' },
      { directory: '/f', label: 'nominal' },
    ];
    const { unique, duplicates } = withoutDuplicates(listed);
    expect(unique.map(({ directory }) => directory)).toEqual(['/b', '/d', '/e', '/f']);
    expect(duplicates).toEqual([
      { directory: '/c', of: '/b' },
      { directory: '/a', of: '/b' },
    ]);
  });
});
