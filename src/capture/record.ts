import { realpath, rename } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Address } from '../base/address.ts';
import { messageOf, UserError } from '../base/errors.ts';
import { isThere } from '../base/files/exists.ts';
import { makeFolder, makeWorkFolder, removeAll, removeQuietly } from '../base/files/folder.ts';
import { writeJsonFile } from '../base/files/json-file.ts';
import { readWholeFile } from '../base/files/read.ts';
import { writeFileAtomic } from '../base/files/write.ts';
import type { LabelWord } from '../base/label.ts';
import { toLine } from '../base/text/line.ts';
import { version } from '../base/version.ts';
import { ImageCollection } from './image-collection.ts';
import { PackedTraces } from './packed-traces.ts';
import type { BackendChoice, BackendName } from './qemu/backend.ts';
import { elfKind } from './qemu/elf-kind.ts';
import { type End, emulate, type Ran } from './qemu/emulator.ts';
import { standardEnvironment } from './qemu/environment.ts';
import { type LoadedFile, loadedFile } from './qemu/loaded-file.ts';
import { logBackend } from './qemu/log/backend.ts';
import { pluginBackend } from './qemu/plugin/backend.ts';
import { pluginFor } from './qemu/plugin/build.ts';
import { Recording } from './qemu/recording.ts';
import { checkStart } from './qemu/start-check.ts';
import { FileContents, saveImages, saveMadeCode } from './sample-images.ts';

export { standardEnvironment };

export interface RecordOptions {
  /** Path of an x86 ELF program. */
  readonly command: string;
  readonly args: readonly string[];
  /** Folder of the sample; must not exist. */
  readonly out: string;
  /** Where the images go; by default as `imagesBeside` says. */
  readonly images?: ImageCollection;
  readonly binDir?: string;
  readonly label: LabelWord;
  /** What the sample is a run of: first line of `info.txt`. */
  readonly name: string;
  /** Third line of `info.txt`. */
  readonly family?: string;
  /** What the program's environment is made from; by default `standardEnvironment`. */
  readonly baseEnv?: Readonly<Record<string, string>>;
  /** Added to it. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** File that the program reads on its standard input, which is empty otherwise; its output goes nowhere. */
  readonly stdin?: string;
  readonly timeoutSeconds?: number;
  readonly maxBlocks?: number;
  /** Symbol, or base name of a file, before whose first block nothing is recorded. */
  readonly skipUntil?: string;
  /** Whether `checkStart` has been asked about it. */
  readonly isStartChecked?: boolean;
  readonly compressReturns?: boolean;
  /** How QEMU is asked what it executes; by default `auto`. */
  readonly backend?: BackendChoice;
  /** Save code that lies in no file as images of its own; by default yes. */
  readonly saveMadeCode?: boolean;
  /** The emulator; by default `qemu-x86_64` or `qemu-i386` of the search path. */
  readonly qemu?: string;
  /** A compiled plugin; without it one is compiled for this call. */
  readonly plugin?: string;
  /** Path that the memory map gives a file, when not its own. */
  readonly showPath?: (path: string) => string;
  /** Address of each block of a thread; threads are numbered as they start. */
  readonly onBlock?: (address: Address, thread: number) => void;
  readonly signal?: AbortSignal;
}

export interface Recorded {
  readonly folder: string;
  readonly backend: BackendName;
  /** Blocks of each thread, first thread first. */
  readonly blocks: readonly number[];
  readonly traceBytes: number;
  readonly signals: number;
  /** Children that were not recorded. */
  readonly forks: number;
  readonly replacedBy: string | undefined;
  /** Bytes of code outside files, saved as images. */
  readonly madeCodeBytes: number;
  /** Pages of it that changed after they had run: the image holds what came last. */
  readonly rewrittenPages: number;
  readonly end: End;
  readonly exitCode: number | undefined;
  readonly killedBy: string | undefined;
  readonly seconds: number;
}

/**
 * Runs a program under QEMU's user mode and writes its control flow as a sample folder with Intel
 * PT traces, one for each thread (`trace_0.gz` is the first thread's).
 *
 * @throws UserError `not-readable`, `not-recordable`, `no-such-start`, `no-compiler`, `no-qemu`, `out-exists`,
 *   `never-started`, `nothing-recorded`
 */
export async function record(options: RecordOptions): Promise<Recorded> {
  const out = resolve(options.out);
  const { skipUntil, onBlock } = options;
  const command = await realpath(options.command).catch(() => resolve(options.command));
  const bytes = await readWholeFile(command);
  const kind = elfKind(bytes, command);
  const program = loadedFile(command, bytes);
  const loader = kind.loader === undefined ? undefined : await loaderOf(kind.loader);
  if (isThere(out)) {
    throw new UserError('out-exists', 'exists already', { category: 'arguments', path: out });
  }
  if (skipUntil !== undefined && !options.isStartChecked)
    await checkProgramStart(options, skipUntil);
  await makeFolder(dirname(out));
  const work = await makeWorkFolder('wayward-record-');
  const part = `${out}.part`;
  try {
    const packed = new PackedTraces();
    const recording = new Recording({
      onTrace: (bytes, thread) => packed.add(thread, bytes),
      onThreadEnd: (thread) => packed.end(thread),
      bitness: kind.bitness,
      compressReturns: options.compressReturns ?? true,
      maxBlocks: options.maxBlocks ?? Number.MAX_SAFE_INTEGER,
      ...(skipUntil === undefined ? {} : { skipUntil }),
      ...(onBlock === undefined ? {} : { onBlock }),
    });
    const plugin = options.plugin ?? (await pluginFor(options.backend ?? 'auto', work));
    const started = performance.now();
    const loaded = loader === undefined ? [program] : [program, loader];
    const isSeen = skipUntil !== undefined || onBlock !== undefined;
    const backend =
      plugin === undefined
        ? await logBackend(recording, work, program, loader, options.cwd ?? process.cwd())
        : pluginBackend(recording, plugin, work, loaded, isSeen);
    const qemu = emulatorFor(options, kind.bitness);
    const ran = await emulate(
      { ...options, qemu, command, isFull: () => recording.isFull },
      backend,
    );
    const died = ran.end === 'signal';
    await backend.finish(died);
    const threads = recording.finish(died);
    if (threads.length === 0) throw nothingRecorded(recording, ran, { command, skipUntil, qemu });
    await removeAll(part);
    const images = options.images ?? new ImageCollection(options.binDir ?? imagesBeside(out));
    const files = new FileContents();
    const made = await saveMadeCode(recording, images, files, options.saveMadeCode ?? true);
    const map = await saveImages(recording, images, made.names, files, options.showPath);
    const traceBytes = await writeSample(part, threads, packed, map, options);
    await writeJsonFile(join(part, 'recording.json'), {
      ...{ schemaVersion: 1, tool: 'qemu', toolVersion: `by Wayward ${version}` },
      backend: plugin === undefined ? 'log' : 'plugin',
      commandLine: [command, ...options.args],
      ...{ exitCode: ran.code ?? undefined, killedBy: ran.killedBy ?? undefined, traceBytes },
    });
    await rename(part, out).catch((cause: unknown) => {
      throw new UserError('out-exists', `cannot be made: ${messageOf(cause)}`, {
        category: 'runtime',
        path: out,
        cause,
      });
    });
    return {
      folder: out,
      backend: plugin === undefined ? 'log' : 'plugin',
      blocks: threads.map(({ blocks }) => blocks),
      traceBytes,
      signals: threads.reduce((sum, { interrupts }) => sum + interrupts, 0),
      forks: recording.forks,
      replacedBy: recording.replacedBy,
      madeCodeBytes: made.bytes,
      rewrittenPages: made.rewrittenPages,
      end: ran.end,
      exitCode: ran.code ?? undefined,
      killedBy: ran.killedBy ?? undefined,
      seconds: (performance.now() - started) / 1000,
    };
  } finally {
    await removeQuietly(work);
    await removeQuietly(part);
  }
}

/** Where a sample's images go by themselves: `bin` beside its `traces`, or beside the sample. */
export function imagesBeside(sample: string): string {
  const parent = dirname(resolve(sample));
  return join(basename(parent) === 'traces' ? dirname(parent) : parent, 'bin');
}

function emulatorFor({ qemu }: Pick<RecordOptions, 'qemu'>, bitness: 32 | 64): string {
  return qemu ?? (bitness === 64 ? 'qemu-x86_64' : 'qemu-i386');
}

/**
 * Looks for what recording is to begin at, before anything of the program runs.
 *
 * @throws UserError `no-such-start`, `not-readable`, `not-recordable`
 */
export async function checkProgramStart(
  options: Pick<RecordOptions, 'command' | 'qemu' | 'baseEnv' | 'env' | 'cwd'>,
  start: string,
): Promise<void> {
  const command = await realpath(options.command).catch(() => resolve(options.command));
  const bytes = await readWholeFile(command);
  const { bitness, loader } = elfKind(bytes, command);
  const { baseEnv = standardEnvironment, env = {}, cwd } = options;
  const qemu = emulatorFor(options, bitness);
  await checkStart(start, { command, bytes, loader, qemu, variables: { ...baseEnv, ...env }, cwd });
}

function nothingRecorded(
  { map }: Recording,
  { errors }: Pick<Ran, 'errors'>,
  asked: {
    readonly command: string;
    readonly skipUntil: string | undefined;
    readonly qemu: string;
  },
): UserError {
  const { command, skipUntil, qemu } = asked;
  if (skipUntil !== undefined && map.codeFiles.length > 0) {
    return new UserError('never-started', `never came to ${skipUntil}, so nothing was recorded`, {
      category: 'input',
      path: command,
    });
  }
  const why = errors.trim().split('\n').slice(-3).join('; ');
  return new UserError('nothing-recorded', `did not run under ${qemu}: ${why}`, {
    category: 'runtime',
    path: command,
  });
}

/** Writes a sample's files. @returns bytes of its traces, not compressed */
async function writeSample(
  folder: string,
  threads: ReturnType<Recording['finish']>,
  packed: PackedTraces,
  map: string,
  { name, label, family }: RecordOptions,
): Promise<number> {
  let traceBytes = 0;
  for (const [index, { number }] of threads.entries()) {
    const trace = await packed.packed(number);
    traceBytes += trace.traceBytes;
    await writeFileAtomic(join(folder, `trace_${index}.gz`), trace.gzip);
  }
  await writeFileAtomic(join(folder, 'mapping.txt'), map);
  const lines = [name, label, ...(family === undefined ? [] : [family])].map(toLine);
  await writeFileAtomic(join(folder, 'info.txt'), `${lines.join('\n')}\n`);
  return traceBytes;
}

async function loaderOf(path: string): Promise<LoadedFile> {
  const real = await realpath(path).catch(() => path);
  return loadedFile(real, await readWholeFile(real));
}
