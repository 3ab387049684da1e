import { open, rmdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { UserError } from '../base/errors.ts';
import { isThere } from '../base/files/exists.ts';
import type { LabelWord } from '../base/label.ts';
import type { ProgressSink } from '../base/log.ts';
import { ImageCollection } from '../capture/image-collection.ts';
import { PerfImages } from '../capture/perf/images.ts';
import { importPerf, type PerfImported } from '../capture/perf/import.ts';
import { importPerfScript } from '../capture/perf/script/import.ts';
import type { RunContext } from '../model/first-layer.ts';

export interface ImportOptions {
  /** `perf.data` files, or the branches that `perf script` printed of them. */
  readonly files: readonly string[];
  readonly isPerfScript?: boolean;
  /** Samples go to `traces/` in it, images to `bin/`. */
  readonly root: string;
  /** Folders with copies of the programs and libraries that ran. */
  readonly binDirs: readonly string[];
  /** perf's build-id cache. */
  readonly buildIdDir?: string;
  readonly label: LabelWord;
  readonly family?: string;
  /** Name of the samples, with one file only; by default the file's. */
  readonly name?: string;
  /** Only threads with this name, or of a program with it. */
  readonly comm?: string;
  readonly progress?: ProgressSink;
  readonly signal?: AbortSignal;
}

export interface ImportResult {
  readonly file: string;
  readonly imported?: PerfImported;
  /** Why nothing came of the file. */
  readonly error?: string;
}

/**
 * Makes samples of Intel PT recordings. A file that cannot be read does not stop the others. Where no
 * sample comes about, nothing is left behind: no images, no folders.
 *
 * @throws UserError when there is one file only, and it cannot be imported; `write-failed`
 */
export async function importRecordings(options: ImportOptions): Promise<ImportResult[]> {
  const { files, root } = options;
  const importOne = options.isPerfScript ? importPerfScript : importPerf;
  const collection = new ImageCollection(join(root, 'bin'));
  const images = new PerfImages({ binDirs: options.binDirs, buildIdDir: options.buildIdDir });
  const results: ImportResult[] = [];
  const folders = [collection.folder, join(root, 'traces'), root].filter((path) => !isThere(path));
  try {
    for (const file of files) results.push(await importFile(file));
    return results;
  } finally {
    await removeEmpty(folders);
  }

  async function importFile(file: string): Promise<ImportResult> {
    options.signal?.throwIfAborted();
    try {
      const imported = await importOne({
        path: resolve(file),
        out: join(root, 'traces'),
        name: options.name ?? sampleName(file),
        label: options.label,
        images,
        collection,
        ...(options.family === undefined ? {} : { family: options.family }),
        ...(options.comm === undefined ? {} : { comm: options.comm }),
        ...(options.progress === undefined ? {} : { progress: options.progress }),
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      });
      return { file, imported };
    } catch (error) {
      const isOfFile = error instanceof UserError && error.category === 'input';
      if (!isOfFile || files.length === 1) throw error;
      return { file, error: error.message };
    } finally {
      await collection.discard();
    }
  }
}

/** How a file of `perf record` begins. */
const perfMagic = 'PERFILE2';

/** Where samples are looked for, and where their images are. */
export interface SamplePaths {
  readonly samples: readonly string[];
  /** Empty: beside the samples. */
  readonly binDirs?: readonly string[];
}

/**
 * Makes samples of those of some paths that are files of `perf record`, each in a root of its own below
 * `out/recordings`.
 *
 * @returns the paths, with a root in place of each such file
 * @throws UserError
 */
export async function importPerfFiles(
  { samples, binDirs = [] }: SamplePaths,
  out: string,
  { log, progress, signal }: RunContext,
): Promise<Required<SamplePaths>> {
  const paths: string[] = [];
  const images: string[] = [];
  for (const path of samples) {
    if (!(await isPerfFile(path))) {
      paths.push(path);
      continue;
    }
    const root = freePath(join(resolve(out), 'recordings', sampleName(path)));
    const [result] = await importRecordings({
      ...{ files: [path], root, binDirs, label: 'unknown', progress },
      ...(signal === undefined ? {} : { signal }),
    });
    const threads = result?.imported?.threads ?? [];
    const made = threads.filter(({ folder }) => folder !== undefined);
    for (const { tid, comm, problem } of threads) {
      if (problem !== undefined) log.log('warning', `thread ${tid} (${comm}): ${problem}`);
    }
    log.log('info', `${path}: ${made.length} of ${threads.length} threads, in ${root}`);
    paths.push(root);
    images.push(join(root, 'bin'));
  }
  return { samples: paths, binDirs: binDirs.length === 0 ? [] : [...binDirs, ...images] };
}

async function isPerfFile(path: string): Promise<boolean> {
  try {
    const file = await open(path);
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(perfMagic.length), 0);
      return bytesRead === perfMagic.length && buffer.toString('latin1') === perfMagic;
    } finally {
      await file.close();
    }
  } catch {
    // A folder, or what cannot be read: whoever looks for samples says so.
    return false;
  }
}

function freePath(path: string): string {
  let free = path;
  for (let number = 2; isThere(free); number++) free = `${path}-${number}`;
  return free;
}

/** Removes those of the folders that are empty. */
async function removeEmpty(folders: readonly string[]): Promise<void> {
  for (const folder of folders) {
    // It is not empty, or was never made.
    await rmdir(folder).catch(() => {});
  }
}

function sampleName(file: string): string {
  return basename(file).replace(/\.(?:data|txt)(?:\.gz)?$/, '') || 'perf';
}
