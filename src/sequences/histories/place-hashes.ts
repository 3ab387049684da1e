import { enlarged } from '../../base/bytes/typed-array.ts';
import type { BlockTable } from '../../flow/blocks.ts';
import { outsideImages } from '../symbol-table.ts';
import { mix } from '../window-counter.ts';

/** Places in code, named so that they are the same in every run: module and offset. */
export interface Places {
  readonly length: number;
  readonly modules: readonly string[];
  /** Index into `modules`, by place. */
  readonly module: Int32Array;
  readonly offset: Float64Array;
}

/**
 * 64 bits for each block of a trace, in two halves, that depend on the name of its module and its offset
 * there, and so are the same in every run, whatever else ran before: contexts are made of them without a
 * vocabulary, also where they hold code that training never saw.
 *
 * Two places share both halves once in 2^64 pairs; no count rests on fewer bits.
 */
export class PlaceHashes {
  readonly #blocks: BlockTable;
  #modules: Int32Array = new Int32Array(0);
  /** By block id, valid below `length`. */
  low: Int32Array<ArrayBuffer> = new Int32Array(4096);
  high: Int32Array<ArrayBuffer> = new Int32Array(4096);
  length = 0;

  constructor(blocks: BlockTable) {
    this.#blocks = blocks;
  }

  /** Takes in the blocks that the table got since the last call. */
  extend(): void {
    const { length, module, offset, modules } = this.#blocks;
    if (this.length === length) return;
    if (this.#modules.length < 2 * modules.length + 2) {
      const names = [outsideImages, ...modules.map(({ name }) => name)];
      this.#modules = Int32Array.from(names.flatMap(hashName));
    }
    if (length > this.low.length) {
      const room = Math.max(length, 2 * this.low.length);
      this.low = enlarged(this.low, room);
      this.high = enlarged(this.high, room);
    }
    for (let id = this.length; id < length; id++) {
      this.low[id] = this.lowOf(module[id], offset[id]);
      this.high[id] = this.highOf(module[id], offset[id]);
    }
    this.length = length;
  }

  /** @returns the lower half for an offset in a module of the table, -1 = outside every image */
  lowOf(module: number, offset: number): number {
    // Beyond 2^32 an offset has a second half.
    const upper = Math.floor(offset / 0x1_0000_0000) | 0;
    return mix(this.#modules[2 * (module + 1)] ^ Math.imul(offset | 0, 0x9e3779b1) ^ upper);
  }

  /** @returns the other half */
  highOf(module: number, offset: number): number {
    const upper = Math.floor(offset / 0x1_0000_0000) | 0;
    return mix(this.#modules[2 * (module + 1) + 1] + Math.imul(offset | 0, 0x85ebca6b) + upper);
  }
}

/** FNV-1a (Fowler, Noll, Vo) from two different starts. */
function hashName(name: string): [number, number] {
  let low = 0x811c9dc5 | 0;
  let high = 0x3c6ef372;
  for (let i = 0; i < name.length; i++) {
    low = Math.imul(low ^ name.charCodeAt(i), 0x01000193);
    high = Math.imul(high ^ name.charCodeAt(i), 0x85ebca6b);
  }
  return [mix(low), mix(high)];
}
