import { Code, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register } from 'iced-x86';
import { generalRegister } from './general-registers.ts';
import { TableValues } from './table-values.ts';

/**
 * What the instructions of one basic block do to the stack pointer beyond pushing and popping; bits,
 * so that they fit a table.
 */
export const StackUse = {
  /** Sets the stack pointer to a value that is not computed from it or from the frame pointer. */
  loads: 1,
  /**
   * The last value so set comes from elsewhere than the block's own frame: another stack, as far as
   * the block tells. Epilogues of functions that align their frame load it from the frame.
   */
  switches: 2,
  /** Ends in a return that goes where the block itself says: `push reg; ret`, `mov [rsp], reg; ret`. */
  jumps: 4,
  /** Such a return overwrote a slot that was there when the block began: the return address of a call. */
  replaces: 8,
  /** Takes what lay on top of the stack when it began, or drops it: when entered by a call, its return address. */
  pops: 16,
  /** Reads what lay on top of the stack when it began, and leaves it there, as `setjmp` does. */
  reads: 32,
  /**
   * With `switches`: the value was in a register when the block began; bits 8 to 11 have its number. A
   * function that aligns its frame may have put its own stack pointer there.
   */
  fromRegister: 64,
  /**
   * With `switches`: the stack pointer moved up by a distance that a register holds. Who copies stacks does so,
   * as all of them run in the same place.
   */
  moves: 128,
  /**
   * Takes the flags off the stack and returns: somebody put this code between two instructions that know
   * nothing of it.
   */
  resumes: 4096,
  /** Ends in a jump to where a table says, as of a `switch`: `jmp [r11+rcx*4]`, or by an entry that the block loads. */
  dispatches: 8192,
} as const;

/** @returns the register that a block with `StackUse.fromRegister` loads the stack pointer from */
export function registerOf(use: number): number {
  return (use >> 8) & 15;
}

/** Where a register's value comes from. */
const Origin = {
  /** It had it when the block began. */
  before: 0,
  /** The block's own frame: popped, or loaded relative to stack or frame pointer. */
  frame: 1,
  elsewhere: 2,
  /** The stack pointer, at a known distance. */
  stack: 3,
} as const;

const stackRegister = 4;
const frameRegister = 5;

/**
 * Whether a block may set its stack pointer other than by small steps; cheap, and true too often
 * rather than too seldom.
 */
export function maySetStackPointer(bytes: Uint8Array, is64: boolean): boolean {
  for (let i = 0; i + 1 < bytes.length; i++) {
    const byte = bytes[i];
    const next = bytes[i + 1];
    switch (byte) {
      // mov, lea, add, sub, xchg, or, xor, and to register 4, which REX.R makes R12.
      case 0x8b:
      case 0x8d:
      case 0x03:
      case 0x0b:
      case 0x23:
      case 0x2b:
      case 0x33:
      case 0x87: {
        const isExtended = is64 && i > 0 && (bytes[i - 1] & 0xf4) === 0x44;
        if ((next & 0x38) === 0x20 && !isExtended) return true;
        if (byte === 0x87 && (next & 0xc7) === 0xc4) return true;
        break;
      }
      // The same from a register to register 4.
      case 0x89:
      case 0x01:
      case 0x09:
      case 0x21:
      case 0x29:
      case 0x31:
        if ((next & 0xc7) === 0xc4) return true;
        break;
      // pop, xchg with the accumulator, cmov.
      case 0x5c:
      case 0x94:
        return true;
      case 0x0f:
        if ((next & 0xf0) === 0x40 && (bytes[i + 2] & 0x38) === 0x20) return true;
        break;
      // mov esp, imm32; the last byte of a block is looked at below.
      case 0xbc:
        return true;
      default:
    }
  }
  return bytes.at(-1) === 0x5c || bytes.at(-1) === 0x94;
}

/**
 * Reads what a block does to the stack pointer by following its registers through it.
 *
 * @param bytes  the block, from its first instruction to the end of its last one
 * @returns bits of `StackUse`
 */
export function readStackUse(bytes: Uint8Array, bitness: 32 | 64): number {
  const decoder = new Decoder(bitness, bytes, DecoderOptions.None);
  const instruction = new Instruction();
  const reader = new StackReader(bitness / 8);
  try {
    while (decoder.canDecode) {
      decoder.decodeOut(instruction);
      if (instruction.code === Code.INVALID) break;
      reader.take(instruction);
    }
    // Few blocks end in a jump, and only of those it matters what was read from tables.
    const isByTable = reader.mayDispatch && jumpsByTable(decoder, instruction);
    return isByTable ? reader.use | StackUse.dispatches : reader.use;
  } finally {
    instruction.free();
    decoder.free();
  }
}

/** Whether the block that was decoded ends in a jump to where a table says. @param instruction  its last one */
function jumpsByTable(decoder: Decoder, instruction: Instruction): boolean {
  const tables = new TableValues();
  if (tables.isJumpedTo(instruction)) return true;
  decoder.position = 0;
  while (decoder.canDecode) {
    decoder.decodeOut(instruction);
    if (instruction.mnemonic === Mnemonic.Jmp) return tables.isJumpedTo(instruction);
    tables.take(instruction);
  }
  return false;
}

/** Follows the registers of one block. */
class StackReader {
  use = 0;
  /** It ends in an indirect jump. */
  mayDispatch = false;
  readonly #word: number;
  readonly #origin: Uint8Array = new Uint8Array(16);
  /** Of registers that hold the stack pointer: distance from where `#base` began. */
  readonly #distance: Int32Array = new Int32Array(16);
  /** Changes whenever the stack pointer is set anew. */
  #base = 0;
  /** Bytes from the stack pointer's value when the base began. */
  #at = 0;
  /** Slots of this base that the block has written. */
  readonly #written: Set<number> = new Set();
  #hasTakenFlags = false;

  constructor(word: number) {
    this.#word = word;
    this.#origin[stackRegister] = Origin.stack;
  }

  take(instruction: Instruction): void {
    const { mnemonic } = instruction;
    const register = generalRegister(instruction.op0Register);
    switch (mnemonic) {
      case Mnemonic.Push:
      case Mnemonic.Pushfq:
      case Mnemonic.Pushfd:
      case Mnemonic.Pushf:
        this.#at += instruction.stackPointerIncrement;
        this.#written.add(this.#at);
        return;
      case Mnemonic.Pop:
      case Mnemonic.Popfq:
      case Mnemonic.Popfd:
      case Mnemonic.Popf: {
        this.#move(instruction.stackPointerIncrement);
        if (mnemonic !== Mnemonic.Pop) this.#hasTakenFlags = true;
        if (mnemonic !== Mnemonic.Pop || register < 0) return;
        if (register === stackRegister) this.#set(Origin.frame);
        else this.#origin[register] = Origin.frame;
        return;
      }
      case Mnemonic.Leave:
        this.#assign(frameRegister, 0);
        this.#move(this.#word);
        this.#origin[frameRegister] = Origin.frame;
        return;
      case Mnemonic.Enter:
        this.#rebase();
        this.#origin[frameRegister] = Origin.before;
        return;
      case Mnemonic.Mov:
        this.#takeMove(instruction, register);
        return;
      case Mnemonic.Lea:
        this.#takeAddress(instruction, register);
        return;
      case Mnemonic.Add:
      case Mnemonic.Sub:
        if (register === stackRegister && instruction.op0Kind === OpKind.Register) {
          this.#takeStep(instruction);
          return;
        }
        break;
      case Mnemonic.And:
        if (register === stackRegister && isImmediate(instruction.op1Kind)) {
          this.#rebase();
          return;
        }
        break;
      case Mnemonic.Xchg:
        this.#takeExchange(instruction, register);
        return;
      case Mnemonic.Ret:
        if (this.#hasTakenFlags) this.use |= StackUse.resumes;
        if (this.#written.has(this.#at)) {
          this.use |= StackUse.jumps;
          if (this.#base === 0 && this.#at >= 0) this.use |= StackUse.replaces;
        }
        return;
      case Mnemonic.Jmp:
        this.mayDispatch = !isDirect(instruction.op0Kind);
        return;
      case Mnemonic.Cmp:
      case Mnemonic.Test:
      case Mnemonic.Call:
        return;
      default:
    }
    if (instruction.opCount === 0 || instruction.op0Kind !== OpKind.Register) return;
    if (register === stackRegister) this.#set(Origin.elsewhere);
    else if (register >= 0) this.#origin[register] = Origin.elsewhere;
  }

  #takeMove(instruction: Instruction, register: number): void {
    if (instruction.op0Kind === OpKind.Memory) {
      const slot = this.#slot(instruction);
      if (!Number.isNaN(slot)) this.#written.add(slot);
      return;
    }
    if (register < 0 || instruction.op0Kind !== OpKind.Register) return;
    if (instruction.op1Kind === OpKind.Register) {
      const source = generalRegister(instruction.op1Register);
      if (source >= 0) this.#copy(register, source, 0);
      else this.#put(register, Origin.elsewhere);
    } else if (instruction.op1Kind === OpKind.Memory) {
      if (this.#base === 0 && this.#slot(instruction) === 0) this.use |= StackUse.reads;
      this.#put(register, this.#isOwnFrame(instruction) ? Origin.frame : Origin.elsewhere);
    } else this.#put(register, Origin.elsewhere);
  }

  #takeAddress(instruction: Instruction, register: number): void {
    const base = generalRegister(instruction.memoryBase);
    if (register < 0) return;
    if (base < 0 || instruction.memoryIndex !== Register.None) {
      this.#put(register, Origin.elsewhere);
      return;
    }
    this.#copy(register, base, Number(BigInt.asIntN(32, instruction.memoryDisplacement)));
  }

  /** `add` and `sub` with the stack pointer. */
  #takeStep(instruction: Instruction): void {
    const isAdd = instruction.mnemonic === Mnemonic.Add;
    if (isImmediate(instruction.op1Kind)) {
      const value = Number(BigInt.asIntN(32, instruction.immediate(1)));
      this.#move(isAdd ? value : -value);
    } else if (isAdd) {
      this.#set(Origin.elsewhere);
      this.use |= StackUse.moves;
    }
    // Room of a size that is not known: the stack grows on from where it is.
    else this.#rebase();
  }

  #takeExchange(instruction: Instruction, register: number): void {
    const other = generalRegister(instruction.op1Register);
    const isWithMemory =
      instruction.op0Kind === OpKind.Memory || instruction.op1Kind === OpKind.Memory;
    if (isWithMemory) {
      const slot = this.#slot(instruction);
      if (!Number.isNaN(slot)) this.#written.add(slot);
      const taken = instruction.op0Kind === OpKind.Register ? register : other;
      if (taken >= 0) this.#put(taken, Origin.elsewhere);
      return;
    }
    if (register === stackRegister || other === stackRegister) this.#set(Origin.elsewhere);
    if (register >= 0 && register !== stackRegister) this.#origin[register] = Origin.elsewhere;
    if (other >= 0 && other !== stackRegister) this.#origin[other] = Origin.elsewhere;
  }

  /** @returns where a memory operand lies, in bytes from the base; NaN when not known */
  #slot(instruction: Instruction): number {
    const base = generalRegister(instruction.memoryBase);
    if (base !== stackRegister || instruction.memoryIndex !== Register.None) return Number.NaN;
    return this.#at + Number(BigInt.asIntN(32, instruction.memoryDisplacement));
  }

  /** Arguments, above the frame, are not of it: they say where another stack is. */
  #isOwnFrame(instruction: Instruction): boolean {
    const base = generalRegister(instruction.memoryBase);
    if (base === stackRegister) return this.#base > 0 || this.#slot(instruction) <= 0;
    if (base < 0) return false;
    const origin = this.#origin[base];
    if (origin === Origin.stack) return true;
    const displacement = Number(BigInt.asIntN(32, instruction.memoryDisplacement));
    return base === frameRegister && origin !== Origin.elsewhere && displacement <= 0;
  }

  /** The stack pointer moves by so many bytes. */
  #move(bytes: number): void {
    this.#at += bytes;
    if (this.#base === 0 && this.#at > 0) this.use |= StackUse.pops;
  }

  #put(register: number, origin: number): void {
    if (register === stackRegister) this.#set(origin);
    else this.#origin[register] = origin;
  }

  #copy(register: number, source: number, extra: number): void {
    if (register === stackRegister) {
      this.#assign(source, extra);
      return;
    }
    this.#origin[register] = this.#origin[source];
    const from = source === stackRegister ? this.#at : this.#distance[source];
    this.#distance[register] = from + extra;
    if (this.#origin[source] !== Origin.before) return;
    // Registers of a callee's caller are not the frame pointer, wherever they are copied to.
    if (source === frameRegister) this.#origin[register] = Origin.frame;
    // What another register held when the block began points to no frame of this function.
    else if (register === frameRegister) this.#origin[register] = Origin.elsewhere;
  }

  /** The stack pointer becomes that of another register, and a number. */
  #assign(source: number, extra: number): void {
    const origin = this.#origin[source];
    if (source === stackRegister) this.#move(extra);
    else if (origin === Origin.stack) {
      this.#at = this.#distance[source];
      this.#move(extra);
    } else if (source === frameRegister && origin === Origin.before) {
      // The frame pointer: an ordinary epilogue.
      this.use &= 0x3f & ~StackUse.switches;
      this.#rebase();
    } else {
      this.#set(origin === Origin.frame ? Origin.frame : Origin.elsewhere);
      if (origin === Origin.before) this.use |= StackUse.fromRegister | (source << 8);
    }
  }

  /** The stack pointer gets a value from elsewhere. */
  #set(origin: number): void {
    this.use = (this.use & 0x3f) | StackUse.loads;
    if (origin === Origin.frame) this.use &= ~StackUse.switches;
    else this.use |= StackUse.switches;
    this.#rebase();
  }

  /** Distances count from here. */
  #rebase(): void {
    this.#base++;
    this.#at = 0;
    this.#written.clear();
    // What other registers held of the old stack means nothing on the new one.
    for (let i = 0; i < 16; i++) {
      if (this.#origin[i] === Origin.stack && i !== stackRegister) this.#origin[i] = Origin.frame;
    }
  }
}

function isImmediate(kind: number): boolean {
  return kind >= OpKind.Immediate8 && kind <= OpKind.Immediate32to64;
}

function isDirect(kind: number): boolean {
  return kind >= OpKind.NearBranch16 && kind <= OpKind.NearBranch64;
}
