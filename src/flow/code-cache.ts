import { type Bitness, BlockReader, type BlockShape, emptyShape } from '../x86/block-reader.ts';
import { AddressIndex } from './address-index.ts';

/**
 * Blocks of one run of bytes, decoded once and kept for every trace that maps it, wherever it is
 * mapped.
 */
class CachedCode {
  readonly bytes: Uint8Array;
  /** Index of a shape by its block's offset in `bytes`. */
  readonly index: AddressIndex = new AddressIndex();
  readonly shapes: BlockShape[] = [];
  readonly #bitness: Bitness;
  #reader: BlockReader | undefined;

  constructor(bytes: Uint8Array, bitness: Bitness) {
    this.bytes = bytes;
    this.#bitness = bitness;
  }

  shapeAt(offset: number): BlockShape {
    const known = this.index.get(offset, 0);
    if (known >= 0) return this.shapes[known];
    this.#reader ??= new BlockReader(this.bytes, this.#bitness);
    const shape = this.#reader.read(offset, emptyShape());
    this.index.add(offset, 0, this.shapes.length);
    this.shapes.push(shape);
    return shape;
  }

  dispose(): void {
    this.#reader?.dispose();
    this.#reader = undefined;
  }
}

/**
 * Decoded code, shared by the traces of a corpus: address space layout changes from run to run, the
 * code does not.
 *
 * Keyed by the byte array of a section: an image store gives every trace the same one for the same
 * part of a file.
 */
export class CodeCache {
  readonly #byBitness: Record<Bitness, Map<Uint8Array, CachedCode>> = {
    16: new Map(),
    32: new Map(),
    64: new Map(),
  };

  /** @returns the block at `offset` of `bytes`; the object is shared, do not change it */
  shapeAt(bytes: Uint8Array, offset: number, bitness: Bitness): BlockShape {
    const cache = this.#byBitness[bitness];
    let code = cache.get(bytes);
    if (code === undefined) {
      code = new CachedCode(bytes, bitness);
      cache.set(bytes, code);
    }
    return code.shapeAt(offset);
  }

  /** Frees the instruction decoders' memory. */
  dispose(): void {
    for (const cache of Object.values(this.#byBitness)) {
      for (const code of cache.values()) code.dispose();
      cache.clear();
    }
  }
}
