import { type ErrorCategory, UserError } from '../../base/errors.ts';
import { forTerminal, inOneLine } from '../../base/text/format.ts';
import { version } from '../../base/version.ts';

/** What each kind of failure exits with; 10 (anomalies found) comes from `--exit-code` alone. */
export const exitCodes: Record<ErrorCategory, number> = {
  arguments: 1,
  unavailable: 2,
  runtime: 3,
  interrupted: 4,
  input: 5,
};

/** What a command that failed says. */
export interface Failure {
  /** On standard error. */
  readonly text: string;
  /** On standard output, with `--json`; see docs/schemas/error.schema.json. */
  readonly document: object;
  readonly code: number;
}

export function describeFailure(error: unknown): Failure {
  if (error instanceof UserError) {
    const { code, category, path, place, message } = error;
    // Only where there are several mistakes is a line break ours, and none of a name's.
    const problems = code === 'bad-options' ? message.split('\n') : [message];
    const exitCode = exitCodes[category];
    return {
      text: problems.map((line) => `wayward: ${inOneLine(line)}\n`).join(''),
      document: documentOf({ code, category, message, problems, path, place, exitCode }),
      code: exitCode,
    };
  }
  const refused = systemFailure(error);
  if (refused !== undefined) return describeFailure(refused);
  const shown = stackOf(error);
  const exitCode = exitCodes.runtime;
  return {
    text: [
      'wayward: this is a mistake in Wayward itself, not in what was asked for.',
      'Please report it with the command and these lines; look first whether they name what others must not see.',
      `wayward ${version}, Node.js ${process.version}, ${process.platform} ${process.arch}`,
      forTerminal(shown),
      'If a file of somebody else causes it, report it in private: SECURITY.md says how.\n',
    ].join('\n'),
    document: documentOf({
      code: 'internal',
      category: 'runtime',
      message: shown,
      problems: [shown],
      exitCode,
    }),
    code: exitCode,
  };
}

/** Functions and files that an error came through, and those of what caused it. */
function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const stack = error.stack ?? error.message;
  return error.cause === undefined ? stack : `${stack}\ncaused by ${stackOf(error.cause)}`;
}

/** What the system refused where nothing had thought of it: no mistake in what was asked for, nor in Wayward. */
function systemFailure(error: unknown): UserError | undefined {
  if (!(error instanceof Error) || !('syscall' in error) || !('errno' in error)) return undefined;
  return new UserError('system', `the system refused: ${error.message}`, {
    category: 'runtime',
    cause: error,
  });
}

interface ErrorFacts {
  /** Stable, as `not-readable`; `internal` for a mistake in Wayward itself. */
  readonly code: string;
  readonly category: ErrorCategory;
  readonly message: string;
  /** Each thing that is wrong; several where options are. */
  readonly problems: readonly string[];
  readonly path?: string | undefined;
  readonly place?: string | undefined;
  readonly exitCode: number;
}

function documentOf(facts: ErrorFacts): object {
  return { schemaVersion: 1, error: facts };
}

/** Whether a command line asks for JSON, however wrong the rest of it is. */
export function asksForJson(
  words: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): boolean {
  const ours = words.includes('--') ? words.slice(0, words.indexOf('--')) : words;
  return ours.includes('--json') || /^(1|true|yes|on)$/i.test(environment.WAYWARD_JSON ?? '');
}
