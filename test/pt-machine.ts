import { CodeCache } from '../src/flow/code-cache.ts';
import { ImageStore } from '../src/image/image-store.ts';
import { PtEncoder, tscPacket } from '../src/pt/encoder.ts';
import { openTraces } from '../src/trace/open-trace.ts';
import { readSample } from '../src/trace/sample.ts';
import { Transfer } from '../src/x86/transfer.ts';

/** Blocks that a thread executed, in order. */
export interface Execution {
  readonly start: Float64Array;
  readonly last: Float64Array;
  readonly end: Float64Array;
  readonly kind: Uint8Array;
}

/** @returns what each thread of a sample executed */
export async function executionsOf(directory: string, binDir: string): Promise<Execution[]> {
  const codeCache = new CodeCache();
  const images = new ImageStore([binDir]);
  const traces = await openTraces(await readSample(directory), {
    images,
    codeCache,
    preprocessed: false,
  });
  const executions: Execution[] = [];
  for (const { source } of traces) {
    const ids: number[] = [];
    await source.run(({ entries, length }) => {
      for (let i = 0; i < length; i++) {
        if (entries[i] < 0) throw new Error('the recording has a gap');
        ids.push(entries[i]);
      }
    });
    const { modules, module, offset, lastInstruction, size, kind } = source.blocks;
    const start = (id: number): number =>
      offset[id] + (module[id] < 0 ? 0 : modules[module[id]].base);
    executions.push({
      start: Float64Array.from(ids, start),
      last: Float64Array.from(ids, (id) => start(id) + lastInstruction[id]),
      end: Float64Array.from(ids, (id) => start(id) + size[id]),
      kind: Uint8Array.from(ids, (id) => kind[id]),
    });
  }
  codeCache.dispose();
  return executions;
}

/** How a processor tells time in its trace. */
export type TimeStamps = 'tsc' | 'mtc' | 'none';

/** MTC packets come every 2^3 ticks of a crystal clock that is half as fast as the time stamp counter. */
const mtcShift = 3;
const mtcPeriod = 2 * 2 ** mtcShift;

/** In the kernel's half: 0xffffffff81000000. */
const kernelEntry = -0x7f00_0000;

/**
 * One processor that traces user space: its packets, its call stack, its clock. Threads take turns on
 * it; like a real one it does not know them.
 */
export class PtProcessor {
  readonly trace: Uint8Array[] = [];
  readonly #encoder: PtEncoder;
  readonly #stamps: TimeStamps;
  #time: number;
  #lastMtc = 0;
  readonly #tracesKernel: boolean;
  #isInKernel = false;

  constructor(time: number, stamps: TimeStamps, compressReturns: boolean, tracesKernel = false) {
    this.#time = time;
    this.#tracesKernel = tracesKernel;
    this.#stamps = stamps;
    this.#encoder = new PtEncoder((bytes) => this.trace.push(bytes), {
      bitness: 64,
      compressReturns,
      ...(stamps === 'none' ? {} : { time: () => this.#time }),
    });
  }

  /** Bytes of trace so far. */
  get total(): number {
    return this.#encoder.total;
  }

  get time(): number {
    return this.#time;
  }

  /** Time passes outside of user space. */
  wait(ticks: number): void {
    this.#time += ticks;
    if (this.#stamps === 'tsc') this.#encoder.packet(tscPacket(this.#time));
    if (this.#stamps === 'mtc') {
      const now = Math.floor(this.#time / mtcPeriod);
      // The first packet after a pause of more than 256 periods would say nothing.
      if (this.#lastMtc === 0 || now - this.#lastMtc > 200) this.#synchronizeClocks();
      else
        for (let mtc = this.#lastMtc + 1; mtc <= now; mtc++)
          this.#encoder.packet([0x59, mtc & 0xff]);
      this.#lastMtc = now;
    }
  }

  /** TSC and TMA: which tick of the crystal clock a time is. */
  #synchronizeClocks(): void {
    this.#encoder.packet(tscPacket(this.#time));
    const crystal = Math.floor(this.#time / 2) & 0xffff;
    this.#encoder.packet([0x02, 0x73, crystal & 0xff, crystal >> 8, 0, this.#time % 2, 0]);
  }

  /**
   * Executes blocks `from` to `to` (without it) of a thread, from entering user space to leaving it.
   *
   * @param lost  blocks whose packets are lost (OVF)
   */
  run(
    { start, last, end, kind }: Execution,
    from: number,
    to: number,
    lost: { readonly from: number; readonly to: number } = { from: to, to },
  ): void {
    const encoder = this.#encoder;
    this.#enterUser(start[from]);
    for (let i = from; i < to; i++) {
      this.#time += 16;
      if (i === lost.from) encoder.overflow();
      if (i >= lost.from && i < lost.to) continue;
      if (i === lost.to) encoder.resume(start[i]);
      if (i > from) encoder.synchronize(start[i]);
      const isLast = i + 1 === to;
      const next = start[i + 1];
      switch (kind[i]) {
        case Transfer.jcc:
          if (i + 1 < start.length) encoder.branch(next !== end[i]);
          break;
        case Transfer.call:
          if (next !== end[i]) encoder.call(end[i]);
          break;
        case Transfer.icall:
          encoder.call(end[i]);
          if (i + 1 < start.length) encoder.indirect(next);
          break;
        case Transfer.ijmp:
          if (i + 1 < start.length) encoder.indirect(next);
          break;
        case Transfer.ret:
          if (i + 1 < start.length) encoder.return(next);
          break;
        case Transfer.far:
          if (i + 1 < start.length) encoder.indirect(next);
          break;
        case Transfer.syscall:
          this.#enterKernel(undefined);
          if (!isLast) {
            this.wait(5);
            this.#enterUser(next);
          }
          break;
      }
      if (isLast && kind[i] !== Transfer.syscall) this.#enterKernel(next ?? last[i]);
    }
  }

  /** @param from  the instruction that is interrupted; `undefined` = a system call */
  #enterKernel(from: number | undefined): void {
    const encoder = this.#encoder;
    if (!this.#tracesKernel) {
      if (from === undefined) encoder.disable();
      else encoder.interrupt(from);
      return;
    }
    encoder.packet([]);
    if (from !== undefined) encoder.resume(from);
    encoder.indirect(kernelEntry);
    for (const taken of [true, false, true]) encoder.branch(taken);
    encoder.call(kernelEntry + 64);
    encoder.synchronize(kernelEntry + 100);
    encoder.return(kernelEntry + 64);
    this.#isInKernel = true;
  }

  #enterUser(to: number): void {
    if (this.#isInKernel) this.#encoder.indirect(to);
    else this.#encoder.enable(to);
    this.#isInKernel = false;
  }

  /** Packets get lost while no user code is traced. */
  overflow(): void {
    this.#encoder.overflow();
  }

  /** The buffer was full, and tracing was off until it was emptied. */
  restart(): void {
    this.#encoder.restart();
  }

  finish(): Buffer {
    this.#encoder.finish();
    return Buffer.concat(this.trace);
  }
}
