import { UserError } from '../../base/errors.ts';
import { decimal, integer } from '../../base/options/option.ts';
import {
  type LearnOptions,
  type LearnRequest,
  learnTable,
  settleLearn,
} from '../../commands/training/options.ts';
import { type FilterName, filterNames } from '../../sequences/filter.ts';
import { flagsOf, givenOf, type OptionSpec, specsOf } from '../frame/option.ts';
import { attachOption, type QueueOptions, queueOption } from './queue-options.ts';

/** What the command line says to `learn`, parsed: options of the table by their words, and those below. */
export interface LearnWords extends QueueOptions, Readonly<Record<string, unknown>> {
  readonly json: boolean;
}

/** Another way to say what an option says. */
interface Shorthand extends OptionSpec {
  /** @returns what changes @throws UserError when words contradict each other */
  readonly means: (value: never, asked: LearnOptions, words: LearnWords) => LearnRequest;
}

const windows = 'Windows and vocabulary:';

/** The ancestor's words for what has other names here; each is applied to what the others have said. */
const shorthands: readonly Shorthand[] = [
  {
    flags: '--test-size <n>',
    help: 'samples to judge in all, instead of the two sizes',
    group: 'Samples:',
    parse: integer(0),
    means: (all: number, { sizes }, { ratio }) => {
      const benign = Math.round(all * Number(ratio));
      return { sizes: { ...sizes, testNominal: benign, testAnomalous: all - benign } };
    },
  },
  {
    flags: '--ratio <share>',
    help: 'benign ones of --test-size',
    group: 'Samples:',
    parse: decimal(0, 1),
    default: 0.5,
    means: () => ({}),
  },
  { flags: '--disable-ret', help: 'leave returns out', group: windows, means: without('ret') },
  {
    flags: '--disable-icall',
    help: 'leave indirect calls out',
    group: windows,
    means: without('icall'),
  },
  {
    flags: '--disable-ijmp',
    help: 'leave indirect jumps out',
    group: windows,
    means: without('ijmp'),
  },
  {
    flags: '--learn-ret',
    help: 'predict returns; with --learn-icall or --learn-ijmp these kinds only',
    group: windows,
    means: onlyNamed,
  },
  { flags: '--learn-icall', help: 'predict indirect calls', group: windows, means: onlyNamed },
  { flags: '--learn-ijmp', help: 'predict indirect jumps', group: windows, means: onlyNamed },
  { flags: '--learn-call', help: 'predict direct calls, too', group: windows, means: also('call') },
  { flags: '--learn-jmp', help: 'predict direct jumps, too', group: windows, means: also('jmp') },
  {
    flags: '--checkpoint-early-stop',
    help: 'stop after the first epoch whose loss is not lower: --patience 1',
    group: 'Training:',
    means: (_: true, { patience }) => ({ patience: patience || 1 }),
  },
  {
    flags: '--multi-gpu <n>',
    help: 'the same as --device cuda:0,...,cuda:N-1',
    group: 'Machine:',
    parse: integer(1, 64),
    means: (count: number, { device }) => {
      const devices = Array.from({ length: count }, (_, i) => `cuda:${i}`).join(',');
      if (device === 'cpu' || device === devices) return { device: devices };
      throw new UserError(
        'devices-contradict',
        `--multi-gpu ${count} and --device ${device} contradict each other`,
        { category: 'arguments' },
      );
    },
  },
  {
    ...attachOption,
    group: 'Machine:',
    means: (resume: string) => ({ resume }),
  },
];

export const learnSpecs: readonly OptionSpec[] = [
  ...specsOf(learnTable),
  ...shorthands,
  { ...queueOption, group: 'Machine:' },
];

/** @throws UserError when words contradict each other */
export function learnRequestOf(root: string | undefined, words: LearnWords): LearnRequest {
  let request: LearnRequest = { ...givenOf(learnTable, words), root };
  for (const { means, ...option } of shorthands) {
    const value = words[flagsOf(option).key];
    if (value === undefined || value === false) continue;
    request = { ...request, ...means(value as never, settleLearn(request), words) };
  }
  return request;
}

/** In the order of `filterNames`, whatever the order of the words: the record says one thing one way. */
function without(left: FilterName): Shorthand['means'] {
  return (_, { filter }) => ({ filter: filter.filter((name) => name !== left) });
}

/** `--learn-ret` and its like name the indirect transfers that are predicted; direct ones stay. */
function onlyNamed(
  _: true,
  { filter }: LearnOptions,
  { learnRet, learnIcall, learnIjmp }: LearnWords,
): LearnRequest {
  const isLeft: Partial<Record<FilterName, boolean>> = {
    ret: learnRet !== true,
    icall: learnIcall !== true,
    ijmp: learnIjmp !== true,
  };
  return { filter: filter.filter((name) => isLeft[name] !== true) };
}

function also(added: FilterName): Shorthand['means'] {
  return (_, { filter }) => ({
    filter: filterNames.filter((name) => name === added || filter.includes(name)),
  });
}
