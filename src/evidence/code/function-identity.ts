import { hash } from 'node:crypto';
import { instructionPointer, Operands } from '../../x86/operands.ts';
import { Transfer } from '../../x86/transfer.ts';
import type { ImageCode } from './image-code.ts';
import type { ImageRun } from './tables/image-memory.ts';
import { firstAtLeast } from './tables/image-tables.ts';

/** Where a function of an image lies, or one part of it. */
export interface FunctionStretch {
  /** From the lowest page of the image. */
  readonly start: number;
  /** Bytes. */
  readonly size: number;
}

export interface FunctionIdentity extends FunctionStretch {
  /** The same for the same code, wherever the linker put it and what it refers to. */
  readonly id: string;
  /** Under which the image gives it to others; `undefined` where it does not. */
  readonly name: string | undefined;
}

/** A longer stretch is no function that anybody follows. */
const mostBytes = 2 ** 20;

/**
 * Tells functions by their bytes, with those left out that depend on where things lie: distances to what is outside
 * the function, of jumps and calls and relative to the instruction pointer, and addresses in the image. Code between
 * functions whose limits the image tells (`_init`, assembler) counts as one function each.
 *
 * @param choose  picks those that are of interest: telling what a function is takes longer than telling where it is
 * @returns in order of their starts
 */
export function identifyFunctions(
  code: ImageCode,
  choose: (all: readonly FunctionStretch[]) => readonly FunctionStretch[] = (all) => all,
): FunctionIdentity[] {
  const { memory, lowest, tables } = code;
  const operands = new Operands();
  const is64 = tables.bits === 64;
  const runOf = new Map<FunctionStretch, ImageRun>();
  for (const run of memory.runs) {
    if (run.isExecutable) for (const found of functionsIn(run, code)) runOf.set(found, run);
  }
  return choose([...runOf.keys()]).flatMap((chosen) => {
    const run = runOf.get(chosen);
    if (run === undefined) return [];
    const { start, size } = chosen;
    const from = start + lowest - run.start;
    const bytes = Uint8Array.from(run.bytes.subarray(from, from + size));
    maskAddresses(bytes, is64, operands, lowest);
    const id = hash('sha256', bytes, 'hex').slice(0, 16);
    const [name] = code.namesAt(start + lowest);
    return [{ start, size, id, name }];
  });
}

/** @returns all functions of a run of code, in order of their starts */
function functionsIn(run: ImageRun, { ranges, lowest }: ImageCode): FunctionStretch[] {
  const found: FunctionStretch[] = [];
  const add = (from: number, to: number): void => {
    if (to > from && to - from <= mostBytes) found.push({ start: from - lowest, size: to - from });
  };
  const end = run.start + run.bytes.length;
  let behind = run.start;
  for (let i = firstAtLeast(ranges.starts, run.start); i < ranges.starts.length; i++) {
    const [from = end, to = end] = [ranges.starts[i], ranges.ends[i]];
    if (from >= end) break;
    addBetween(run, behind, from, add);
    add(from, Math.min(to, end));
    behind = Math.max(behind, to);
  }
  addBetween(run, behind, end, add);
  return found;
}

/** What stands between functions and is no padding: zeros, `nop` and `int3`. */
function addBetween(
  run: ImageRun,
  from: number,
  to: number,
  add: (from: number, to: number) => void,
): void {
  const isPadding = (address: number): boolean =>
    [0, 0x90, 0xcc].includes(run.bytes[address - run.start] ?? 0);
  let [start, end] = [from, to];
  while (start < end && isPadding(start)) start++;
  while (end > start && isPadding(end - 1)) end--;
  add(start, end);
}

/** Images that are loaded anywhere begin at 0: no number in their code is an address. */
const leastFixedBase = 0x1_0000;
/** Addresses of an image with a fixed base lie at most so far above it. */
const mostSpan = 0x1000_0000;

function maskAddresses(bytes: Uint8Array, is64: boolean, operands: Operands, lowest: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < bytes.length; ) {
    const length = operands.readFlow(bytes, at, is64);
    if (length === 0) {
      at++;
      continue;
    }
    const end = at + length;
    const { transfer } = operands;
    const isDirect =
      transfer === Transfer.jcc || transfer === Transfer.jmp || transfer === Transfer.call;
    if (isDirect && length >= 5) {
      const target = end + operands.displacementOfTransfer;
      if (target < 0 || target >= bytes.length) view.setInt32(end - 4, 0, true);
    } else if (is64 && isRelative(bytes, at, end, operands)) {
      maskNumber(view, at, end, (value) => value === operands.displacement);
    } else if (lowest >= leastFixedBase) {
      maskNumber(
        view,
        at,
        end,
        (value) => value >>> 0 >= lowest && value >>> 0 < lowest + mostSpan,
      );
    }
    at = end;
  }
}

/**
 * Whether an instruction of 64-bit code has a memory operand relative to the instruction pointer, which `operands` holds
 * then. Most have no byte that could say so (the ModRM byte, in front of the distance), and need not be read further.
 */
function isRelative(bytes: Uint8Array, at: number, end: number, operands: Operands): boolean {
  for (let place = at + 1; place + 5 <= end; place++) {
    if ((bytes[place] & 0xc7) !== 5) continue;
    operands.read(bytes, at, true);
    return operands.base === instructionPointer;
  }
  return false;
}

/** Puts 0 in place of the last four bytes of an instruction that are such a number. */
function maskNumber(
  view: DataView,
  start: number,
  end: number,
  isAddress: (value: number) => boolean,
): void {
  for (let at = end - 4; at > start; at--) {
    if (!isAddress(view.getInt32(at, true))) continue;
    view.setInt32(at, 0, true);
    return;
  }
}
