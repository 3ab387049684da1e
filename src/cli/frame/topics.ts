import type { ErrorCategory } from '../../base/errors.ts';
import { keysOf } from '../../base/values.ts';
import { exitCodes } from './failure.ts';

const meanings: Readonly<Record<ErrorCategory, string>> = {
  arguments: 'the command line is wrong: an option, an argument, or two that contradict each other',
  unavailable: 'something that this machine or installation does not have; "wayward doctor" tells',
  runtime: 'something stopped the work: a full disk, a program or a worker that failed',
  interrupted: 'Ctrl-C or SIGTERM; where work can go on later, the last lines say how',
  input:
    'a file that cannot be read as what it should be, or nothing to judge in it; with --exit-code, also a sample that was left out',
};

/** Every exit code and what it means. */
export const exitCodeRows: readonly (readonly [code: number, meaning: string])[] = [
  [0, 'done'],
  ...keysOf(meanings).map((category) => [exitCodes[category], meanings[category]] as const),
  [10, 'done, and a sample is anomalous: only with --exit-code'],
];

/** What is told besides commands. */
export interface Topic {
  readonly name: string;
  readonly what: string;
  readonly text: string;
}

export const topics: readonly Topic[] = [
  {
    name: 'exit-codes',
    what: 'what each exit code means',
    text: [
      'Exit codes:',
      ...exitCodeRows.map(([code, meaning]) => `  ${String(code).padStart(2)}  ${meaning}`),
      '',
      'With --json, what went wrong is a JSON document on standard output, too: an object "error" with',
      'its code, category, message and exitCode.',
    ].join('\n'),
  },
  {
    name: 'settings',
    what: 'options from the environment and from wayward.config.json',
    text: `Each option takes its value from the first of these that says something:

  1. the command line        --fpr 0.01
  2. the environment         WAYWARD_FPR=0.01
  3. wayward.config.json     {"fpr": 0.01}, or for one command {"judge": {"fpr": 0.01}}
  4. its default             in brackets in the help text

The name of an option is that of its longest form: --train-size is WAYWARD_TRAIN_SIZE and "trainSize".
A flag takes yes or no: WAYWARD_JSON=yes. What a --no-... option turns off has the name without "no":
WAYWARD_PROGRESS=no. Options that may be given again take a list in the file: {"binDir": ["a", "b"]}.
wayward.config.json is read from the current folder.

Others that are heeded:

  NO_COLOR, FORCE_COLOR      no colours, or colours where output is no terminal
  CI                         status lines instead of a progress bar
  TMPDIR                     where temporary files go`,
  },
];
