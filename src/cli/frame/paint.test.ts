import { styleText } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { paint, printable, printableLine } from './paint.ts';

const red = (text: string): string => styleText('red', text, { validateStream: false });
const hostile = [
  '\u001b[8m',
  '\u001b[45m',
  '\u001b[31m',
  '\u001b[2J',
  '\u009b0m',
  '\u001b]0;t\u0007',
];

test('our colours pass', () => {
  expect(printable(`a ${paint(red, 'b')} c`)).toBe('a \u001b[31mb\u001b[39m c');
});

test('a name with a line break does not begin a line, and our colours pass there, too', () => {
  const name = 'a\nnominal    p 1.000  b';
  expect(printableLine(`anomalous  ${paint(red, name)}`)).toBe(
    'anomalous  \u001b[31ma\\nnominal    p 1.000  b\u001b[39m',
  );
});

test.each(hostile)('%j in a text is shown, painted or not', (found) => {
  expect(printable(`a${found}b`)).not.toMatch(/\p{Cc}/u);
  for (const line of [paint(red, `a${found}b`), `${paint(red, 'x')}${found}`]) {
    const others = printable(line).replace('\u001b[31m', '').replace('\u001b[39m', '');
    expect(others).not.toMatch(/\p{Cc}/u);
    expect(others).toContain('\\u00');
  }
});

test('no text makes an escape, also when it is painted in the middle of others', () => {
  const text = fc.string({ unit: fc.constantFrom('\u001b', '[', '3', '1', 'm', '8', 'a') });
  fc.assert(
    fc.property(text, text, text, (before, inside, after) => {
      const shown = printable(before + paint(red, inside) + after);
      expect(shown.split('\u001b')).toHaveLength(3);
    }),
    { seed: 1 },
  );
});
