import {
  ConditionCode,
  Decoder,
  DecoderError,
  DecoderOptions,
  Instruction,
  InstructionInfoFactory,
  OpAccess,
  OpKind,
  Register,
  RegisterExt,
} from 'iced-x86';
import { expect, test } from 'vitest';
import { encodings } from '../../test/encodings.ts';
import { Operand, Operands, Operation } from './operands.ts';
import { Transfer } from './transfer.ts';

/** ModRM bytes: all behind a bare one-byte opcode, some of them elsewhere. */
const plan = {
  prefixes: [[], [0x66], [0xf3], [0xf2], [0x64], [0x3e]],
  rexes: [[], [0x48], [0x41], [0x4f], [0x40], [0x44]],
  ...{ every: 13, allOfTwo: false, seed: 5 },
};

const conditions = [
  'o',
  'no',
  'b',
  'ae',
  'e',
  'ne',
  'be',
  'a',
  's',
  'ns',
  'p',
  'np',
  'l',
  'ge',
  'le',
  'g',
];
const readAccess = [OpAccess.Read, OpAccess.CondRead, OpAccess.ReadWrite, OpAccess.ReadCondWrite];
const writeAccess = [
  OpAccess.Write,
  OpAccess.CondWrite,
  OpAccess.ReadWrite,
  OpAccess.ReadCondWrite,
];

// The judge: iced's own analysis of the same bytes.
test.each([32, 64] as const)('registers and operands of %s-bit instructions', (bits) => {
  const operands = new Operands();
  const factory = new InstructionInfoFactory();
  const instruction = new Instruction();
  const wrong: string[] = [];
  let byTable = 0;
  for (const bytes of encodings(plan, bits === 64)) {
    const length = operands.read(bytes, 0, bits === 64);
    const decoder = new Decoder(bits, bytes, DecoderOptions.None);
    decoder.decodeOut(instruction);
    const isValid = decoder.lastError === DecoderError.None;
    const complain = (what: string): void => {
      const hex = Buffer.from(bytes.subarray(0, Math.max(length, 1))).toString('hex');
      if (wrong.length < 40) wrong.push(`${bits} ${hex} ${what}`);
    };
    if (isValid) {
      if (length !== instruction.length) complain(`length ${length}`);
      let reads = 0;
      let writes = 0;
      const info = factory.info(instruction);
      for (const used of info.usedRegisters()) {
        if (RegisterExt.isGPR(used.register)) {
          const bit = 1 << RegisterExt.number(RegisterExt.fullRegister(used.register));
          if (readAccess.includes(used.access)) reads |= bit;
          if (writeAccess.includes(used.access)) writes |= bit;
        }
        used.free();
      }
      info.free();
      // The stack pointer of pushes and calls counts on either side; parts of registers are read, too.
      const isTransfer = operands.transfer !== Transfer.none;
      // A conditional move's target is read by some accounts: it may keep its value.
      const isMaybe = operands.operation === Operation.maybeMove;
      const widened = operands.size < 4 || isMaybe ? writes : 0;
      if ((operands.writes | 16) !== (writes | 16)) complain(`writes ${operands.writes} ${writes}`);
      if ((operands.reads | 16 | widened) !== (reads | 16 | widened)) {
        complain(`reads ${operands.reads} ${reads}`);
      }
      if (!isTransfer && operands.operation !== Operation.other) {
        byTable++;
        checkOperands(operands, instruction, complain);
      }
      if (operands.condition >= 0) {
        if (ConditionCode[instruction.conditionCode] !== conditions[operands.condition]) {
          complain('condition');
        }
      }
    }
    decoder.free();
  }
  instruction.free();
  factory.free();
  operands.dispose();
  expect(wrong).toEqual([]);
  expect(byTable).toBeGreaterThan(10_000);
});

function checkOperands(
  mine: Operands,
  theirs: Instruction,
  complain: (what: string) => void,
): void {
  const operands = [mine.first, mine.second] as const;
  for (const [place, operand] of operands.entries()) {
    const kind = place === 0 ? theirs.op0Kind : theirs.op1Kind;
    if (operand === Operand.memory) {
      if (kind !== OpKind.Memory) complain(`operand ${place} is no memory`);
      else if (theirs.memoryBase === Register.RIP) {
        if (mine.base !== 16) complain('base is no rip');
        const target = BigInt.asIntN(64, theirs.memoryDisplacement);
        if (Number(target) !== mine.displacement + mine.length) complain('rip displacement');
      } else {
        const numberOf = (register: Register): number =>
          register === Register.None ? -1 : RegisterExt.number(register);
        if (numberOf(theirs.memoryBase) !== mine.base) complain('base');
        if (numberOf(theirs.memoryIndex) !== mine.index) complain('index');
        if (mine.index >= 0 && theirs.memoryIndexScale !== mine.scale) complain('scale');
        if (Number(BigInt.asIntN(32, theirs.memoryDisplacement)) !== mine.displacement) {
          complain('displacement');
        }
      }
    } else if (operand >= 0 && operand < 16 && place < theirs.opCount && kind === OpKind.Register) {
      const register = place === 0 ? theirs.op0Register : theirs.op1Register;
      if (RegisterExt.number(RegisterExt.fullRegister(register)) !== operand)
        complain(`operand ${place}`);
      const size = place === 1 && mine.narrow > 0 ? mine.narrow : mine.size;
      if (RegisterExt.size(register) !== size) complain(`size of operand ${place}`);
    }
  }
  const isPlain = mine.second === Operand.immediate && theirs.opCount === 2 && mine.size >= 4;
  if (isPlain && theirs.op1Kind !== OpKind.Register) {
    const bits = mine.size === 8 ? 64 : 32;
    const value = BigInt.asIntN(bits, theirs.immediate(1));
    if (
      BigInt.asIntN(bits, BigInt(mine.immediate)) !== value &&
      Math.abs(mine.immediate) < 2 ** 52
    ) {
      complain(`immediate ${mine.immediate} ${value}`);
    }
  }
}
