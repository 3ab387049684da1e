import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fromLine, fromMapPath, toLine, toMapPath } from './line.ts';

test('a name is one line and comes back', () => {
  const name = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom('a', '\n', '\r', '"', '[', ']', ' ', '\\', '\t', '\u2028') }),
  );
  fc.assert(
    fc.property(name, (text) => {
      const line = toLine(text);
      expect(line).not.toMatch(/[\n\r]/);
      expect(fromLine(line)).toBe(text);
      expect(fromLine(`  ${line}\r`)).toBe(text);
    }),
    { numRuns: 2000, seed: 1 },
  );
});

test.each([
  ['plain name.pdf', 'plain name.pdf'],
  ['a\n[m_test]\nb', '"a\\n[m_test]\\nb"'],
  ['[b_train]', '"[b_train]"'],
  ['"quoted"', '"\\"quoted\\""'],
])('%j stands as %s', (name, line) => {
  expect(toLine(name)).toBe(line);
});

test('an entry of older tools that begins with a quotation mark is taken as it is', () => {
  expect(fromLine('"half')).toBe('"half');
});

test('paths of maps are as the kernel writes them', () => {
  expect(toMapPath('/tmp/a\nb c')).toBe('/tmp/a\\012b c');
  expect(fromMapPath('/tmp/a\\012b c')).toBe('/tmp/a\nb c');
});
