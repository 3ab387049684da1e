import { readFileSync } from 'node:fs';

/** A mapped part of a file, or of nothing. */
export interface Region {
  readonly start: number;
  readonly end: number;
  readonly rights: string;
  readonly offset: number;
  /** Empty for memory that belongs to no file. */
  readonly path: string;
}

/**
 * A program's memory at the moment of a plan's writes, as `hijack.c` dumped it: the map, the bytes
 * of what holds no code, and the code from the files.
 *
 * The format: stack pointer, `hijack_space`, `hijack_page` and the map's length (u64 each), the map
 * as text, then regions of start, length (u64 each) and bytes.
 */
export class Memory {
  readonly stackPointer: number;
  readonly space: number;
  readonly page: number;
  readonly regions: readonly Region[];
  readonly #parts: { readonly start: number; readonly bytes: Buffer }[] = [];
  readonly #files = new Map<string, Buffer>();
  #code: readonly Region[] | undefined;

  constructor(dump: Buffer) {
    this.stackPointer = Number(dump.readBigUInt64LE(0));
    this.space = Number(dump.readBigUInt64LE(8));
    this.page = Number(dump.readBigUInt64LE(16));
    const length = Number(dump.readBigUInt64LE(24));
    const text = dump.toString('latin1', 32, 32 + length);
    this.regions = [...text.matchAll(/^(\w+)-(\w+) (\S+) (\w+) \S+ \S+ *(.*)$/gm)].map((line) => ({
      start: Number.parseInt(line[1], 16),
      end: Number.parseInt(line[2], 16),
      rights: line[3],
      offset: Number.parseInt(line[4], 16),
      path: line[5].startsWith('/') ? line[5] : '',
    }));
    for (let at = 32 + length; at + 16 <= dump.length; ) {
      const start = Number(dump.readBigUInt64LE(at));
      const size = Number(dump.readBigUInt64LE(at + 8));
      this.#parts.push({ start, bytes: dump.subarray(at + 16, at + 16 + size) });
      at += 16 + size;
    }
  }

  /** Dumped bytes, region by region; code is not among them. */
  get dumped(): readonly { readonly start: number; readonly bytes: Buffer }[] {
    return this.#parts;
  }

  regionOf(address: number): Region | undefined {
    return this.regions.find(({ start, end }) => address >= start && address < end);
  }

  /** @returns the 8 bytes at an address that was dumped, or `undefined` */
  word(address: number): bigint | undefined {
    for (const { start, bytes } of this.#parts) {
      if (address >= start && address + 8 <= start + bytes.length) {
        return bytes.readBigUInt64LE(address - start);
      }
    }
    return undefined;
  }

  isWritable(address: number): boolean {
    return this.regionOf(address)?.rights.startsWith('rw') ?? false;
  }

  /** @returns code of one region, from its file */
  code(region: Region): Buffer {
    const { offset, start, end } = region;
    return this.#file(region.path).subarray(offset, offset + end - start);
  }

  /**
   * Segments of code of the mapped files, as their program headers have them: QEMU's map does not
   * say what may be executed.
   */
  get codeRegions(): readonly Region[] {
    this.#code ??= [...new Set(this.regions.map(({ path }) => path))]
      .filter((path) => path !== '')
      .flatMap((path) => this.#segmentsOf(path));
    return this.#code;
  }

  #segmentsOf(path: string): Region[] {
    const file = this.#file(path);
    if (file.length < 64 || file.readUInt32LE(0) !== 0x464c457f) return [];
    const loads = programHeaders(file).filter(({ type }) => type === 1);
    const first = Math.min(...loads.map(({ address }) => address - (address % 4096)));
    const bias = this.baseOf(path) - first;
    return loads
      .filter(({ flags }) => (flags & 1) !== 0)
      .map(({ address, offset, size }) => ({
        start: bias + address,
        end: bias + address + size,
        rights: 'r-xp',
        offset,
        path,
      }));
  }

  #file(path: string): Buffer {
    let file = this.#files.get(path);
    if (file === undefined) {
      file = readFileSync(path);
      this.#files.set(path, file);
    }
    return file;
  }

  codeRegionOf(address: number): Region | undefined {
    return this.codeRegions.find(({ start, end }) => address >= start && address < end);
  }

  codeAt(address: number, length: number): Buffer | undefined {
    const region = this.codeRegionOf(address);
    if (region === undefined) return undefined;
    return this.code(region).subarray(address - region.start, address - region.start + length);
  }

  /** Where a file begins in memory. */
  baseOf(path: string): number {
    return Math.min(...this.regions.filter((region) => region.path === path).map((r) => r.start));
  }

  /** @returns addresses at which code holds these bytes, libraries' and the program's alike */
  find(pattern: readonly number[]): number[] {
    const found: number[] = [];
    const bytes = Buffer.from(pattern);
    for (const region of this.codeRegions) {
      const code = this.code(region);
      for (let at = code.indexOf(bytes); at !== -1; at = code.indexOf(bytes, at + 1)) {
        found.push(region.start + at);
      }
    }
    return found;
  }
}

interface ProgramHeader {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly address: number;
  readonly size: number;
}

/** @param file  a 64-bit ELF file */
function programHeaders(file: Buffer): ProgramHeader[] {
  const start = Number(file.readBigUInt64LE(32));
  const size = file.readUInt16LE(54);
  return Array.from({ length: file.readUInt16LE(56) }, (_, index) => {
    const at = start + index * size;
    return {
      type: file.readUInt32LE(at),
      flags: file.readUInt32LE(at + 4),
      offset: Number(file.readBigUInt64LE(at + 8)),
      address: Number(file.readBigUInt64LE(at + 16)),
      size: Number(file.readBigUInt64LE(at + 32)),
    };
  });
}

/**
 * Starts of functions of an ELF file from `.eh_frame_hdr`, relative to its first byte in memory.
 *
 * @see Linux Standard Base Core, "Exception Frames": the binary search table
 */
export function functionStarts(path: string): number[] {
  const file = readFileSync(path);
  const headers = programHeaders(file);
  const frame = headers.find(({ type }) => type === 0x6474e550);
  const loads = headers.filter(({ type }) => type === 1);
  if (frame === undefined) return [];
  const first = Math.min(...loads.map(({ address }) => address - (address % 4096)));
  const at = frame.offset;
  // A count in 4 bytes, and a table of pairs relative to the table's own header.
  if (file[at + 2] !== 0x03 || file[at + 3] !== 0x3b) return [];
  const length = file.readUInt32LE(at + 8);
  return Array.from({ length }, (_, index) => {
    return frame.address + file.readInt32LE(at + 12 + 8 * index) - first;
  });
}
