import { expect, test } from 'vitest';
import { Random } from '../../base/random.ts';
import { targetSorts } from '../../evidence/transfer-code.ts';
import { atScale, PlaceScales } from './place-scales.ts';

const sortOf = (name: (typeof targetSorts)[number]): number => targetSorts.indexOf(name);

/** Of targets that histories knew. */
function chancesOf(chances: readonly number[]) {
  const chance = Float32Array.from(chances);
  return { chance, choice: chance };
}

/** A run of [instruction, nats] pairs, whose targets are of one sort. */
function runOf(events: readonly (readonly [number, number])[], sort = sortOf('taken')) {
  return [
    Int32Array.from(events, ([site]) => site),
    { sort: new Uint8Array(events.length).fill(sort) },
    chancesOf(events.map(([, nats]) => Math.exp(-nats))),
  ] as const;
}

test('half of the runs reach the median, and the others go beyond it', () => {
  const scales = new PlaceScales();
  const five = (nats: number): readonly [number, number] => [5, nats];
  // The largest of a run counts.
  scales.add(...runOf([five(1), five(3)]));
  scales.add(...runOf([five(11)]));
  scales.add(...runOf([five(2), [6, 30]]));
  const { all } = scales;
  expect(all.get(5)).toEqual({ median: expect.closeTo(3, 5), excess: expect.closeTo(10 / 3, 5) });
  // Two runs were not surprised there at all.
  expect(all.get(6)).toEqual({ median: 0, excess: expect.closeTo(32 / 3, 5) });
  expect(atScale(Math.exp(-13), Math.exp(-13), all.get(5))).toBeCloseTo(3, 5);
  expect(atScale(Math.exp(-2), Math.exp(-2), all.get(5))).toBe(0);
  expect(atScale(Math.exp(-13), Math.exp(-13), all.get(7))).toBeCloseTo(13, 5);
});

test('what sort a new target is of counts in full, however odd its place is', () => {
  const scales = new PlaceScales();
  for (let run = 0; run < 4; run++) scales.add(...runOf([[5, 20]]));
  const scale = scales.all.get(5)!;
  expect(scale.median).toBeCloseTo(20, 5);
  // A new target is as usual there as any surprise; one that no code means is not.
  expect(atScale(Math.exp(-21), Math.exp(-20), scale)).toBeCloseTo(1, 5);
  expect(atScale(Math.exp(-30), Math.exp(-20), scale)).toBeCloseTo(10, 5);
  expect(atScale(Math.exp(-30), Math.exp(-30), scale)).toBeCloseTo(10 / scale.excess, 5);
});

test('of busy places with right probabilities is what the model claims, beyond the median', () => {
  const random = new Random(4);
  const scales = new PlaceScales();
  for (let run = 0; run < 300; run++) {
    scales.add(
      ...runOf(Array.from({ length: 200 }, () => [5, -Math.log(1 - random.uniform())] as const)),
    );
  }
  const { median = 0, excess = 0 } = scales.all.get(5) ?? {};
  expect(median).toBeCloseTo(Math.log(200 / Math.LN2), 0);
  expect(excess).toBeLessThan(1.4);
});

test('an instruction that is not known, or bounded by the code, is as the model claims', () => {
  const scales = new PlaceScales();
  const unknown = runOf([[-1, 20]]);
  const own = scales.add(...unknown);
  scales.add(...runOf([[5, 20]], sortOf('named')));
  expect(scales.all.size).toBe(0);
  expect(scales.without(own, unknown[0], unknown[2])[0]).toBeCloseTo(20, 5);
});

test('without a run they are what the others give alone', () => {
  const random = new Random(3);
  for (let round = 0; round < 30; round++) {
    const runs = Array.from({ length: 5 }, () =>
      runOf(Array.from({ length: 6 }, () => [random.below(4), 12 * random.uniform()] as const)),
    );
    const all = new PlaceScales();
    const added = runs.map((run) => all.add(...run));
    for (const [out, own] of added.entries()) {
      const others = new PlaceScales();
      for (const run of runs.filter((_, i) => i !== out)) others.add(...run);
      const [sites, , judgements] = runs[out]!;
      const found = all.without(own, sites, judgements);
      sites.forEach((site, event) => {
        const chance = judgements.chance[event]!;
        const expected = atScale(chance, chance, others.all.get(site));
        expect(found[event]).toBeCloseTo(expected, 4);
      });
    }
  }
});
