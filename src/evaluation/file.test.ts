import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { exampleEvaluation, withHistories } from '../../test/example-evaluation.ts';
import { Damage } from '../base/bytes/byte-reader.ts';
import type { Evaluation } from './evaluation.ts';
import {
  decodeEvaluation,
  decodeSummary,
  encodeEvaluation,
  evaluationFileName,
  unpack,
  writeEvaluation,
} from './file.ts';
import { readEvaluations } from './folder.ts';
import { decodeTextEvaluation, writeTextEvaluation } from './text.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'wayward-'));
});
afterEach(() => rm(directory, { recursive: true }));

const features = { version: 3, values: { nll: 0.5, unknown: null } };
const rows = [
  { predicted: 3, actual: 3, confidence: 0.75 },
  { predicted: 5, actual: 300, confidence: 0.5, unseen: true },
];
const example = exampleEvaluation(rows, {
  occurrences: [0, 0, 1, 0],
  unknownRuns: [2, 3, 90, 1],
  sample: { name: 'böse <b>', family: 'rop', label: 'anomalous' },
  evidence: [
    {
      kind: 'return-mismatch',
      position: 7,
      traceOffset: 2 ** 40,
      expected: 4096,
      actual: -8192,
      nominal: { holding: 1, runs: 45 },
    },
    {
      kind: 'usual-oddity',
      position: 8,
      traceOffset: 2 ** 40,
      nominal: { holding: 2, runs: 45 },
    },
    { kind: 'unlikely-target', position: 9, traceOffset: 2 ** 40 + 1, weight: 7.25, count: 3 },
  ],
});

const evaluations = fc
  .array(
    fc.record({
      predicted: fc.nat(2 ** 31 - 1),
      actual: fc.nat(9000),
      confidence: fc.float({ min: 0, max: 1, noNaN: true }),
      unseen: fc.boolean(),
    }),
    { minLength: 1, maxLength: 20 },
  )
  .chain((list) =>
    fc
      .tuple(fc.array(fc.nat(list.length - 1), { maxLength: 60 }), fc.string())
      .map(([occurrences, name]) => exampleEvaluation(list, { occurrences, sample: { name } })),
  );

describe('evaluation file', () => {
  test('encoded and decoded, every field is there again', () => {
    const bytes = encodeEvaluation(example, features);
    expect(decodeEvaluation(bytes)).toEqual(example);
    const { sample, model } = example;
    expect(decodeSummary(bytes)).toEqual({ sample, model, features });
  });

  test('what histories tell is there again', () => {
    const told = withHistories(example, 3);
    expect(decodeEvaluation(encodeEvaluation(told, features))).toEqual(told);
    expect(decodeEvaluation(encodeEvaluation(example, features)).histories).toBeUndefined();
  });

  test('a sort, a place or a transfer that there is not is told', () => {
    const told = withHistories(example);
    const { histories } = told;
    const broken = [
      { ...histories!, sources: { ...histories!.sources, sort: new Uint8Array(2).fill(200) } },
      { ...histories!, places: { ...histories!.places, module: Int32Array.of(0, 5) } },
      { ...histories!, transfers: 4 },
      { ...histories!, ordinals: Int32Array.of(0, 10, 10, 20) },
    ];
    for (const wrong of broken) {
      const bytes = encodeEvaluation({ ...told, histories: wrong }, features);
      expect(() => decodeEvaluation(bytes)).toThrow(Damage);
    }
  });

  test('transfers by their fingerprints come back, and what is none is damage', () => {
    const places = { passedOver: [{ fingerprint: 'a+0x1>b+0x2', times: 3 }], worst: 'a+0x1>a+0x4' };
    const noted = { ...example, places };
    expect(decodeEvaluation(encodeEvaluation(noted, features)).places).toEqual(places);
    const none = { passedOver: [], worst: undefined };
    const bytes = encodeEvaluation({ ...example, places: none }, features);
    expect(decodeEvaluation(bytes).places).toEqual(none);
    for (const wrong of [{}, { passedOver: [{ times: 1 }] }, { passedOver: [], worst: 4 }]) {
      const damaged = encodeEvaluation({ ...example, places: wrong as typeof places }, features);
      expect(() => decodeEvaluation(damaged)).toThrow(Damage);
    }
  });

  test('round trip of any evaluation', () => {
    fc.assert(
      fc.property(evaluations, (evaluation) => {
        expect(decodeEvaluation(encodeEvaluation(evaluation, features))).toEqual(evaluation);
      }),
      { numRuns: 100, seed: 5 },
    );
  });

  test('the first bytes are as documented', () => {
    const bytes = encodeEvaluation(example, features);
    expect(Buffer.from(bytes.subarray(0, 10)).toString('hex')).toBe('5741594556414c000300');
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const metadata = JSON.parse(
      Buffer.from(bytes.subarray(14, 14 + view.getUint32(10, true))).toString(),
    );
    expect(metadata).toMatchObject({ predictions: 2, occurrences: 4, unknownRuns: 2, evidence: 3 });
  });

  test('written, read, and nothing else left behind', async () => {
    const path = await writeEvaluation(directory, example, features);
    expect(decodeEvaluation(await unpack(await readFile(path)))).toEqual(example);
    expect(await readdir(directory)).toEqual([`malicious-böse _b_-${crcOf('böse <b>')}.eval`]);
  });

  test('any single flipped bit and any cut is told', () => {
    const bytes = encodeEvaluation(example, features);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const broken = bytes.slice();
      broken[bit >> 3] ^= 1 << (bit & 7);
      expect(() => decodeEvaluation(broken)).toThrow(Damage);
    }
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeEvaluation(bytes.slice(0, length))).toThrow(Damage);
    }
  });

  test('bytes changed by someone who mends the checksum give an evaluation within bounds, or damage', () => {
    const bytes = encodeEvaluation(example, features);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(bytes.length - 5), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (changes) => {
          const forged = bytes.slice();
          for (const [offset, value] of changes) forged[offset] = value;
          const body = forged.subarray(0, -4);
          new DataView(forged.buffer).setUint32(body.length, crc32(body), true);
          let read: Evaluation;
          try {
            read = decodeEvaluation(forged);
          } catch (error) {
            expect(error).toBeInstanceOf(Damage);
            return;
          }
          expect(read.positions.length).toBe(read.occurrences.length);
          expect(read.occurrences.every((i) => i < read.predictions.length)).toBe(true);
          expect(read.positions.every((p, i) => p >= (read.positions[i - 1] ?? 0))).toBe(true);
          expect(read.predictions.confidence.every((c) => c >= 0 && c < 1.01)).toBe(true);
        },
      ),
      { numRuns: 2000, seed: 6 },
    );
  });

  test('counts that the bytes cannot hold allocate nothing', () => {
    const forged = Buffer.from(encodeEvaluation(example, features));
    const text = forged
      .toString('latin1')
      .replace('"occurrences":4', '"occurrences":9e9'.slice(0, 15));
    const bytes = Uint8Array.from(Buffer.from(text, 'latin1'));
    const body = bytes.subarray(0, -4);
    new DataView(bytes.buffer).setUint32(body.length, crc32(body), true);
    expect(() => decodeEvaluation(bytes)).toThrow(Damage);
  });

  test.each([
    ['nan confidence', { ...rows[0], confidence: Number.NaN }, 'confidence NaN'],
    ['confidence above one', { ...rows[0], confidence: 1.5 }, 'confidence 1.5'],
  ])('%s', (_, row, message) => {
    expect(() => decodeEvaluation(encodeEvaluation(exampleEvaluation([row]), features))).toThrow(
      message,
    );
  });
});

describe('file names', () => {
  const nameOf = (name: string): string => evaluationFileName({ ...example.sample, name });

  test('plain names stay', () => expect(nameOf('nom 001.pdf')).toBe('malicious-nom 001.pdf'));

  test.each(['../../etc/passwd', 'a\\b', 'x\0y', '\ud83d\ude00'.repeat(3000), 'n'.repeat(10_000)])(
    'others become safe and stay apart',
    (name) => {
      const safe = nameOf(name);
      expect(safe).not.toMatch(/[/\\\0]/);
      expect(Buffer.byteLength(safe)).toBeLessThan(200);
      expect(safe).not.toBe(nameOf(`${name}2`));
      expect(Buffer.from(safe).toString()).toBe(safe);
    },
  );
});

describe('the ancestor’s text', () => {
  test('is written as it writes it', async () => {
    const path = await writeTextEvaluation(directory, example);
    expect(gunzipSync(await readFile(path)).toString()).toBe(
      '1,3,0.75,3\n1,3,0.75,3\n0,5,0.5,300\n1,3,0.75,3\n',
    );
  });

  test('is read, and says what it does not know', () => {
    const read = decodeTextEvaluation(
      Buffer.from('1,3,0.75,3\n0,5,0.5,300\n1,3,0.75,3\n'),
      'benign-a-b.gz',
    );
    expect(read.sample).toMatchObject({ name: 'a-b', label: 'nominal' });
    expect([...read.occurrences]).toEqual([0, 1, 0]);
    expect([...read.predictions.actualProbability]).toEqual([0.75, Number.NaN]);
  });

  test.each([
    ['', 'is empty'],
    ['\n\n', 'no predictions'],
    ['1,2,0.5', '3 fields'],
    ['1,2,0.5,2\n1,2,nan,2', 'prediction 2: a confidence'],
    ['1,2,0.5,3', 'contradicts'],
    ['1,-2,0.5,-2', 'no small integer'],
    ['<html>', '1 fields'],
  ])('%j is refused', (text, message) => {
    expect(() => decodeTextEvaluation(Buffer.from(text), 'benign-x.gz')).toThrow(message);
  });

  test('without a label in its name it is refused', () => {
    expect(() => decodeTextEvaluation(Buffer.from('1,2,0.5,2'), 'x.gz')).toThrow(
      'without "benign-"',
    );
  });
});

describe('a folder of evaluations', () => {
  test('keeps the good, names the damaged', async () => {
    const path = await writeEvaluation(directory, example, features);
    const whole = await readFile(path);
    await writeFile(join(directory, 'benign-cut.eval'), whole.subarray(0, whole.length - 9));
    await writeFile(join(directory, 'benign-empty.eval'), '');
    await writeFile(join(directory, 'benign-html.gz'), gzipSync('<html>'));
    await writeFile(join(directory, 'run.json'), '{}');
    const { evaluations: read, skipped, model } = await readEvaluations(directory);
    expect(read).toEqual([example]);
    expect(model).toBe('abc');
    expect(skipped.map(({ path, reason }) => [path.slice(directory.length), reason])).toEqual([
      ['/benign-cut.eval', expect.stringContaining('cut off or damaged')],
      ['/benign-empty.eval', 'is empty'],
      ['/benign-html.gz', 'prediction 1: 1 fields, not 4'],
    ]);
  });

  test('of two models is refused, and both are named', async () => {
    await writeEvaluation(directory, example, features);
    await writeEvaluation(directory, exampleEvaluation(rows, { model: 'def' }), features);
    await expect(readEvaluations(directory)).rejects.toThrow(
      /2 models .* 1 by model def .*benign-one\.eval.* 1 by model abc/,
    );
  });

  test('that does not exist is an error with its path', async () => {
    await expect(readEvaluations(join(directory, 'none'))).rejects.toThrow('none: cannot be read');
  });
});

function crcOf(name: string): string {
  return crc32(name).toString(16).padStart(8, '0');
}
