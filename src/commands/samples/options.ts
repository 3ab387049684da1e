import { choice, integer, type Option, text } from '../../base/options/option.ts';
import { parseCpu } from '../../pt/errata.ts';
import { type SourceName, sourceNames } from './source.ts';

const group = 'Samples:';

/** Options of every command that reads samples; tables of commands take them in. */
export const binDirsOption: Option<readonly string[]> = {
  flags: '--bin-dir <dir>',
  help: 'folder of executables and libraries, found by base name; may be given again [bin beside traces, else beside the sample]',
  group,
  parse: text,
  repeats: true,
  default: [],
};

export const rawImagesOption: Option<boolean> = {
  flags: '--raw-images',
  help: 'map every image flat, whatever it looks like',
  group,
  default: false,
};

export const debugDirsOption: Option<readonly string[]> = {
  flags: '--debug-dir <dir>',
  help: "folder of debug files, found by build id; may be given again (beside /usr/lib/debug and debuginfod's cache)",
  group,
  parse: text,
  repeats: true,
  default: [],
};

export const processOption: Option<string | undefined> = {
  flags: '--process <id>',
  help: 'number or name of the process that counts, where a map or report holds several',
  group,
  parse: text,
  default: undefined,
};

export const cpuOption: Option<string | undefined> = {
  flags: '--cpu <family/model/stepping>',
  help: 'processor that recorded the traces, as 6/94/3: its errata are taken into account',
  group,
  parse: (value) =>
    parseCpu(value) === undefined
      ? { problem: 'takes FAMILY/MODEL/STEPPING in decimal, as 6/94/3' }
      : { value },
  default: undefined,
};

export const sourceOption: Option<SourceName> = {
  flags: '--source <kind>',
  help: 'trace, api (calls in a format told by content), or report, strace, integers',
  group,
  parse: choice(...sourceNames),
  default: 'trace',
};

export const preprocessedOption: Option<boolean> = {
  flags: '-p, --preprocessed',
  help: 'read stored traces (see preprocess) only',
  group,
  default: false,
};

/** How many samples go into each set. */
export const trainSizeOption: Option<number> = {
  flags: '--train-size <n>',
  help: 'benign samples to learn from',
  group,
  parse: integer(1),
  default: 8,
};

export const calibrationSizeOption: Option<number | undefined> = {
  flags: '--calibration-size <n>',
  help: 'benign samples for the threshold',
  group,
  parse: integer(0),
  default: undefined,
  shown: 'all that are left',
};

export const testSizeBenignOption: Option<number> = {
  flags: '--test-size-benign <n>',
  help: 'benign samples to judge',
  group,
  parse: integer(0),
  default: 2,
};

export const testSizeMaliciousOption: Option<number> = {
  flags: '--test-size-malicious <n>',
  help: 'malicious samples to judge',
  group,
  parse: integer(0),
  default: 2,
};

export const seedOption: Option<number> = {
  flags: '--seed <n>',
  help: 'fixes sets, weights and order',
  group,
  parse: integer(0, 4294967295),
  default: 1,
};
