import { type FileHandle, open, readdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isAbsent, UserError } from '../../base/errors.ts';
import { isThere } from '../../base/files/exists.ts';
import { notReadable } from '../../base/files/failure.ts';
import { readWholeFile } from '../../base/files/read.ts';
import type { AddressSpace } from '../../image/address-space.ts';
import { ImageStore } from '../../image/image-store.ts';
import { buildAddressSpace } from '../../image/mapped-space.ts';
import { parseMemoryMap } from '../../image/maps/memory-map.ts';
import { type NameSourceOptions, NameSources } from '../../names/name-sources.ts';
import { layoutOf } from '../samples/layout.ts';
import type { GuardEvent, ProcessVerdict } from './events.ts';
import { FollowedRun } from './followed-run.ts';
import type { GuardProfiles } from './guard-profiles.ts';
import type { ThreadTraceKind } from './live/live-thread.ts';
import type { Judgement } from './live/outcome.ts';

/** Between two looks at what has grown, in ms. */
const lookInterval = 20;
const chunkBytes = 1 << 18;

export interface FollowRequest {
  readonly folder: string;
  readonly binDirs: readonly string[];
  readonly evidence: string;
  /** Seconds without growth after which the run has ended; `undefined` = when the signal says so. */
  readonly idle: number | undefined;
  readonly signal: AbortSignal;
  /** Reads from the sample's `recording.json` how its traces were made. */
  readonly readRecording: (path: string) => Promise<ThreadTraceKind>;
  /** Judges the sample as a whole. */
  readonly judgeSample: () => Promise<Judgement>;
  /** Where else names come from than the images. */
  readonly names?: NameSourceOptions | undefined;
}

/** One trace file that grows. */
interface GrowingTrace {
  readonly file: FileHandle;
  offset: number;
}

/**
 * Follows a sample while somebody writes it: `trace_0` and on, not compressed, and `mapping.txt`, which may
 * change. Waits for what is not there yet.
 *
 * @throws UserError when the map or the images cannot be read; `no-profile-for-program`
 */
export async function followSample(
  request: FollowRequest,
  profiles: GuardProfiles,
  tell: (event: GuardEvent) => void,
): Promise<ProcessVerdict | undefined> {
  const follower = new SampleFollower(request, profiles, tell);
  try {
    return await follower.follow();
  } finally {
    await follower.close();
  }
}

class SampleFollower {
  readonly #request: FollowRequest;
  readonly #profiles: GuardProfiles;
  readonly #tell: (event: GuardEvent) => void;
  readonly #images: ImageStore;
  readonly #traces: Map<number, GrowingTrace> = new Map();
  readonly #buffer = Buffer.alloc(chunkBytes);
  #map = '';
  #run: FollowedRun | undefined;
  #kind: ThreadTraceKind = {};

  constructor(request: FollowRequest, profiles: GuardProfiles, tell: (event: GuardEvent) => void) {
    this.#request = request;
    this.#profiles = profiles;
    this.#tell = tell;
    this.#images = new ImageStore(layoutOf(request.folder, request.binDirs).binDirs);
  }

  async follow(): Promise<ProcessVerdict | undefined> {
    const { idle, signal, folder, judgeSample } = this.#request;
    let grewAt = performance.now();
    while (!signal.aborted) {
      if (await this.#grow()) grewAt = performance.now();
      else if (idle !== undefined && performance.now() - grewAt > idle * 1000) break;
      else await delay(lookInterval, undefined, { signal }).catch(() => {});
    }
    while (await this.#grow());
    return this.#run?.end(resolve(folder), signal.aborted ? undefined : judgeSample);
  }

  async close(): Promise<void> {
    for (const { file } of this.#traces.values()) await file.close();
  }

  /** @returns whether anything has grown */
  async #grow(): Promise<boolean> {
    await this.#readMap();
    const run = this.#run;
    if (run === undefined) return false;
    let hasGrown = false;
    for (const [thread, trace] of await this.#openTraces()) {
      const bytes = await this.#more(join(this.#request.folder, `trace_${thread}`), trace);
      if (bytes.length === 0) continue;
      trace.offset += bytes.length;
      hasGrown = true;
      await run.push(thread, bytes, this.#kind);
    }
    return hasGrown;
  }

  /** @returns what a trace has grown by, or the first of it */
  async #more(path: string, { file, offset }: GrowingTrace): Promise<Uint8Array> {
    try {
      const { size } = await file.stat();
      if (size < offset) {
        const why = 'has become shorter while it was followed';
        throw new UserError('trace-cut', why, { category: 'input', path });
      }
      const { bytesRead } = await file.read(this.#buffer, 0, chunkBytes, offset);
      return new Uint8Array(this.#buffer.subarray(0, bytesRead));
    } catch (cause) {
      throw cause instanceof UserError ? cause : notReadable(path, cause);
    }
  }

  async #openTraces(): Promise<ReadonlyMap<number, GrowingTrace>> {
    const { folder } = this.#request;
    const names = (await whenThere(folder, (at) => readdir(at))) ?? [];
    for (const name of names) {
      const thread = /^trace_(\d+)(\.gz)?$/.exec(name);
      if (thread === null || this.#traces.has(Number(thread[1]))) continue;
      if (thread[2] !== undefined) {
        throw new UserError('trace-compressed', 'is compressed: what is followed must not be', {
          ...{ category: 'input', path: join(folder, name) },
        });
      }
      const file = await whenThere(join(folder, name), (path) => open(path));
      if (file !== undefined) this.#traces.set(Number(thread[1]), { file, offset: 0 });
    }
    return this.#traces;
  }

  async #readMap(): Promise<void> {
    const { folder } = this.#request;
    const path = join(folder, 'mapping.txt');
    // Half a map that is being written is no map yet; a map that is none for good is told by `judge`.
    const text = (await whenThere(path, readWholeFile))?.toString();
    if (text === undefined || text === this.#map || !text.endsWith('\n')) return;
    this.#map = text;
    const map = parseMemoryMap(text, path);
    const space = await buildAddressSpace(map, this.#images);
    if (this.#run !== undefined) this.#run.remap(space);
    else this.#run = await this.#begin(space, map.process.name);
  }

  /** @param program  by the map; empty where it says none */
  async #begin(space: AddressSpace, program: string): Promise<FollowedRun> {
    const { folder, evidence, names, readRecording } = this.#request;
    const name = basename(resolve(folder));
    const recording = join(folder, 'recording.json');
    if (isThere(recording)) this.#kind = await readRecording(recording);
    const setup = await this.#profiles.setupOf(program);
    const alarms = join(evidence, 'alarms', name);
    const followed = { pid: 0, program: program === '' ? name : program, evidence: alarms };
    return new FollowedRun(setup, space, followed, new NameSources(names), this.#tell);
  }
}

/** What is written while it is followed may not be there yet. @throws UserError `not-readable` */
async function whenThere<T>(
  path: string,
  read: (path: string) => Promise<T>,
): Promise<T | undefined> {
  try {
    return await read(path);
  } catch (cause) {
    if (isAbsent(cause)) return undefined;
    throw cause instanceof UserError ? cause : notReadable(path, cause);
  }
}
