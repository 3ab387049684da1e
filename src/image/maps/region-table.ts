import type { Address } from '../../base/address.ts';
import { enlarged } from '../../base/bytes/typed-array.ts';

/** One row of a memory map. */
export interface Region {
  readonly start: Address;
  /** First address after the region. */
  readonly end: Address;
  /** As the map gives it; empty for unnamed memory. */
  readonly path: string;
  /** Position in the file of the byte at `start`; `undefined` where the map does not say. */
  readonly fileOffset: number | undefined;
  /** `undefined` where the map does not say. */
  readonly isExecutable: boolean | undefined;
}

/** What a map says of whether a region may run, in a byte. */
const flags = [undefined, false, true] as const;

/**
 * Rows of a memory map in columns. As objects, a million of them took 150 MB, and each path a string of its
 * own; a row is an object for as long as it is looked at.
 */
export class RegionTable implements Iterable<Region> {
  /** Each path once, in the order of their first rows. */
  readonly paths: string[] = [];
  readonly #pathIndex: Map<string, number> = new Map();
  #length = 0;
  #starts: Float64Array<ArrayBuffer> = new Float64Array(16);
  #ends: Float64Array<ArrayBuffer> = new Float64Array(16);
  #path: Int32Array<ArrayBuffer> = new Int32Array(16);
  /** NaN where the map does not say. */
  #fileOffsets: Float64Array<ArrayBuffer> = new Float64Array(16);
  #executable: Uint8Array<ArrayBuffer> = new Uint8Array(16);
  #lines: Int32Array<ArrayBuffer> = new Int32Array(16);

  /** Rows that come from no file. */
  static of(rows: Iterable<Region>): RegionTable {
    const table = new RegionTable();
    for (const row of rows) table.add(row, 0);
    return table;
  }

  get length(): number {
    return this.#length;
  }

  /** @param line  of the map's file, from 1 */
  add({ start, end, path, fileOffset, isExecutable }: Region, line: number): void {
    const index = this.#length++;
    if (index === this.#starts.length) this.#grow();
    this.#starts[index] = start;
    this.#ends[index] = end;
    this.#path[index] = this.#intern(path);
    this.#fileOffsets[index] = fileOffset ?? Number.NaN;
    this.#executable[index] = flags.indexOf(isExecutable);
    this.#lines[index] = line;
  }

  at(index: number): Region {
    const fileOffset = this.#fileOffsets[index];
    return {
      start: this.#starts[index],
      end: this.#ends[index],
      path: this.paths[this.#path[index]],
      fileOffset: Number.isNaN(fileOffset) ? undefined : fileOffset,
      isExecutable: flags[this.#executable[index]],
    };
  }

  /** @returns index into `paths` */
  pathOf(index: number): number {
    return this.#path[index];
  }

  /** @returns line of the map's file, from 1 */
  lineOf(index: number): number {
    return this.#lines[index];
  }

  *[Symbol.iterator](): Generator<Region> {
    for (let i = 0; i < this.#length; i++) yield this.at(i);
  }

  /** @returns the rows by their starts; equal ones by their ends, then as they stand */
  sorted(): RegionTable {
    const [starts, ends] = [this.#starts, this.#ends];
    const by = (a: number, b: number): number => starts[a] - starts[b] || ends[a] - ends[b];
    let rising = 1;
    while (rising < this.#length && by(rising - 1, rising) <= 0) rising++;
    // As the kernel lists them.
    if (rising >= this.#length) return this;
    const order = Int32Array.from({ length: this.#length }, (_, i) => i);
    return this.#select(order.sort((a, b) => by(a, b) || a - b));
  }

  /** @returns the first of sorted rows that begins before the one ahead of it ends; -1 where none does */
  firstOverlap(): number {
    for (let i = 1; i < this.#length; i++) if (this.#starts[i] < this.#ends[i - 1]) return i;
    return -1;
  }

  /** @returns the region that holds an address, in rows that are sorted and do not overlap; -1 where none does */
  find(address: Address): number {
    let low = 0;
    let high = this.#length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#starts[middle] <= address) low = middle + 1;
      else high = middle;
    }
    return low > 0 && address < this.#ends[low - 1] ? low - 1 : -1;
  }

  #select(order: Int32Array): RegionTable {
    const table = new RegionTable();
    for (const index of order) table.add(this.at(index), this.lineOf(index));
    return table;
  }

  #intern(path: string): number {
    const known = this.#pathIndex.get(path);
    if (known !== undefined) return known;
    // A part of a line would keep all the text around it in memory.
    const own = Buffer.from(path).toString();
    // Halves of characters, which JSON may hold, have become others.
    const index = this.#pathIndex.get(own) ?? this.paths.push(own) - 1;
    this.#pathIndex.set(own, index);
    return index;
  }

  #grow(): void {
    const length = this.#starts.length * 2;
    this.#starts = enlarged(this.#starts, length);
    this.#ends = enlarged(this.#ends, length);
    this.#path = enlarged(this.#path, length);
    this.#fileOffsets = enlarged(this.#fileOffsets, length);
    this.#executable = enlarged(this.#executable, length);
    this.#lines = enlarged(this.#lines, length);
  }
}
