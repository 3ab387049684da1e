import fc from 'fast-check';
import { expect, test } from 'vitest';
import { seal, sealJson, unseal, unsealJson } from './sealed.ts';

const flip = (bytes: Uint8Array, bit: number): Buffer => {
  const copy = Buffer.from(bytes);
  copy[bit >> 3] ^= 1 << (bit & 7);
  return copy;
};

test('bytes come back, in however many parts they were given', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 4 }), (parts) => {
      expect(unseal(seal(...parts), 'f').equals(Buffer.concat(parts))).toBe(true);
    }),
    { seed: 1 },
  );
});

/** Node 22 sets a running sum to 0 for the bytes of an array that never had any; the package is checked with it. */
test('a part without bytes changes nothing', () => {
  const empty = new Uint8Array(new Int32Array(0).buffer);
  expect(unseal(seal(Buffer.from('abc'), empty), 'f').toString()).toBe('abc');
});

test('every flipped bit and every cut of bytes is found', () => {
  const sealed = seal(Buffer.from('0123456789abcdef'));
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    expect(() => unseal(flip(sealed, bit), 'f'), `bit ${bit}`).toThrow(/^f: /);
  }
  for (let length = 0; length < sealed.length; length++) {
    expect(() => unseal(sealed.subarray(0, length), 'f'), `${length} bytes`).toThrow(/^f: /);
  }
});

test('JSON comes back whatever its members and its indentation', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
      const { sum: _, ...expected } = JSON.parse(JSON.stringify(value));
      expect(unsealJson(sealJson(expected), 'f')).toEqual(expected);
      expect(unsealJson(sealJson(expected, 2), 'f')).toEqual(expected);
    }),
    { seed: 2 },
  );
});

test('no flipped bit of JSON gives another value', () => {
  const value = { name: 'a', share: 0.125, list: [1, 2, { deep: true }], none: null };
  const text = Buffer.from(sealJson(value, 2));
  let found = 0;
  for (let bit = 0; bit < text.length * 8; bit++) {
    try {
      expect(unsealJson(flip(text, bit).toString('utf8'), 'f'), `bit ${bit}`).toEqual(value);
    } catch (error) {
      expect(error, `bit ${bit}`).toMatchObject({ code: 'file-damaged' });
      found++;
    }
  }
  // The others turn white space between members into other white space.
  expect(found).toBeGreaterThan(text.length * 7);
});

test('a file without a sum, and one that is none, say so', () => {
  expect(() => unsealJson('{"a":1}', 'run.json')).toThrow('run.json: has no checksum');
  expect(() => unsealJson('[]', 'f')).toThrow('f: is no JSON object');
  expect(() => unsealJson('{"a":', 'f', 'line 3')).toThrow('f: line 3: is cut off or damaged');
});
