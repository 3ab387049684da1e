import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MapText } from './map-text.ts';

const objects = (text: string): [number, string][] =>
  [...new MapText(text).objects()].map(({ line, text: piece }) => [line, piece]);

test('lines do not depend on how many bytes are decoded at once', () => {
  const words = fc.constantFrom('a', 'é', '\u{1f600}', '\n', '\r\n', ' ', 'longer words');
  fc.assert(
    fc.property(fc.array(words, { maxLength: 60 }), fc.integer({ min: 1, max: 40 }), (parts, n) => {
      const text = parts.join('');
      const expected = text.split(/\r?\n/);
      if (expected.at(-1) === '') expected.pop();
      const lines = [...new MapText(text, n).lines()];
      expect(lines.map((line) => line.text)).toEqual(expected);
      expect(lines.map((line) => line.line)).toEqual(expected.map((_, i) => i + 1));
    }),
    { seed: 1 },
  );
});

test('objects of an array, or one after the other, are given one by one with their lines', () => {
  fc.assert(
    fc.property(
      fc.array(fc.dictionary(fc.string(), fc.jsonValue())),
      fc.constantFrom(undefined, 2, '\t'),
      (values, indent) => {
        const array = objects(JSON.stringify(values, undefined, indent));
        expect(array.map(([, text]) => JSON.parse(text))).toEqual(
          values.map((value) => JSON.parse(JSON.stringify(value))),
        );
        const lines = values.map((value) => JSON.stringify(value));
        expect(objects(lines.join('\n'))).toEqual(lines.map((text, i) => [i + 1, text]));
      },
    ),
    { seed: 2 },
  );
  expect(objects('\n[\n {"a": "}\\""},\n\n {"b": {}}]\n')).toEqual([
    [3, '{"a": "}\\""}'],
    [5, '{"b": {}}'],
  ]);
});

test.each([
  ['[{"a": 1}, 2]', [1, '2]']],
  ['[{"a": 1}\n{"b": 2}]', [2, '{"b": 2}]']],
  ['[{"a": 1}] x', [1, 'x']],
  ['[{"a": 1}', [1, '']],
  ['[{"a": 1', [1, '{"a": 1']],
  ['[', [1, '']],
  ['{"a": 1}\nx', [2, 'x']],
])('%j ends in what is no object', (text, last) => {
  expect(objects(text).at(-1)).toEqual(last);
});
