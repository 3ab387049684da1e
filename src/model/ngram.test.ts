import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UserError } from '../base/errors.ts';
import { silentLogger } from '../base/log.ts';
import { Random } from '../base/random.ts';
import type { WindowSet } from '../sequences/windows.ts';
import { Ngram } from './ngram.ts';
import { contextLengths, countWeight, NgramReader, NgramTable } from './ngram-table.ts';

const context = { log: silentLogger, progress: () => {} };

function setOf(rows: readonly (readonly number[])[], counts?: readonly number[]): WindowSet {
  const windowLength = rows[0].length - 1;
  return {
    length: rows.length,
    windowLength,
    symbols: Int32Array.from(rows.flatMap((row) => row.slice(0, -1))),
    targets: Int32Array.from(rows, (row) => row[windowLength]),
    counts: Float64Array.from(counts ?? rows.map(() => 1)),
  };
}

/** Witten and Bell's formula, written down: order by order, over lists. */
function wittenBell(
  set: WindowSet,
  classes: number,
  window: readonly number[],
  leaveOut = -1,
): number[] {
  const rows = Array.from({ length: set.length }, (_, i) => ({
    symbols: [...set.symbols.subarray(i * set.windowLength, (i + 1) * set.windowLength)],
    target: set.targets[i],
    weight: countWeight(set.counts[i]),
    index: i,
  }));
  const total = new Array<number>(classes).fill(0.5);
  for (const { target, weight } of rows) total[target] += weight;
  const sum = total.reduce((a, b) => a + b, 0);
  let p = total.map((count) => count / sum);
  for (const order of contextLengths) {
    if (order > set.windowLength) break;
    const same = rows.filter(
      (row) =>
        row.index !== leaveOut && row.symbols.slice(-order).join() === window.slice(-order).join(),
    );
    if (same.length === 0) break;
    const n = same.reduce((a, { weight }) => a + weight, 0);
    const kinds = new Set(same.map(({ target }) => target)).size;
    const own = (target: number): number =>
      same.filter((row) => row.target === target).reduce((a, { weight }) => a + weight, 0);
    p = p.map((before, target) => (own(target) + kinds * before) / (n + kinds));
  }
  return p;
}

const classes = 6;
const row = fc
  .array(fc.nat(2), { minLength: 5, maxLength: 5 })
  .chain((symbols) => fc.nat(classes - 1).map((t) => [...symbols, t]));
const rows = fc.uniqueArray(row, { minLength: 1, maxLength: 30, selector: (r) => r.join() });

describe('the n-gram table', () => {
  test('gives the probabilities of the formula, which sum to 1', () => {
    fc.assert(
      fc.property(
        rows,
        row,
        fc.infiniteStream(fc.integer({ min: 1, max: 50 })),
        (training, probe, counts) => {
          const set = setOf(training, [...counts.take(training.length)]);
          const reader = new NgramReader(NgramTable.fit(set, classes));
          const window = probe.slice(0, 5);
          reader.read(Int32Array.from(window), 5);
          const expected = wittenBell(set, classes, window);
          const logits = new Float32Array(classes);
          reader.writeLogits(logits, 0);
          for (let target = 0; target < classes; target++) {
            expect(reader.probability(target)).toBeCloseTo(expected[target], 5);
            expect(Math.exp(logits[target])).toBeCloseTo(expected[target], 5);
          }
          expect(expected.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 9);
        },
      ),
      { numRuns: 200, seed: 1 },
    );
  });

  test('leaves a training window out as if it had not been there', () => {
    fc.assert(
      fc.property(rows, (training) => {
        const set = setOf(training);
        const reader = new NgramReader(NgramTable.fit(set, classes));
        training.forEach((own, index) => {
          const window = own.slice(0, 5);
          reader.read(Int32Array.from(window), 5, own[5], 1);
          const expected = wittenBell(set, classes, window, index);
          for (let target = 0; target < classes; target++) {
            expect(reader.probability(target)).toBeCloseTo(expected[target], 4);
          }
        });
      }),
      { numRuns: 100, seed: 2 },
    );
  });
});

describe('the n-gram model', () => {
  const random = new Random(3);
  const training = Array.from({ length: 400 }, () => {
    const symbols = Array.from({ length: 5 }, () => random.below(8));
    return [...symbols, (symbols[4] * 2 + symbols[3]) % classes];
  });
  const set = setOf(training);
  const model = Ngram.fit(set, 8, classes);

  test('predicts the most probable target and ranks the true one', async () => {
    const predictions = await model.predict(set, context);
    for (let i = 0; i < set.length; i++) {
      const p = wittenBell(set, classes, training[i].slice(0, 5));
      expect(p[predictions.predicted[i]]).toBeCloseTo(Math.max(...p), 5);
      expect(predictions.confidence[i]).toBeCloseTo(Math.max(...p), 5);
      expect(predictions.targetProbability[i]).toBeCloseTo(p[set.targets[i]], 5);
      expect(predictions.targetRank[i] === 0).toBe(p[set.targets[i]] > Math.max(...p) - 1e-7);
    }
  });

  test('is saved and loaded whole', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'wayward-'));
    await model.save(folder);
    const loaded = await Ngram.load(folder);
    expect(loaded.fingerprint).toBe(model.fingerprint);
    expect(await loaded.predict(set, context)).toEqual(await model.predict(set, context));
  });

  test('damaged files are refused, never searched forever', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'wayward-'));
    await model.save(folder);
    const path = join(folder, 'ngram.bin');
    const whole = readFileSync(path);
    for (let round = 0; round < 300; round++) {
      const bytes = Buffer.from(whole);
      const cut = random.below(4) === 0 ? random.below(bytes.length) : bytes.length;
      for (let i = 0; i < 4; i++) bytes[random.below(bytes.length)] = random.below(256);
      writeFileSync(path, bytes.subarray(0, cut));
      try {
        await (await Ngram.load(folder)).predict(set, context);
      } catch (error) {
        expect(error).toBeInstanceOf(UserError);
      }
    }
  });
});
