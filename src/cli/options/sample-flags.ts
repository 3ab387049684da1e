import { labelWords } from '../../base/label.ts';
import { choice, text } from '../../base/options/option.ts';
import {
  binDirsOption,
  calibrationSizeOption,
  cpuOption as cpu,
  preprocessedOption as preprocessed,
  processOption,
  rawImagesOption,
  sourceOption,
  testSizeBenignOption,
  testSizeMaliciousOption,
  trainSizeOption,
} from '../../commands/samples/options.ts';
import type { SampleSource, SourceName } from '../../commands/samples/source.ts';
import { type OptionSpec, specOf } from '../frame/option.ts';

/** What reading samples takes; `inspect` has these, too. */
export const imageOptions: readonly OptionSpec[] = [
  specOf(binDirsOption),
  specOf(rawImagesOption),
  specOf(processOption),
];

/** What a sample that is made is called and known to be. */
export const labelOptions: readonly OptionSpec[] = [
  {
    flags: '--label <label>',
    help: 'benign, malicious or unknown',
    parse: choice(...labelWords),
    default: 'unknown',
  },
  { flags: '--family <name>', help: 'a kind, kept with the label', parse: text },
];

/** Of commands that read many samples. */
export const preprocessedOption: OptionSpec = specOf(preprocessed);

/** Of commands that decode raw traces. */
export const cpuOption: OptionSpec = specOf(cpu);

/** What sequences are made from; whatever reads samples has these. */
export const sourceOptions: readonly OptionSpec[] = [specOf(sourceOption)];

export interface SourceFlags {
  readonly source: SourceName;
  readonly process: string | undefined;
  readonly preprocessed: boolean;
  readonly cpu?: string | undefined;
}

export function sourceOf({ source, process, preprocessed, cpu }: SourceFlags): SampleSource {
  return { source, process, preprocessed, cpu };
}

/** How many samples go into each set; `sets` has these, too. */
export const sizeOptions: readonly OptionSpec[] = [
  specOf(trainSizeOption),
  specOf(calibrationSizeOption),
  specOf(testSizeBenignOption),
  specOf(testSizeMaliciousOption),
];
