import { expect, test } from 'vitest';
import { fileName, flag, listOf, number, oneOf, optional, path, record, text } from './schema.ts';

const read = record({
  sample: path,
  name: optional(fileName),
  binDirs: listOf(path, 2),
  format: oneOf('a', 'b'),
  force: flag,
  seconds: number(0, 10),
});
const good = { sample: '/data/s', binDirs: ['/bin'], format: 'a', force: true, seconds: 1 };

test('what fits is taken as it is', () => {
  expect(read(good, 'options')).toEqual({ ...good, name: undefined });
  expect(read({ ...good, name: 'x.eval' }, 'options').name).toBe('x.eval');
});

test.each([
  [{ sample: 'data/s' }, 'options.sample must be an absolute path'],
  [{ sample: '/data/../etc' }, 'options.sample must be an absolute path'],
  [{ sample: '/data//s' }, 'options.sample'],
  [{ sample: '/data/s\0.gz' }, 'NUL'],
  [{ sample: `/${'x'.repeat(5000)}` }, 'options.sample'],
  [{ sample: 7 }, 'options.sample'],
  [{ name: '../x' }, 'options.name'],
  [{ name: '..' }, 'options.name'],
  [{ binDirs: ['/a', '/b', '/c'] }, 'options.binDirs must be a list of at most 2'],
  [{ binDirs: ['a'] }, 'options.binDirs[0]'],
  [{ binDirs: { length: 1, 0: '/a' } }, 'options.binDirs'],
  [{ format: 'toString' }, 'options.format'],
  [{ force: 'true' }, 'options.force'],
  [{ seconds: Number.NaN }, 'options.seconds'],
  [{ seconds: 11 }, 'options.seconds'],
  [{ run: 'rm -rf' }, 'options has no field "run"'],
  [{ constructor: 1 }, 'options has no field "constructor"'],
  [{ force: undefined }, 'options.force'],
])('%j is refused', (change, message) => {
  expect(() => read({ ...good, ...change }, 'options')).toThrow(message);
});

test('what an object inherits counts for nothing, and __proto__ is no field', () => {
  const { force, ...rest } = good;
  expect(() => read(Object.assign(Object.create({ force }), rest), 'options')).toThrow('force');
  const sent: unknown = JSON.parse(
    JSON.stringify(good).replace('{', '{"__proto__":{"polluted":1},'),
  );
  expect(() => read(sent, 'options')).toThrow('has no field "__proto__"');
  expect(read({ ...good }, 'options')).not.toHaveProperty('polluted');
  for (const value of [null, 1, 'x', []]) {
    expect(() => read(value, 'options')).toThrow('must be an object');
  }
  expect(() => text(3)('', 'x')).toThrow('x must be');
});
