import type { Address } from '../../../base/address.ts';
import type { Segment } from '../../../image/files/image.ts';
import { Transfer } from '../../../x86/transfer.ts';
import { recordingDamaged } from '../block-encoder.ts';
import { pageCeil, pageFloor } from '../guest-map.ts';
import type { EncodedBlocks, Recording } from '../recording.ts';
import { mostTailIds, type Tail } from './tail.ts';
import { type EncodedTail, encodeTail } from './tail-encoder.ts';

/** Frame types of `plugin/plugin.c`: a header of four 32-bit words (type, CPU, length, 0), then `length` bytes. */
const Frame = {
  blocks: 1,
  translation: 2,
  call: 3,
  maps: 4,
  threadEnd: 5,
  hello: 6,
  mayExec: 7,
  trace: 8,
} as const;
/** What the plugin may add to a trace for a translation block, in bytes. */
const mostBlockBytes = 64;
const translationBytes = 32;
const traceBytes = 16;
/** Fewest and most bytes of each. */
const frameBytes: Readonly<Record<number, readonly [number, number]>> = {
  [Frame.blocks]: [0, 4 * mostTailIds],
  [Frame.translation]: [translationBytes, translationBytes + 65536],
  [Frame.call]: [64, 64 + 4096],
  [Frame.maps]: [8, 8 + (1 << 20)],
  [Frame.threadEnd]: [0, 0],
  [Frame.hello]: [1, 256],
  [Frame.mayExec]: [0, 4096],
  [Frame.trace]: [traceBytes, traceBytes + mostTailIds * mostBlockBytes],
};
const mostCpus = 4096;
/** Translation blocks of one process; QEMU forgets and makes them anew where its own room is used up. */
const mostTranslations = 1 << 24;
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
  exit: 10,
} as const;
const headerBytes = 16;

/** What a guarded process says and asks; in recordings it does neither. */
export interface GuardTalk {
  /** The first frame: who connects. */
  readonly onHello: (text: string) => void;
  /** The process is about to turn into another program, and waits for an answer. */
  readonly onMayExec: (path: string) => void;
  /** It has forked; the child is a process of the guest. */
  readonly onFork?: () => void;
}

/** What was read of a frame of blocks before it came. */
interface ReadAhead extends Pick<EncodedTail, 'length' | 'blocks' | 'interrupts'> {
  readonly ids: number;
}
const nothingAhead: ReadAhead = { ids: 0, length: 0, blocks: 0, interrupts: 0 };

/**
 * Reads the frames that the plugin writes. It believes nothing: a program that took over its emulator writes
 * what it likes.
 *
 * @throws UserError `recording-damaged` from `add`, where a frame is none
 */
export class FrameReader {
  readonly #recording: Recording;
  /** Segments of the files that QEMU maps itself: the program and its loader; `undefined` for others. */
  readonly #segments: (path: string) => readonly Segment[] | undefined;
  /** Mappings of the program and its loader, and of the loader that QEMU itself was started by. */
  readonly #loaded: { path: string; start: Address; end: Address }[] = [];
  /** Frames of blocks so far, by CPU. */
  readonly #frames: Map<number, number> = new Map();
  /** Of the next frame of blocks, by CPU. */
  readonly #readAhead: Map<number, ReadAhead> = new Map();
  /** The plugin sends ids of blocks, which are encoded here. */
  readonly #sendsIds: boolean;
  /** Executed translation blocks, as the frames say that have come. */
  executed = 0;
  /** CPUs that frames came of: their numbers are used again when threads have ended. */
  cpus = 0;
  /** Unmappings of code up to which all is read that a CPU ran before them. */
  readonly #past: Map<number, number> = new Map();
  readonly #talk: GuardTalk | undefined;
  /** It has asked the system to end it. */
  hasExited = false;
  /** A frame of which not all has come, and how much has; the room serves all such frames. */
  #begun: Buffer = Buffer.allocUnsafe(headerBytes + 4 * mostTailIds);
  #has = 0;
  /** Ids of the frame at hand; its bytes need not lie at a multiple of four. */
  readonly #ids: Uint32Array = new Uint32Array(mostTailIds);

  constructor(
    recording: Recording,
    segments: (path: string) => readonly Segment[] | undefined,
    options: { readonly sendsIds?: boolean; readonly talk?: GuardTalk } = {},
  ) {
    this.#recording = recording;
    this.#segments = segments;
    this.#sendsIds = options.sendsIds ?? false;
    this.#talk = options.talk;
  }

  /** @param chunk  not kept */
  add(chunk: Buffer): void {
    let at = this.#has === 0 ? 0 : this.#finishBegun(chunk);
    while (chunk.length - at >= headerBytes) {
      const size = frameSize(chunk, at);
      if (size > chunk.length - at) break;
      this.#frame(chunk.subarray(at, at + size));
      at += size;
    }
    this.#take(chunk, at, this.#has + chunk.length - at);
  }

  /** @returns where the chunk goes on behind the frame that had begun */
  #finishBegun(chunk: Buffer): number {
    let at = this.#take(chunk, 0, headerBytes);
    if (this.#has < headerBytes) return at;
    const size = frameSize(this.#begun, 0);
    at = this.#take(chunk, at, size);
    if (this.#has < size) return at;
    this.#has = 0;
    this.#frame(this.#begun.subarray(0, size));
    return at;
  }

  /** Takes bytes of a chunk until `most` of the begun frame are there. @returns where the chunk goes on */
  #take(chunk: Buffer, at: number, most: number): number {
    if (most > this.#begun.length) {
      const larger = Buffer.allocUnsafe(most);
      this.#begun.copy(larger, 0, 0, this.#has);
      this.#begun = larger;
    }
    const end = Math.min(chunk.length, at + Math.max(0, most - this.#has));
    this.#has += chunk.copy(this.#begun, this.#has, at, end);
    return end;
  }

  /**
   * Reads the blocks of a CPU that were not sent: because the program died, or are not sent yet.
   *
   * @returns how many were new
   */
  addTail(cpu: number, tail: Tail): number {
    const { sent } = tail;
    // The tail counts the frames that it has sent: one more here means that it was sent after all.
    if ((this.#frames.get(cpu) ?? 0) !== sent) return 0;
    const ahead = this.#readAhead.get(cpu) ?? nothingAhead;
    const ids = this.#knownIn(tail.ids, ahead.ids);
    const added = ids.length - ahead.ids;
    if (added <= 0) return 0;
    if (this.#sendsIds) {
      this.#readAhead.set(cpu, { ...nothingAhead, ids: ids.length });
      this.#recording.execute(cpu, ids.subarray(ahead.ids));
      return added;
    }
    const made = encodeTail(this.#recording, tail, sent % 2, ids);
    if (made === undefined) throw recordingDamaged('does not say where its trace stands');
    this.#readAhead.set(cpu, { ...made, ids: ids.length });
    this.#takeBehind(cpu, made, ahead);
    return added;
  }

  /**
   * Ends the trace of a CPU with what it has not sent.
   *
   * @param died  whether a signal ended it
   */
  endTail(cpu: number, tail: Tail, died: boolean): void {
    if (this.#sendsIds) {
      this.addTail(cpu, tail);
      return;
    }
    const { sent, ids } = tail;
    const late = (this.#frames.get(cpu) ?? 0) - sent;
    if (late !== 0 && late !== 1) return;
    // It may have been killed when a frame was sent and that was not told yet, or not all of it.
    const isTold = late === 1 && ids.length === 0;
    const made = encodeTail(
      ...([this.#recording, tail, (sent + (isTold ? 1 : 0)) % 2, this.#knownIn(ids, 0)] as const),
      { died },
    );
    if (made === undefined || made.bytes.length === 0) return;
    const ahead = late === 1 ? made : (this.#readAhead.get(cpu) ?? nothingAhead);
    this.#takeBehind(cpu, made, isTold ? nothingAhead : ahead);
  }

  /** Ids before the first one that is not translated as far as is known here: its frame is still under way. */
  #knownIn(ids: Uint32Array, from: number): Uint32Array {
    const { start } = this.#recording.table;
    let end = from;
    while (end < ids.length && ids[end] < start.length) end++;
    return ids.subarray(0, end);
  }

  #takeBehind(cpu: number, made: EncodedBlocks, ahead: ReadAhead | EncodedTail): void {
    if (ahead.length > made.bytes.length) throw recordingDamaged('takes back what it ran');
    this.#recording.take(cpu, {
      // A copy, which is kept: the chunk is not.
      bytes: new Uint8Array(made.bytes.subarray(ahead.length)),
      blocks: Math.max(0, made.blocks - ahead.blocks),
      interrupts: Math.max(0, made.interrupts - ahead.interrupts),
    });
  }

  finish(): void {
    for (const { start, end } of this.#loaded) {
      if (!this.#recording.hasCodeIn(start, end)) this.#recording.map.forget(start, end);
    }
  }

  /** @returns unmappings of code up to which all is read that a CPU ran before them; `undefined` = nothing was read */
  pastOf(cpu: number): number | undefined {
    return this.#past.get(cpu);
  }

  /**
   * Reads the blocks of a CPU that were not sent.
   *
   * @returns whether it has run nothing more by now
   */
  catchUp(cpu: number, tail: Tail): boolean {
    const frames = this.#frames.get(cpu);
    // One that has ended leaves its file.
    if (frames === undefined && tail.ids.length === 0) return true;
    if ((frames ?? 0) !== tail.sent) return false;
    this.addTail(cpu, tail);
    this.#past.set(cpu, this.#recording.map.unmaps);
    return true;
  }

  #frame(frame: Buffer): void {
    const type = frame.readUInt32LE(0);
    const cpu = frame.readUInt32LE(4);
    this.cpus = Math.max(this.cpus, cpu + 1);
    this.#read(type, cpu, frame.subarray(headerBytes));
    // Before a call, all that its CPU ran is sent.
    const isOfCpu = type === Frame.blocks || type === Frame.trace || type === Frame.call;
    if (isOfCpu) this.#past.set(cpu, this.#recording.map.unmaps);
  }

  #read(type: number, cpu: number, body: Buffer): void {
    switch (type) {
      case Frame.blocks:
        this.#frames.set(cpu, (this.#frames.get(cpu) ?? 0) + 1);
        this.#execute(cpu, body);
        return;
      case Frame.trace:
        this.#frames.set(cpu, (this.#frames.get(cpu) ?? 0) + 1);
        this.#trace(cpu, body);
        return;
      case Frame.translation: {
        this.#translate(body);
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
        this.#readAhead.delete(cpu);
        this.#past.delete(cpu);
        return;
      case Frame.hello:
        this.#talk?.onHello(body.toString('utf8'));
        return;
      case Frame.mayExec:
        this.#talk?.onMayExec(body.toString('utf8'));
        return;
    }
  }

  #translate(body: Buffer): void {
    const start = Number(body.readBigUInt64LE(0));
    const target = Number(body.readBigUInt64LE(8));
    const id = body.readUInt32LE(16);
    const size = body.readUInt32LE(20);
    const last = body.readUInt32LE(24);
    const kind = body.readUInt32LE(28);
    const known = this.#recording.table.start.length;
    if (id !== known || id >= mostTranslations)
      throw recordingDamaged(`translates block ${id} after ${known - 1}`);
    const isWhole = size === body.length - translationBytes && last < size;
    if (!isWhole || kind > Transfer.far || !Number.isSafeInteger(start + size))
      throw recordingDamaged(`has no block ${id}`);
    // A copy: the chunk must not be held for the sake of a few bytes.
    const code = new Uint8Array(body.subarray(translationBytes));
    this.#recording.translate(id, start, start + last, code, { kind, target });
  }

  #execute(cpu: number, body: Buffer): void {
    if (body.length % 4 !== 0) throw recordingDamaged('has a part of a block');
    const ids = this.#ids.subarray(0, body.length / 4);
    new Uint8Array(this.#ids.buffer).set(body);
    this.executed += ids.length;
    const ahead = this.#readAhead.get(cpu)?.ids ?? 0;
    this.#readAhead.delete(cpu);
    this.#recording.execute(cpu, ahead === 0 ? ids : ids.subarray(ahead));
  }

  #trace(cpu: number, body: Buffer): void {
    const executed = body.readUInt32LE(0);
    const blocks = body.readUInt32LE(4);
    const interrupts = body.readUInt32LE(8);
    if (executed > mostTailIds || blocks > executed || interrupts > executed)
      throw recordingDamaged(`runs ${blocks} blocks of ${executed}`);
    this.executed += executed;
    const ahead = this.#readAhead.get(cpu) ?? nothingAhead;
    this.#readAhead.delete(cpu);
    this.#takeBehind(cpu, { bytes: body.subarray(traceBytes), blocks, interrupts }, ahead);
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
      case Call.munmap:
        recording.map.unmap(word(0), word(0) + pageCeil(word(1)));
        return;
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
      case Call.exit:
        this.hasExited = true;
        return;
      case Call.fork:
        recording.forks++;
        this.#talk?.onFork?.();
        return;
      case Call.clone:
        // Without CLONE_VM and CLONE_THREAD it is a fork; vfork has CLONE_VM only.
        if ((low(0) & 0x10000) === 0) {
          recording.forks++;
          this.#talk?.onFork?.();
        }
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

/** @returns bytes of the frame whose header stands at `at`, header included */
function frameSize(bytes: Buffer, at: number): number {
  const type = bytes.readUInt32LE(at);
  const cpu = bytes.readUInt32LE(at + 4);
  const length = bytes.readUInt32LE(at + 8);
  const limits = frameBytes[type];
  if (limits === undefined) throw recordingDamaged(`sent a frame of unknown type ${type}`);
  const [least, most] = limits;
  if (length < least || length > most || cpu >= mostCpus) {
    throw recordingDamaged(`sent a frame of type ${type} with ${length} bytes of CPU ${cpu}`);
  }
  return headerBytes + length;
}
