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
  /** Position of a shape in `#shapes` by its block's offset in `bytes`. */
  readonly #index: AddressIndex = new AddressIndex();
  #shapes: Int32Array<ArrayBuffer> = new Int32Array(64 * shapeSize);
  #length = 0;

  /** @param reader  of the code, for what was not read before */
  read(offset: number, shape: BlockShape, reader: () => BlockReader): void {
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
    reader().read(offset, shape);
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
}

/** The reader of the code that was read last: it holds memory that has to be freed. */
interface OpenReader {
  readonly bytes: Uint8Array;
  readonly bitness: Bitness;
  readonly reader: BlockReader;
}

/**
 * Decoded code, shared by the traces of a corpus: address space layout changes from run to run, the
 * code does not.
 *
 * Keyed by the byte array of a section: an image store gives every trace the same one for the same
 * part of a file. What nobody maps any more is forgotten: a program may make code for ever.
 */
export class CodeCache {
  readonly #byBitness: Record<Bitness, WeakMap<Uint8Array, CachedCode>> = {
    16: new WeakMap(),
    32: new WeakMap(),
    64: new WeakMap(),
  };
  #open: OpenReader | undefined;

  /** Reads the block at `offset` of `bytes` into `shape`. */
  read(bytes: Uint8Array, offset: number, bitness: Bitness, shape: BlockShape): void {
    const cache = this.#byBitness[bitness];
    let code = cache.get(bytes);
    if (code === undefined) {
      code = new CachedCode();
      cache.set(bytes, code);
    }
    code.read(offset, shape, () => this.#readerOf(bytes, bitness));
  }

  #readerOf(bytes: Uint8Array, bitness: Bitness): BlockReader {
    if (this.#open?.bytes === bytes && this.#open.bitness === bitness) return this.#open.reader;
    this.dispose();
    const reader = new BlockReader(bytes, bitness);
    this.#open = { bytes, bitness, reader };
    return reader;
  }

  /** Frees the instruction decoder's memory. */
  dispose(): void {
    this.#open?.reader.dispose();
    this.#open = undefined;
  }
}
