import { type SampleSource, type SourceName, sourceNames } from '../../commands/samples/source.ts';
import { parseCpu } from '../../pt/errata.ts';
import { choice, integer, type OptionSpec, text } from '../frame/option.ts';

/** What reading samples takes; `inspect` has these, too. */
export const imageOptions: readonly OptionSpec[] = [
  {
    flags: '--bin-dir <dir>',
    help: 'folder of executables and libraries, found by base name; may be given again',
    parse: text,
    repeats: true,
  },
  { flags: '--raw-images', help: 'map every image flat, whatever it looks like' },
  {
    flags: '--process <id>',
    help: 'number or name of the process that counts, where a map or report holds several',
    parse: text,
  },
];

/** What a sample that is made is called and known to be. */
export const labelOptions: readonly OptionSpec[] = [
  {
    flags: '--label <label>',
    help: 'benign or malicious',
    parse: choice('benign', 'malicious'),
    default: 'benign',
  },
  { flags: '--family <name>', help: 'a kind, kept with the label', parse: text },
];

/** Of commands that read many samples. */
export const preprocessedOption: OptionSpec = {
  flags: '-p, --preprocessed',
  help: 'read stored traces (see preprocess) only',
};

/** Of commands that decode raw traces for others. */
export const cpuOption: OptionSpec = {
  flags: '--cpu <family/model/stepping>',
  help: 'processor that recorded the traces, as 6/94/3: its errata are taken into account',
  parse: (value) =>
    parseCpu(value) === undefined
      ? { problem: 'takes FAMILY/MODEL/STEPPING in decimal, as 6/94/3' }
      : { value },
};

/** What sequences are made from; whatever reads samples has these. */
export const sourceOptions: readonly OptionSpec[] = [
  {
    flags: '--source <kind>',
    help: 'trace, api (calls in a format told by content), or report, strace, integers',
    parse: choice(...sourceNames),
    default: 'trace',
  },
];

export interface SourceFlags {
  readonly source: SourceName;
  readonly process: string | undefined;
  readonly preprocessed: boolean;
}

export function sourceOf({ source, process, preprocessed }: SourceFlags): SampleSource {
  return { source, process, preprocessed: preprocessed ?? false };
}

/** How many samples go into each set; `sets` has these, too. */
export const sizeOptions: readonly OptionSpec[] = [
  {
    flags: '--train-size <n>',
    help: 'benign samples to learn from',
    parse: integer(1),
    default: 8,
  },
  {
    flags: '--calibration-size <n>',
    help: 'benign samples for the threshold [all that are left]',
    parse: integer(0),
  },
  {
    flags: '--test-size-benign <n>',
    help: 'benign samples to judge',
    parse: integer(0),
    default: 2,
  },
  {
    flags: '--test-size-malicious <n>',
    help: 'malicious samples to judge',
    parse: integer(0),
    default: 2,
  },
];
