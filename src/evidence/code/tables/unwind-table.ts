import type { ImageMemory } from './image-memory.ts';
import { firstAtLeast } from './image-tables.ts';

/** Ranges of code that belong together, ascending and not overlapping; struct of arrays. */
export interface CodeRanges {
  readonly starts: Float64Array;
  /** First address behind each range. */
  readonly ends: Float64Array;
}

/** What the unwind tables say about the code. All addresses are the image's own. */
export interface UnwindTable {
  readonly ranges: CodeRanges;
  /** Where exceptions are caught or cleaned up, ascending. */
  readonly landingPads: Float64Array;
  /** Routines that unwinders call: personalities, exception handlers. */
  readonly handlers: readonly number[];
}

/** @returns index of the range that holds `address`; -1 when none does */
export function rangeAt({ starts, ends }: CodeRanges, address: number): number {
  let index = firstAtLeast(starts, address);
  if (starts[index] !== address) index--;
  return index >= 0 && address < ends[index] ? index : -1;
}

/**
 * Sorts ranges; of two that overlap, the later one wins from where it starts, so that every
 * address lies in the range that starts nearest before it.
 */
export function sortedRanges(ranges: { start: number; end: number }[]): CodeRanges {
  ranges.sort((a, b) => a.start - b.start || b.end - a.end);
  const kept: { start: number; end: number }[] = [];
  for (const range of ranges) {
    const last = kept.at(-1);
    if (range.end <= range.start || last?.start === range.start) continue;
    if (last !== undefined && last.end > range.start) last.end = range.start;
    kept.push({ ...range });
  }
  return {
    starts: Float64Array.from(kept, ({ start }) => start),
    ends: Float64Array.from(kept, ({ end }) => end),
  };
}

/** Encodings of pointers (DW_EH_PE): the low four bits say how they are stored, the next three against what. */
const Stored = {
  word: 0,
  uleb: 1,
  udata2: 2,
  udata4: 3,
  udata8: 4,
  sleb: 9,
  sdata2: 10,
  sdata4: 11,
  sdata8: 12,
} as const;
const relativeToPlace = 0x10;
const relativeToData = 0x30;
const isIndirect = 0x80;
const omitted = 0xff;

/** A cursor over the image's memory; reads become NaN behind a failure, and stay so. */
class Cursor {
  at: number;
  readonly #memory: ImageMemory;
  readonly #bits: 32 | 64;
  /** What `relativeToData` counts from. */
  readonly #data: number;

  constructor(memory: ImageMemory, bits: 32 | 64, at: number, data: number) {
    this.#memory = memory;
    this.#bits = bits;
    this.at = at;
    this.#data = data;
  }

  uint8(): number {
    const value = this.#memory.uint8(this.at) ?? Number.NaN;
    this.at += 1;
    return value;
  }

  uint32(): number {
    const value = this.#memory.uint32(this.at) ?? Number.NaN;
    this.at += 4;
    return value;
  }

  uleb(): number {
    let value = 0;
    for (let scale = 1; scale < 2 ** 56; scale *= 128) {
      const byte = this.uint8();
      value += (byte & 0x7f) * scale;
      if (Number.isNaN(byte)) return Number.NaN;
      if (byte < 128) return value;
    }
    return Number.NaN;
  }

  sleb(): number {
    let value = 0;
    for (let scale = 1; scale < 2 ** 56; scale *= 128) {
      const byte = this.uint8();
      value += (byte & 0x7f) * scale;
      if (Number.isNaN(byte)) return Number.NaN;
      if (byte < 128) return (byte & 0x40) === 0 ? value : value - scale * 128;
    }
    return Number.NaN;
  }

  /** @returns the pointer; 0 where none is stored, NaN where the encoding is not known */
  pointer(encoding: number): number {
    if (encoding === omitted) return 0;
    const place = this.at;
    const stored = this.#stored(encoding & 15);
    if (stored === 0 || Number.isNaN(stored)) return stored;
    const base = encoding & 0x70;
    let value = stored;
    if (base === relativeToPlace) value += place;
    else if (base === relativeToData) value += this.#data;
    else if (base !== 0) return Number.NaN;
    // Sums wrap at the width of addresses.
    if (this.#bits === 32) value = value % 0x1_0000_0000;
    if (value < 0) value += 0x1_0000_0000;
    if ((encoding & isIndirect) === 0) return value;
    return this.#memory.word(value, this.#bits) ?? Number.NaN;
  }

  /** @returns an offset in an encoding, without what it counts from */
  offset(encoding: number): number {
    return this.#stored(encoding & 15);
  }

  #stored(form: number): number {
    const memory = this.#memory;
    const at = this.at;
    switch (form) {
      case Stored.word:
        this.at += this.#bits / 8;
        return memory.word(at, this.#bits) ?? Number.NaN;
      case Stored.uleb:
        return this.uleb();
      case Stored.sleb:
        return this.sleb();
      case Stored.udata2:
        this.at += 2;
        return memory.uint16(at) ?? Number.NaN;
      case Stored.sdata2:
        this.at += 2;
        return memory.int16(at) ?? Number.NaN;
      case Stored.udata4:
        this.at += 4;
        return memory.uint32(at) ?? Number.NaN;
      case Stored.sdata4:
        this.at += 4;
        return memory.int32(at) ?? Number.NaN;
      case Stored.udata8:
      case Stored.sdata8: {
        this.at += 8;
        const low = memory.uint32(at);
        const high = memory.int32(at + 4);
        return low === undefined || high === undefined ? Number.NaN : high * 0x1_0000_0000 + low;
      }
      default:
        return Number.NaN;
    }
  }
}

/** A common information entry: how the frame descriptions that refer to it are stored. */
interface Common {
  readonly pointers: number;
  readonly lsda: number;
  readonly hasAugmentation: boolean;
  readonly isSignal: boolean;
}

/**
 * Reads the frame descriptions of an ELF image, and the call site tables that they refer to.
 *
 * @param header  address of `.eh_frame_hdr`
 * @returns `undefined` where the header is none
 * @see Linux Standard Base, "Exception Frames"; Itanium C++ ABI, "Exception Handling Tables"
 */
export function readElfUnwind(
  memory: ImageMemory,
  bits: 32 | 64,
  header: number,
): UnwindTable | undefined {
  if (memory.uint8(header) !== 1) return undefined;
  const cursor = new Cursor(memory, bits, header + 1, header);
  const frameEncoding = cursor.uint8();
  const countEncoding = cursor.uint8();
  const tableEncoding = cursor.uint8();
  const frames = cursor.pointer(frameEncoding);
  const reader = new FrameReader(memory, bits);
  if (frames > 0 && reader.walk(frames)) return reader.result();
  // The frames' own chain is broken, or ends early: the sorted table beside them leads to each.
  const count = cursor.pointer(countEncoding);
  for (let i = 0; i < count; i++) {
    const start = cursor.pointer(tableEncoding);
    const frame = cursor.pointer(tableEncoding);
    if (Number.isNaN(start) || Number.isNaN(frame)) break;
    reader.read(frame);
  }
  return reader.result();
}

class FrameReader {
  readonly #memory: ImageMemory;
  readonly #bits: 32 | 64;
  readonly #commons: Map<number, Common | undefined> = new Map();
  readonly #ranges: { start: number; end: number }[] = [];
  readonly #handlers: Set<number> = new Set();
  readonly #pads: Set<number> = new Set();
  readonly #tables: Set<number> = new Set();

  constructor(memory: ImageMemory, bits: 32 | 64) {
    this.#memory = memory;
    this.#bits = bits;
  }

  result(): UnwindTable {
    return {
      ranges: sortedRanges(this.#ranges),
      landingPads: Float64Array.from(this.#pads).sort(),
      handlers: [...this.#handlers],
    };
  }

  /** Reads entries one after the other. @returns whether they end as they should */
  walk(from: number): boolean {
    for (let at = from; ; ) {
      const length = this.#memory.uint32(at);
      if (length === 0) return true;
      // The end of the section is the end, too: some linkers write no terminator.
      if (length === undefined) return this.#ranges.length > 0;
      if (length === 0xffff_ffff || length < 4) return false;
      if (!this.read(at)) return false;
      at += 4 + length;
    }
  }

  /** Reads the entry at `at`. @returns false where it is damaged */
  read(at: number): boolean {
    const length = this.#memory.uint32(at);
    const back = this.#memory.uint32(at + 4);
    if (length === undefined || back === undefined) return false;
    if (back === 0) return this.#common(at) !== undefined;
    const common = this.#common(at + 4 - back);
    if (common === undefined) return false;
    const cursor = new Cursor(this.#memory, this.#bits, at + 8, 0);
    const start = cursor.pointer(common.pointers);
    const size = cursor.offset(common.pointers);
    if (Number.isNaN(start) || Number.isNaN(size)) return false;
    // Discarded code leaves frames of no address or size.
    if (start > 0 && size > 0 && this.#memory.isCode(start)) {
      // The description of a signal's return begins a byte early, for unwinders that look up
      // the address before a return address.
      const from = common.isSignal ? start + 1 : start;
      this.#ranges.push({ start: from, end: start + size });
    }
    if (common.hasAugmentation) {
      cursor.uleb();
      const table = cursor.pointer(common.lsda);
      if (table > 0) this.readCallSites(table, start);
    }
    return true;
  }

  #common(at: number): Common | undefined {
    if (this.#commons.has(at)) return this.#commons.get(at);
    const common = this.#readCommon(at);
    this.#commons.set(at, common);
    return common;
  }

  #readCommon(at: number): Common | undefined {
    if (this.#memory.uint32(at + 4) !== 0) return undefined;
    const cursor = new Cursor(this.#memory, this.#bits, at + 8, 0);
    const version = cursor.uint8();
    if (version !== 1 && version !== 3) return undefined;
    const augmentation = this.#memory.string(cursor.at);
    if (augmentation === undefined) return undefined;
    cursor.at += augmentation.length + 1;
    cursor.uleb();
    cursor.sleb();
    if (version === 1) cursor.uint8();
    else cursor.uleb();
    let pointers = 0;
    let lsda = omitted;
    let isSignal = false;
    const hasAugmentation = augmentation.startsWith('z');
    if (!hasAugmentation && augmentation !== '') return undefined;
    if (hasAugmentation) cursor.uleb();
    for (const letter of augmentation.slice(1)) {
      if (letter === 'R') pointers = cursor.uint8();
      else if (letter === 'L') lsda = cursor.uint8();
      else if (letter === 'S') isSignal = true;
      else if (letter === 'P') {
        const encoding = cursor.uint8();
        // What an indirect pointer leads to is the loader's to fill in: such a routine has a name.
        const routine = cursor.pointer(encoding);
        if (this.#memory.isCode(routine)) this.#handlers.add(routine);
      } else if (letter !== 'B' && letter !== 'G') return undefined;
    }
    return { pointers, lsda, hasAugmentation, isSignal };
  }

  /** Language-specific data of C++, Rust, D, Ada, Go by gcc: each call site and where it lands. */
  readCallSites(table: number, functionStart: number): void {
    if (this.#tables.has(table)) return;
    this.#tables.add(table);
    const cursor = new Cursor(this.#memory, this.#bits, table, 0);
    const startEncoding = cursor.uint8();
    const padsFrom = startEncoding === omitted ? functionStart : cursor.pointer(startEncoding);
    if (cursor.uint8() !== omitted) cursor.uleb();
    const encoding = cursor.uint8();
    const end = cursor.uleb() + cursor.at;
    if (Number.isNaN(end) || Number.isNaN(padsFrom)) return;
    while (cursor.at < end) {
      cursor.offset(encoding);
      cursor.offset(encoding);
      const pad = cursor.offset(encoding);
      cursor.uleb();
      if (Number.isNaN(pad) || Number.isNaN(cursor.at)) return;
      if (pad !== 0 && this.#memory.isCode(padsFrom + pad)) this.#pads.add(padsFrom + pad);
    }
  }
}

/**
 * Reads the exception directory of a 64-bit PE image: functions and their parts, handlers, and
 * where `__except` and, in code of gcc, `catch` blocks begin.
 *
 * @see Microsoft, "x64 exception handling"
 */
export function readPeUnwind(memory: ImageMemory, table: number, size: number): UnwindTable {
  const ranges: { start: number; end: number }[] = [];
  const handlers = new Set<number>();
  const pads = new Set<number>();
  const frames = new FrameReader(memory, 64);
  for (let at = table; at + 12 <= table + size; at += 12) {
    const start = memory.uint32(at);
    const end = memory.uint32(at + 4);
    const info = memory.uint32(at + 8);
    if (start === undefined || end === undefined || info === undefined) break;
    if (end <= start || !memory.isCode(start)) continue;
    ranges.push({ start, end });
    const head = memory.uint8(info);
    const codes = memory.uint8(info + 2);
    if (head === undefined || codes === undefined) continue;
    // Version 1 or 2; flags: 1 and 2 name a handler, 4 chains to another entry instead.
    if ((head & 7) === 0 || (head & 7) > 2 || ((head >> 3) & 3) === 0) continue;
    const data = info + 4 + 2 * (codes + (codes & 1));
    const handler = memory.uint32(data);
    if (handler === undefined || !memory.isCode(handler)) continue;
    handlers.add(handler);
    const targets = readScopes(memory, data + 4);
    if (targets === undefined) frames.readCallSites(data + 4, start);
    else for (const target of targets) pads.add(target);
  }
  for (const pad of frames.result().landingPads) pads.add(pad);
  return {
    ranges: sortedRanges(ranges),
    landingPads: Float64Array.from(pads).sort(),
    handlers: [...handlers],
  };
}

/** The scope table of `__C_specific_handler`; `undefined` when the data is another handler's. */
function readScopes(memory: ImageMemory, table: number): number[] | undefined {
  const count = memory.uint32(table);
  if (count === undefined || count === 0 || count > 4096) return undefined;
  const targets: number[] = [];
  for (let i = 0; i < count; i++) {
    const at = table + 4 + 16 * i;
    const begin = memory.uint32(at);
    const end = memory.uint32(at + 4);
    const filter = memory.uint32(at + 8);
    const target = memory.uint32(at + 12);
    if (begin === undefined || end === undefined || filter === undefined || target === undefined) {
      return undefined;
    }
    if (begin > end || !memory.isCode(begin)) return undefined;
    // A filter of 1 catches everything; code is the filter's own otherwise.
    if (filter > 1 && !memory.isCode(filter)) return undefined;
    if (target === 0) continue;
    if (!memory.isCode(target)) return undefined;
    targets.push(target);
  }
  return targets;
}
