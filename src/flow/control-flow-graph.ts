import { type Address, addressToBigInt } from '../base/address.ts';
import { enlarged } from '../base/typed-array.ts';
import type { AddressSpace, Module } from '../image/address-space.ts';
import { type Bitness, BlockReader, type BlockShape } from '../x86/block-reader.ts';
import { Transfer } from '../x86/transfer.ts';
import { AddressIndex } from './address-index.ts';
import type { BlockTable } from './blocks.ts';
import { type CodeCache, emptyShape } from './code-cache.ts';
import type { GapReason } from './mark.ts';

/** The longest x86 instruction, in bytes. */
const maxInstructionBytes = 15;

/**
 * Blocks of one traced process and how they follow each other, built as the trace reaches them.
 *
 * A node is a block id of `table`. Successors are found on first use and kept in typed arrays, so
 * that the decoder's loop touches nothing else.
 */
export class ControlFlowGraph implements BlockTable {
  readonly modules: readonly Module[];
  length = 0;
  module: Int32Array<ArrayBuffer> = new Int32Array(4096);
  offset: Float64Array<ArrayBuffer> = new Float64Array(4096);
  address: Float64Array<ArrayBuffer> = new Float64Array(4096);
  lastInstruction: Int32Array<ArrayBuffer> = new Int32Array(4096);
  size: Int32Array<ArrayBuffer> = new Int32Array(4096);
  instructions: Int32Array<ArrayBuffer> = new Int32Array(4096);
  kind: Uint8Array<ArrayBuffer> = new Uint8Array(4096);
  /** Node of a direct transfer's target; -1 = not looked up yet. */
  target: Int32Array<ArrayBuffer> = new Int32Array(4096);
  /** Node of the block that follows in memory; -1 = not looked up yet. */
  next: Int32Array<ArrayBuffer> = new Int32Array(4096);
  /** Why a node with kind `none` cannot be left; index into `deadReasons`. */
  dead: Uint8Array<ArrayBuffer> = new Uint8Array(4096);
  /** Address of a direct transfer's target. */
  #targetAddress: Float64Array<ArrayBuffer> = new Float64Array(4096);
  #bits: Uint8Array<ArrayBuffer> = new Uint8Array(4096);

  readonly #space: AddressSpace;
  readonly #cache: CodeCache;
  readonly #by16: AddressIndex = new AddressIndex();
  readonly #by32: AddressIndex = new AddressIndex();
  readonly #by64: AddressIndex = new AddressIndex();

  constructor(space: AddressSpace, cache: CodeCache) {
    this.modules = space.modules;
    this.#space = space;
    this.#cache = cache;
  }

  /** @returns the node of the block that starts at `address`, made when it is new */
  nodeAt(address: Address, bitness: Bitness): number {
    const known = this.#nodes(bitness).get(address);
    return known >= 0 ? known : this.#add(address, bitness);
  }

  targetOf(node: number): number {
    const known = this.target[node];
    if (known >= 0) return known;
    const found = this.nodeAt(this.#targetAddress[node], this.#bits[node] as Bitness);
    this.target[node] = found;
    return found;
  }

  nextOf(node: number): number {
    const known = this.next[node];
    if (known >= 0) return known;
    const bitness = this.#bits[node] as Bitness;
    const found = this.nodeAt(wrap(this.address[node] + this.size[node], bitness), bitness);
    this.next[node] = found;
    return found;
  }

  bitnessOf(node: number): Bitness {
    return this.#bits[node] as Bitness;
  }

  /** Why nothing is known beyond a node of kind `none`. */
  deadReason(node: number): GapReason {
    return deadReasons[this.dead[node]];
  }

  #nodes(bitness: Bitness): AddressIndex {
    return bitness === 64 ? this.#by64 : bitness === 32 ? this.#by32 : this.#by16;
  }

  #add(address: Address, bitness: Bitness): number {
    const section = this.#space.find(address);
    let shape: BlockShape;
    if (section === undefined) {
      shape = emptyShape();
    } else {
      shape = this.#cache.shapeAt(section.bytes, address - section.start, bitness);
      if (shape.end === 'cut') shape = this.#readAcross(address, bitness) ?? shape;
    }
    const node = this.length++;
    if (node === this.kind.length) this.#grow();
    const module = section?.module ?? this.#space.moduleAt(address);
    this.module[node] = module;
    this.offset[node] = module < 0 ? address : address - this.modules[module].base;
    this.address[node] = address;
    this.lastInstruction[node] = shape.lastInstruction;
    this.size[node] = shape.size;
    this.instructions[node] = shape.instructions;
    this.kind[node] = shape.kind;
    this.target[node] = -1;
    this.next[node] = -1;
    this.dead[node] =
      shape.end === 'cut' ? noCode : shape.end === 'long' ? endless : badInstruction;
    this.#targetAddress[node] = wrap(address + shape.target, bitness);
    this.#bits[node] = bitness;
    this.#nodes(bitness).add(address, node);
    return node;
  }

  /** A block may run on into the section that follows without a hole, as where pages were dumped one by one. */
  #readAcross(address: Address, bitness: Bitness): BlockShape | undefined {
    const parts: Uint8Array[] = [];
    let length = 0;
    let at = address;
    for (;;) {
      const section = this.#space.find(at);
      if (section === undefined) break;
      const rest = section.bytes.subarray(at - section.start);
      parts.push(rest);
      length += rest.length;
      at = section.end;
      // A block that is still cut after so many more bytes is no block.
      if (parts.length > 1 && length > rest.length + 65536 * maxInstructionBytes) break;
      if (parts.length > 64) break;
    }
    if (parts.length < 2) return undefined;
    const joined = new Uint8Array(Math.min(length, 2 ** 20));
    let filled = 0;
    for (const part of parts) {
      const piece = part.subarray(0, joined.length - filled);
      joined.set(piece, filled);
      filled += piece.length;
    }
    const reader = new BlockReader(joined, bitness);
    const shape = reader.read(0, emptyShape());
    reader.dispose();
    return shape;
  }

  #grow(): void {
    const size = this.kind.length * 2;
    this.module = enlarged(this.module, size);
    this.offset = enlarged(this.offset, size);
    this.address = enlarged(this.address, size);
    this.lastInstruction = enlarged(this.lastInstruction, size);
    this.size = enlarged(this.size, size);
    this.instructions = enlarged(this.instructions, size);
    this.kind = enlarged(this.kind, size);
    this.target = enlarged(this.target, size);
    this.next = enlarged(this.next, size);
    this.dead = enlarged(this.dead, size);
    this.#targetAddress = enlarged(this.#targetAddress, size);
    this.#bits = enlarged(this.#bits, size);
  }
}

const noCode = 0;
const badInstruction = 1;
const endless = 2;
const deadReasons: readonly GapReason[] = ['no-code', 'bad-instruction', 'endless'];

/** 16- and 32-bit code wraps at 2^16 and 2^32 (linear addresses at 2^32); 64-bit stays canonical. */
function wrap(address: number, bitness: Bitness): Address {
  if (bitness === 64) return address;
  return Number(addressToBigInt(address) & 0xffff_ffffn);
}

/** @returns whether a block of this kind can be left without the trace's help */
export function isDirect(kind: number): boolean {
  return kind === Transfer.jmp || kind === Transfer.call;
}
