import type { Address } from '../../base/address.ts';
import type { BlockTable } from '../../flow/blocks.ts';

/** Absolute addresses of the blocks of a table, computed once for each block. */
export class BlockPlaces {
  /** Address of the first byte, by block id. */
  start: Float64Array = new Float64Array(1024);
  /** Address after the last instruction: where a call returns to. */
  end: Float64Array = new Float64Array(1024);
  #length = 0;

  /** Takes in the blocks that the table has gained. */
  update(blocks: BlockTable): void {
    const { length, modules, module, offset, size } = blocks;
    if (length > this.start.length) {
      const capacity = Math.max(length, 2 * this.start.length);
      this.start = grown(this.start, capacity);
      this.end = grown(this.end, capacity);
    }
    for (let id = this.#length; id < length; id++) {
      const base: Address = module[id] < 0 ? 0 : modules[module[id]].base;
      this.start[id] = base + offset[id];
      this.end[id] = base + offset[id] + size[id];
    }
    this.#length = length;
  }
}

function grown(values: Float64Array, capacity: number): Float64Array {
  const result = new Float64Array(capacity);
  result.set(values);
  return result;
}
