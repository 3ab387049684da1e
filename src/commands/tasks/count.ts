import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { deserialize, serialize } from 'node:v8';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import { UserError } from '../../base/errors.ts';
import { readWholeFile } from '../../base/files/read.ts';
import { writeFileAtomic } from '../../base/files/write.ts';
import type { Job } from '../../workers/job.ts';
import {
  fileName,
  flag,
  listOf,
  number,
  oneOf,
  optional,
  path,
  record,
  text,
  wholeNumber,
} from '../../workers/schema.ts';
import { readingOf, readSourceSample, type SampleSource, sourceNames } from '../samples/source.ts';
import { type SampleEnd, type SamplePart, TrainingReader } from '../training/windows/reader.ts';
import { folderState } from './preprocess.ts';
import { defineTask, type Task, type TaskContext } from './task.ts';

/** How windows are counted; the same for all samples of a run. */
export interface CountSetup extends SampleSource {
  readonly binDirs: readonly string[];
  readonly rawImages: boolean;
  readonly windowLength: number;
  /** 1 for each kind of transfer that is predicted. */
  readonly filter: readonly number[];
  /** Distinct windows that a worker holds. */
  readonly partSize: number;
  /** Seconds for one sample; `undefined` = any. */
  readonly timeout: number | undefined;
  /** Folder for what was counted. */
  readonly out: string;
}

interface Options extends CountSetup {
  /** Folder of the sample. */
  readonly sample: string;
}

const read = record({
  binDirs: listOf(path, 100),
  rawImages: flag,
  source: oneOf(...sourceNames),
  process: optional(text(200)),
  preprocessed: flag,
  cpu: optional(text(20)),
  windowLength: wholeNumber(1, 4096),
  filter: listOf(wholeNumber(0, 1), 256),
  partSize: wholeNumber(1, 1 << 24),
  timeout: optional(number(0, 1e6)),
  out: path,
  sample: path,
});

/** The file is named by the SHA-256 of what is in it. */
interface Counted {
  readonly file: string;
}

const readCounted = record({ file: fileName });

/** Counts the windows of one sample into a file; gives its name. */
export const countTask: Task<Counted> = defineTask<Options, Counted>({
  read,
  folders: ({ sample, binDirs, out }) => ({ read: [sample, ...binDirs], write: [out] }),
  run: count,
});

export function countJob(sample: string, setup: CountSetup): Job {
  return { task: 'count', options: { ...setup, sample } };
}

const pack = promisify(zstdCompress);
const unpack = promisify(zstdDecompress);
/** No honest count is larger; a small compressed file must not fill the memory. */
const mostBytes = 2 ** 31 - 1;

async function count(options: Options, { signal }: TaskContext): Promise<Counted> {
  const messages: (SamplePart | SampleEnd)[] = [];
  try {
    const sample = await readSourceSample(options.sample, options);
    const end = await readerFor(options).read(sample, (part) => messages.push(part), signal);
    messages.push(end);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    messages.push({ reason: error.message });
  }
  const bytes = serialize(messages);
  const file = `${createHash('sha256').update(bytes).digest('hex')}.windows`;
  await writeFileAtomic(join(options.out, file), await pack(bytes));
  return { file };
}

/** @returns what `TrainingReader` gave: parts, and then the end. @throws UserError `count-damaged` */
export async function readCount(
  out: string,
  value: unknown,
): Promise<readonly (SamplePart | SampleEnd)[]> {
  const { file } = readCounted(value, 'count');
  const found = join(out, file);
  const packed = await readWholeFile(found);
  const bytes = await unpack(packed, { maxOutputLength: mostBytes }).catch(() => undefined);
  const hash = bytes === undefined ? '' : createHash('sha256').update(bytes).digest('hex');
  if (bytes === undefined || `${hash}.windows` !== file) {
    throw new UserError('count-damaged', 'is not what its name says', {
      category: 'input',
      path: found,
    });
  }
  return deserialize(bytes) as readonly (SamplePart | SampleEnd)[];
}

let kept: { readonly key: string; readonly reader: TrainingReader } | undefined;

function readerFor({ sample: _, out: __, ...options }: Options): TrainingReader {
  const key = JSON.stringify([options, options.binDirs.map(folderState)]);
  if (kept?.key !== key) {
    kept?.reader.dispose();
    const { binDirs, rawImages, windowLength, filter, partSize, timeout } = options;
    const reader = new TrainingReader({
      ...readingOf(options),
      ...{ binDirs, rawImages, windowLength, partSize, timeout },
      filter: Uint8Array.from(filter),
    });
    kept = { key, reader };
  }
  return kept.reader;
}
