import type { Option } from './option.ts';

/**
 * All options of a command as one table: an object whose values are `Option`s. `group.field` as a key
 * makes `field` a member of the object `group`.
 *
 * Tables are classes with one annotated field an option, because declarations have to say types that an
 * object literal would leave to be worked out.
 */
type ValueOf<Entry> = Entry extends Option<infer T, never> ? T : never;
type GroupOf<Key> = Key extends `${infer Group}.${string}` ? Group : never;

/** All options of a table with their values. */
export type Settled<Table> = {
  readonly [Key in keyof Table as Key extends `${string}.${string}` ? never : Key]: ValueOf<
    Table[Key]
  >;
} & {
  readonly [Key in keyof Table as GroupOf<Key>]: {
    readonly [Member in keyof Table as Member extends `${GroupOf<Key>}.${infer Field}`
      ? Field
      : never]: ValueOf<Table[Member]>;
  };
};

/** What a caller says of the options of a table; `undefined` is saying nothing. */
export type Given<Table> = {
  readonly [Key in keyof Settled<Table>]?:
    | (Key extends GroupOf<keyof Table>
        ? { readonly [Field in keyof Settled<Table>[Key]]?: Settled<Table>[Key][Field] | undefined }
        : Settled<Table>[Key])
    | undefined;
};

/** An option of which nothing is known but that it is one. */
export type AnyOption = Option<unknown, never>;
type Values = Record<string, unknown>;

/** @returns the options of a table with their keys, in its order */
export function optionsOf(table: object): readonly (readonly [key: string, AnyOption])[] {
  return Object.entries(table) as [string, AnyOption][];
}

/** Fills in what holds where a caller says nothing. What the table does not know is left out. */
export function settle<Table extends object>(table: Table, given: Given<Table>): Settled<Table> {
  const settled: Values = {};
  const derived: [string, (others: never) => unknown][] = [];
  for (const [key, option] of optionsOf(table)) {
    const said = valueAt(given, key);
    if (said !== undefined) putAt(settled, key, said);
    else if (typeof option.default === 'function') {
      derived.push([key, option.default as (others: never) => unknown]);
    } else putAt(settled, key, option.default);
  }
  // After all others, because that is what they follow from.
  for (const [key, derive] of derived) putAt(settled, key, derive(settled as never));
  return settled as Settled<Table>;
}

/** The options as a record may keep them: without secrets. */
export function withoutSecrets<Table extends object>(
  table: Table,
  settled: Settled<Table>,
): Readonly<Values> {
  const kept: Values = {};
  for (const [key, { isSecret }] of optionsOf(table)) {
    if (!isSecret) putAt(kept, key, valueAt(settled, key));
  }
  return kept;
}

/** @returns what stands under `field`, or under `field` of `group` */
function valueAt(values: object, key: string): unknown {
  let value: unknown = values;
  for (const part of key.split('.')) value = (value as Values | undefined)?.[part];
  return value;
}

/** Puts a value where `valueAt` finds it. */
export function putAt(values: Values, key: string, value: unknown): void {
  const [group, field] = key.split('.');
  if (field === undefined) values[group] = value;
  else values[group] = { ...(values[group] as Values | undefined), [field]: value };
}
