import { low32 } from '../base/address.ts';
import { Transfer } from '../x86/transfer.ts';
import type { BlockBatch, BlockTable } from './blocks.ts';

/**
 * A 64-bit hash of all decisions in a trace: for each conditional branch, return, indirect call or
 * jump and system call, the address of that instruction and of the next one executed.
 *
 * Two decoders that agree on it agree on the control flow. h starts at 0xcbf29ce484222325; each
 * address v does h = (h ^ v) * 0x100000001b3 mod 2^64, then h ^= h >> 29.
 */
export class Fingerprint {
  /** h in halves, so that no BigInt is made for a branch. */
  #high = 0xcbf29ce4;
  #low = 0x84222325;
  /** Address, in halves, of a decision whose outcome comes with the next block. */
  #isPending = false;
  #fromHigh = 0;
  #fromLow = 0;

  readonly #blocks: BlockTable;
  instructions = 0;
  decisions = 0;

  constructor(blocks: BlockTable) {
    this.#blocks = blocks;
  }

  add({ entries, length }: BlockBatch): void {
    const { module, offset, lastInstruction, kind, instructions, modules } = this.#blocks;
    for (let i = 0; i < length; i++) {
      const block = entries[i];
      if (block < 0) {
        this.#isPending = false;
        continue;
      }
      const base = module[block] < 0 ? 0 : modules[module[block]].base;
      const address = base + offset[block];
      if (this.#isPending) {
        this.#mix(this.#fromHigh, this.#fromLow);
        this.#mix(highOf(address), low32(address));
        this.decisions++;
      }
      this.instructions += instructions[block];
      const end = kind[block];
      this.#isPending =
        end === Transfer.jcc ||
        end === Transfer.ret ||
        end === Transfer.icall ||
        end === Transfer.ijmp ||
        end === Transfer.syscall;
      if (this.#isPending) {
        const from = address + lastInstruction[block];
        this.#fromHigh = highOf(from);
        this.#fromLow = low32(from);
      }
    }
  }

  /** @returns 16 hexadecimal digits */
  get value(): string {
    const hex = (half: number): string => (half >>> 0).toString(16).padStart(8, '0');
    return hex(this.#high) + hex(this.#low);
  }

  #mix(high: number, low: number): void {
    const h = (this.#high ^ high) >>> 0;
    const l = (this.#low ^ low) >>> 0;
    // The multiplier is 2^40 + 0x1b3: the product is (h:l << 40) + (h:l * 0x1b3), mod 2^64.
    const lowProduct = l * 0x1b3;
    const low32Bits = lowProduct >>> 0;
    const carry = (lowProduct - low32Bits) / 0x1_0000_0000;
    const high32Bits = (Math.imul(h, 0x1b3) + carry + (l << 8)) | 0;
    this.#high = (high32Bits ^ (high32Bits >>> 29)) >>> 0;
    this.#low = (low32Bits ^ ((high32Bits << 3) | (low32Bits >>> 29))) >>> 0;
  }
}

/** Bits 32..63. */
function highOf(address: number): number {
  return Math.floor(address / 0x1_0000_0000) >>> 0;
}
