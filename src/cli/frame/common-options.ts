import { logLevels } from '../../base/log.ts';
import { choice, type Parse } from '../../base/options/option.ts';
import { keysOf } from '../../base/values.ts';
import type { OptionSpec } from './option.ts';

/** Options that every command has, as they are settled. */
export interface CommonOptions {
  readonly json: boolean;
  /** 10 to 50. */
  readonly logLevel: number;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly progress: boolean;
  /** Minutes. */
  readonly statusInterval: number;
}

/** `-l` takes a number or a name. */
const logLevel: Parse<number> = (value) => {
  const number = Number(value);
  if (Number.isInteger(number) && number >= 10 && number <= 50) return { value: number };
  const named = choice(...keysOf(logLevels))(value);
  if ('value' in named) return { value: logLevels[named.value] };
  return { problem: `takes 10 to 50, or ${Object.keys(logLevels).join(', ')}` };
};

const minutes: Parse<number> = (value) => {
  const number = Number(value);
  return value !== '' && number > 0 && Number.isFinite(number)
    ? { value: number }
    : { problem: 'takes a number of minutes above 0' };
};

const group = 'Every command:';

export const commonOptions: readonly OptionSpec[] = [
  { flags: '--json', help: 'print JSON with schemaVersion; errors, too', group },
  { flags: '--quiet', help: 'tell warnings and errors only: -l warning', group },
  { flags: '--verbose', help: 'tell everything: -l debug', group },
  {
    flags: '-l, --log-level <level>',
    help: '10 debug, 20 info, 30 warning, 40 error, 50 critical, or a name',
    group,
    parse: logLevel,
    default: 20,
  },
  { flags: '--no-progress', help: 'no progress bar, and no status lines', group },
  {
    flags: '--status-interval <minutes>',
    help: 'time between status lines where there is no terminal',
    group,
    parse: minutes,
    default: 0.25,
  },
];

/** The level at which log lines are shown. @param problems  gets what contradicts itself */
export function levelOf({ logLevel, quiet, verbose }: CommonOptions, problems: string[]): number {
  if (quiet && verbose) problems.push('--quiet and --verbose contradict each other');
  if (quiet) return logLevels.warning;
  return verbose ? logLevels.debug : logLevel;
}
