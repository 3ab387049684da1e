import { choices, integer } from '../../base/options/option.ts';
import { defaultFilter, type FilterName, filterNames } from '../../sequences/filter.ts';
import type { AncestorName } from '../frame/command.ts';
import type { OptionSpec } from '../frame/option.ts';
import {
  cpuOption,
  imageOptions,
  preprocessedOption,
  type SourceFlags,
  sourceOf,
  sourceOptions,
} from './sample-flags.ts';

/** What counting sequences of blocks takes: `stats` and `novelty`. */
export interface SequenceFlags extends SourceFlags {
  readonly binDir: readonly string[] | undefined;
  readonly rawImages: boolean;
  readonly filter: readonly FilterName[];
  readonly ret: boolean;
  readonly call: boolean;
  readonly jmp: boolean;
  readonly maxWindows: number;
}

/** @param what  says what `--sequence-len` and `--max-windows` are to the command */
export function sequenceOptions(what: {
  readonly sequenceLen: string;
  readonly maxWindows: string;
}): readonly OptionSpec[] {
  return [
    ...imageOptions,
    ...sourceOptions,
    cpuOption,
    preprocessedOption,
    {
      flags: '--filter <list>',
      help: `transfers to count: ${filterNames.join(', ')}`,
      parse: choices(...filterNames),
      default: defaultFilter,
    },
    { flags: '--ret', help: 'count returns; with --call or --jmp these kinds only' },
    { flags: '--call', help: 'count indirect calls; with --ret or --jmp these kinds only' },
    { flags: '--jmp', help: 'count indirect jumps; with --ret or --call these kinds only' },
    {
      flags: '-s, --sequence-len <n>',
      help: what.sequenceLen,
      parse: integer(1, 1024),
      default: 32,
    },
    {
      flags: '--max-windows <n>',
      help: what.maxWindows,
      parse: integer(1024, 2 ** 26),
      default: 2_000_000,
    },
  ];
}

/** Where sequences come from, and which of them count. */
export function sequencesOf(o: SequenceFlags): {
  readonly binDirs: readonly string[];
  readonly rawImages: boolean;
  readonly filter: readonly FilterName[];
  readonly maxWindows: number;
} & ReturnType<typeof sourceOf> {
  return {
    ...{ binDirs: o.binDir ?? [], rawImages: o.rawImages, ...sourceOf(o) },
    ...{ filter: filterOf(o), maxWindows: o.maxWindows },
  };
}

/** The ancestor's flags name the kinds that count, whatever `--filter` says. */
function filterOf({ filter, ret, call, jmp }: SequenceFlags): readonly FilterName[] {
  const named: FilterName[] = [];
  if (ret) named.push('ret');
  if (call) named.push('icall');
  if (jmp) named.push('ijmp');
  return named.length > 0 ? named : filter;
}

/** Letters and words of the ancestor's scripts that count sequences. */
export const ancestorsSequenceWords: Omit<AncestorName, 'script'> = {
  letters: { r: 'ret', c: 'call', j: 'jmp' },
  words: {
    ...{ 'parse-ret': 'ret', 'parse-icall': 'call', 'parse-ijmp': 'jmp' },
    ...{ 'learn-ret': 'ret', 'learn-icall': 'call', 'learn-ijmp': 'jmp' },
    'sequence-length': 'sequence-len',
  },
};
