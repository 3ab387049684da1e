import { isAbsolute, resolve } from 'node:path';
import { UserError } from '../base/errors.ts';
import { isRecord } from '../base/values.ts';

/**
 * Reads one value that came from outside, checked.
 *
 * @param place  where the value stands, for the message: `options.sample`
 * @throws UserError `job-invalid`
 */
export type Reader<T> = (value: unknown, place: string) => T;

export const flag: Reader<boolean> = (value, place) => {
  if (typeof value !== 'boolean') throw invalid(place, 'must be true or false');
  return value;
};

export function number(least: number, most: number): Reader<number> {
  return (value, place) => {
    if (typeof value !== 'number' || !(value >= least && value <= most)) {
      throw invalid(place, `must be a number from ${least} to ${most}`);
    }
    return value;
  };
}

export function wholeNumber(least: number, most: number): Reader<number> {
  const read = number(least, most);
  return (value, place) => {
    if (!Number.isInteger(value)) throw invalid(place, 'must be a whole number');
    return read(value, place);
  };
}

export function text(longest: number): Reader<string> {
  return (value, place) => {
    if (typeof value !== 'string' || value === '' || value.length > longest) {
      throw invalid(place, `must be a text of 1 to ${longest} characters`);
    }
    if (value.includes('\0')) throw invalid(place, 'holds a NUL byte');
    return value;
  };
}

export function oneOf<const T extends string>(...names: readonly T[]): Reader<T> {
  return (value, place) => {
    const found = names.find((name) => name === value);
    if (found === undefined) throw invalid(place, `must be one of ${names.join(', ')}`);
    return found;
  };
}

/** An absolute path in its shortest form: no `.`, `..`, double or final slash. */
export const path: Reader<string> = (value, place) => {
  const found = text(4096)(value, place);
  if (!isAbsolute(found) || resolve(found) !== found) {
    throw invalid(place, 'must be an absolute path without . and ..');
  }
  return found;
};

/** A name of a file or folder, no path. */
export const fileName: Reader<string> = (value, place) => {
  const found = text(255)(value, place);
  if (found.includes('/') || found === '.' || found === '..') {
    throw invalid(place, 'must be a name without slashes');
  }
  return found;
};

export function listOf<T>(item: Reader<T>, most: number): Reader<readonly T[]> {
  return (value, place) => {
    if (!Array.isArray(value) || value.length > most) {
      throw invalid(place, `must be a list of at most ${most}`);
    }
    return value.map((each, index) => item(each, `${place}[${index}]`));
  };
}

export function optional<T>(item: Reader<T>): Reader<T | undefined> {
  return (value, place) => (value === undefined || value === null ? undefined : item(value, place));
}

/** An object with exactly these fields; names that it does not list are errors, `__proto__` too. */
export function record<Shape extends Readonly<Record<string, Reader<unknown>>>>(
  shape: Shape,
): Reader<{ readonly [Name in keyof Shape]: ReturnType<Shape[Name]> }> {
  return (value, place) => {
    if (!isRecord(value)) throw invalid(place, 'must be an object');
    const known = Object.keys(shape);
    const unknown = Reflect.ownKeys(value).find((name) => !known.includes(String(name)));
    if (unknown !== undefined) throw invalid(place, `has no field ${JSON.stringify(unknown)}`);
    const fields = known.map((name) => {
      // What an object inherits was not sent.
      const own = Object.hasOwn(value, name) ? value[name] : undefined;
      return [name, shape[name](own, `${place}.${name}`)];
    });
    return Object.fromEntries(fields) as { [Name in keyof Shape]: ReturnType<Shape[Name]> };
  };
}

function invalid(place: string, why: string): UserError {
  return new UserError('job-invalid', `${place} ${why}`, { category: 'arguments', place });
}
