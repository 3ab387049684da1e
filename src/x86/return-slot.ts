import { Operand, Operands, Operation } from './operands.ts';
import { Transfer } from './transfer.ts';

/** What a routine does with the return address that its caller left it; bits. */
export const ReturnUse = {
  /** Has it in a register: takes it off the stack, or loads it. */
  reads: 1,
  /** Stores another one in its place. */
  writes: 2,
} as const;

/** Instructions of one routine that are read. */
const mostInstructions = 512;

const stackRegister = 4;
const frameRegister = 5;
const leave = 0xc9;
/** Registers that a call leaves as they are, in all conventions: rbx, rsp, rbp, r12 to r15. */
const keptRegisters = [3, 4, 5, 12, 13, 14, 15];

/** A place in a routine, and how far above the return address's slot each register points; NaN = elsewhere. */
interface Place {
  readonly address: number;
  readonly distances: Float64Array;
}

/**
 * Follows the stack pointer through a routine from where it begins, both ways at each branch and past its
 * calls, and looks for instructions that read or write the slot of its return address.
 *
 * @param bytesAt  code from an address on, as far as it is known
 * @returns bits of `ReturnUse`
 */
export function readReturnUse(
  bytesAt: (address: number) => Uint8Array | undefined,
  entry: number,
  bits: 32 | 64,
): number {
  const reader = new ReturnReader(bits);
  const start = new Float64Array(16).fill(Number.NaN);
  start[stackRegister] = 0;
  const places: Place[] = [{ address: entry, distances: start }];
  const seen = new Set<number>();
  try {
    for (let place = places.pop(); place !== undefined; place = places.pop()) {
      if (seen.has(place.address) || seen.size >= mostInstructions) continue;
      seen.add(place.address);
      const bytes = bytesAt(place.address);
      if (bytes === undefined || bytes.length === 0) continue;
      const distances = Float64Array.from(place.distances);
      for (const address of reader.take(bytes, place.address, distances)) {
        places.push({ address, distances });
      }
    }
    return reader.use;
  } finally {
    reader.dispose();
  }
}

class ReturnReader {
  use = 0;
  readonly #is64: boolean;
  readonly #word: number;
  readonly #operands = new Operands();

  constructor(bits: 32 | 64) {
    this.#is64 = bits === 64;
    this.#word = bits / 8;
  }

  dispose(): void {
    this.#operands.dispose();
  }

  /**
   * Takes one instruction.
   *
   * @param distances  before it; overwritten by those behind it
   * @returns where the routine goes on
   */
  take(bytes: Uint8Array, address: number, distances: Float64Array): readonly number[] {
    const operands = this.#operands;
    const length = operands.read(bytes, 0, this.#is64);
    if (length === 0) return [];
    const next = address + length;
    const { transfer } = operands;
    if (transfer === Transfer.none) {
      this.#lookAtMemory(distances);
      this.#follow(bytes[0]!, distances);
      return [next];
    }
    const target = next + operands.displacementOfTransfer;
    switch (transfer) {
      case Transfer.jcc:
        return [target, next];
      case Transfer.jmp:
        return [target];
      case Transfer.call:
      case Transfer.icall:
        for (let register = 0; register < 16; register++) {
          if (!keptRegisters.includes(register)) distances[register] = Number.NaN;
        }
        return [next];
      case Transfer.syscall:
        return [next];
      default:
        return [];
    }
  }

  /** The memory operand may be the slot. */
  #lookAtMemory(distances: Float64Array): void {
    const { base, index, displacement, operation, stores, first } = this.#operands;
    if (base < 0 || base > 15 || index >= 0 || operation === Operation.address) return;
    if (distances[base]! + displacement !== 0) return;
    if (stores) this.use |= ReturnUse.writes;
    const isCompared = operation === Operation.compare;
    const isPlainStore = operation === Operation.move && first === Operand.memory;
    if (!isCompared && !isPlainStore) this.use |= ReturnUse.reads;
  }

  #follow(opcode: number, distances: Float64Array): void {
    const operands = this.#operands;
    const { operation, first, second, base, index, displacement, immediate, writes } = operands;
    const stack = distances[stackRegister]!;
    if (operation === Operation.push) {
      distances[stackRegister] = stack - this.#word;
      if (stack === this.#word) this.use |= ReturnUse.writes;
      return;
    }
    if (operation === Operation.pop || opcode === leave) {
      const from = opcode === leave ? distances[frameRegister]! : stack;
      if (from === 0) this.use |= ReturnUse.reads;
      const taken = opcode === leave ? frameRegister : first;
      if (taken >= 0 && taken < 16) distances[taken] = Number.NaN;
      if (taken !== stackRegister) distances[stackRegister] = from + this.#word;
      return;
    }
    let distance = Number.NaN;
    if (first >= 0 && first < 16) {
      if (operation === Operation.move && second >= 0 && second < 16) distance = distances[second]!;
      else if (operation === Operation.address && base >= 0 && base < 16 && index < 0)
        distance = distances[base]! + displacement;
      else if (second === Operand.immediate && operation === Operation.add)
        distance = distances[first]! + immediate;
      else if (second === Operand.immediate && operation === Operation.subtract)
        distance = distances[first]! - immediate;
    }
    for (let register = 0; register < 16; register++) {
      if ((writes & (1 << register)) === 0) continue;
      distances[register] = register === first ? distance : Number.NaN;
    }
  }
}
