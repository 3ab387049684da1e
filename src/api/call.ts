import { UserError } from '../base/errors.ts';
import { type LogLevel, type Progress, silentLogger } from '../base/log.ts';
import type { RunContext } from '../model/first-layer.ts';

/** Something worth telling a person. */
export interface Message {
  readonly level: LogLevel;
  readonly text: string;
  /** The same for programs, where there is more to it. */
  readonly facts: Readonly<Record<string, unknown>>;
}

/** What every call takes. */
export interface CallOptions {
  /** Ends the work at the next good moment: the call is rejected with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly onMessage?: ((message: Message) => void) | undefined;
}

/** Runs a call's work. @throws the signal's reason, once that is aborted; else what the work throws */
export async function call<Result>(
  options: CallOptions,
  work: (context: RunContext) => Promise<Result>,
): Promise<Result> {
  options.signal?.throwIfAborted();
  try {
    return await work(contextOf(options));
  } catch (error) {
    options.signal?.throwIfAborted();
    throw error;
  }
}

export function contextOf({ signal, onProgress, onMessage }: CallOptions): RunContext {
  return {
    progress: onProgress ?? (() => {}),
    log:
      onMessage === undefined
        ? silentLogger
        : { log: (level, text, facts = {}) => onMessage({ level, text, facts }) },
    ...(signal === undefined ? {} : { signal }),
  };
}

/**
 * Holds a call to its types where no compiler does.
 *
 * @param what  `the profile`
 * @throws UserError `bad-argument`
 */
export function checkPath(value: unknown, what: string): asserts value is string {
  if (typeof value === 'string' && value !== '') return;
  const shown = value === '' ? 'empty' : value === null ? 'null' : typeof value;
  throw new UserError('bad-argument', `${what} must be a path, not ${shown}`, {
    category: 'arguments',
  });
}
