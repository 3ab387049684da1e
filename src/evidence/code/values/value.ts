/**
 * What a register or a place in memory holds, in terms of what registers held earlier. Values are
 * never changed; two that are the same have the same `key`.
 */
export type Value = {
  readonly key: string;
  /** The key without plain numbers: the same wherever a loop has counted up. */
  readonly form: string;
  /** Mask of the registers that it depends on. */
  readonly registers: number;
} & Form;

type Form =
  | { readonly kind: 'constant'; readonly value: number }
  /** What a general register (0 to 15) holds at the place that is looked at. */
  | { readonly kind: 'register'; readonly register: number }
  | { readonly kind: 'sum'; readonly left: Value; readonly right: Value }
  | { readonly kind: 'product'; readonly of: Value; readonly by: number }
  /** The low `bytes` of a value, widened again. */
  | {
      readonly kind: 'low';
      readonly of: Value;
      readonly bytes: number;
      readonly isSigned: boolean;
    }
  | { readonly kind: 'masked'; readonly of: Value; readonly mask: number }
  | {
      readonly kind: 'load';
      readonly at: Value;
      readonly bytes: number;
      readonly isSigned: boolean;
    }
  /** Any of the numbers from `least` to `most` that are `stride` apart. */
  | {
      readonly kind: 'index';
      readonly least: number;
      readonly most: number;
      readonly stride: number;
    }
  | { readonly kind: 'unknown' };

/**
 * Added to every constant that is an address of the image, so that offsets such as 0x18, which may
 * be addresses of its header, too, are told apart. A multiple of 2^32, which 32-bit sums keep.
 */
export const addressMark: number = 2 ** 44;

/** Values grow while they are followed; a larger one is no table's index any more. */
const longestKey = 400;

export const unknown: Value = { kind: 'unknown', key: '?', form: '?', registers: 0 };

export function constant(value: number): Value {
  const key = `${value}`;
  // Addresses are marked by a number above all others.
  const form = value >= addressMark / 2 ? key : '#';
  return { kind: 'constant', key, form, registers: 0, value };
}

export function indexValue(least: number, most: number, stride: number): Value {
  const key = `<${least},${most},${stride}>`;
  return { kind: 'index', key, form: '<>', registers: 0, least, most, stride };
}

const registers: readonly Value[] = Array.from({ length: 16 }, (_, register) => ({
  kind: 'register',
  key: `r${register}`,
  form: `r${register}`,
  registers: 1 << register,
  register,
}));

export function registerValue(register: number): Value {
  return registers[register] ?? unknown;
}

/** Constants gather on the right: `(x + 1) + 2` is `x + 3`. What is unknown stays in its place. */
export function sum(left: Value, right: Value): Value {
  if (left.kind === 'unknown' && right.kind === 'unknown') return unknown;
  if (left.kind === 'constant') {
    if (right.kind === 'constant') return constant(left.value + right.value);
    return sum(right, left);
  }
  if (right.kind === 'constant') {
    if (right.value === 0) return left;
    if (left.kind === 'sum' && left.right.kind === 'constant') {
      return sum(left.left, constant(left.right.value + right.value));
    }
    return bounded({
      kind: 'sum',
      key: `(${left.key}+${right.key})`,
      form: `(${left.form}+${right.form})`,
      registers: left.registers,
      left,
      right,
    });
  }
  if (left.kind === 'sum' && left.right.kind === 'constant') {
    return sum(sum(left.left, right), left.right);
  }
  if (right.kind === 'sum' && right.right.kind === 'constant') {
    return sum(sum(left, right.left), right.right);
  }
  const [a, b] = left.key <= right.key ? [left, right] : [right, left];
  if (a.key === b.key) return product(a, 2);
  return bounded({
    kind: 'sum',
    key: `(${a.key}+${b.key})`,
    form: `(${a.form}+${b.form})`,
    registers: a.registers | b.registers,
    left: a,
    right: b,
  });
}

export function product(of: Value, by: number): Value {
  if (of.kind === 'unknown') return unknown;
  if (by === 1) return of;
  if (of.kind === 'constant') return constant(of.value * by);
  if (of.kind === 'product') return product(of.of, of.by * by);
  if (of.kind === 'sum' && of.right.kind === 'constant') {
    return sum(product(of.left, by), constant(of.right.value * by));
  }
  return bounded({
    kind: 'product',
    key: `${of.key}*${by}`,
    form: `${of.form}*${by}`,
    registers: of.registers,
    of,
    by,
  });
}

export function low(of: Value, bytes: number, isSigned: boolean): Value {
  if (of.kind === 'unknown') return unknown;
  if (of.kind === 'constant') return constant(narrowed(of.value, bytes, isSigned));
  if (of.kind === 'load' && of.bytes === bytes) return load(of.at, bytes, isSigned);
  if (of.kind === 'low' && of.bytes <= bytes && (!of.isSigned || isSigned)) return of;
  if (of.kind === 'load' && of.bytes <= bytes && !of.isSigned) return of;
  const sign = isSigned ? 's' : 'u';
  return bounded({
    kind: 'low',
    key: `${sign}${bytes}${of.key}`,
    form: `${sign}${bytes}${of.form}`,
    registers: of.registers,
    of,
    bytes,
    isSigned,
  });
}

export function masked(of: Value, mask: number): Value {
  if (of.kind === 'unknown') return unknown;
  if (of.kind === 'constant' && of.value >= 0 && of.value <= 0xffff_ffff) {
    return constant((of.value & mask) >>> 0);
  }
  return bounded({
    kind: 'masked',
    key: `${of.key}&${mask}`,
    form: `${of.form}&${mask}`,
    registers: of.registers,
    of,
    mask,
  });
}

export function load(at: Value, bytes: number, isSigned: boolean): Value {
  if (at.kind === 'unknown') return unknown;
  return bounded({
    kind: 'load',
    key: `${isSigned ? 'S' : 'U'}${bytes}[${at.key}]`,
    form: `${isSigned ? 'S' : 'U'}${bytes}[${at.form}]`,
    registers: at.registers,
    at,
    bytes,
    isSigned,
  });
}

function bounded(value: Value): Value {
  return value.key.length > longestKey ? unknown : value;
}

function narrowed(value: number, bytes: number, isSigned: boolean): number {
  if (bytes >= 8) return value;
  const range = 2 ** (8 * bytes);
  const rest = ((value % range) + range) % range;
  return isSigned && rest >= range / 2 ? rest - range : rest;
}

/**
 * What tells two targets apart at one place of the code: plain numbers count where they move the
 * place that is read, and not within an index, which a loop may count up.
 */
export function placeKey(value: Value): string {
  if (value.kind === 'sum') return `(${placeKey(value.left)}+${placeKey(value.right)})`;
  return value.kind === 'load' ? `${value.bytes}[${innerKey(value.at)}]` : value.key;
}

function innerKey(value: Value): string {
  if (value.kind === 'sum') return `(${innerKey(value.left)}+${innerKey(value.right)})`;
  return value.kind === 'constant' ? value.key : value.form;
}

/** @returns the value with `replacement(part)` in place of each part for which it is defined */
export function rewrite(value: Value, replacement: (part: Value) => Value | undefined): Value {
  if (value.kind === 'constant' || value.kind === 'unknown' || value.kind === 'index') return value;
  const replaced = replacement(value);
  if (replaced !== undefined) return replaced;
  switch (value.kind) {
    case 'sum':
      return sum(rewrite(value.left, replacement), rewrite(value.right, replacement));
    case 'product':
      return product(rewrite(value.of, replacement), value.by);
    case 'low':
      return low(rewrite(value.of, replacement), value.bytes, value.isSigned);
    case 'masked':
      return masked(rewrite(value.of, replacement), value.mask);
    case 'load':
      return load(rewrite(value.at, replacement), value.bytes, value.isSigned);
    default:
      return value;
  }
}
