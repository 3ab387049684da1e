import type { Random } from '../../src/base/random.ts';

/** One run of a program: what lies in its working folder, and the words of its command line. */
export interface FieldRun {
  readonly args: readonly string[];
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  /** File of `files` that the program reads on its standard input. */
  readonly stdin?: string;
  /** Commands that run natively in the working folder before, as making a repository for git. */
  readonly before?: readonly (readonly string[])[];
}

/** A program of Debian that is recorded as it is. */
export interface FieldProgram {
  readonly name: string;
  /** What it is made with, and how its control flow is unlike that of plain C. */
  readonly make: string;
  /** The Debian package that holds it. */
  readonly package: string;
  /** Where the program lies; `*` stands for a version. The first that exists is taken. */
  readonly paths: readonly string[];
  /** Blocks at which a run is ended, where start-up alone takes more than the default. */
  readonly maxBlocks?: number;
  /** One run, made from nothing but `random`, so that a seed fixes all runs. */
  readonly run: (random: Random, index: number) => FieldRun;
}

export function pick<T>(random: Random, items: readonly T[]): T {
  return items[random.below(items.length)];
}

/** @returns `count` different items, or all, in random order */
export function some<T>(random: Random, items: readonly T[], count: number): T[] {
  return random.shuffle([...items]).slice(0, count);
}

/** @returns an integer in [low, high] */
export function between(random: Random, low: number, high: number): number {
  return low + random.below(high - low + 1);
}

/** @returns `count` results of `make`, which gets the position */
export function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}
