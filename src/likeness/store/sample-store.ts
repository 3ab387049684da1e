/**
 * Which things belong together in a store. Samples of different collections never meet: they come
 * from different models, or were made in different ways.
 */
export interface Collection {
  /** Short and made of letters, digits, `-` and `.` only; part of a Redis key. */
  readonly id: string;
  /** What it holds, for people and for messages: model, kind of slices and vectors. */
  readonly description: string;
}

/** Everything in a collection. */
export interface StoredSamples {
  /** Bytes by sample name. */
  readonly samples: ReadonlyMap<string, Uint8Array>;
  /** Names of terms, by id. */
  readonly names: ReadonlyMap<number, string>;
}

/**
 * Keeps samples of one collection, each as bytes under its name.
 *
 * Each method has done its work when its promise resolves: what was put is in the store, whatever
 * other writers did meanwhile. Every method throws `UserError` when the store cannot be used.
 */
export interface SampleStore {
  /** For messages; never holds a password. */
  readonly place: string;
  readAll(): Promise<StoredSamples>;
  /** Adds samples, replaces those of the same name. Names of terms that are there already stay. */
  put(samples: ReadonlyMap<string, Uint8Array>, names: ReadonlyMap<number, string>): Promise<void>;
  /** @returns the names that were there */
  remove(samples: readonly string[]): Promise<readonly string[]>;
  /** @returns those of `samples` that are not there: a server may have lost what it had not yet saved */
  missing(samples: readonly string[]): Promise<readonly string[]>;
  close(): Promise<void>;
}
