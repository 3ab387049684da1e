import { type Instruction, Mnemonic, OpKind, Register } from 'iced-x86';
import { generalRegister, highestRegister } from './general-registers.ts';

/**
 * Which registers hold an entry of a table, or a sum of one, in one block: what a `switch` makes of its value
 * before it jumps (`movsxd rax, [rdx+rax*4]; add rax, rdx; jmp rax`).
 */
export class TableValues {
  readonly #held: Uint8Array = new Uint8Array(highestRegister + 1);

  /** Whether a jump goes where a table says. */
  isJumpedTo(jump: Instruction): boolean {
    if (jump.op0Kind === OpKind.Memory) return jump.memoryIndex !== Register.None;
    return jump.op0Kind === OpKind.Register && this.#holds(jump.op0Register);
  }

  take(instruction: Instruction): void {
    const { mnemonic, opCount, op0Kind, op0Register } = instruction;
    const register = generalRegister(op0Register);
    if (opCount === 0 || op0Kind !== OpKind.Register || register < 0) return;
    switch (mnemonic) {
      case Mnemonic.Push:
      case Mnemonic.Cmp:
      case Mnemonic.Test:
        return;
      case Mnemonic.Mov:
      case Mnemonic.Movsxd:
      case Mnemonic.Movsx:
      case Mnemonic.Movzx:
        this.#held[register] = this.#isEntry(instruction) ? 1 : 0;
        return;
      case Mnemonic.Add:
        if (this.#isEntry(instruction)) this.#held[register] = 1;
        return;
      case Mnemonic.Lea: {
        const { memoryBase, memoryIndex } = instruction;
        this.#held[register] = this.#holds(memoryBase) || this.#holds(memoryIndex) ? 1 : 0;
        return;
      }
      default:
        this.#held[register] = 0;
    }
  }

  /** Whether what an instruction reads besides its first operand is an entry of a table. */
  #isEntry(instruction: Instruction): boolean {
    if (instruction.op1Kind === OpKind.Memory) return instruction.memoryIndex !== Register.None;
    return instruction.op1Kind === OpKind.Register && this.#holds(instruction.op1Register);
  }

  #holds(register: number): boolean {
    const number = generalRegister(register);
    return number >= 0 && this.#held[number] === 1;
  }
}
