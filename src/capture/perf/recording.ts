import { UserError } from '../../base/errors.ts';
import type { PerfFile } from './records/file.ts';
import { PerfProcesses, type PerfThread } from './records/processes.ts';
import type { PtInfo } from './records/pt-info.ts';
import { type PerfLosses, PerfRecords, type TraceChunk } from './records/records.ts';

/** From `time` on, `thread` runs on a CPU; or the thread itself became another program. */
export interface Switch {
  readonly time: number;
  readonly thread: PerfThread;
}

/** Trace data of one ring buffer. */
export interface TraceBuffer {
  readonly chunks: TraceChunk[];
  /** Positions in the buffer's trace at which data was lost, ascending. */
  readonly losses: number[];
  /** Who runs from when on, ascending in time. */
  readonly switches: Switch[];
  /** Which thread ran when the kernel handed over all trace up to a position. */
  readonly flushes: { readonly position: number; readonly thread: PerfThread }[];
  /** Whose trace it is before the first switch. */
  readonly first: PerfThread;
}

type Draft = Omit<TraceBuffer, 'first'> & { first?: PerfThread };

/**
 * What a `perf.data` file says of an Intel PT recording, all but the trace itself: where the trace
 * lies, which threads ran where and when, and what was mapped.
 */
export class PerfRecording {
  readonly info: PtInfo;
  readonly buffers: ReadonlyMap<number, TraceBuffer>;
  readonly losses: PerfLosses;
  readonly traceBytes: number;

  private constructor(info: PtInfo, buffers: ReadonlyMap<number, TraceBuffer>, losses: PerfLosses) {
    this.info = info;
    this.buffers = buffers;
    this.losses = losses;
    let traceBytes = 0;
    for (const { chunks } of buffers.values()) for (const { size } of chunks) traceBytes += size;
    this.traceBytes = traceBytes;
  }

  /** @throws UserError `perf-no-trace`, `perf-other-trace`, `perf-compressed`, `perf-old-switches`, `perf-damaged` */
  static async read(file: PerfFile, signal?: AbortSignal): Promise<PerfRecording> {
    const records = new PerfRecords(file);
    let count = 0;
    for await (const record of file.records()) {
      if ((++count & 0xfff) === 0) signal?.throwIfAborted();
      records.add(record);
    }
    const { info } = records;
    if (info === undefined || records.chunks.size === 0) {
      const damage = file.damage.length === 0 ? '' : ` (${file.damage.join('; ')})`;
      const what =
        info === undefined
          ? 'holds no hardware trace: record with perf record -e intel_pt//u'
          : 'holds no trace data';
      throw new UserError('perf-no-trace', `${what}${damage}`, {
        category: 'input',
        path: file.path,
      });
    }
    return new PerfRecording(info, settle(info, records, file.path), records.losses);
  }
}

/** Works out who ran where, once all records are there. */
function settle(info: PtInfo, records: PerfRecords, path: string): Map<number, TraceBuffer> {
  const { events } = records;
  if (info.isPerCpu && info.switches === 1 && !events.some(({ kind }) => kind === 'run')) {
    throw new UserError(
      'perf-old-switches',
      'tells context switches by a tracepoint, which is not read: record again with Linux 4.3 or later, or with --per-thread',
      { category: 'input', path },
    );
  }
  const ticks = (time: number): number =>
    info.clock === undefined ? time : info.clock.ticks(BigInt(Math.trunc(time)));
  const byCpu = new Map<number, Draft>();
  const byTid = new Map<number, Draft>();
  const drafts = new Map<number, Draft>();
  for (const [index, chunks] of records.chunks) {
    const buffer: Draft = { chunks, losses: [], switches: [], flushes: [] };
    drafts.set(index, buffer);
    const { cpu, tid } = chunks[0];
    if (cpu >= 0) byCpu.set(cpu, buffer);
    else byTid.set(tid, buffer);
  }
  for (const { cpu, tid, position } of records.breaks) {
    (byTid.get(tid) ?? byCpu.get(cpu))?.losses.push(position);
  }
  const processes = new PerfProcesses();
  events.sort((a, b) => a.time - b.time || a.order - b.order);
  for (const event of events) {
    switch (event.kind) {
      case 'mmap':
        processes.map(event.pid, { ...event, end: event.start + event.length });
        break;
      case 'fork':
        processes.fork(event.pid, event.parentPid, event.tid, event.parentTid);
        break;
      case 'comm': {
        if (!event.isExec) {
          processes.name(event.pid, event.tid, event.comm);
          break;
        }
        const buffer = byTid.get(event.tid) ?? byCpu.get(event.cpu);
        // Without time nothing can be cut here: all of it counts as the last program's.
        if (buffer !== undefined && info.clock !== undefined) {
          buffer.first ??= processes.thread(event.pid, event.tid);
        }
        const thread = processes.exec(event.pid, event.tid, event.comm);
        buffer?.switches.push({ time: ticks(event.time), thread });
        break;
      }
      case 'run': {
        const buffer = byCpu.get(event.cpu);
        if (buffer === undefined) break;
        const thread = processes.thread(event.pid, event.tid);
        buffer.first ??= thread;
        buffer.switches.push({ time: ticks(event.time), thread });
        break;
      }
      case 'aux': {
        const buffer = byCpu.get(event.cpu);
        if (buffer === undefined || event.tid < 0) break;
        const thread = processes.thread(event.pid, event.tid);
        buffer.first ??= thread;
        if (event.position >= 0) buffer.flushes.push({ position: event.position, thread });
        break;
      }
    }
  }
  const buffers = new Map<number, TraceBuffer>();
  for (const [index, buffer] of drafts) {
    buffer.losses.sort((a, b) => a - b);
    const { first = processes.thread(-1, buffer.chunks[0].tid) } = buffer;
    buffers.set(index, { ...buffer, first });
  }
  return buffers;
}
