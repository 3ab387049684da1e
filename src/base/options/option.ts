/** How one option reads its text. */
export interface Parse<T> {
  /** @returns the value, or a sentence that says what is wrong */
  (text: string): { readonly value: T } | { readonly problem: string };
  /** The words that it takes, or takes a list of, where there are no others. */
  readonly words?: readonly string[];
}

/** A text is read as the whole list, or as one element of a list that is written word by word. */
type Written<T> = T extends readonly (infer Element)[] ? T | Element : T;

/**
 * One option: what the library takes, what holds where nobody says anything, and how people write it.
 *
 * `Settled` are all options of the table that this one stands in.
 */
export interface Option<T, Settled = unknown> {
  /** As the command line has it, `-s, --sequence-len <n>`; without it, only a library call can say it. */
  readonly flags?: string;
  readonly help: string;
  /** Other words for it on the command line, without dashes. */
  readonly synonyms?: readonly string[];
  /** Heading in the help text. */
  readonly group?: string;
  /** None: a flag without a value. */
  readonly parse?: Parse<Written<T>>;
  /** Collects every occurrence into a list. */
  readonly repeats?: boolean;
  /** What holds where nothing is said, or how it follows from the other options. */
  readonly default: T | ((others: Settled) => T);
  /** The default as the help text has it, where the value itself would say little. */
  readonly shown?: string;
  /** Is neither repeated in messages nor recorded. */
  readonly isSecret?: boolean;
}

export function integer(minimum: number, maximum: number = Number.MAX_SAFE_INTEGER): Parse<number> {
  return (text) => {
    const value = Number(text);
    if (/^[+-]?\d+$/.test(text) && value >= minimum && value <= maximum) return { value };
    return { problem: `takes a whole number ${range(minimum, maximum)}` };
  };
}

/** @param bounds  `open` leaves out the bounds themselves */
export function decimal(
  minimum: number,
  maximum: number = Number.POSITIVE_INFINITY,
  bounds: 'closed' | 'open' = 'closed',
): Parse<number> {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    const inside =
      bounds === 'open' ? value > minimum && value < maximum : value >= minimum && value <= maximum;
    if (inside) return { value };
    const between =
      bounds === 'open' ? `above ${minimum} and below ${maximum}` : range(minimum, maximum);
    return { problem: `takes a number ${between}` };
  };
}

export function choice<T extends string>(...names: readonly T[]): Parse<T> {
  const parse: Parse<T> = (text) => {
    const value = names.find((name) => name === text);
    if (value !== undefined) return { value };
    const near = nearest(text, names);
    const advice = near === undefined ? '' : `; did you mean "${near}"?`;
    return { problem: `takes ${names.join(', ')}${advice}` };
  };
  return Object.assign(parse, { words: names });
}

/** A comma-separated list of names, kept in the order of `names`. */
export function choices<T extends string>(...names: readonly T[]): Parse<readonly T[]> {
  const one = choice(...names);
  const parse: Parse<readonly T[]> = (text) => {
    const values: string[] = [];
    for (const word of text.split(',')) {
      const result = one(word.trim());
      if ('problem' in result) return { problem: `takes a list of ${names.join(', ')}` };
      values.push(result.value);
    }
    return { value: names.filter((name) => values.includes(name)) };
  };
  return Object.assign(parse, { words: names });
}

export const text: Parse<string> = (value) =>
  value === '' ? { problem: 'must not be empty' } : { value };

function range(minimum: number, maximum: number): string {
  if (maximum === Number.POSITIVE_INFINITY || maximum === Number.MAX_SAFE_INTEGER) {
    return `of at least ${minimum}`;
  }
  return `from ${minimum} to ${maximum}`;
}

/** @returns the candidate within two edits (insert, delete, replace, swap), or `undefined` */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.min(3, Math.ceil(word.length / 2));
  for (const candidate of candidates) {
    // So much is left over at least; and what is no word at all may be very long.
    if (Math.abs(word.length - candidate.length) >= least) continue;
    const distance = editDistance(word, candidate);
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

/** Optimal string alignment distance. */
function editDistance(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) =>
    Array.from({ length: b.length + 1 }, (_, j) => (i === 0 ? j : j === 0 ? i : 0)),
  );
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const replace = rows[i - 1][j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      let cost = Math.min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, replace);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, rows[i - 2][j - 2] + 1);
      }
      rows[i][j] = cost;
    }
  }
  return rows[a.length][b.length];
}
