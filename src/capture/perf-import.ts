import { existsSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { Address } from '../base/address.ts';
import { UserError } from '../base/errors.ts';
import { messageOf, writeFileAtomic } from '../base/files.ts';
import { type Logger, type ProgressSink, silentLogger } from '../base/log.ts';
import { moduleName } from '../image/module-name.ts';
import { tscPacket } from '../pt/encoder.ts';
import { Ext, IpPacket, Opcode, psbBytes } from '../pt/packet.ts';
import type { ImageCollection } from './image-collection.ts';
import { PerfFile } from './perf-file.ts';
import type { PerfImages } from './perf-images.ts';
import { type Piece, PieceCutter, type Turns } from './perf-pieces.ts';
import type { CodeMapping, PerfThread } from './perf-processes.ts';
import { type PerfLosses, PerfRecording, type PtInfo, type TraceBuffer } from './perf-recording.ts';
import { TraceStream } from './perf-stream.ts';

export interface PerfImportOptions {
  /** The `perf.data` file. */
  readonly path: string;
  /** Folder in which the samples' folders appear. */
  readonly out: string;
  /** Begins the name of each sample. */
  readonly name: string;
  readonly label: 'benign' | 'malicious';
  readonly family?: string;
  /** Only threads with this name, or of a program with this name. */
  readonly comm?: string;
  readonly images: PerfImages;
  readonly collection: ImageCollection;
  readonly log?: Logger;
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
  /** Mapped files that were not found: path and why. */
  readonly missing: readonly { readonly path: string; readonly why: string }[];
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
    const byThread = new Map<PerfThread, ThreadPiece[]>();
    /** Buffers of processors on which threads took turns. */
    const shared = new Set<TraceStream>();
    let bytesSkipped = 0;
    let bytesOverlapping = 0;
    let done = 0;
    for (const buffer of recording.buffers.values()) {
      const stream = await TraceStream.open(file, buffer, recording.info.isSnapshot);
      bytesOverlapping += stream.overlap;
      const cutter = new PieceCutter(turnsOf(recording.info, buffer, stream), recording.info.mtc);
      for await (const { bytes, isLossBefore } of stream.blocks()) {
        signal?.throwIfAborted();
        if (isLossBefore) cutter.lose();
        cutter.add(bytes);
        done += bytes.length;
        options.progress?.({ step: 'cutting', done, total: recording.traceBytes, unit: 'bytes' });
      }
      cutter.finish();
      bytesSkipped += cutter.bytesSkipped;
      const owners = new Set(cutter.pieces.map(({ owner }) => owner));
      if (owners.size > 1 && recording.info.compressesReturns) shared.add(stream);
      for (const piece of cutter.pieces) {
        const pieces = byThread.get(piece.owner);
        if (pieces === undefined) byThread.set(piece.owner, [{ stream, piece }]);
        else pieces.push({ stream, piece });
      }
    }
    const missing = new Map<string, string>();
    const threads: ImportedThread[] = [];
    let bytesOfOthers = 0;
    const wanted = [...byThread].filter(([thread, pieces]) => {
      if (thread.tid > 0 && isWanted(thread, options.comm)) return true;
      for (const { piece } of pieces) bytesOfOthers += piece.to - piece.from;
      return false;
    });
    const name = sampleNames(wanted, options.name);
    for (const [thread, pieces] of wanted) {
      signal?.throwIfAborted();
      const facts = {
        schemaVersion: 1,
        tool: 'perf',
        perfVersion: file.version,
        commandLine: file.commandLine,
        sharesProcessor:
          pieces.some(({ stream }) => shared.has(stream)) ||
          (recording.info.compressesReturns &&
            new Set(pieces.map(({ stream }) => stream)).size > 1),
      };
      threads.push(await writeSample(options, file, thread, pieces, name(thread), facts, missing));
      options.progress?.({
        step: 'writing',
        done: threads.length,
        total: wanted.length,
        unit: 'samples',
      });
    }
    return {
      path,
      threads,
      losses: recording.losses,
      traceBytes: recording.traceBytes,
      bytesSkipped,
      bytesOverlapping,
      bytesOfOthers,
      damage: file.damage,
      missing: [...missing].map(([mapped, why]) => ({ path: mapped, why })),
    };
  } finally {
    await file.close();
  }
}

function isWanted({ comm, program }: PerfThread, wanted: string | undefined): boolean {
  return wanted === undefined || comm === wanted || program.comm === wanted;
}

/** The first thread has the recording's name; others add their own and their number. */
function sampleNames(
  threads: readonly (readonly [PerfThread, readonly ThreadPiece[]])[],
  base: string,
): (thread: PerfThread) => string {
  const names = new Map<PerfThread, string>();
  const taken = new Set<string>();
  for (const [thread] of threads) {
    const comm = (thread.comm || thread.program.comm).replace(/[^\w.+-]/g, '_');
    let name =
      threads.length === 1 ? base : `${base}-${comm === '' ? 'thread' : comm}-${thread.tid}`;
    for (let again = 2; taken.has(name); again++) {
      name = `${base}-${comm}-${thread.tid}-${again}`;
    }
    taken.add(name);
    names.set(thread, name);
  }
  return (thread) => names.get(thread) ?? base;
}

/** Whose trace it is, by the best that the recording tells: context switches, else who ran at each flush. */
function turnsOf(
  info: PtInfo,
  { chunks, switches, flushes, first }: TraceBuffer,
  stream: TraceStream,
): Turns<PerfThread> {
  const [{ cpu }] = chunks;
  if (info.clock !== undefined) {
    return new ListedTurns(first, switches.length, (next, time) =>
      switches[next].time <= time ? switches[next].thread : undefined,
    );
  }
  const byFlush = cpu >= 0 && !info.isSnapshot;
  return new ListedTurns(
    flushes[0]?.thread ?? first,
    byFlush ? flushes.length - 1 : 0,
    (next, _time, position) =>
      flushes[next].position <= stream.offsetOf(position) ? flushes[next + 1].thread : undefined,
  );
}

/** Turns that come one after the other, each when a place in the trace is reached. */
class ListedTurns implements Turns<PerfThread> {
  owner: PerfThread;
  readonly #count: number;
  readonly #turn: (next: number, time: number, position: number) => PerfThread | undefined;
  #next = 0;

  /** @param turn  the owner from turn `next` on if the place is not before it */
  constructor(
    first: PerfThread,
    count: number,
    turn: (next: number, time: number, position: number) => PerfThread | undefined,
  ) {
    this.owner = first;
    this.#count = count;
    this.#turn = turn;
  }

  advance(time: number, position: number): boolean {
    let isSwitched = false;
    while (this.#next < this.#count) {
      const owner = this.#turn(this.#next, time, position);
      if (owner === undefined) break;
      this.owner = owner;
      this.#next++;
      isSwitched = true;
    }
    return isSwitched;
  }
}

async function writeSample(
  options: PerfImportOptions,
  file: PerfFile,
  thread: PerfThread,
  pieces: ThreadPiece[],
  name: string,
  facts: object,
  missing: Map<string, string>,
): Promise<ImportedThread> {
  const { tid, program } = thread;
  const out = join(resolve(options.out), name);
  const part = `${out}.part`;
  pieces.sort((a, b) => a.piece.time - b.piece.time);
  const gaps = pieces.filter(({ piece }) => piece.lostBefore || piece.lostAfter).length;
  const result = {
    pid: program.pid,
    tid,
    comm: thread.comm || program.comm,
    pieces: pieces.length,
    gaps,
  };
  const leftOut = (problem: string): ImportedThread => ({
    ...result,
    folder: undefined,
    traceBytes: 0,
    problem,
  });
  if (existsSync(out)) return leftOut(`${out} exists already`);
  const { mappings } = program.map;
  if (mappings.length === 0) return leftOut('nothing is known of its memory map');
  try {
    await rm(part, { recursive: true, force: true });
    await mkdir(part, { recursive: true });
    const map = await mapText(options, file, mappings, missing);
    let traceBytes = 0;
    const bytes = async function* (): AsyncGenerator<Uint8Array> {
      for await (const chunk of traceOf(pieces)) {
        options.signal?.throwIfAborted();
        traceBytes += chunk.length;
        yield chunk;
      }
    };
    const trace = await open(join(part, 'trace_0.gz'), 'wx');
    await pipeline(Readable.from(bytes()), createGzip(), trace.createWriteStream({ flush: true }));
    await writeFileAtomic(join(part, 'mapping.txt'), map);
    const family = options.family === undefined ? '' : `${options.family}\n`;
    const info = `${options.name}\n${options.label}\n${family}`;
    await writeFileAtomic(join(part, 'info.txt'), info);
    const recording = `${JSON.stringify({ ...facts, ...result, traceBytes }, undefined, 2)}\n`;
    await writeFileAtomic(join(part, 'recording.json'), recording);
    await rename(part, out);
    return { ...result, folder: out, traceBytes };
  } catch (cause) {
    if (cause instanceof UserError || options.signal?.aborted === true) throw cause;
    throw new UserError('write-failed', `cannot be written: ${messageOf(cause)}`, {
      category: 'runtime',
      path: out,
      cause,
    });
  } finally {
    await rm(part, { recursive: true, force: true });
  }
}

/** The pieces of a thread, one after the other, so that they decode as one trace. */
async function* traceOf(pieces: readonly ThreadPiece[]): AsyncGenerator<Uint8Array> {
  let isFirst = true;
  let isLost = false;
  for (const { stream, piece } of pieces) {
    const head: number[] = [];
    if (piece.lostBefore && !isLost && !isFirst) head.push(Opcode.ext, Ext.ovf);
    if (piece.entry !== undefined) {
      if (piece.isSynchronized || isFirst)
        for (let i = 0; i < psbBytes; i += 2) head.push(0x02, Ext.psb);
      if (piece.time >= 0) head.push(...tscPacket(piece.time));
      if (piece.mode >= 0) head.push(Opcode.mode, piece.mode);
      if (piece.isSynchronized || isFirst) head.push(Opcode.ext, Ext.psbend);
      head.push(...enablePacket(piece.entry));
    }
    yield Uint8Array.from(head);
    yield* stream.range(piece.from, piece.to);
    isLost = piece.lostAfter;
    if (isLost) yield Uint8Array.of(Opcode.ext, Ext.ovf);
    isFirst = false;
  }
}

/** TIP.PGE with the whole address. */
function enablePacket(ip: Address): number[] {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(ip));
  return [(3 << 5) | IpPacket.tipPge, ...bytes.subarray(0, 6)];
}

/** @returns the lines of `/proc/PID/maps`, code only, once the files are in the collection */
async function mapText(
  { images, collection, log = silentLogger }: PerfImportOptions,
  file: PerfFile,
  mappings: readonly CodeMapping[],
  missing: Map<string, string>,
): Promise<string> {
  const listed = new Map(file.buildIds.map(({ path, buildId }) => [path, buildId]));
  const lines: string[] = [];
  for (const { start, end, fileOffset, path, buildId } of mappings) {
    // The kernel marks files that were deleted since.
    const known = path.replace(/ \(deleted\)$/, '').replaceAll('\n', '?');
    let shown = known.startsWith('//') ? '' : known;
    if (isFile(known)) {
      const found = await images.find(known, buildId ?? listed.get(path));
      if (found.file === undefined) missing.set(known, found.why);
      else {
        const own = moduleName(known);
        const name = await collection.add(found.file, own);
        if (name !== own) shown = join(dirname(known), name);
        if (!found.isChecked) log.log('debug', `${known}: the recording has no build id to check`);
      }
    }
    const hex = (value: number): string => value.toString(16).padStart(8, '0');
    lines.push(`${hex(start)}-${hex(end)} r-xp ${hex(fileOffset)} 00:00 0 ${shown}\n`);
  }
  return lines.join('');
}

function isFile(path: string): boolean {
  return (
    path === '[vdso]' ||
    (path.startsWith('/') && !/^\/(?:\/|dev\/|memfd:|SYSV|anon_hugepage)/.test(path))
  );
}
