import { createHash } from 'node:crypto';
import { instructionPointer, Operands } from '../../x86/operands.ts';
import { Transfer } from '../../x86/transfer.ts';
import type { ImageCode } from './image-code.ts';
import type { ImageRun } from './tables/image-memory.ts';
import { firstAtLeast } from './tables/image-tables.ts';

/** One function of an image, or one part of it. */
export interface FunctionIdentity {
  /** From the lowest page of the image. */
  readonly start: number;
  /** Bytes. */
  readonly size: number;
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
 * @returns in order of their starts
 */
export function identifyFunctions(code: ImageCode): FunctionIdentity[] {
  const { memory, lowest, ranges, tables } = code;
  const operands = new Operands();
  const is64 = tables.bits === 64;
  const found: FunctionIdentity[] = [];
  const add = (run: ImageRun, from: number, to: number): void => {
    if (to <= from || to - from > mostBytes) return;
    const bytes = Uint8Array.from(run.bytes.subarray(from - run.start, to - run.start));
    maskAddresses(bytes, is64, operands, lowest);
    const id = createHash('sha256').update(bytes).digest('hex').slice(0, 16);
    const [name] = code.namesAt(from);
    found.push({ start: from - lowest, size: to - from, id, name });
  };
  for (const run of memory.runs) {
    if (!run.isExecutable) continue;
    const end = run.start + run.bytes.length;
    let behind = run.start;
    for (let i = firstAtLeast(ranges.starts, run.start); i < ranges.starts.length; i++) {
      const [from = end, to = end] = [ranges.starts[i], ranges.ends[i]];
      if (from >= end) break;
      addBetween(run, behind, from, add);
      add(run, from, Math.min(to, end));
      behind = Math.max(behind, to);
    }
    addBetween(run, behind, end, add);
  }
  return found;
}

/** What stands between functions and is no padding: zeros, `nop` and `int3`. */
function addBetween(
  run: ImageRun,
  from: number,
  to: number,
  add: (run: ImageRun, from: number, to: number) => void,
): void {
  const isPadding = (address: number): boolean =>
    [0, 0x90, 0xcc].includes(run.bytes[address - run.start] ?? 0);
  let [start, end] = [from, to];
  while (start < end && isPadding(start)) start++;
  while (end > start && isPadding(end - 1)) end--;
  add(run, start, end);
}

/** Images that are loaded anywhere begin at 0: no number in their code is an address. */
const leastFixedBase = 0x1_0000;
/** Addresses of an image with a fixed base lie at most so far above it. */
const mostSpan = 0x1000_0000;

function maskAddresses(bytes: Uint8Array, is64: boolean, operands: Operands, lowest: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < bytes.length; ) {
    const length = operands.read(bytes, at, is64);
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
    } else if (operands.base === instructionPointer) {
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
