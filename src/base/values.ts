/**
 * What a value is that came over a border (a file, a message, a command line), asked once there; and
 * the keys of objects of ours with their types.
 */

/** @returns whether a value is an object that is no list */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @returns whether a value is a whole number that a double holds exactly, not negative, at most `most` */
export function isCount(value: unknown, most: number = Number.MAX_SAFE_INTEGER): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= most;
}

/** @returns whether a value is a list, of strings only */
export function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

/**
 * The keys of a table, in its order.
 *
 * TypeScript takes any object to hold more keys than its type says; a table of ours, written down in one
 * place, does not.
 */
export function keysOf<Key extends string>(table: Readonly<Record<Key, unknown>>): readonly Key[] {
  return Object.keys(table) as Key[];
}

/** As `keysOf`, with what stands under each key. */
export function entriesOf<Key extends string, Value>(
  table: Readonly<Record<Key, Value>>,
): readonly (readonly [Key, Value])[] {
  return keysOf(table).map((key) => [key, table[key]]);
}

/** @returns an object with these keys, what stands under each made from it */
export function recordOf<Key extends string, Value>(
  keys: readonly Key[],
  make: (key: Key) => Value,
): Record<Key, Value> {
  // Whole: every key of the type is among the keys.
  return Object.fromEntries(keys.map((key) => [key, make(key)])) as Record<Key, Value>;
}
