import type { ImageMemory } from '../tables/image-memory.ts';
import type { Value } from './value.ts';
import { addressOf, type Limit } from './value-walk.ts';

/** How an indirect transfer finds its target, as far as the code around it tells. */
export type TargetShape =
  | { readonly kind: 'constant'; readonly address: number }
  /** What a fixed place in memory holds. */
  | { readonly kind: 'slot'; readonly place: number }
  /** An entry of a table, read as it stands or added to a base. */
  | {
      readonly kind: 'table';
      readonly table: number;
      /** `undefined`: entries are pointers; else what they are added to. */
      readonly base: number | undefined;
      readonly entryBytes: number;
      readonly isSigned: boolean;
      /** Bytes from the table to the entry. */
      readonly offset: Value;
    }
  /** Code at equal distances. */
  | { readonly kind: 'steps'; readonly base: number; readonly offset: Value }
  /**
   * A word of a table or an object, `displacement` bytes from where a pointer leads. `isObject`: the
   * pointer itself was read from memory, as that to a virtual table is.
   */
  | { readonly kind: 'member'; readonly displacement: number; readonly isObject: boolean }
  | { readonly kind: 'other' };

/** Least and most that a value can be. */
export interface Bounds {
  readonly least: number;
  readonly most: number;
  /** Only because the value is stored in a byte: the code may say more elsewhere. */
  readonly isWidth: boolean;
}

const unsignedByte: Bounds = { least: 0, most: 255, isWidth: true };
const signedByte: Bounds = { least: -128, most: 127, isWidth: true };

/** Above it, a bound says no more than none. */
const mostUseful = 2 ** 20;

/** @param word  bytes of a pointer */
export function shapeOf(value: Value, word: number): TargetShape {
  const target = stripped(value);
  const { rest, fixed } = parts(target);
  const base = addressOf(fixed, word);
  if (rest === undefined) {
    return base === undefined ? { kind: 'other' } : { kind: 'constant', address: base };
  }
  const entry = stripped(rest);
  if (base !== undefined && entry.kind === 'product') return { kind: 'steps', base, offset: entry };
  if (entry.kind !== 'load') return { kind: 'other' };
  const { rest: offset, fixed: at } = parts(entry.at);
  const table = addressOf(at, word);
  if (base === undefined) {
    if (fixed !== 0 || entry.bytes !== word) return { kind: 'other' };
    if (offset === undefined) {
      return table === undefined ? { kind: 'other' } : { kind: 'slot', place: table };
    }
    if (table === undefined) {
      return { kind: 'member', displacement: at, isObject: stripped(offset).kind === 'load' };
    }
  } else if (offset === undefined || table === undefined) return { kind: 'other' };
  const { bytes: entryBytes, isSigned } = entry;
  return { kind: 'table', table, base, entryBytes, isSigned, offset };
}

/** @returns how far apart entries are, by how their offset is computed */
export function strideOf(offset: Value): number {
  const value = stripped(offset);
  if (value.kind === 'index') return value.stride;
  if (value.kind === 'product') return Math.abs(value.by) * strideOf(value.of);
  if (value.kind === 'sum') {
    const { rest } = parts(value);
    if (rest !== undefined && rest !== value) return strideOf(rest);
    return Math.min(strideOf(value.left), strideOf(value.right));
  }
  return 1;
}

/** @returns `undefined` where nothing limits the value to a useful range */
export function boundsOf(
  value: Value,
  limits: readonly Limit[],
  memory: ImageMemory,
): Bounds | undefined {
  const own = stripped(value);
  let bounds = boundsOfParts(own, limits, memory);
  const { rest, fixed } = parts(own);
  for (const limit of limits) {
    const { rest: limited, fixed: shift } = parts(stripped(limit.value));
    // Two unknown values need not be the same one.
    if (limited === undefined || limited.key !== rest?.key || limited.key.includes('?')) continue;
    const distance = fixed - shift;
    bounds = common(bounds, {
      least: limit.least + distance,
      most: limit.most + distance,
      isWidth: false,
    });
  }
  return bounds !== undefined && bounds.most - bounds.least < mostUseful ? bounds : undefined;
}

function boundsOfParts(
  value: Value,
  limits: readonly Limit[],
  memory: ImageMemory,
): Bounds | undefined {
  switch (value.kind) {
    case 'constant':
      return { least: value.value, most: value.value, isWidth: false };
    case 'index':
      return { least: value.least, most: value.most, isWidth: false };
    case 'masked':
      return common(boundsOf(value.of, limits, memory), {
        least: 0,
        most: value.mask,
        isWidth: false,
      });
    case 'product': {
      const inner = boundsOf(value.of, limits, memory);
      if (inner === undefined) return undefined;
      const ends = [inner.least * value.by, inner.most * value.by];
      return { least: Math.min(...ends), most: Math.max(...ends), isWidth: inner.isWidth };
    }
    case 'sum': {
      const left = boundsOf(value.left, limits, memory);
      const right = boundsOf(value.right, limits, memory);
      if (left === undefined || right === undefined) return undefined;
      return {
        least: left.least + right.least,
        most: left.most + right.most,
        isWidth: left.isWidth || right.isWidth,
      };
    }
    case 'low':
      if (value.bytes !== 1) return undefined;
      return value.isSigned ? signedByte : unsignedByte;
    case 'load': {
      if (value.bytes !== 1) return undefined;
      return boundsOfBytes(value, limits, memory) ?? (value.isSigned ? signedByte : unsignedByte);
    }
    default:
      return undefined;
  }
}

/** A byte of a table of indices. */
function boundsOfBytes(
  value: Value & { readonly kind: 'load' },
  limits: readonly Limit[],
  memory: ImageMemory,
): Bounds | undefined {
  const { rest, fixed } = parts(value.at);
  const inner = rest === undefined ? undefined : boundsOf(rest, limits, memory);
  const table = addressOf(fixed, 8);
  if (inner === undefined || table === undefined) return undefined;
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  for (let i = inner.least; i <= inner.most; i++) {
    const byte = memory.uint8(table + i);
    if (byte === undefined) return undefined;
    const entry = value.isSigned ? (byte << 24) >> 24 : byte;
    least = Math.min(least, entry);
    most = Math.max(most, entry);
  }
  return least <= most ? { least, most, isWidth: inner.isWidth } : undefined;
}

function common(first: Bounds | undefined, second: Bounds): Bounds {
  if (first === undefined) return second;
  return {
    least: Math.max(first.least, second.least),
    most: Math.min(first.most, second.most),
    isWidth: first.isWidth && second.isWidth,
  };
}

/** Without widening from four bytes or more: tables are smaller. */
function stripped(value: Value): Value {
  return value.kind === 'low' && value.bytes >= 4 ? stripped(value.of) : value;
}

/** A value as something and a constant; `rest` is `undefined` for a constant. */
function parts(value: Value): { readonly rest: Value | undefined; readonly fixed: number } {
  const own = stripped(value);
  if (own.kind === 'constant') return { rest: undefined, fixed: own.value };
  if (own.kind === 'sum' && own.right.kind === 'constant') {
    const { rest, fixed } = parts(own.left);
    return { rest, fixed: fixed + own.right.value };
  }
  return { rest: own, fixed: 0 };
}
