import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Address } from '../../../base/address.ts';
import { messageOf } from '../../../base/errors.ts';
import type { LoadedFile } from '../loaded-file.ts';
import { FrameReader } from '../plugin/frame-reader.ts';
import { readTail, type Tail, tailBytes, tailHeaderBytes } from '../plugin/tail.ts';
import { Recording, type RecordingState } from '../recording.ts';
import { MadeCodeWatch } from './made-code-watch.ts';

/** Trace that is held back while the loader runs; a program that never starts is judged all the same. */
const mostHeldBytes = 1 << 23;
/** Pieces of made code that a child is told of; a program that makes more is followed, its children are not as well. */
const mostMade = 1 << 16;

/** What a guest runs. */
export interface GuestProgram {
  /** Path of the program; empty where it is not known. */
  readonly path: string;
  readonly bitness: 32 | 64;
  /** The program and its loader, which QEMU maps itself. */
  readonly loaded: readonly LoadedFile[];
}

/** Who listens to a guest. Called in the order in which things happen. */
export interface GuestListener {
  /** The files that are mapped as code are others now. Comes before any trace. */
  onMap(text: string): void;
  /** Code ran that lies in no file, or not as the file has it. */
  onMade(start: Address, code: Uint8Array): void;
  /** Whole packets of a thread; threads are numbered as they start. */
  onTrace(thread: number, bytes: Uint8Array): void;
  onThreadEnd(thread: number): void;
  /** @param end  how it ended */
  onEnd(end: GuestEnd): void;
}

export interface GuestEnd {
  /** Numbers of its threads, in the order in which a sample has them. */
  readonly threads: readonly number[];
  /** Why the rest was not read, where it was not. */
  readonly damage: string | undefined;
  /** Program that it turned into. */
  readonly replacedBy: string | undefined;
  /** It ended without saying so: a signal, or a kill. */
  readonly died: boolean;
}

/** Where a CPU's state lies in the emulator, and the guest's registers where it was stopped for the guard. */
export interface CpuState {
  readonly cpu: number;
  readonly isStopped: boolean;
  readonly state: bigint;
  readonly guestBase: bigint;
  readonly registers: readonly bigint[];
  /** Address of the block before which it stopped; -1 = not known. */
  readonly at: Address;
}

/** Who a guest says that it is. */
export interface GuestHello {
  readonly pid: number;
  readonly parentPid: number;
  /** Blocks that it knows from its parent. */
  readonly known: number;
  readonly bitness: 32 | 64;
  /** Of the names of its files; names it for its children. */
  readonly prefix: string;
  /** Prefix of whose fork it is; empty for a program that has just begun. */
  readonly parent: string;
}

const helloForm = /^(\d{1,10}) (\d{1,10}) (\d{1,10}) ([01]) (\d{1,10}-[0-9a-f]{1,16}-) (\S{0,64})$/;

/** @returns `undefined` for what is no greeting of the plugin */
export function parseHello(text: string): GuestHello | undefined {
  const found = helloForm.exec(text);
  if (found === null) return undefined;
  const [, pid = '', parentPid = '', known = '', is32 = '', prefix = '', parent = ''] = found;
  return {
    pid: Number(pid),
    parentPid: Number(parentPid),
    known: Number(known),
    bitness: is32 === '1' ? 32 : 64,
    prefix,
    parent,
  };
}

/** One emulated process: what its plugin sends in, traces of its threads out. */
export class Guest {
  readonly hello: GuestHello;
  readonly program: GuestProgram;
  readonly recording: Recording;
  readonly #tails: string;
  readonly #reader: FrameReader;
  readonly #watch: MadeCodeWatch;
  readonly #listener: () => GuestListener;
  readonly #held: { thread: number; bytes: Uint8Array }[] = [];
  readonly #heldCode: { start: Address; code: Uint8Array }[] = [];
  /** Made code so far, for children. */
  readonly made: { readonly start: Address; readonly code: Uint8Array }[] = [];
  readonly #endedThreads: number[] = [];
  readonly #files: Map<number, number> = new Map();
  #heldBytes = 0;
  #hasBegun: boolean;
  #mapVersion = -1;
  /** Unmappings of code past which nothing leads any more. */
  #past = 0;
  #damage: string | undefined;
  #isFinished = false;
  /** It was heard of since the last look at what it has not sent. */
  #isFresh = true;

  /**
   * @param tails  folder of the files that it shares
   * @param listener  asked for when there is something to tell
   * @param parent  whose fork it is, which has told what it knew then
   */
  constructor(
    hello: GuestHello,
    program: GuestProgram,
    tails: string,
    files: Map<string, Uint8Array | undefined>,
    listener: () => GuestListener,
    onMayExec: (path: string) => void,
    parent?: Guest,
  ) {
    this.hello = hello;
    this.program = program;
    this.#tails = tails;
    this.#listener = listener;
    this.#hasBegun = parent !== undefined;
    this.recording = new Recording(
      {
        ...{ bitness: program.bitness, compressReturns: true, maxBlocks: Number.MAX_SAFE_INTEGER },
        onTrace: (bytes, thread) => this.#hold(thread, bytes),
        onThreadEnd: (thread) => void this.#endedThreads.push(thread),
        onTranslate: (start, bytes) => this.#onTranslate(start, bytes),
      },
      parent === undefined ? undefined : { ...stateOf(parent.recording), known: hello.known },
    );
    this.#watch = new MadeCodeWatch(this.recording.map, files);
    for (const piece of parent?.made ?? []) this.#make(piece.start, piece.code);
    this.#reader = new FrameReader(
      this.recording,
      (path) => program.loaded.find((file) => file.path === path)?.segments,
      { talk: { onHello: () => {}, onMayExec } },
    );
  }

  /** Translation blocks that it has told of. */
  get executed(): number {
    return this.#reader.executed;
  }

  /** Blocks so far. */
  get blocks(): number {
    return this.recording.blocks;
  }

  get replacedBy(): string | undefined {
    return this.recording.replacedBy;
  }

  /** Takes what the plugin sent. What is damaged ends the stream, not the guard. */
  add(chunk: Buffer): void {
    if (this.#damage !== undefined) return;
    this.#isFresh = true;
    try {
      this.#reader.add(chunk);
      this.#handOn();
    } catch (error) {
      this.#damage = messageOf(error);
    }
  }

  get damage(): string | undefined {
    return this.#damage;
  }

  /** Reads what a silent process has not sent yet. */
  readAhead(): void {
    if (this.#isFinished || this.#damage !== undefined) return;
    if (this.#isFresh) {
      this.#isFresh = false;
      return;
    }
    try {
      let read = 0;
      for (let cpu = 0; cpu <= this.#reader.cpus; cpu++) read += this.#readTail(cpu);
      if (read > 0) this.#handOn();
    } catch (error) {
      this.#damage = messageOf(error);
    }
  }

  /** No more comes. @returns how it ended */
  finish(): GuestEnd {
    this.#isFinished = true;
    const { recording } = this;
    const died = !this.#reader.hasExited;
    if (this.#damage === undefined) {
      this.#endTails(died);
      this.#reader.finish();
    }
    const threads = recording.finish(died).map(({ number }) => number);
    this.#hasBegun = true;
    this.#handOn();
    for (const file of this.#files.values()) if (file >= 0) closeSync(file);
    const { replacedBy } = recording;
    return { threads, damage: this.#damage, replacedBy, died: died && replacedBy === undefined };
  }

  /** Asks the process to stop itself between two blocks, where its registers are known. */
  askToStop(): void {
    const stop = Buffer.alloc(4);
    stop.writeUInt32LE(2);
    for (let cpu = 0; cpu <= this.#reader.cpus; cpu++) {
      const file = this.#fileOf(cpu);
      if (file >= 0) writeSync(file, stop, 0, 4, 8);
    }
  }

  /** What the files say of each CPU that ran. */
  cpuStates(): CpuState[] {
    const states: CpuState[] = [];
    const header = Buffer.alloc(tailHeaderBytes);
    for (let cpu = 0; cpu < mostCpusAsked; cpu++) {
      const file = this.#fileOf(cpu);
      if (file < 0) break;
      if (readSync(file, header, 0, tailHeaderBytes, 0) < tailHeaderBytes) break;
      const id = header.readUInt32LE(160);
      states.push({
        cpu,
        isStopped: header.readUInt32LE(12) !== 0,
        state: header.readBigUInt64LE(16),
        guestBase: header.readBigUInt64LE(24),
        registers: Array.from({ length: 16 }, (_, i) => header.readBigUInt64LE(32 + 8 * i)),
        at: this.recording.table.start[id] ?? -1,
      });
    }
    return states;
  }

  #onTranslate(start: Address, bytes: Uint8Array): boolean {
    const isMade = this.#watch.isMade(start, bytes);
    if (isMade) this.#make(start, bytes);
    if (!this.#hasBegun) this.#lookForEntry(start);
    return isMade;
  }

  #lookForEntry(start: Address): void {
    const { entry, segments, path } = this.program.loaded[0] ?? {};
    const range = this.recording.map.find(start);
    const segment = segments?.find(
      ({ address, length }) => entry !== undefined && entry >= address && entry < address + length,
    );
    if (entry === undefined || segment === undefined || range === undefined) return;
    if (range.path !== path) return;
    const inFile = range.offset + (start - range.start);
    if (inFile === segment.fileOffset + (entry - segment.address)) this.#hasBegun = true;
  }

  #make(start: Address, code: Uint8Array): void {
    if (this.made.length < mostMade) this.made.push({ start, code });
    this.#heldCode.push({ start, code });
  }

  #hold(thread: number, bytes: Uint8Array): void {
    this.#heldBytes += bytes.length;
    this.#held.push({ thread, bytes });
  }

  /** Tells the listener what has come. */
  #handOn(): void {
    this.recording.drain();
    if (!this.#hasBegun && this.#heldBytes > mostHeldBytes) this.#hasBegun = true;
    if (!this.#hasBegun) return;
    const listener = this.#listener();
    const { map } = this.recording;
    if (map.codeVersion !== this.#mapVersion) {
      this.#mapVersion = map.codeVersion;
      listener.onMap(map.text(this.#past));
      // What comes below may lead to what is gone since the last time; what comes later does not.
      this.#past = this.#readPast(map.unmaps);
    }
    for (const { start, code } of this.#heldCode.splice(0)) listener.onMade(start, code);
    for (const { thread, bytes } of this.#held.splice(0)) {
      listener.onTrace(thread, bytes);
    }
    for (const thread of this.#endedThreads.splice(0)) listener.onThreadEnd(thread);
    this.#heldBytes = 0;
  }

  #endTails(died: boolean): void {
    try {
      for (let cpu = 0; cpu <= this.#reader.cpus; cpu++) {
        const tail = this.#tailOf(cpu);
        if (tail !== undefined) this.#reader.endTail(cpu, tail, died);
      }
    } catch (error) {
      this.#damage = messageOf(error);
    }
  }

  /** @returns unmappings of code up to which all is read that was run before them */
  #readPast(unmaps: number): number {
    let past = unmaps;
    for (let cpu = 0; cpu <= this.#reader.cpus && past > this.#past; cpu++) {
      const known = this.#reader.pastOf(cpu);
      if (known === unmaps) continue;
      const tail = this.#tailOf(cpu);
      if (tail === undefined || this.#reader.catchUp(cpu, tail)) continue;
      past = Math.max(this.#past, Math.min(past, known ?? 0));
    }
    return past;
  }

  /** @returns how many blocks were new */
  #readTail(cpu: number): number {
    const file = this.#fileOf(cpu);
    if (file < 0) return 0;
    const header = Buffer.alloc(8);
    readSync(file, header, 0, 8, 0);
    if (header.readUInt32LE(0) === 0) return 0;
    const tail = this.#tailOf(cpu);
    return tail === undefined ? 0 : this.#reader.addTail(cpu, tail);
  }

  /** @returns `undefined` where there is none */
  #tailOf(cpu: number): Tail | undefined {
    const file = this.#fileOf(cpu);
    if (file < 0) return undefined;
    const bytes = Buffer.alloc(tailBytes);
    const tail = readTail(bytes.subarray(0, readSync(file, bytes, 0, tailBytes, 0)));
    // It may have been sent while it was read: then it comes by itself.
    readSync(file, bytes, 0, 8, 0);
    return bytes.readUInt32LE(4) === tail.sent ? tail : { ...tail, sent: -1 };
  }

  #fileOf(cpu: number): number {
    const known = this.#files.get(cpu);
    if (known !== undefined && known >= 0) return known;
    let file = -1;
    try {
      file = openSync(join(this.#tails, `${this.hello.prefix}${cpu}.tail`), 'r+');
    } catch {
      // There is no such CPU so far.
    }
    this.#files.set(cpu, file);
    return file;
  }
}

const mostCpusAsked = 256;

function stateOf({ map, table, handlers }: Recording): Omit<RecordingState, 'known'> {
  return { map, table, handlers };
}
