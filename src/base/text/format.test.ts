import { expect, test } from 'vitest';
import { forTerminal, showCount } from './format.ts';

test.each([
  ['libc.so.6\tmain\nnext', 'libc.so.6\tmain\nnext'],
  ['größe 文件.pdf', 'größe 文件.pdf'],
  ['a\u001b[2Jb', 'a\\u001b[2Jb'],
  ['a\rb\u0007\u009b31m', 'a\\u000db\\u0007\\u009b31m'],
  ['evil\u202efdp.exe', 'evil\\u202efdp.exe'],
  ['\u001b[31mred\u001b[0m', '\\u001b[31mred\\u001b[0m'],
])('%j is shown as %j', (text, shown) => {
  expect(forTerminal(text)).toBe(shown);
});

test('JSON stays what it is', () => {
  const value = { name: 'a\u001b\u0085\u202eb' };
  expect(JSON.parse(forTerminal(JSON.stringify(value)))).toEqual(value);
});

test.each([0, 7, 999, 1000, -1000, 123456, 1234567, -987654321, 2 ** 53 - 1, 1234.5, 1e21])(
  '%j has the commas that English gives it',
  (value) => {
    expect(showCount(value)).toBe(value.toLocaleString('en-US'));
  },
);
