import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Damage } from '../../base/bytes/byte-reader.ts';
import { decodeSample, encodeSample, type SampleSlices } from './slice-record.ts';
import { termParts } from './slice-terms.ts';

const terms = fc
  .uniqueArray(fc.integer({ min: 0, max: 2 ** 31 - 1 }), { maxLength: 8 })
  .chain((ids) =>
    fc
      .array(fc.integer({ min: 1, max: 2 ** 31 - 1 }), {
        minLength: ids.length,
        maxLength: ids.length,
      })
      .map((counts) => ({
        ids: Int32Array.from(ids).sort(),
        counts: Int32Array.from(counts),
      })),
  );
const slice = fc
  .record({
    rank: fc.integer({ min: 1, max: 100 }),
    start: fc.nat(1e9),
    end: fc.nat(1e9),
    points: fc.nat(1000),
    terms: fc.dictionary(fc.constantFrom(...termParts), terms),
  })
  .map((s) => ({ ...s, end: s.start + s.end, terms: { ...s.terms } }));
const sample: fc.Arbitrary<SampleSlices> = fc.record({
  name: fc.string({ unit: 'grapheme' }),
  file: fc.string({ unit: 'grapheme' }),
  label: fc.constantFrom('nominal' as const, 'anomalous' as const),
  family: fc.option(fc.string(), { nil: undefined }),
  slices: fc.array(slice, { maxLength: 4 }),
});

/** A record with a right checksum around any description and terms. */
function recordOf(description: unknown, rest: readonly number[] = [], version = 1): Uint8Array {
  const text = Buffer.from(JSON.stringify(description) ?? 'nonsense');
  const body = Buffer.concat([
    Buffer.of(version, (text.length & 127) | 128, text.length >> 7),
    text,
    Buffer.from(rest),
  ]);
  const sum = Buffer.alloc(4);
  sum.writeUInt32LE(crc32(body));
  return Buffer.concat([body, sum]);
}

describe('the record of a sample', () => {
  test('comes back as it went', () => {
    fc.assert(
      fc.property(sample, (value) => {
        expect(decodeSample(encodeSample(value))).toEqual(value);
      }),
      { seed: 1, numRuns: 200 },
    );
  });

  test('cut off or changed anywhere is damage', () => {
    const whole = encodeSample(fc.sample(sample, { seed: 3, numRuns: 20 }).at(-1)!);
    for (let at = 0; at < whole.length; at++) {
      expect(() => decodeSample(whole.subarray(0, at))).toThrow(Damage);
      const flipped = whole.slice();
      flipped[at]! ^= 0x11;
      expect(() => decodeSample(flipped)).toThrow(Damage);
    }
  });

  test('any bytes are a record or damage', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.boolean(), (bytes, isSummed) => {
        const sum = Buffer.alloc(4);
        sum.writeUInt32LE(crc32(bytes));
        try {
          decodeSample(isSummed ? Buffer.concat([bytes, sum]) : bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(Damage);
        }
      }),
      { seed: 2, numRuns: 500 },
    );
  });

  const head = { name: 'a', file: 'b', label: 'anomalous', slices: [] };
  const one = (slice_: object): object => ({
    ...head,
    slices: [{ rank: 1, start: 0, end: 1, points: 0, parts: [], ...slice_ }],
  });
  test('the plainest one is read', () => {
    expect(
      decodeSample(recordOf(one({ parts: [['evidence', 2]] }), [3, 4, 1, 9])).slices[0]?.terms,
    ).toEqual({
      evidence: { ids: Int32Array.of(3, 7), counts: Int32Array.of(1, 9) },
    });
  });
  test.each([
    ['a later version', recordOf(head, [], 2)],
    ['null', recordOf(null)],
    ['a list', recordOf([])],
    ['no name', recordOf({ ...head, name: undefined })],
    ['a name that is a number', recordOf({ ...head, name: 5 })],
    ['another label', recordOf({ ...head, label: 'benign' })],
    ['a family that is none', recordOf({ ...head, family: 3 })],
    ['no slices', recordOf({ ...head, slices: undefined })],
    ['a slice that ends before it starts', recordOf(one({ start: 5, end: 4 }))],
    ['a start that is no whole number', recordOf(one({ start: 0.5 }))],
    ['points below 0', recordOf(one({ points: -1 }))],
    ['a part that there is not', recordOf(one({ parts: [['__proto__', 0]] }))],
    ['more terms than bytes', recordOf(one({ parts: [['blocks', 2 ** 40]] }))],
    ['a term twice', recordOf(one({ parts: [['blocks', 2]] }), [1, 0, 1, 1])],
    ['a term that does not occur', recordOf(one({ parts: [['blocks', 1]] }), [1, 0])],
    [
      'a term beyond 31 bits',
      recordOf(one({ parts: [['blocks', 2]] }), [255, 255, 255, 255, 7, 1, 1, 1]),
    ],
    ['bytes left over', recordOf(head, [1])],
  ])('%s is damage', (_, bytes) => {
    expect(() => decodeSample(bytes)).toThrow(Damage);
  });
});
