import { globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

/** @returns where each property stands, and what `fc.assert` is given beside it; by the formatter's indentation */
function propertiesOf(path: string): { readonly place: string; readonly options: string }[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.flatMap((line, at) => {
    const indent = /^( *).*\bfc\.assert\(/.exec(line)?.[1];
    if (indent === undefined) return [];
    const isOneLine = line.endsWith(');');
    const length = lines.slice(at).findIndex((each) => each.startsWith(`${indent})`));
    const call = isOneLine ? [line] : lines.slice(at, at + length);
    const property = call.indexOf(`${indent}  ),`);
    return [{ place: `${path}:${at + 1}`, options: call.slice(property + 1).join('\n') }];
  });
}

// What failed once fails again, at everybody's.
test('every property names the seed of its values', () => {
  const all = globSync(['src/**/*.test.ts', 'test/**/*.test.ts']).flatMap(propertiesOf);
  expect(all.length).toBeGreaterThan(80);
  const unnamed = all.filter(({ options }) => !/\bseed: \d+/.test(options));
  expect(unnamed.map(({ place }) => place)).toEqual([]);
});
