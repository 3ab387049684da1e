import { UserError } from '../base/errors.ts';
import { type NumberArray, readArrays, writeArrays } from './array-file.ts';
import { type NgramParts, NgramTable } from './ngram-table.ts';

const types = 'ifiiiif';

export function arraysOf(parts: NgramParts): readonly NumberArray[] {
  const { orders, general, slots, keys, starts, targets, counts } = parts;
  return [orders, general, slots, keys, starts, targets, counts];
}

export async function saveNgramTable(path: string, table: NgramTable): Promise<void> {
  await writeArrays(path, arraysOf(table.parts));
}

/** @throws UserError when the file is damaged; every index in it is checked */
export async function loadNgramTable(path: string, outputClasses: number): Promise<NgramTable> {
  const [orders, general, slots, keys, starts, targets, counts] = (await readArrays(
    path,
    types,
  )) as [Int32Array, Float32Array, Int32Array, Int32Array, Int32Array, Int32Array, Float32Array];
  const contexts = starts.length - 1;
  const isAscending = (list: Int32Array): boolean =>
    list.every((v, i) => i === 0 || v >= list[i - 1]);
  const fits =
    general.length === outputClasses &&
    contexts >= 0 &&
    keys.length === contexts * 2 &&
    slots.length > contexts &&
    (slots.length & (slots.length - 1)) === 0 &&
    slots.every((slot) => slot >= 0 && slot <= contexts) &&
    targets.length === counts.length &&
    isAscending(starts) &&
    starts[0] === 0 &&
    starts[contexts] === targets.length &&
    targets.every((target) => target >= 0 && target < outputClasses) &&
    isAscending(orders) &&
    orders.every((order) => order >= 1 && order <= 4096);
  // A table without a free slot would be searched forever.
  if (!fits || !slots.includes(0)) {
    throw new UserError('ngram-damaged', 'does not hold together, or does not fit the vocabulary', {
      category: 'input',
      path,
    });
  }
  return new NgramTable({ orders, general, slots, keys, starts, targets, counts });
}
