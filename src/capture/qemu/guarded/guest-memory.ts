import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import type { CoreMemory, CoreThread } from './core-file.ts';
import { coreFile } from './core-file.ts';
import type { CpuState, Guest } from './guest.ts';

const mostStackBytes = 8 << 20;
const mostDataBytes = 32 << 20;
const sigstop = 19;

/** What is known of a stopped process, for a debugger. */
export interface StoppedGuest {
  readonly core: Uint8Array;
  /** Registers by name, of each CPU. */
  readonly registers: readonly Readonly<Record<string, string>>[];
}

const names64 = [
  ...['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'],
  ...['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'],
];
const names32 = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'];

/**
 * Reads registers, stack and data of a stopped process out of its emulator. The process may have written what
 * it likes there: registers whose stack pointer leads to no memory are taken as not known.
 *
 * @returns `undefined` where no CPU's registers are known
 */
export function readStopped(guest: Guest): StoppedGuest | undefined {
  const memory = new ProcessMemory(guest.hello.pid);
  try {
    const { bitness } = guest.program;
    const threads: CoreThread[] = [];
    const stacks: CoreMemory[] = [];
    for (const state of guest.cpuStates()) {
      const thread = threadOf(state, bitness, guest.hello.pid, memory);
      const stack = thread && memory.stackAt(thread.registers[4] ?? 0n, state.guestBase);
      if (thread === undefined || stack === undefined) continue;
      threads.push(thread);
      stacks.push(stack);
    }
    if (threads.length === 0) return undefined;
    const base = guest.cpuStates()[0]?.guestBase ?? 0n;
    const { ranges } = guest.recording.map;
    const data = memory.dataIn(
      ranges.filter(({ perms }) => perms[1] === 'w'),
      base,
    );
    const names = bitness === 64 ? names64 : names32;
    const registers = threads.map((thread) => ({
      ...Object.fromEntries(names.map((name, i) => [name, hex(thread.registers[i] ?? 0n)])),
      [bitness === 64 ? 'rip' : 'eip']: hex(thread.ip),
    }));
    const core = coreFile(bitness, threads, withoutOverlaps([...data, ...stacks]), ranges, sigstop);
    return { core, registers };
  } finally {
    memory.close();
  }
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

function threadOf(
  state: CpuState,
  bitness: 32 | 64,
  pid: number,
  memory: ProcessMemory,
): CoreThread | undefined {
  if (state.state === 0n) return undefined;
  // The state begins with the registers, the instruction pointer and the flags, each as wide as the guest.
  const width = bitness / 8;
  const count = bitness === 64 ? 16 : 8;
  const bytes = memory.read(state.state, (count + 2) * width);
  if (bytes === undefined) return undefined;
  const word = (i: number): bigint =>
    bitness === 64 ? bytes.readBigUInt64LE(8 * i) : BigInt(bytes.readUInt32LE(4 * i));
  const ip = state.isStopped && state.at >= 0 ? BigInt(state.at) : word(count);
  const registers = Array.from({ length: count }, (_, i) => word(i));
  return { id: pid + state.cpu, registers, ip, flags: word(count + 1) };
}

/** Pieces in order, where several CPUs or maps name the same memory. */
function withoutOverlaps(pieces: readonly CoreMemory[]): CoreMemory[] {
  const kept: CoreMemory[] = [];
  let end = 0;
  for (const piece of [...pieces].sort((a, b) => a.start - b.start)) {
    if (piece.start < end) continue;
    kept.push(piece);
    end = piece.start + piece.bytes.length;
  }
  return kept;
}

class ProcessMemory {
  readonly #file: number;
  readonly #regions: readonly (readonly [start: bigint, end: bigint])[];

  constructor(pid: number) {
    this.#file = openSync(`/proc/${pid}/mem`, 'r');
    this.#regions = readFileSync(`/proc/${pid}/maps`, 'utf8')
      .split('\n')
      .flatMap((line) => {
        const [, start, end] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? [];
        return start === undefined || end === undefined
          ? []
          : [[BigInt(`0x${start}`), BigInt(`0x${end}`)] as const];
      });
  }

  close(): void {
    closeSync(this.#file);
  }

  /** @returns `undefined` where there is no such memory */
  read(address: bigint, length: number): Buffer | undefined {
    const bytes = Buffer.alloc(length);
    try {
      return readSync(this.#file, bytes, 0, length, address) === length ? bytes : undefined;
    } catch {
      return undefined;
    }
  }

  /** The stack from a little below its pointer up to its end. */
  stackAt(pointer: bigint, base: bigint): CoreMemory | undefined {
    const at = pointer + base;
    const region = this.#regions.find(([start, end]) => at >= start && at < end);
    if (region === undefined) return undefined;
    const from = at - 4096n > region[0] ? (at - 4096n) & ~0xfffn : region[0];
    const length = Math.min(Number(region[1] - from), mostStackBytes);
    const bytes = this.read(from, length);
    return bytes === undefined ? undefined : { start: Number(from - base), bytes };
  }

  dataIn(
    ranges: readonly { readonly start: number; readonly end: number }[],
    base: bigint,
  ): CoreMemory[] {
    const found: CoreMemory[] = [];
    let left = mostDataBytes;
    for (const { start, end } of ranges) {
      const length = end - start;
      if (length > left) continue;
      const bytes = this.read(BigInt(start) + base, length);
      if (bytes === undefined) continue;
      left -= length;
      found.push({ start, bytes });
    }
    return found;
  }
}
