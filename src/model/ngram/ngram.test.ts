import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../base/errors.ts';
import { seal, sealJson, unseal, unsealJson } from '../../base/files/sealed.ts';
import { silentLogger } from '../../base/log.ts';
import { Random } from '../../base/random.ts';
import type { WindowSet } from '../../sequences/windows.ts';
import { Calibration } from '../calibration.ts';
import { Ngram } from './ngram.ts';
import { NgramPredictor } from './predictor.ts';
import { type Discounts, type Smoothing, smoothTree } from './smoothing.ts';
import { NgramReader, NgramTable } from './table.ts';
import { growTree } from './tree.ts';

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

/** Windows of five symbols have contexts of these lengths. */
const lengths = [0, 1, 2, 3, 4, 5];
const classes = 6;

/** The published formulas, written down over lists of words: `c(context, target)` by level. */
function plainDistribution(
  set: WindowSet,
  smoothing: Smoothing,
  window: readonly number[],
  leaveOut?: number,
): number[] {
  const n = set.windowLength;
  const rows = Array.from({ length: set.length }, (_, i) => ({
    symbols: [...set.symbols.subarray(i * n, (i + 1) * n)],
    target: set.targets[i],
    count: set.counts[i],
  }));
  const kept = rows.filter((_, i) => i !== leaveOut);
  const counts = plainCounts(kept, smoothing);
  // Discounts and the distribution without context do not change when a window is left out.
  const all = plainCounts(rows, smoothing);
  let p = new Array<number>(classes).fill(1 / classes);
  for (const length of lengths) {
    const own = (length === 0 ? all : counts)[length].get(window.slice(n - length).join());
    if (own === undefined) break;
    const before = p;
    const sum = [...own.values()].reduce((a, b) => a + b, 0);
    if (smoothing === 'witten-bell') {
      p = before.map((q, t) => ((own.get(t) ?? 0) + own.size * q) / (sum + own.size));
    } else {
      const d = plainDiscounts([...all[length].values()].flatMap((map) => [...map.values()]));
      const discount = (c: number): number => (c === 0 ? 0 : d[Math.min(c, 3) - 1]);
      const gamma = [...own.values()].reduce((a, c) => a + discount(c), 0) / sum;
      p = before.map((q, t) => {
        const c = own.get(t) ?? 0;
        return (c - discount(c)) / sum + gamma * q;
      });
    }
  }
  return p;
}

type Counts = Map<string, Map<number, number>>;

function plainCounts(
  rows: readonly { symbols: number[]; target: number; count: number }[],
  smoothing: Smoothing,
): Counts[] {
  return lengths.map((length) => {
    const counts: Counts = new Map();
    const seen = new Set<string>();
    for (const { symbols, target, count } of rows) {
      const key = symbols.slice(symbols.length - length).join();
      const own = counts.get(key) ?? new Map<number, number>();
      counts.set(key, own);
      let amount = smoothing === 'witten-bell' ? Math.sqrt(count) : count;
      if (smoothing === 'kneser-ney' && length < symbols.length) {
        // How many different symbols stand before the context when the target follows.
        const longer = `${symbols.slice(symbols.length - length - 1).join()}>${target}`;
        amount = seen.has(longer) ? 0 : 1;
        seen.add(longer);
      }
      own.set(target, (own.get(target) ?? 0) + amount);
    }
    return counts;
  });
}

function plainDiscounts(counts: readonly number[]): number[] {
  const n = (k: number): number => counts.filter((count) => count === k).length;
  const y = n(1) / (n(1) + 2 * n(2));
  return [1, 2, 3].map((k) => {
    const discount = k - ((k + 1) * y * n(k + 1)) / n(k);
    return discount > 0 && discount <= k ? discount : k / 2;
  });
}

const row = fc
  .array(fc.nat(2), { minLength: 5, maxLength: 5 })
  .chain((symbols) => fc.nat(classes - 2).map((t) => [...symbols, t]));
const rows = fc.uniqueArray(row, { minLength: 1, maxLength: 40, selector: (r) => r.join() });
const counts = fc.infiniteStream(fc.integer({ min: 1, max: 6 }));
/** All lengths, so that the plain version needs no notion of those left out. */
const tableOf = (set: WindowSet, smoothing: Smoothing): NgramTable => {
  const counting = smoothing === 'kneser-ney' ? 'continuations' : 'occurrences';
  const weight = smoothing === 'witten-bell' ? Math.sqrt : (count: number) => count;
  const tree = growTree(set, classes, { lengths: lengths.slice(1), counting, weight });
  const code = NgramTable.fit(set, classes, { smoothing }).parts.settings;
  return new NgramTable({ ...tree, settings: code });
};

describe.each(['witten-bell', 'kneser-ney'] as const)('%s', (smoothing) => {
  test('gives the probabilities of the formula, which sum to 1', () => {
    fc.assert(
      fc.property(rows, row, counts, (training, probe, weights) => {
        const set = setOf(training, [...weights.take(training.length)]);
        const table = tableOf(set, smoothing);
        const reader = new NgramReader(table);
        const window = probe.slice(0, 5);
        reader.read(Int32Array.from(window), 5);
        const expected = plainDistribution(set, smoothing, window);
        expect(expected.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 9);
        const logits = new Float32Array(classes);
        reader.writeLogits(logits, 0);
        const probes = setOf(Array.from({ length: classes }, (_, target) => [...window, target]));
        const predictions = predictionsOf(table, probes);
        for (let target = 0; target < classes; target++) {
          expect(reader.probability(target)).toBeCloseTo(expected[target], 5);
          expect(Math.exp(logits[target])).toBeCloseTo(expected[target], 5);
          expect(predictions.targetProbability[target]).toBeCloseTo(expected[target], 5);
          expect(predictions.confidence[target]).toBeCloseTo(Math.max(...expected), 5);
          expect(expected[predictions.predicted[target]]).toBeCloseTo(Math.max(...expected), 5);
          const above = expected.filter((p) => p > expected[target] + 1e-6).length;
          const atLeast = expected.filter((p) => p > expected[target] - 1e-6).length;
          expect(predictions.targetRank[target]).toBeGreaterThanOrEqual(above);
          expect(predictions.targetRank[target]).toBeLessThan(atLeast);
          // Of equal classes one is the prediction, not all of them.
          const isPredicted = predictions.predicted[target] === target;
          expect(predictions.targetRank[target] === 0).toBe(isPredicted);
        }
        expect(predictions.targetProbability.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5);
      }),
      { numRuns: 300, seed: 1 },
    );
  });

  test('leaves a training window out as if it had not been there', () => {
    fc.assert(
      fc.property(rows, counts, (training, weights) => {
        const set = setOf(training, [...weights.take(training.length)]);
        const table = tableOf(set, smoothing);
        const reader = new NgramReader(table);
        training.forEach((own, index) => {
          const window = own.slice(0, 5);
          reader.read(Int32Array.from(window), 5, own[5], table.weightOf(set.counts[index]));
          const expected = plainDistribution(set, smoothing, window, index);
          for (let target = 0; target < classes; target++) {
            expect(reader.probability(target)).toBeCloseTo(expected[target], 4);
          }
        });
      }),
      { numRuns: 100, seed: 2 },
    );
  });
});

function predictionsOf(table: NgramTable, windows: WindowSet) {
  const predictions = {
    predicted: new Int32Array(windows.length),
    confidence: new Float32Array(windows.length),
    targetProbability: new Float32Array(windows.length),
    targetRank: new Int32Array(windows.length),
  };
  new NgramPredictor(table, (c) => c).predict(windows, 0, windows.length, predictions);
  return predictions;
}

// Expected scores of NLTK 3.9's KneserNeyInterpolated(order=3, discount=0.75), as its own tests
// (nltk/test/unit/lm/test_models.py) derive them on this text; its e and g are unknown words.
test('Kneser-Ney agrees with the worked example of NLTK', () => {
  const words = ['<UNK>', 'a', 'b', 'c', 'd', 'z', '<s>', '</s>'];
  const trigrams = [
    '<s> <s> a b c d </s> </s>',
    '<s> <s> <UNK> <UNK> a d b <UNK> </s> </s>',
  ].flatMap((sentence) => {
    const ids = sentence.split(' ').map((word) => words.indexOf(word));
    return ids.slice(2).map((_, i) => ids.slice(i, i + 3));
  });
  const tree = growTree(setOf(trigrams), words.length, {
    lengths: [1, 2],
    counting: 'continuations',
    weight: (count) => count,
  });
  const same: Discounts = [0.75, 0.75, 0.75];
  const { probabilities, backoffs } = smoothTree(
    tree,
    { discounts: [[0, 0, 0], same, same], perKind: 0 },
    words.length,
  );
  const entryOf = (level: number, target: string): number => {
    const first = tree.starts[tree.levels[level]];
    const last = tree.starts[tree.levels[level + 1]];
    const found = tree.targets.subarray(first, last).indexOf(words.indexOf(target));
    return first + found;
  };
  // c follows b alone, and a b alone. NLTK counts 14 kinds of bigrams; the pair of two starts, which
  // is the end of no trigram, is no context here.
  const c = probabilities[entryOf(0, 'c')];
  expect(c).toBeCloseTo(1 / 13, 12);
  expect(probabilities[entryOf(1, 'c')]).toBeCloseTo(0.125 + 0.75 * c, 12);
  expect(probabilities[entryOf(2, 'c')]).toBeCloseTo(0.25 + 0.75 * (0.125 + 0.75 * c), 12);
  expect(backoffs[tree.parents[tree.parents.length - 1]]).toBeGreaterThan(0);
});

describe('the n-gram model', () => {
  const random = new Random(3);
  const training = Array.from({ length: 400 }, () => {
    const symbols = Array.from({ length: 5 }, () => random.below(8));
    return [...symbols, (symbols[4] * 2 + symbols[3]) % classes];
  });
  const set = setOf(training);
  const model = Ngram.fit(set, 8, classes).calibrated(
    new Calibration([
      [0.2, 0.1],
      [0.9, 0.95],
    ]),
  );

  test('without smoothing, targets are drawn by weight, and all are equal after a new window', async () => {
    const rote = setOf(
      [
        [1, 2, 3],
        [1, 2, 4],
        [2, 2, 3],
      ],
      [3, 1, 1],
    );
    const known: number[] = [];
    const unknown: number[] = [];
    for (let seed = 0; seed < 2000; seed++) {
      const layer = Ngram.fit(rote, 3, classes, { smoothing: 'none', seed });
      const probes = setOf([
        [1, 2, 4],
        [1, 1, 4],
      ]);
      const { predicted, confidence, targetProbability } = await layer.predict(probes, context);
      known.push(predicted[0]);
      unknown.push(predicted[1]);
      expect(confidence[0]).toBe(predicted[0] === 3 ? 0.75 : 0.25);
      expect(targetProbability[0]).toBe(0.25);
      expect(confidence[1]).toBeCloseTo(1 / classes, 6);
    }
    const share = (list: number[], value: number): number =>
      list.filter((item) => item === value).length / list.length;
    // Four standard deviations of 2,000 draws.
    expect(Math.abs(share(known, 3) - 0.75)).toBeLessThan(0.039);
    expect(share(known, 3) + share(known, 4)).toBe(1);
    for (let target = 0; target < classes; target++) {
      expect(Math.abs(share(unknown, target) - 1 / classes)).toBeLessThan(0.034);
    }
  });

  test('an order cuts contexts: what lies before them does not matter', async () => {
    const short = Ngram.fit(set, 8, classes, { order: 2 });
    const changed = setOf(training.map(([, , , ...rest]) => [7, 7, 7, ...rest]));
    expect(await short.predict(changed, context)).toEqual(await short.predict(set, context));
    const whole = await model.predict(set, context);
    expect(await model.predict(changed, context)).not.toEqual(whole);
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
    const whole = unseal(readFileSync(path), path);
    let refused = 0;
    for (let round = 0; round < 400; round++) {
      const bytes = Buffer.from(whole);
      const cut = random.below(4) === 0 ? random.below(bytes.length) : bytes.length;
      for (let i = 0; i < 1 + random.below(4); i++) {
        // Half of the damage strikes the header and the small arrays behind it.
        const range = random.below(2) === 0 ? 128 : bytes.length;
        bytes[random.below(range)] = random.below(256);
      }
      // With a sum that is right, so that what reads the content has to find it.
      writeFileSync(path, seal(bytes.subarray(0, cut)));
      try {
        await (await Ngram.load(folder)).predict(set, context);
      } catch (error) {
        refused++;
        expect(error).toBeInstanceOf(UserError);
      }
    }
    expect(refused).toBeGreaterThan(390);
  });

  test('what a description may not say', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'wayward-'));
    await model.save(folder);
    const path = join(folder, 'model.json');
    const good = unsealJson(readFileSync(path, 'utf8'), path);
    const bad: [object, RegExp][] = [
      [{}, /describes no n-gram model/],
      [{ ...good, schemaVersion: 1 }, /earlier version/],
      [{ ...good, windowLength: 4 }, /contexts of 5 symbols for windows of 4/],
      [{ ...good, outputClasses: 7 }, /6 classes where the model has 7/],
      [{ ...good, calibration: [[0.5, 2]] }, /describes no n-gram model/],
      [{ ...good, calibration: [[0.5, 0.5]] }, /not the one/],
      [{ ...good, fingerprint: '00' }, /not the one/],
    ];
    for (const [description, message] of bad) {
      writeFileSync(path, sealJson(description));
      await expect(Ngram.load(folder)).rejects.toThrow(message);
    }
    writeFileSync(path, '{');
    await expect(Ngram.load(folder)).rejects.toThrow(/no JSON/);
  });
});
