import fc from 'fast-check';
import { expect, test } from 'vitest';
import { imagePlace } from './image-place.ts';

test('names stand as they are, but for what a list would misread', () => {
  expect(imagePlace('libc.so.6', 0x1f)).toBe('libc.so.6+0x1f');
  expect(imagePlace('syswow64\\ntdll.dll', 0)).toBe('syswow64\\ntdll.dll+0x0');
  expect(imagePlace('a b\n#c>%', 1)).toBe('a%20b%0a%23c%3e%25+0x1');
});

test('any name is one word, and no two are alike', () => {
  const name = fc.string({ unit: 'grapheme' });
  fc.assert(
    fc.property(name, name, (one, other) => {
      expect(imagePlace(one, 1)).toMatch(/^[^\s\p{C}>#]+$/u);
      expect(decodeURIComponent(imagePlace(one, 1))).toBe(`${one}+0x1`);
      if (one !== other) expect(imagePlace(one, 1)).not.toBe(imagePlace(other, 1));
    }),
    { seed: 1 },
  );
});
