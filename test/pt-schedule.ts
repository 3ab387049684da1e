import { Random } from '../src/base/random.ts';
import { Transfer } from '../src/x86/transfer.ts';
import { controlFlow, mtcBit, PerfDataWriter, perfTime, tscBit, type When } from './perf-data.ts';
import { type Execution, PtProcessor, type TimeStamps } from './pt-machine.ts';

/** A mapping of code in a traced process. */
export interface Mapping {
  readonly start: number;
  readonly end: number;
  readonly offset: number;
  readonly path: string;
  readonly buildId?: string | undefined;
}

/** A process that is traced; thread `n` of it has the number `pid + n`. */
export interface Process {
  readonly pid: number;
  readonly comm: string;
  readonly mappings: readonly Mapping[];
  readonly threads: readonly Execution[];
}

export interface ScheduleOptions {
  readonly cpus: number;
  readonly seed: number;
  readonly stamps: TimeStamps;
  readonly compressReturns: boolean;
  /** 2: a record where a thread comes; 3: records where one leaves and where one comes, CPU-wide. */
  readonly switches: 2 | 3;
  /** Bytes of trace after which `perf record` writes what there is. */
  readonly chunkBytes?: number;
  /** How many slices of a hundred lose packets inside, and after how many the buffer is full. */
  readonly overflows?: number;
  readonly truncations?: number;
  /** `perf record -a`: idle processors are in the records, too. */
  readonly isSystemWide?: boolean;
  /** `intel_pt//`: the kernel is traced, too. */
  readonly tracesKernel?: boolean;
}

interface State {
  readonly execution: Execution;
  readonly pid: number;
  readonly tid: number;
  at: number;
  /** When it can run again. */
  ready: number;
  cpu: number;
}

/** Lets threads take turns on processors and writes what `perf record -e intel_pt//u` would. */
export function schedule(processes: readonly Process[], options: ScheduleOptions): Buffer {
  const random = new Random(options.seed);
  const { overflows = 0, truncations = 0, chunkBytes = 2000, switches } = options;
  const config =
    controlFlow |
    (options.stamps === 'none' ? 0 : tscBit) |
    (options.stamps === 'mtc' ? mtcBit | (3 << 14) : 0) |
    (options.compressReturns ? 0 : 0x800);
  const writer = new PerfDataWriter({
    config,
    switches,
    isPerCpu: true,
    excludeKernel: !options.tracesKernel,
  });
  const states: State[] = [];
  for (const { pid, comm, mappings, threads } of processes) {
    const begin: When = { pid, tid: pid, time: perfTime(1000), cpu: 0 };
    writer.comm(pid, pid, comm, begin, true);
    for (const { start, end, offset, path, buildId } of mappings) {
      writer.mmap2(pid, start, end - start, offset, path, begin, buildId);
    }
    for (const [index, execution] of threads.entries()) {
      if (index > 0) writer.fork(pid, pid, pid + index, pid, begin);
      states.push({ execution, pid, tid: pid + index, at: 0, ready: 0, cpu: -1 });
    }
  }
  const idle = { pid: 0, tid: 0 };
  const processors = Array.from({ length: options.cpus }, (_, cpu) => ({
    cpu,
    core: new PtProcessor(
      100_000 + 17 * cpu,
      options.stamps,
      options.compressReturns,
      options.tracesKernel,
    ),
    current: idle,
    /** Ends of chunks in its trace. */
    cuts: [0],
  }));
  for (;;) {
    const left = states.filter(({ at, execution }) => at < execution.start.length);
    if (left.length === 0) break;
    const thread = left[random.below(left.length)];
    const processor = processors[random.below(processors.length)];
    const { core, cpu, cuts } = processor;
    if (core.time < thread.ready) core.wait(thread.ready - core.time);
    const leftAt = core.time;
    const when = ({ pid, tid }: { pid: number; tid: number }, ticks: number): When => ({
      pid,
      tid,
      time: perfTime(ticks),
      cpu,
    });
    if (processor.current !== thread || thread.cpu !== cpu) {
      if (switches === 3) {
        const next = options.isSystemWide ? idle : thread;
        writer.switchCpuWide(true, next, when(processor.current, leftAt + 800));
        if (options.isSystemWide) writer.switchCpuWide(true, thread, when(idle, leftAt + 1000));
        writer.switchCpuWide(false, processor.current, when(thread, leftAt + 1200));
      } else {
        if (processor.current !== idle) writer.switch(true, when(processor.current, leftAt + 1000));
        writer.switch(false, when(thread, leftAt + 1200));
      }
    }
    processor.current = thread;
    thread.cpu = cpu;
    core.wait(3000 + random.below(3000));
    const { kind } = thread.execution;
    const from = thread.at;
    let to = Math.min(kind.length, from + 1 + random.below(600));
    // Half of the slices end because the thread waits, the others because its time is up.
    if (random.below(2) === 0) while (to < kind.length && kind[to - 1] !== Transfer.syscall) to++;
    if (random.below(100) < overflows && to - from > 100) {
      core.run(thread.execution, from, to, { from: from + 40, to: from + 80 });
    } else core.run(thread.execution, from, to);
    thread.at = to;
    thread.ready = core.time + 100;
    const isFull = truncations > 0 && random.below(100) < truncations;
    const since = core.total - (cuts.at(-1) ?? 0);
    if (isFull || since >= chunkBytes) {
      // What runs until perf has emptied the buffer is not traced.
      if (isFull) {
        thread.at = Math.min(kind.length, to + 100);
        core.restart();
      }
      writer.aux(core.total - since, since, isFull ? 1 : 0, when(thread, core.time + 5));
      cuts.push(core.total);
    }
  }
  for (const { cpu, core, cuts, current } of processors) {
    const trace = core.finish();
    const last = cuts.at(-1) ?? 0;
    cuts.push(trace.length);
    const { pid, tid } = current;
    writer.aux(last, trace.length - last, 0, { pid, tid, time: perfTime(core.time + 10), cpu });
    for (let i = 1; i < cuts.length; i++) {
      if (cuts[i] === cuts[i - 1]) continue;
      const target = options.isSystemWide ? -1 : processes[0].pid;
      writer.auxtrace(cpu, target, cpu, cuts[i - 1], trace.subarray(cuts[i - 1], cuts[i]));
    }
  }
  return writer.finish();
}
