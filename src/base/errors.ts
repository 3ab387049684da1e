/**
 * What kind of request could not be met; the command line turns it into an exit code.
 *
 * - `arguments`: options that are wrong or contradict each other (exit 1)
 * - `unavailable`: something this machine or installation does not have (exit 2)
 * - `runtime`: anything else that stopped the work: full disk, failed worker (exit 3)
 * - `interrupted`: the user stopped it (exit 4)
 * - `input`: a file that cannot be read as what it should be (exit 5)
 */
export type ErrorCategory = 'arguments' | 'unavailable' | 'runtime' | 'interrupted' | 'input';

export interface UserErrorFacts {
  readonly category: ErrorCategory;
  /** File or folder that the error is about. */
  readonly path?: string;
  /** Where in it: a line, a byte offset, a field. */
  readonly place?: string;
  readonly cause?: unknown;
}

/**
 * A request that cannot be met, told so that a user can act on it. Damage inside data is not an
 * error but a value in its stream (see `flow/mark.ts`); our own mistakes fail an `assert`.
 */
export class UserError extends Error {
  override readonly name = 'UserError';
  /** Stable, machine-readable, kebab-case: `map-range-reversed`. */
  readonly code: string;
  readonly category: ErrorCategory;
  readonly path: string | undefined;
  readonly place: string | undefined;

  /** @param message  fact and cause, without the path: "line 3: the range ends before it starts" */
  constructor(code: string, message: string, facts: UserErrorFacts) {
    const where = facts.path === undefined ? '' : `${facts.path}: `;
    super(where + message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = code;
    this.category = facts.category;
    this.path = facts.path;
    this.place = facts.place;
  }
}

/** Fails on our own mistakes only, never on input. @throws Error when `condition` is false */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`internal error: ${message}`);
}

/** @returns whether reading failed because there is no such file */
export function isAbsent(error: unknown): boolean {
  return failureOf(error) === 'ENOENT';
}

/** @returns the system's word for why reading or writing failed, as `EISDIR`; `undefined` where it was something else */
export function failureOf(error: unknown): string | undefined {
  const cause = error instanceof UserError ? error.cause : error;
  if (typeof cause !== 'object' || cause === null || !('code' in cause)) return undefined;
  return typeof cause.code === 'string' ? cause.code : undefined;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
