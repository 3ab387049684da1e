import { type Address, addressToBigInt } from '../base/address.ts';
import { AddressIndex } from '../base/bytes/address-index.ts';
import { enlarged } from '../base/bytes/typed-array.ts';
import type { AddressSpace, Module } from '../image/address-space.ts';
import {
  type Bitness,
  BlockReader,
  type BlockShape,
  clearShape,
  emptyShape,
  maxInstructionBytes,
} from '../x86/block-reader.ts';
import { Transfer } from '../x86/transfer.ts';
import type { BlockTable } from './blocks.ts';
import type { CodeCache } from './code-cache.ts';
import type { GapReason } from './mark.ts';

/** Integers of a node in `links`. */
export const linkSize = 4;
/** Nodes are -1 where they were not looked up yet. */
export const Link = {
  /** `Transfer` kind; `jmp` also for calls that no return will match. */
  kind: 0,
  /** Node of the block that follows in memory: where a branch goes that is not taken. */
  next: 1,
  /** Node of a direct transfer's target. The decoder adds an outcome to `next` and gets here. */
  target: 2,
} as const;

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
  /** What the decoder's loop needs of a node, in one place: `Link` says where. */
  links: Int32Array<ArrayBuffer> = new Int32Array(4096 * linkSize);
  /** Why a node with kind `none` cannot be left; index into `deadReasons`. */
  dead: Uint8Array<ArrayBuffer> = new Uint8Array(4096);
  /** Address of a direct transfer's target. */
  #targetAddress: Float64Array<ArrayBuffer> = new Float64Array(4096);
  bitness: Uint8Array<ArrayBuffer> = new Uint8Array(4096);

  /** The block that is being added. */
  readonly #shape: BlockShape = emptyShape();
  readonly #space: AddressSpace;
  readonly #cache: CodeCache;
  /** Nodes by bits 0..31 of their address, and the rest over the bitness. */
  readonly #index: AddressIndex = new AddressIndex();

  constructor(space: AddressSpace, cache: CodeCache) {
    this.modules = space.modules;
    this.#space = space;
    this.#cache = cache;
  }

  /** @returns the node of the block that starts at `address`, made when it is new */
  nodeAt(address: Address, bitness: Bitness): number {
    return this.nodeAtHalves(address | 0, Math.floor(address / 0x1_0000_0000), bitness);
  }

  /** @param low  bits 0..31 of the address, signed; @param high  the rest, as a multiple of 2^32 */
  nodeAtHalves(low: number, high: number, bitness: Bitness): number {
    const known = this.#index.get(low, keyOf(high, bitness));
    return known >= 0 ? known : this.#add(high * 0x1_0000_0000 + (low >>> 0), bitness);
  }

  targetOf(node: number): number {
    const known = this.links[node * linkSize + Link.target];
    if (known >= 0) return known;
    const found = this.nodeAt(this.#targetAddress[node], this.bitness[node] as Bitness);
    this.links[node * linkSize + Link.target] = found;
    return found;
  }

  nextOf(node: number): number {
    const known = this.links[node * linkSize + Link.next];
    if (known >= 0) return known;
    const bitness = this.bitness[node] as Bitness;
    const found = this.nodeAt(wrap(this.address[node] + this.size[node], bitness), bitness);
    this.links[node * linkSize + Link.next] = found;
    return found;
  }

  /** @returns whether `address` lies in the block, or where its code ends without a transfer */
  holds(node: number, address: Address): boolean {
    const into = address - this.address[node];
    const size = this.size[node];
    return into >= 0 && (into < size || (into === size && this.kind[node] === Transfer.none));
  }

  /** @returns whether an instruction of the block starts at `address`, which the block holds */
  startsAt(node: number, address: Address): boolean {
    const into = address - this.address[node];
    if (into === 0 || into === this.lastInstruction[node] || into === this.size[node]) return true;
    const section = this.#space.find(this.address[node]);
    // Blocks that run on into another section are taken as they are.
    if (section === undefined || address > section.end) return true;
    const from = this.address[node] - section.start;
    const reader = new BlockReader(section.bytes.subarray(from, from + into), this.bitnessOf(node));
    const { size } = reader.read(0, emptyShape());
    reader.dispose();
    return size === into;
  }

  bitnessOf(node: number): Bitness {
    return this.bitness[node] as Bitness;
  }

  /** Why nothing is known beyond a node of kind `none`. */
  deadReason(node: number): GapReason {
    return deadReasons[this.dead[node]];
  }

  #add(address: Address, bitness: Bitness): number {
    const section = this.#space.find(address);
    const shape = this.#shape;
    if (section === undefined) {
      clearShape(shape);
    } else {
      this.#cache.read(section.bytes, address - section.start, bitness, shape);
      if (shape.end === 'cut') this.#readAcross(address, bitness, shape);
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
    const link = node * linkSize;
    // A call to the next instruction only reads the instruction pointer; no return will match it.
    const isCallNext = shape.kind === Transfer.call && shape.target === shape.size;
    this.links[link] = isCallNext ? Transfer.jmp : shape.kind;
    this.links.fill(-1, link + 1, link + linkSize);
    this.dead[node] =
      shape.end === 'cut' ? noCode : shape.end === 'long' ? endless : badInstruction;
    this.#targetAddress[node] = wrap(address + shape.target, bitness);
    this.bitness[node] = bitness;
    this.#index.add(address | 0, keyOf(Math.floor(address / 0x1_0000_0000), bitness), node);
    return node;
  }

  /** A block may run on into the section that follows without a hole, as where pages were dumped one by one. */
  #readAcross(address: Address, bitness: Bitness, shape: BlockShape): void {
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
    if (parts.length < 2) return;
    const joined = new Uint8Array(Math.min(length, 2 ** 20));
    let filled = 0;
    for (const part of parts) {
      const piece = part.subarray(0, joined.length - filled);
      joined.set(piece, filled);
      filled += piece.length;
    }
    const reader = new BlockReader(joined, bitness);
    reader.read(0, shape);
    reader.dispose();
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
    this.links = enlarged(this.links, size * linkSize);
    this.dead = enlarged(this.dead, size);
    this.#targetAddress = enlarged(this.#targetAddress, size);
    this.bitness = enlarged(this.bitness, size);
  }
}

const noCode = 0;
const badInstruction = 1;
const endless = 2;
const deadReasons: readonly GapReason[] = ['no-code', 'bad-instruction', 'endless'];

/** Addresses have 53 bits at most, so that two bits are free. */
function keyOf(high: number, bitness: Bitness): number {
  return (high << 2) | (bitness >> 5);
}

/** 16- and 32-bit code wraps at 2^16 and 2^32 (linear addresses at 2^32); 64-bit stays canonical. */
function wrap(address: number, bitness: Bitness): Address {
  if (bitness === 64) return address;
  return Number(addressToBigInt(address) & 0xffff_ffffn);
}

/** @returns whether a block of this kind can be left without the trace's help */
export function isDirect(kind: number): boolean {
  return kind === Transfer.jmp || kind === Transfer.call;
}
