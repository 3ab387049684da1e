import { AddressIndex } from '../base/bytes/address-index.ts';
import { enlarged } from '../base/bytes/typed-array.ts';
import { type Bitness, BlockReader, type BlockShape } from '../x86/block-reader.ts';
import type { TransferKind } from '../x86/transfer.ts';

/** Integers of a shape in `CachedCode`: kind and end in one, size, last instruction, instructions, target. */
const shapeSize = 5;
const ends = ['transfer', 'cut', 'invalid', 'fault', 'long'] as const;

/**
 * Blocks of one run of bytes, decoded once and kept for every trace that maps it, wherever it is
 * mapped.
 */
class CachedCode {
  readonly bytes: Uint8Array;
  /** Position of a shape in `#shapes` by its block's offset in `bytes`. */
  readonly #index: AddressIndex = new AddressIndex();
  #shapes: Int32Array<ArrayBuffer> = new Int32Array(64 * shapeSize);
  #length = 0;
  readonly #bitness: Bitness;
  #reader: BlockReader | undefined;

  constructor(bytes: Uint8Array, bitness: Bitness) {
    this.bytes = bytes;
    this.#bitness = bitness;
  }

  read(offset: number, shape: BlockShape): void {
    const known = this.#index.get(offset, 0);
    if (known >= 0) {
      const shapes = this.#shapes;
      shape.kind = (shapes[known] & 0xff) as TransferKind;
      shape.end = ends[shapes[known] >> 8];
      shape.size = shapes[known + 1];
      shape.lastInstruction = shapes[known + 2];
      shape.instructions = shapes[known + 3];
      shape.target = shapes[known + 4];
      return;
    }
    this.#reader ??= new BlockReader(this.bytes, this.#bitness);
    this.#reader.read(offset, shape);
    const at = this.#length;
    this.#length += shapeSize;
    if (this.#length > this.#shapes.length) {
      this.#shapes = enlarged(this.#shapes, this.#shapes.length * 2);
    }
    this.#shapes[at] = shape.kind | (ends.indexOf(shape.end) << 8);
    this.#shapes[at + 1] = shape.size;
    this.#shapes[at + 2] = shape.lastInstruction;
    this.#shapes[at + 3] = shape.instructions;
    this.#shapes[at + 4] = shape.target;
    this.#index.add(offset, 0, at);
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

  /** Reads the block at `offset` of `bytes` into `shape`. */
  read(bytes: Uint8Array, offset: number, bitness: Bitness, shape: BlockShape): void {
    const cache = this.#byBitness[bitness];
    let code = cache.get(bytes);
    if (code === undefined) {
      code = new CachedCode(bytes, bitness);
      cache.set(bytes, code);
    }
    code.read(offset, shape);
  }

  /** Frees the instruction decoders' memory. */
  dispose(): void {
    for (const cache of Object.values(this.#byBitness)) {
      for (const code of cache.values()) code.dispose();
      cache.clear();
    }
  }
}
