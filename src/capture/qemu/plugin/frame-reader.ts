import type { Address } from '../../../base/address.ts';
import { UserError } from '../../../base/errors.ts';
import type { Segment } from '../../../image/image.ts';
import { pageCeil, pageFloor } from '../guest-map.ts';
import type { Recording } from '../recording.ts';

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

/** Reads the frames that the plugin writes. */
export class FrameReader {
  readonly #recording: Recording;
  /** Segments of the files that QEMU maps itself: the program and its loader; `undefined` for others. */
  readonly #segments: (path: string) => readonly Segment[] | undefined;
  /** Mappings of the program and its loader, and of the loader that QEMU itself was started by. */
  readonly #loaded: { path: string; start: Address; end: Address }[] = [];
  /** Frames of blocks so far, by CPU. */
  readonly #frames: Map<number, number> = new Map();
  #rest: Buffer = Buffer.alloc(0);

  constructor(recording: Recording, segments: (path: string) => readonly Segment[] | undefined) {
    this.#recording = recording;
    this.#segments = segments;
  }

  add(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (at + headerBytes <= bytes.length) {
      const length = bytes.readUInt32LE(at + 8);
      if (at + headerBytes + length > bytes.length) break;
      const body = bytes.subarray(at + headerBytes, at + headerBytes + length);
      this.#frame(bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4), body);
      at += headerBytes + length;
    }
    this.#rest = Buffer.from(bytes.subarray(at));
  }

  /** Reads the blocks of a CPU that were not sent before the program died. */
  addTail(cpu: number, tail: Buffer): void {
    const count = tail.readUInt32LE(0);
    // The tail counts the frames that it has sent: one more here means that it was sent after all.
    if ((this.#frames.get(cpu) ?? 0) !== tail.readUInt32LE(4)) return;
    this.#execute(cpu, tail.subarray(8, 8 + count * 4));
  }

  finish(): void {
    for (const { start, end } of this.#loaded) {
      if (!this.#recording.hasCodeIn(start, end)) this.#recording.map.forget(start, end);
    }
  }

  #frame(type: number, cpu: number, body: Buffer): void {
    switch (type) {
      case Frame.blocks:
        this.#frames.set(cpu, (this.#frames.get(cpu) ?? 0) + 1);
        this.#execute(cpu, body);
        return;
      case Frame.translation: {
        const start = Number(body.readBigUInt64LE(0));
        // A copy: the chunk must not be held for the sake of a few bytes.
        const code = new Uint8Array(body.subarray(24));
        this.#recording.translate(body.readUInt32LE(8), start, start + body.readUInt32LE(16), code);
        return;
      }
      case Frame.maps:
        this.#hostMaps(Number(body.readBigInt64LE(0)), body.toString('utf8', 8));
        return;
      case Frame.call:
        this.#call(body);
        return;
      case Frame.threadEnd:
        this.#recording.endThread(cpu);
        this.#frames.delete(cpu);
        return;
      default:
        throw new UserError(
          'recording-damaged',
          `the recorder sent a frame of unknown type ${type}`,
          { category: 'runtime' },
        );
    }
  }

  #execute(cpu: number, body: Buffer): void {
    // A copy, because the bytes need not lie at a multiple of four.
    const ids = new Uint32Array(body.length / 4);
    new Uint8Array(ids.buffer).set(body);
    this.#recording.execute(cpu, ids);
  }

  #call(body: Buffer): void {
    const recording = this.#recording;
    const word = (index: number): number => Number(body.readBigUInt64LE(16 + index * 8));
    const low = (index: number): number => body.readUInt32LE(16 + index * 8);
    const result = body.readBigInt64LE(8);
    const path = body.toString('utf8', 64);
    switch (body.readUInt32LE(0)) {
      case Call.mmap: {
        const start = Number(result);
        const offset = path === '' ? 0 : word(5);
        recording.map.map(start, start + pageCeil(word(1)), low(2), offset, path);
        return;
      }
      case Call.mprotect:
        recording.map.protect(word(0), word(0) + pageCeil(word(1)), low(2));
        return;
      case Call.sigaction:
        // 0 and 1 are SIG_DFL and SIG_IGN.
        if (word(2) > 1) recording.handlers.add(word(2));
        return;
      case Call.execve:
        recording.replacedBy = result === 0n ? path : undefined;
        return;
      case Call.fork:
        recording.forks++;
        return;
      case Call.clone:
        // Without CLONE_VM and CLONE_THREAD it is a fork; vfork has CLONE_VM only.
        if ((low(0) & 0x10000) === 0) recording.forks++;
        return;
      default:
        return;
    }
  }

  /** QEMU maps the program and its loader itself; the host's map shows them, moved by `base`. */
  #hostMaps(base: number, text: string): void {
    const { map } = this.#recording;
    for (const line of text.split('\n')) {
      const row = /^([0-9a-f]+)-([0-9a-f]+) (....) ([0-9a-f]+) \S+ \d+\s+(\/.*)$/.exec(line);
      if (row === null) continue;
      const [, start = '', end = '', perms = '', offset = '', path = ''] = row;
      const from = Number.parseInt(start, 16) - base;
      const parts = this.#segments(path);
      const loaded = this.#loaded.at(-1);
      if (parts === undefined) continue;
      const to = Number.parseInt(end, 16) - base;
      // The pieces of one image lie close together.
      if (loaded?.path === path && from - loaded.end < 0x1000_0000) loaded.end = to;
      else this.#loaded.push({ path, start: from, end: to });
      const at = Number.parseInt(offset, 16);
      map.map(from, to, perms[1] === 'w' ? 3 : 1, at, path);
      // The host need not be allowed to execute what its guest may: the file's headers say it.
      if (perms[1] === 'w') continue;
      for (const part of parts) {
        if (!part.isExecutable) continue;
        const first = Math.max(from, from + pageFloor(part.fileOffset) - at);
        const last = Math.min(to, from + pageCeil(part.fileOffset + part.length) - at);
        if (first < last) map.protect(first, last, 5);
      }
    }
  }
}
