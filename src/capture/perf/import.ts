import { join, resolve } from 'node:path';
import { isThere } from '../../base/files/exists.ts';
import type { LabelWord } from '../../base/label.ts';
import type { ProgressSink } from '../../base/log.ts';
import type { ImageCollection } from '../image-collection.ts';
import { writeSampleFolder } from '../sample-folder.ts';
import type { PerfImages } from './images.ts';
import { type MissingImage, PerfMapWriter } from './map.ts';
import { PieceJoiner } from './piece-joiner.ts';
import { type Piece, PieceCutter } from './pieces.ts';
import { PerfRecording } from './recording.ts';
import { PerfFile } from './records/file.ts';
import type { PerfThread } from './records/processes.ts';
import type { PerfLosses } from './records/records.ts';
import { TraceStream } from './stream.ts';
import { isWanted, sampleNames } from './threads.ts';
import { turnsOf } from './turns.ts';

export interface PerfImportOptions {
  /** The `perf.data` file. */
  readonly path: string;
  /** Folder in which the samples' folders appear. */
  readonly out: string;
  /** Begins the name of each sample. */
  readonly name: string;
  readonly label: LabelWord;
  readonly family?: string;
  /** Only threads with this name, or of a program with this name. */
  readonly comm?: string;
  readonly images: PerfImages;
  readonly collection: ImageCollection;
  readonly progress?: ProgressSink;
  readonly signal?: AbortSignal;
}

/** One thread's sample. */
export interface ImportedThread {
  /** Folder of the sample; `undefined` where it could not be made. */
  readonly folder: string | undefined;
  readonly pid: number;
  readonly tid: number;
  readonly comm: string;
  readonly traceBytes: number;
  /** Stretches of trace between two switches. */
  readonly pieces: number;
  /** Places at which trace was lost. */
  readonly gaps: number;
  /** Mappings of code that took the place of others: what ran in those may be decoded with the wrong code. */
  readonly replacedMappings: number;
  readonly problem?: string;
}

export interface PerfImported {
  readonly path: string;
  readonly threads: readonly ImportedThread[];
  readonly losses: PerfLosses;
  /** Trace bytes in the file. */
  readonly traceBytes: number;
  /** Of them: before the first PSB, after damage, of a snapshot that an older one holds, of no thread asked for. */
  readonly bytesSkipped: number;
  readonly bytesOverlapping: number;
  readonly bytesOfOthers: number;
  /** What is wrong with the file, in words. */
  readonly damage: readonly string[];
  /** Mapped files that were not found. */
  readonly missing: readonly MissingImage[];
}

type ThreadPiece = { readonly stream: TraceStream; readonly piece: Piece<PerfThread> };

/**
 * Makes a sample of each thread of an Intel PT recording.
 *
 * @throws UserError for a file that is no such recording; see `PerfFile.open` and `PerfRecording.read`
 */
export async function importPerf(options: PerfImportOptions): Promise<PerfImported> {
  const { path, signal } = options;
  const file = await PerfFile.open(path);
  try {
    const recording = await PerfRecording.read(file, signal);
    const cut = await cutIntoThreads(file, recording, options);
    const maps = new PerfMapWriter(options.images, options.collection, file.buildIds);
    let bytesOfOthers = 0;
    const wanted = [...cut.byThread].filter(([thread, pieces]) => {
      if (thread.tid > 0 && isWanted(thread, options.comm)) return true;
      for (const { piece } of pieces) bytesOfOthers += piece.to - piece.from;
      return false;
    });
    const names = sampleNames(
      wanted.map(([thread]) => thread),
      options.name,
    );
    const threads: ImportedThread[] = [];
    for (const [thread, pieces] of wanted) {
      signal?.throwIfAborted();
      const facts = sampleFacts(file, recording, cut, pieces);
      threads.push(
        await writeSample(options, thread, pieces, names.get(thread) ?? '', facts, maps),
      );
      const progress = { step: 'writing', done: threads.length, total: wanted.length } as const;
      options.progress?.({ ...progress, unit: 'samples' });
    }
    return {
      path,
      threads,
      losses: recording.losses,
      traceBytes: recording.traceBytes,
      bytesSkipped: cut.bytesSkipped,
      bytesOverlapping: cut.bytesOverlapping,
      bytesOfOthers,
      damage: file.damage,
      missing: maps.missing,
    };
  } finally {
    await file.close();
  }
}

/** The buffers of all processors, cut into what each thread ran. */
interface CutRecording {
  readonly byThread: ReadonlyMap<PerfThread, ThreadPiece[]>;
  /** Buffers of processors on which threads, or one and the kernel, took turns, with returns compressed. */
  readonly shared: ReadonlySet<TraceStream>;
  readonly bytesSkipped: number;
  readonly bytesOverlapping: number;
}

async function cutIntoThreads(
  file: PerfFile,
  { buffers, info, traceBytes }: PerfRecording,
  { signal, progress }: PerfImportOptions,
): Promise<CutRecording> {
  const byThread = new Map<PerfThread, ThreadPiece[]>();
  const shared = new Set<TraceStream>();
  let bytesSkipped = 0;
  let bytesOverlapping = 0;
  let done = 0;
  for (const buffer of buffers.values()) {
    const stream = await TraceStream.open(file, buffer, info.isSnapshot);
    bytesOverlapping += stream.overlap;
    const cutter = new PieceCutter(turnsOf(info, buffer, stream), info.mtc);
    for await (const { bytes, isLossBefore } of stream.blocks()) {
      signal?.throwIfAborted();
      if (isLossBefore) cutter.lose();
      cutter.add(bytes);
      done += bytes.length;
      progress?.({ step: 'cutting', done, total: traceBytes, unit: 'bytes' });
    }
    cutter.finish();
    bytesSkipped += cutter.bytesSkipped;
    const owners = new Set(cutter.pieces.map(({ owner }) => owner));
    const isShared = owners.size > 1 || info.hasKernel;
    if (isShared && info.compressesReturns) shared.add(stream);
    for (const piece of cutter.pieces) {
      const pieces = byThread.get(piece.owner);
      if (pieces === undefined) byThread.set(piece.owner, [{ stream, piece }]);
      else pieces.push({ stream, piece });
    }
  }
  return { byThread, shared, bytesSkipped, bytesOverlapping };
}

/** What is written beside a thread's trace. */
function sampleFacts(
  file: PerfFile,
  { info }: PerfRecording,
  { shared }: CutRecording,
  pieces: readonly ThreadPiece[],
): object {
  const processors = new Set(pieces.map(({ stream }) => stream));
  return {
    schemaVersion: 1,
    tool: 'perf',
    perfVersion: file.version,
    commandLine: file.commandLine,
    mtc: info.mtc,
    sharesProcessor:
      pieces.some(({ stream }) => shared.has(stream)) ||
      (info.compressesReturns && processors.size > 1),
  };
}

async function writeSample(
  options: PerfImportOptions,
  thread: PerfThread,
  pieces: ThreadPiece[],
  name: string,
  facts: object,
  maps: PerfMapWriter,
): Promise<ImportedThread> {
  const { tid, program } = thread;
  const folder = join(resolve(options.out), name);
  pieces.sort((a, b) => a.piece.time - b.piece.time);
  const gaps = pieces.filter(({ piece }) => piece.lostBefore || piece.lostAfter).length;
  const comm = thread.comm || program.comm;
  const { mappings, replaced: replacedMappings } = program.map;
  const result = { pid: program.pid, tid, comm, pieces: pieces.length, gaps, replacedMappings };
  const problem = isThere(folder)
    ? `${folder} exists already`
    : mappings.length === 0
      ? 'nothing is known of its memory map'
      : undefined;
  if (problem !== undefined) return { ...result, folder: undefined, traceBytes: 0, problem };
  const content = {
    trace: traceOf(pieces),
    map: await maps.text(mappings),
    name: options.name,
    label: options.label,
    family: options.family,
    recording: { ...facts, ...result },
  };
  const traceBytes = await writeSampleFolder(folder, content, options.signal);
  options.collection.keep();
  return { ...result, folder, traceBytes };
}

/** The pieces of a thread, one after the other, so that they decode as one trace. */
async function* traceOf(pieces: readonly ThreadPiece[]): AsyncGenerator<Uint8Array> {
  const joiner = new PieceJoiner();
  for (const { stream, piece } of pieces) {
    yield joiner.begin(piece);
    yield* stream.range(piece.from, piece.to);
    yield joiner.end(piece);
  }
}
