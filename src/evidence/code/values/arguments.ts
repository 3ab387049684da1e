import { Operand, type Operands, Operation } from '../../../x86/operands.ts';
import { Transfer } from '../../../x86/transfer.ts';
import type { FunctionFlow } from './function-flow.ts';

/** Argument registers in order: rdi, rsi, rdx, rcx, r8, r9. */
export const systemVArguments: readonly number[] = [7, 6, 2, 1, 8, 9];
/** rcx, rdx, r8, r9. */
export const windowsArguments: readonly number[] = [1, 2, 8, 9];

/** Of one function or call. */
const mostInstructions = 400;

/**
 * How many argument registers a function reads: one more than the highest that it reads, on some way
 * from its entry, before it writes to it. A function is not called with fewer arguments.
 *
 * Saving a register in the function's own frame counts as reading, unless the function takes a
 * variable number of arguments, which saves what it may not have got.
 *
 * @param entry  index of the function's first instruction
 * @see van der Veen et al., "A Tough Call: Mitigating Advanced Code-Reuse Attacks at the Binary
 *   Level" (TypeArmor), IEEE S&P 2016, section 5
 */
export function argumentsRead(
  flow: FunctionFlow,
  entry: number,
  operands: Operands,
  registers: readonly number[],
): number {
  const argumentMask = maskOf(registers);
  let read = 0;
  let saved = 0;
  let isVariadic = false;
  const seen = new Map<number, number>();
  const ways: { index: number; written: number }[] = [{ index: entry, written: 0 }];
  let steps = 0;
  while (ways.length > 0 && steps < mostInstructions) {
    const { index, written: already } = ways.pop()!;
    let written = already;
    for (let i = index; i >= 0 && i < flow.starts.length && steps < mostInstructions; ) {
      const before = seen.get(i);
      // Seen with as little written: nothing new from here.
      if (before !== undefined && (before & ~written) === 0) break;
      seen.set(i, before === undefined ? written : before & written);
      steps++;
      if (operands.read(flow.bytes, flow.starts[i], flow.is64) === 0) break;
      const { operation, first, second, base, stores } = operands;
      const isSave =
        operation === Operation.push ||
        (operation === Operation.move && stores && second < 16 && (base === 4 || base === 5));
      let reads = operands.reads & ~written & argumentMask;
      if (isSave) {
        // The registers of a store's address are read for good.
        const kept = operation === Operation.push ? first : second;
        const keptMask = kept >= 0 && kept < 16 ? 1 << kept : 0;
        if (operation === Operation.move) saved |= reads & keptMask;
        reads &= ~keptMask;
      }
      if (isTestOfAl(flow, i) && (written & 1) === 0) isVariadic = true;
      read |= reads;
      // What may be written may also not be; a moved part leaves the rest.
      if (operation !== Operation.maybeMove) written |= operands.writes;
      if (first === Operand.none && operands.transfer === Transfer.syscall) break;
      const kind = flow.kinds[i];
      if (kind === Transfer.none) {
        i++;
        continue;
      }
      if (kind !== Transfer.jcc && kind !== Transfer.jmp) break;
      const target = flow.targets[i] < 0 ? -1 : flow.indexAt(flow.targets[i]);
      if (kind === Transfer.jmp) {
        i = target;
        continue;
      }
      if (target >= 0) ways.push({ index: target, written });
      i++;
    }
  }
  const last = registers[registers.length - 1];
  if (!isVariadic && ((saved >> last) & 1) === 0) read |= saved;
  return countOf(read, registers);
}

/**
 * How many argument registers may hold arguments at a call: one more than the highest that is
 * written, on some way to it, behind the call before. On a way from the function's own entry all
 * may, because they may be its own arguments passed on.
 *
 * @param index  of the call or jump
 */
export function argumentsSet(
  flow: FunctionFlow,
  index: number,
  operands: Operands,
  registers: readonly number[],
): number {
  const argumentMask = maskOf(registers);
  let set = 0;
  const seen = new Set<number>([index]);
  const ways = [index];
  let steps = 0;
  for (let way = ways.pop(); way !== undefined; way = ways.pop()) {
    let i = way;
    for (;;) {
      if (steps++ > mostInstructions) return registers.length;
      for (const source of flow.sourcesOf(i)) {
        if (seen.has(source)) continue;
        seen.add(source);
        ways.push(source);
      }
      const previous = i - 1;
      if (previous < 0) return registers.length;
      if (!flow.goesOn(previous) || seen.has(previous)) break;
      seen.add(previous);
      const kind = flow.kinds[previous];
      if (kind === Transfer.call || kind === Transfer.icall) break;
      if (operands.read(flow.bytes, flow.starts[previous], flow.is64) === 0) break;
      set |= operands.writes & argumentMask;
      i = previous;
    }
    if (countOf(set, registers) === registers.length) return registers.length;
  }
  return countOf(set, registers);
}

/** `test al, al`: functions with variable arguments ask whether any came in vector registers. */
function isTestOfAl({ bytes, starts }: FunctionFlow, index: number): boolean {
  const at = starts[index];
  return bytes[at] === 0x84 && bytes[at + 1] === 0xc0;
}

function maskOf(registers: readonly number[]): number {
  return registers.reduce((mask, register) => mask | (1 << register), 0);
}

function countOf(mask: number, registers: readonly number[]): number {
  for (let i = registers.length - 1; i >= 0; i--) if ((mask >> registers[i]) & 1) return i + 1;
  return 0;
}
