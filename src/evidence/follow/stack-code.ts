import type { Address } from '../../base/address.ts';
import type { AddressSpace } from '../../image/address-space.ts';
import {
  BlockReader,
  type BlockShape,
  emptyShape,
  maxInstructionBytes,
} from '../../x86/block-reader.ts';
import { readReturnUse } from '../../x86/return-slot.ts';
import { maySetStackPointer, readStackUse, registerOf, StackUse } from '../../x86/stack-use.ts';
import { storesOnStack } from '../../x86/stored-address.ts';

/** First address and first address behind. */
export interface CodeRange {
  readonly start: Address;
  readonly end: Address;
}

/** What a follower asks about code. `undefined` always means that the images do not say. */
export interface KnownCode {
  /** The function, or part of one, that holds an address. */
  functionRange(address: Address): CodeRange | undefined;
  isFunctionEntry(address: Address): boolean | undefined;
  /** Whether a pointer to this place exists. */
  isTaken(address: Address): boolean | undefined;
  /** Whether the unwinder goes here to catch an exception or to clean up behind one. */
  isLandingPad(address: Address): boolean | undefined;
}

/** Of a block that sets no stack pointer, and of which nobody asked more. */
const notSet = -2;

/**
 * `StackUse` of blocks by the bytes that hold them, which all processes share that map the same part of a
 * file.
 */
const uses: WeakMap<Uint8Array, Map<number, number>> = new WeakMap();

function usesOf(bytes: Uint8Array): Map<number, number> {
  let known = uses.get(bytes);
  if (known === undefined) {
    known = new Map();
    uses.set(bytes, known);
  }
  return known;
}

/** A block is told by where it begins, and its size: the last one of a trace may be cut. */
function keyOf(offset: number, size: number, bits: number): number {
  return (offset * 2 ** 20 + size) * 2 + (bits === 64 ? 1 : 0);
}

/** What the bytes of a process's code say about its stack, block by block. */
export class StackCode {
  readonly #space: AddressSpace;
  readonly #shape: BlockShape = emptyShape();

  constructor(space: AddressSpace) {
    this.#space = space;
  }

  /** @returns bits of `StackUse` of the block at `start`; `undefined` when its bytes are not known */
  stackUse(start: Address, size: number): number | undefined {
    const known = this.#known(start, size);
    if (known === undefined) return undefined;
    if (known >= 0) return known;
    const bytes = this.#bytes(start, size);
    if (bytes === undefined) return undefined;
    const use = readStackUse(bytes, this.#bitsAt(start));
    this.#remember(start, size, use);
    return use;
  }

  /** `stackUse` for blocks that may set the stack pointer; 0 for all others. */
  stackUseIfSet(start: Address, size: number): number {
    const known = this.#known(start, size);
    if (known === undefined || known === notSet) return 0;
    if (known >= 0) return known;
    const bytes = this.#bytes(start, size);
    if (bytes === undefined) return 0;
    if (maySetStackPointer(bytes, this.#bitsAt(start) === 64))
      return this.stackUse(start, size) ?? 0;
    this.#remember(start, size, notSet);
    return 0;
  }

  /** @returns what was read of a block; -1 = nothing so far; `undefined` when its bytes are not known */
  #known(start: Address, size: number): number | undefined {
    const section = this.#space.find(start);
    if (section === undefined || start + size > section.end) return undefined;
    const bits = section.bits ?? 64;
    return usesOf(section.bytes).get(keyOf(start - section.start, size, bits)) ?? -1;
  }

  #remember(start: Address, size: number, use: number): void {
    const section = this.#space.find(start);
    if (section === undefined) return;
    usesOf(section.bytes).set(keyOf(start - section.start, size, section.bits ?? 64), use);
  }

  /**
   * Whether a block puts to use a stack that is not its function's own. A function that aligns its
   * frame keeps its stack pointer in a register and takes it back: that is no other stack.
   *
   * @param use  of the block
   * @param from  where its function begins
   */
  isOtherStack(use: number, from: Address, start: Address): boolean {
    if ((use & StackUse.switches) === 0) return false;
    if ((use & StackUse.fromRegister) === 0) return true;
    const bytes = this.#bytes(from, start - from);
    if (bytes === undefined) return true;
    const register = registerOf(use) & 7;
    for (let i = 0; i + 2 < bytes.length; i++) {
      const modrm = bytes[i + 1];
      // mov reg, rsp in its two encodings, and lea reg, [rsp + displacement].
      if (bytes[i] === 0x89 && modrm === (0xe0 | register)) return false;
      if (bytes[i] === 0x8b && modrm === (0xc4 | (register << 3))) return false;
      const isLea = bytes[i] === 0x8d && (modrm & 0x3f) === (4 | (register << 3));
      if (isLea && modrm < 0xc0 && bytes[i + 2] === 0x24) return false;
    }
    return true;
  }

  /** Reads the block at an address. @returns a shape that the next call overwrites */
  blockAt(start: Address): BlockShape | undefined {
    const section = this.#space.find(start);
    if (section === undefined) return undefined;
    const at = start - section.start;
    const reader = new BlockReader(section.bytes.subarray(at, at + 4096), this.#bitsAt(start));
    try {
      return reader.read(0, this.#shape);
    } finally {
      reader.dispose();
    }
  }

  /** @returns bits of `ReturnUse` of the routine that begins at an address */
  returnUse(entry: Address): number {
    const bytesAt = (address: Address): Uint8Array | undefined => {
      const section = this.#space.find(address);
      const at = address - (section?.start ?? 0);
      return section?.bytes.subarray(at, at + maxInstructionBytes);
    };
    return readReturnUse(bytesAt, entry, this.#bitsAt(entry));
  }

  /** Whether code in `[from, to)` stores the address of a place on the stack. */
  pushesAddress(from: Address, to: Address, place: Address): boolean {
    const section = this.#space.find(place);
    if (section === undefined) return false;
    const first = Math.max(from, section.start) - section.start;
    const last = Math.min(to, section.end) - section.start;
    const bytes = section.bytes.subarray(first, last);
    return storesOnStack(bytes, place - section.start - first, place, this.#bitsAt(place));
  }

  /** Whether the bytes before an address are a call: calls return to such places. */
  followsCall(address: Address): boolean | undefined {
    const section = this.#space.find(address - 1);
    if (section === undefined || address - section.start < 7) return undefined;
    const { bytes } = section;
    const at = address - section.start;
    if (bytes[at - 5] === 0xe8) return true;
    // FF /2, of all lengths that its operand can have.
    for (const length of [2, 3, 4, 6, 7]) {
      if (bytes[at - length] !== 0xff) continue;
      const modrm = bytes[at - length + 1];
      if (((modrm >> 3) & 7) === 2 && length === 2 + operandBytes(modrm, bytes[at - length + 2])) {
        return true;
      }
    }
    return false;
  }

  /** Whether an ELF image says that a process begins here. */
  isEntryPoint(address: Address): boolean {
    const module = this.#space.moduleAt(address);
    const base = this.#space.modules[module]?.base;
    const head = base === undefined ? undefined : this.#bytes(base, 32);
    if (head === undefined || base === undefined) return false;
    if (head[0] !== 0x7f || head[1] !== 0x45 || head[2] !== 0x4c || head[3] !== 0x46) return false;
    const view = new DataView(head.buffer, head.byteOffset, head.length);
    const high = head[4] === 2 ? view.getUint32(28, true) * 0x1_0000_0000 : 0;
    const entry = view.getUint32(24, true) + high;
    return entry === address || entry + base === address;
  }

  /** Whether the instruction before an address is a system call: threads begin behind the one that makes them. */
  followsSystemCall(address: Address): boolean {
    const before = this.#bytes(address - 2, 2);
    if (before === undefined) return false;
    return (
      (before[0] === 0x0f && (before[1] === 0x05 || before[1] === 0x34)) ||
      (before[0] === 0xcd && before[1] === 0x80)
    );
  }

  #bytes(start: Address, size: number): Uint8Array | undefined {
    const section = this.#space.find(start);
    if (section === undefined || start + size > section.end) return undefined;
    return section.bytes.subarray(start - section.start, start - section.start + size);
  }

  #bitsAt(address: Address): 32 | 64 {
    return this.#space.find(address)?.bits ?? 64;
  }
}

/** @returns bytes of SIB and displacement that follow a ModRM byte in 32- and 64-bit code */
function operandBytes(modrm: number, sib: number): number {
  const mode = modrm >> 6;
  const register = modrm & 7;
  if (mode === 3) return 0;
  const hasSib = register === 4;
  const displacement =
    mode === 1 ? 1 : mode === 2 || register === 5 || (hasSib && (sib & 7) === 5) ? 4 : 0;
  return (hasSib ? 1 : 0) + displacement;
}
