import type { TraceReading } from '../../commands/samples/opened-traces.ts';
import type { OptionSpec } from '../frame/option.ts';
import { debugDirsOption, namesOf } from './name-flags.ts';
import { cpuOption, imageOptions, preprocessedOption } from './sample-flags.ts';

/** How traces are read and their places named, by commands that look into single samples. */
export interface ReadingFlags {
  readonly binDir: readonly string[] | undefined;
  readonly rawImages: boolean;
  readonly process: string | undefined;
  readonly debugDir: readonly string[] | undefined;
  readonly preprocessed: boolean;
  readonly cpu: string | undefined;
}

export const readingOptions: readonly OptionSpec[] = [
  ...imageOptions,
  debugDirsOption,
  preprocessedOption,
  cpuOption,
];

export function readingOf(o: ReadingFlags): TraceReading {
  return {
    binDirs: o.binDir ?? [],
    rawImages: o.rawImages,
    process: o.process,
    cpu: o.cpu,
    preprocessed: o.preprocessed,
    names: namesOf(o.debugDir),
  };
}
