import type { Address } from '../base/address.ts';
import { UserError } from '../base/errors.ts';
import type { Segment } from '../image/image.ts';
import { PtEncoder } from '../pt/encoder.ts';
import { BlockEncoder, TranslationTable } from './block-encoder.ts';
import { GuestMap } from './guest-map.ts';
import { StartGate } from './start-gate.ts';

/** Frame types of `plugin/plugin.c`: a header of four 32-bit words (type, CPU, length, 0), then `length` bytes. */
const Frame = { blocks: 1, translation: 2, call: 3, maps: 4, threadEnd: 5 } as const;
const Call = {
  mmap: 1,
  mprotect: 2,
  munmap: 3,
  mremap: 4,
  sigaction: 5,
  sigreturn: 6,
  execve: 7,
  fork: 8,
  clone: 9,
} as const;
const headerBytes = 16;

export interface ThreadTrace {
  readonly blocks: number;
  readonly interrupts: number;
  readonly bytes: readonly Uint8Array[];
}

export interface ReadingOptions {
  readonly bitness: 32 | 64;
  readonly compressReturns: boolean;
  /** Basic blocks a thread; recording ends when the first thread reaches it. */
  readonly maxBlocks: number;
  /** Segments of the files that QEMU maps itself: the program and its loader; `undefined` for others. */
  readonly segments: (path: string) => readonly Segment[] | undefined;
  /** Symbol or module before which nothing is recorded. */
  readonly skipUntil?: string;
  /** Each basic block of the first thread, in order. */
  readonly onBlock?: (address: Address) => void;
}

/** Reads the frames that the plugin writes and makes a trace of each thread. */
export class RecordingReader {
  readonly map: GuestMap = new GuestMap();
  forks = 0;
  /** Program that the recorded one turned into. */
  replacedBy: string | undefined;
  readonly #options: ReadingOptions;
  readonly #table: TranslationTable;
  readonly #handlers: Set<Address> = new Set();
  /** Mappings of the program and its loader, and of the loader that QEMU itself was started by. */
  readonly #loaded: { path: string; start: Address; end: Address }[] = [];
  readonly #threads: Map<number, { encoder: BlockEncoder; bytes: Uint8Array[] }> = new Map();
  readonly #ended: { encoder: BlockEncoder; bytes: Uint8Array[] }[] = [];
  /** Frames of blocks so far, by CPU. */
  readonly #frames: Map<number, number> = new Map();
  /** `undefined` once recording has begun. */
  #gate: StartGate | undefined;
  readonly #openers: Set<number> = new Set();
  #rest: Buffer = Buffer.alloc(0);

  constructor(options: ReadingOptions) {
    this.#options = options;
    this.#table = new TranslationTable(options.bitness);
    const { skipUntil } = options;
    this.#gate = skipUntil === undefined ? undefined : new StartGate(skipUntil, this.map);
  }

  /** @returns whether the limit of blocks is reached */
  add(chunk: Buffer): boolean {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (at + headerBytes <= bytes.length) {
      const length = bytes.readUInt32LE(at + 8);
      if (at + headerBytes + length > bytes.length) break;
      const body = bytes.subarray(at + headerBytes, at + headerBytes + length);
      this.#frame(bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4), body);
      at += headerBytes + length;
    }
    this.#rest = bytes.subarray(at);
    const first = this.#threads.get(0);
    return first !== undefined && first.encoder.blocks >= this.#options.maxBlocks;
  }

  /** Reads the blocks of a CPU that were not sent before the program died. */
  addTail(cpu: number, tail: Buffer): void {
    const count = tail.readUInt32LE(0);
    // The tail counts the frames that it has sent: one more here means that it was sent after all.
    if ((this.#frames.get(cpu) ?? 0) !== tail.readUInt32LE(4)) return;
    this.#blocks(cpu, tail.subarray(8, 8 + count * 4));
  }

  /** @returns the traces, the first thread first */
  finish(): ThreadTrace[] {
    for (const { start, end } of this.#loaded) {
      if (!this.#table.start.some((at) => at >= start && at < end)) this.map.forget(start, end);
    }
    const running = [...this.#threads].sort(([a], [b]) => a - b).map(([, thread]) => thread);
    const [first, ...others] = running;
    return (first === undefined ? this.#ended : [first, ...this.#ended, ...others]).map(
      ({ encoder, bytes }) => {
        encoder.finish();
        return { blocks: encoder.blocks, interrupts: encoder.interrupts, bytes };
      },
    );
  }

  #frame(type: number, cpu: number, body: Buffer): void {
    switch (type) {
      case Frame.blocks:
        this.#frames.set(cpu, (this.#frames.get(cpu) ?? 0) + 1);
        this.#blocks(cpu, body);
        return;
      case Frame.translation: {
        const start = Number(body.readBigUInt64LE(0));
        this.#table.add(
          body.readUInt32LE(8),
          start,
          start + body.readUInt32LE(16),
          body.subarray(24),
        );
        if (this.#gate?.opensAt(start)) this.#openers.add(body.readUInt32LE(8));
        return;
      }
      case Frame.maps:
        this.#hostMaps(Number(body.readBigInt64LE(0)), body.toString('utf8', 8));
        return;
      case Frame.call:
        this.#call(body);
        return;
      case Frame.threadEnd: {
        // The next thread may get the same CPU.
        const ended = this.#threads.get(cpu);
        if (ended !== undefined && cpu !== 0) {
          this.#ended.push(ended);
          this.#threads.delete(cpu);
        }
        this.#frames.delete(cpu);
        return;
      }
      default:
        throw new UserError(
          'recording-damaged',
          `the recorder sent a frame of unknown type ${type}`,
          {
            category: 'runtime',
          },
        );
    }
  }

  #blocks(cpu: number, body: Buffer): void {
    // A copy, because the bytes need not lie at a multiple of four.
    let ids = new Uint32Array(body.length / 4);
    new Uint8Array(ids.buffer).set(body);
    if (this.#gate !== undefined) {
      const begin = ids.findIndex((id) => this.#openers.has(id));
      if (begin < 0) return;
      ids = ids.subarray(begin);
      this.#gate = undefined;
    }
    let thread = this.#threads.get(cpu);
    if (thread === undefined) {
      const bytes: Uint8Array[] = [];
      const pt = new PtEncoder((part) => bytes.push(part), this.#options);
      const onBlock = this.#threads.size === 0 ? this.#options.onBlock : undefined;
      thread = { encoder: new BlockEncoder(this.#table, pt, this.#handlers, onBlock), bytes };
      this.#threads.set(cpu, thread);
    }
    thread.encoder.add(ids, this.#options.maxBlocks);
  }

  #call(body: Buffer): void {
    const word = (index: number): number => Number(body.readBigUInt64LE(16 + index * 8));
    const low = (index: number): number => body.readUInt32LE(16 + index * 8);
    const result = body.readBigInt64LE(8);
    const path = body.toString('utf8', 64);
    switch (body.readUInt32LE(0)) {
      case Call.mmap: {
        const start = Number(result);
        this.map.map(start, start + pageCeil(word(1)), low(2), path === '' ? 0 : word(5), path);
        return;
      }
      case Call.mprotect:
        this.map.protect(word(0), word(0) + pageCeil(word(1)), low(2));
        return;
      case Call.sigaction:
        // 0 and 1 are SIG_DFL and SIG_IGN.
        if (word(2) > 1) this.#handlers.add(word(2));
        return;
      case Call.execve:
        this.replacedBy = result === 0n ? path : undefined;
        return;
      case Call.fork:
        this.forks++;
        return;
      case Call.clone:
        // Without CLONE_VM and CLONE_THREAD it is a fork; vfork has CLONE_VM only.
        if ((low(0) & 0x10000) === 0) this.forks++;
        return;
      default:
        return;
    }
  }

  /** QEMU maps the program and its loader itself; the host's map shows them, moved by `base`. */
  #hostMaps(base: number, text: string): void {
    for (const line of text.split('\n')) {
      const row = /^([0-9a-f]+)-([0-9a-f]+) (....) ([0-9a-f]+) \S+ \d+\s+(\/.*)$/.exec(line);
      if (row === null) continue;
      const [, start = '', end = '', perms = '', offset = '', path = ''] = row;
      const from = Number.parseInt(start, 16) - base;
      const parts = this.#options.segments(path);
      const loaded = this.#loaded.at(-1);
      if (parts === undefined) continue;
      const to = Number.parseInt(end, 16) - base;
      // The pieces of one image lie close together.
      if (loaded?.path === path && from - loaded.end < 0x1000_0000) loaded.end = to;
      else this.#loaded.push({ path, start: from, end: to });
      const at = Number.parseInt(offset, 16);
      this.map.map(from, to, perms[1] === 'w' ? 3 : 1, at, path);
      // The host need not be allowed to execute what its guest may: the file's headers say it.
      if (perms[1] === 'w') continue;
      for (const part of parts) {
        if (!part.isExecutable) continue;
        const first = Math.max(from, from + pageFloor(part.fileOffset) - at);
        const last = Math.min(to, from + pageCeil(part.fileOffset + part.length) - at);
        if (first < last) this.map.protect(first, last, 5);
      }
    }
  }
}

function pageFloor(size: number): number {
  return Math.floor(size / 4096) * 4096;
}

function pageCeil(size: number): number {
  return Math.ceil(size / 4096) * 4096;
}
