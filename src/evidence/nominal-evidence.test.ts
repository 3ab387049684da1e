import { describe, expect, test } from 'vitest';
import { NominalEvidence, type OddPlace } from './nominal-evidence.ts';

const place: OddPlace = { kind: 'return-mismatch', site: 'program+10', target: 'program+20' };
const other: OddPlace = { ...place, target: 'program+30' };

/** @returns evidence of so many runs, of which some hold it at `place` */
function nominal(runs: number, holding: number): NominalEvidence {
  const evidence = new NominalEvidence();
  for (let i = 0; i < runs; i++) evidence.add(i < holding ? [place, place] : []);
  return evidence;
}

describe('evidence of nominal runs', () => {
  test.each([
    [4, 0, false],
    [4, 1, true],
    [28, 1, true],
    [29, 1, false],
    [45, 1, false],
    [45, 2, true],
    [266, 12, false],
    [266, 13, true],
  ])('of %d runs %d hold it: usual is %s', (runs, holding, isUsual) => {
    expect(nominal(runs, holding).isUsual(place)).toBe(isUsual);
    expect(nominal(runs, holding).runsWith(place)).toBe(holding);
  });

  test('says nothing about other places and kinds', () => {
    const evidence = nominal(4, 4);
    expect(evidence.isUsual(other)).toBe(false);
    expect(evidence.isUsual({ ...place, kind: 'mid-instruction' })).toBe(false);
  });

  test('a run that was counted is judged without itself', () => {
    expect(nominal(4, 1).isUsual(place, true)).toBe(false);
    expect(nominal(4, 2).isUsual(place, true)).toBe(true);
  });

  test('is the same after JSON, and refuses what is none', () => {
    const again = NominalEvidence.from(JSON.parse(JSON.stringify(nominal(45, 2))));
    expect(again?.runs).toBe(45);
    expect(again?.runsHolding).toBe(2);
    expect(again?.mostFrequent()).toEqual({
      place: 'return-mismatch program+10 program+20',
      runs: 2,
    });
    expect(again?.isUsual(place)).toBe(true);
    for (const bad of [
      undefined,
      null,
      7,
      {},
      { runs: -1, runsHolding: 0, places: {} },
      { runs: 1, runsHolding: 2, places: {} },
      { runs: 1, runsHolding: 1, places: { a: 2 } },
    ]) {
      expect(NominalEvidence.from(bad)).toBeUndefined();
    }
  });
});
