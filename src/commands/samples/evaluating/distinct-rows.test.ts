import { expect, test } from 'vitest';
import { Random } from '../../../base/random.ts';
import { distinctRows } from './distinct-rows.ts';

test('finds equal rows as comparing them one by one does', () => {
  const random = new Random(1);
  for (const length of [0, 1, 2, 50, 3000]) {
    const columns = [
      Int32Array.from({ length }, () => random.below(9) - 4),
      Uint8Array.from({ length }, () => random.below(3)),
      Float32Array.from({ length }, () => [0, -0, 0.25, 1e-30, Number.NaN][random.below(5)]!),
    ];
    const { first, indexOf } = distinctRows(columns, length);
    const keys = Array.from({ length }, (_, row) =>
      columns.map((column) => `${column[row]}`).join(),
    );
    const distinct = [...new Set(keys)];
    expect([...first].map((row) => keys[row])).toEqual(distinct);
    expect([...indexOf].map((index) => distinct[index])).toEqual(keys);
  }
});
