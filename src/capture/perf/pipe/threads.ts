import { PerfProcesses, type PerfThread } from '../records/processes.ts';
import type { PtInfo } from '../records/pt-info.ts';
import type { LifeEvent } from '../records/records.ts';
import { PipeBuffer } from './buffer.ts';
import { PipeOrder } from './order.ts';
import { PerfPipe, type PipeTrace } from './pipe.ts';

/** Who listens to the threads that perf records into a pipe. */
export interface PipeThreadsListener {
  /** The next bytes of a thread's trace, which is one for all processors that it ran on. */
  readonly onTrace: (thread: PerfThread, bytes: Uint8Array) => void;
  /** Why some trace is not told, each reason once. */
  readonly onLost: (what: string) => void;
}

/** The traces of threads, as `perf record -o -` writes what threads and processors ran. */
export class PipeThreads {
  readonly #pipe: PerfPipe;
  readonly #listener: PipeThreadsListener;
  readonly #processes = new PerfProcesses();
  readonly #byCpu: Map<number, PipeBuffer> = new Map();
  readonly #byTid: Map<number, PipeBuffer> = new Map();
  readonly #order: PipeOrder;
  readonly #lost: Set<string> = new Set();

  /** @param path  for messages only */
  constructor(path: string, listener: PipeThreadsListener) {
    this.#listener = listener;
    this.#pipe = new PerfPipe(path, {
      onEvent: (event) => this.#happened(event),
      onTrace: (trace) => this.#add(trace),
      onRound: () => this.#order.tell(this.#buffers, false),
    });
    this.#order = new PipeOrder((thread, bytes) => {
      if (thread.tid > 0) listener.onTrace(thread, bytes);
    });
  }

  /** How the recording was made; `undefined` until it is said. */
  get info(): PtInfo | undefined {
    return this.#pipe.records.info;
  }

  /**
   * Whether threads may have taken turns on a processor, with returns compressed: what one left on the processor's stack of
   * returns is not there for the next.
   */
  get sharesProcessor(): boolean {
    const { compressesReturns = false, isPerCpu = false, hasKernel = false } = this.info ?? {};
    return compressesReturns && (isPerCpu || hasKernel);
  }

  /** @param chunk  cut anywhere; @throws UserError as `PerfPipe.add` */
  add(chunk: Buffer): void {
    this.#pipe.add(chunk);
  }

  /** No more comes. @returns whether it ended inside of a record */
  end(): boolean {
    const isCut = this.#pipe.end();
    for (const buffer of this.#buffers) buffer.end();
    this.#order.tell(this.#buffers, true);
    const { late } = this.#order;
    if (late > 0) this.#listener.onLost(`${late} stretches of trace that came too late`);
    return isCut;
  }

  #happened(event: LifeEvent): void {
    const processes = this.#processes;
    switch (event.kind) {
      case 'mmap':
        processes.map(event.pid, { ...event, end: event.start + event.length });
        return;
      case 'fork':
        processes.fork(event.pid, event.parentPid, event.tid, event.parentTid);
        return;
      case 'comm':
        if (event.isExec) this.#exec(event);
        else processes.name(event.pid, event.tid, event.comm);
        return;
      case 'run':
      case 'aux': {
        if (event.cpu < 0 || event.tid < 0 || this.info?.isPerCpu !== true) return;
        const thread = processes.thread(event.pid, event.tid);
        // Before the first turn, it ran there already.
        const buffer = this.#bufferOf(this.#byCpu, event.cpu, thread);
        const time = this.#ticks(event.time);
        if (event.kind === 'run') this.#order.turn(buffer.turn(time, thread));
        else if (event.position >= 0) buffer.handOver(event.position, time);
        return;
      }
    }
  }

  /** The thread runs another program from now on. */
  #exec({ pid, tid, comm, cpu, time }: Extract<LifeEvent, { kind: 'comm' }>): void {
    const before = this.#processes.thread(pid, tid);
    const thread = this.#processes.exec(pid, tid, comm);
    const isPerCpu = this.info?.isPerCpu === true;
    if (isPerCpu && cpu < 0) return;
    const buffer = isPerCpu
      ? this.#bufferOf(this.#byCpu, cpu, before)
      : this.#bufferOf(this.#byTid, tid, before);
    // Without time nothing can be cut here: what comes is of the new program.
    if (this.info?.clock === undefined) buffer.own(thread);
    else this.#order.turn(buffer.turn(this.#ticks(time), thread));
  }

  #add({ cpu, tid, offset, bytes }: PipeTrace): void {
    const problem = this.#problemOf(cpu);
    if (problem !== undefined) {
      if (!this.#lost.has(problem)) this.#listener.onLost(problem);
      this.#lost.add(problem);
      return;
    }
    const unknown = this.#processes.thread(-1, tid);
    const buffer =
      cpu >= 0
        ? this.#bufferOf(this.#byCpu, cpu, unknown)
        : this.#bufferOf(this.#byTid, tid, unknown);
    for (const { cpu, tid, position } of this.#pipe.records.breaks.splice(0)) {
      (this.#byTid.get(tid) ?? this.#byCpu.get(cpu))?.loseAt(position);
    }
    buffer.add(offset, bytes);
  }

  #problemOf(cpu: number): string | undefined {
    const { info } = this;
    if (info === undefined) return 'trace of which the recording does not say how it was made';
    if (info.isSnapshot) return 'snapshots (-S), which overlap: judge the recording';
    if (cpu < 0) return undefined;
    const record = 'record with --per-thread, or judge the recording';
    if (info.clock === undefined) return `traces of whole processors without time: ${record}`;
    if (info.switches < 2) return `traces of whole processors without switches: ${record}`;
    return undefined;
  }

  #bufferOf(buffers: Map<number, PipeBuffer>, key: number, first: PerfThread): PipeBuffer {
    let buffer = buffers.get(key);
    if (buffer === undefined) {
      buffer = new PipeBuffer(first, this.info);
      buffers.set(key, buffer);
    }
    return buffer;
  }

  get #buffers(): readonly PipeBuffer[] {
    return [...this.#byCpu.values(), ...this.#byTid.values()];
  }

  /** @param time  perf's nanoseconds */
  #ticks(time: number): number {
    const clock = this.info?.clock;
    return clock === undefined ? time : clock.ticks(BigInt(Math.trunc(time)));
  }
}
