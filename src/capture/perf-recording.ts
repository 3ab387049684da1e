import { addressFromBigInt } from '../base/address.ts';
import { UserError } from '../base/errors.ts';
import { PerfClock } from './perf-clock.ts';
import {
  cString,
  number64,
  type PerfFile,
  type RawRecord,
  RecordType,
  SampleField,
} from './perf-file.ts';
import { PerfProcesses, type PerfThread } from './perf-processes.ts';
import { TrailerReader, type WhereAndWhen } from './perf-trailer.ts';
import type { MtcRate } from './pt-clock.ts';

/** Bits of a record's `misc`. */
const Misc = {
  cpuModeMask: 7,
  kernel: 1,
  user: 2,
  exec: 1 << 13,
  switchOut: 1 << 13,
  buildId: 1 << 14,
} as const;
/** Bits of an AUX record's `flags`. */
const AuxFlag = { truncated: 1, overwrite: 2, partial: 4, collision: 8 } as const;
/** `type` of AUXTRACE_INFO: which hardware traced. */
const tracers: Readonly<Record<number, string>> = {
  2: 'Intel BTS',
  3: 'Arm CoreSight',
  4: 'Arm SPE',
  5: 'S/390 CPU measurement sampling',
  6: 'HiSilicon PTT',
};
const intelPt = 1;
const protExecute = 4;

/** What AUXTRACE_INFO says about the trace. */
export interface PtInfo {
  readonly pmuType: number;
  /** `undefined` when the trace has no time, or perf's clock cannot be converted to it. */
  readonly clock: PerfClock | undefined;
  readonly mtc: MtcRate | undefined;
  /** How perf learned of context switches: 0 not at all, 1 by a tracepoint, 2 and 3 by records. */
  readonly switches: number;
  readonly isSnapshot: boolean;
  readonly isPerCpu: boolean;
  readonly hasKernel: boolean;
  /** Returns that go back to their call are written as one bit. */
  readonly compressesReturns: boolean;
}

/** Trace data that one AUXTRACE record brought. */
export interface TraceChunk {
  readonly tid: number;
  /** -1 = a buffer of a thread, not of a CPU. */
  readonly cpu: number;
  /** Position of its first byte in all that its buffer gave. */
  readonly offset: number;
  readonly size: number;
  /** Position in the file. */
  readonly at: number;
}

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

/** What a recording lacks, counted. */
export interface PerfLosses {
  /** AUX records that say that the buffer was full, that tracing paused (a virtual machine), or was disturbed. */
  truncated: number;
  partial: number;
  collisions: number;
  /** Records, and samples, that the kernel had no room for. */
  records: number;
  /** Records of types that are not known. */
  unknownRecords: number;
  /** MMAP records that make no sense. */
  badMappings: number;
}

type LifeEvent = { readonly time: number; readonly order: number } & (
  | {
      readonly kind: 'mmap';
      readonly pid: number;
      readonly start: number;
      readonly length: number;
      readonly fileOffset: number;
      readonly path: string;
      readonly buildId: string | undefined;
    }
  | {
      readonly kind: 'comm';
      readonly pid: number;
      readonly tid: number;
      readonly comm: string;
      readonly isExec: boolean;
      readonly cpu: number;
    }
  | {
      readonly kind: 'fork';
      readonly pid: number;
      readonly parentPid: number;
      readonly tid: number;
      readonly parentTid: number;
    }
  | { readonly kind: 'run'; readonly pid: number; readonly tid: number; readonly cpu: number }
  | {
      readonly kind: 'aux';
      readonly pid: number;
      readonly tid: number;
      readonly cpu: number;
      readonly position: number;
    }
);

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
    const reader = new RecordReader(file);
    let count = 0;
    for await (const record of file.records()) {
      if ((++count & 0xfff) === 0) signal?.throwIfAborted();
      reader.add(record);
    }
    const info = reader.info;
    if (info === undefined || reader.buffers.size === 0) {
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
    return new PerfRecording(info, reader.settle(info), reader.losses);
  }
}

class RecordReader {
  readonly buffers: Map<number, Draft> = new Map();
  readonly losses: PerfLosses = {
    truncated: 0,
    partial: 0,
    collisions: 0,
    records: 0,
    unknownRecords: 0,
    badMappings: 0,
  };
  info: PtInfo | undefined;
  readonly #file: PerfFile;
  #trailers: TrailerReader | undefined;
  readonly #events: LifeEvent[] = [];
  /** Ends of AUX records that say that data was lost, by CPU, or by thread where there is none. */
  readonly #breaks: { readonly cpu: number; readonly tid: number; readonly position: number }[] =
    [];

  constructor(file: PerfFile) {
    this.#file = file;
  }

  add({ type, misc, offset, body }: RawRecord): void {
    switch (type) {
      case RecordType.attr:
        this.#trailers = undefined;
        return;
      case RecordType.auxtraceInfo:
        this.#auxtraceInfo(body);
        return;
      case RecordType.auxtrace:
        this.#auxtrace(body, offset);
        return;
      case RecordType.compressed:
      case RecordType.compressed2:
        throw new UserError(
          'perf-compressed',
          'was recorded with -z; make it plain first: perf inject -i FILE -o PLAIN',
          { category: 'input', path: this.#file.path },
        );
      case RecordType.tracingData:
      case RecordType.buildId:
      case RecordType.finishedRound:
      case RecordType.feature:
        return;
    }
    // What perf itself writes has no trailer.
    if (type >= 64) {
      if (!knownTypes.has(type)) this.losses.unknownRecords++;
      return;
    }
    this.#trailers ??= new TrailerReader(this.#file.attrs);
    this.#kernelRecord(type, misc, body, this.#trailers.read(body), this.#trailers.length(body));
  }

  #kernelRecord(
    type: number,
    misc: number,
    body: Buffer,
    where: WhereAndWhen,
    trailer: number,
  ): void {
    const end = body.length - trailer;
    const time = where.time === undefined ? 0 : Number(where.time);
    const event = { time, order: this.#events.length };
    const has = (bytes: number): boolean => {
      if (end >= bytes) return true;
      this.losses.unknownRecords++;
      return false;
    };
    switch (type) {
      case RecordType.mmap:
      case RecordType.mmap2:
        if (has(type === RecordType.mmap ? 33 : 65))
          this.#mmap(type, misc, body.subarray(0, end), event);
        return;
      case RecordType.comm:
        if (has(9)) {
          this.#events.push({
            ...event,
            kind: 'comm',
            pid: body.readInt32LE(0),
            tid: body.readInt32LE(4),
            comm: cString(body, 8, end),
            isExec: (misc & Misc.exec) !== 0,
            cpu: where.cpu,
          });
        }
        return;
      case RecordType.fork:
        if (has(24)) {
          this.#events.push({
            ...event,
            kind: 'fork',
            pid: body.readInt32LE(0),
            parentPid: body.readInt32LE(4),
            tid: body.readInt32LE(8),
            parentTid: body.readInt32LE(12),
          });
        }
        return;
      case RecordType.itraceStart:
        if (has(8)) this.#run(event, body.readInt32LE(0), body.readInt32LE(4), where.cpu);
        return;
      case RecordType.switch:
      case RecordType.switchCpuWide: {
        const isOut = (misc & Misc.switchOut) !== 0;
        if (!isOut) this.#run(event, where.pid, where.tid, where.cpu);
        // Only the CPU-wide record says who comes next.
        else if (type === RecordType.switchCpuWide && has(8)) {
          // Who leaves was running.
          this.#events.push({
            ...event,
            kind: 'aux',
            pid: where.pid,
            tid: where.tid,
            cpu: where.cpu,
            position: -1,
          });
          this.#run(event, body.readInt32LE(0), body.readInt32LE(4), where.cpu);
        }
        return;
      }
      case RecordType.aux:
        if (has(24)) this.#aux(body, event, where);
        return;
      case RecordType.lost:
        if (has(16)) this.losses.records += number64(body, 8);
        return;
      case RecordType.lostSamples:
        if (has(8)) this.losses.records += number64(body, 0);
        return;
      default:
        if (!knownTypes.has(type)) this.losses.unknownRecords++;
    }
  }

  #run(event: { time: number; order: number }, pid: number, tid: number, cpu: number): void {
    this.#events.push({ ...event, kind: 'run', pid, tid, cpu });
  }

  #aux(
    body: Buffer,
    event: { time: number; order: number },
    { pid, tid, cpu }: WhereAndWhen,
  ): void {
    const flags = number64(body, 16);
    const position = number64(body, 0) + number64(body, 8);
    if (flags & AuxFlag.truncated) this.losses.truncated++;
    if (flags & AuxFlag.partial) this.losses.partial++;
    if (flags & AuxFlag.collision) this.losses.collisions++;
    if (flags & (AuxFlag.truncated | AuxFlag.partial | AuxFlag.collision)) {
      this.#breaks.push({ cpu, tid, position });
    }
    if (number64(body, 8) > 0)
      this.#events.push({ ...event, kind: 'aux', pid, tid, cpu, position });
  }

  #mmap(type: number, misc: number, body: Buffer, event: { time: number; order: number }): void {
    const mode = misc & Misc.cpuModeMask;
    const pid = body.readInt32LE(0);
    if (mode !== Misc.user || pid < 0) return;
    const is2 = type === RecordType.mmap2;
    if (is2 && (body.readUInt32LE(56) & protExecute) === 0) return;
    const start = addressFromBigInt(body.readBigUInt64LE(8));
    const length = number64(body, 16);
    const fileOffset = number64(body, 24);
    if (
      start === undefined ||
      start < 0 ||
      length === 0 ||
      start + length > 2 ** 47 ||
      !Number.isSafeInteger(fileOffset)
    ) {
      // `[vsyscall]` lies in the kernel's half.
      if (start === undefined || start >= 0) this.losses.badMappings++;
      return;
    }
    const hasBuildId = is2 && (misc & Misc.buildId) !== 0;
    const buildId = hasBuildId ? body.toString('hex', 36, 36 + Math.min(20, body[32])) : undefined;
    const path = cString(body, is2 ? 64 : 32);
    this.#events.push({ ...event, kind: 'mmap', pid, start, length, fileOffset, path, buildId });
  }

  #auxtraceInfo(body: Buffer): void {
    if (body.length < 8) return;
    const type = body.readUInt32LE(0);
    const fail = (code: string, message: string): UserError =>
      new UserError(code, message, { category: 'input', path: this.#file.path });
    if (type !== intelPt) {
      throw fail(
        'perf-other-trace',
        `holds a trace of ${tracers[type] ?? `tracer ${type}`}, not Intel PT`,
      );
    }
    if (body.length < 8 + 8 * 10)
      throw fail('perf-damaged', 'its AUXTRACE_INFO record is too short');
    const word = (index: number): number =>
      body.length >= 16 + 8 * index ? number64(body, 8 + 8 * index) : 0;
    const attr = this.#file.attrs.find(({ type: pmu }) => pmu === word(0));
    const config = attr?.config ?? 0;
    const hasTime = hasBits(config, word(5)) && word(4) !== 0 && word(2) > 0;
    const timesRecords =
      attr?.sampleType === undefined || (attr.sampleType & SampleField.time) !== 0;
    const isUsable = hasTime && timesRecords && attr?.usesClockId !== true;
    const zero = body.readBigUInt64LE(8 + 8 * 3);
    this.info = {
      pmuType: word(0),
      clock: isUsable ? new PerfClock(word(1), word(2), zero) : undefined,
      mtc: mtcRate(config, word(10), word(11), word(12), word(13)),
      switches: word(7),
      isSnapshot: word(8) !== 0,
      isPerCpu: word(9) !== 0,
      hasKernel: !(attr?.excludeKernel ?? false),
      compressesReturns: !hasBits(config, word(6)),
    };
  }

  #auxtrace(body: Buffer, recordAt: number): void {
    if (body.length < 40) {
      this.losses.unknownRecords++;
      return;
    }
    const index = body.readUInt32LE(24);
    const at = recordAt + 8 + body.length;
    const size = Math.min(number64(body, 0), Math.max(0, this.#file.size - at));
    const chunk: TraceChunk = {
      offset: number64(body, 8),
      size,
      at,
      tid: body.readInt32LE(28),
      cpu: body.readInt32LE(32),
    };
    const buffer = this.buffers.get(index);
    if (buffer !== undefined) buffer.chunks.push(chunk);
    else
      this.buffers.set(index, {
        chunks: [chunk],
        losses: [],
        switches: [],
        flushes: [],
      });
  }

  /** Works out who ran where, once all records are there. */
  settle(info: PtInfo): Map<number, TraceBuffer> {
    if (info.isPerCpu && info.switches === 1 && !this.#events.some(({ kind }) => kind === 'run')) {
      throw new UserError(
        'perf-old-switches',
        'tells context switches by a tracepoint, which is not read: record again with Linux 4.3 or later, or with --per-thread',
        { category: 'input', path: this.#file.path },
      );
    }
    const ticks = (time: number): number =>
      info.clock === undefined ? time : info.clock.ticks(BigInt(Math.trunc(time)));
    const byCpu = new Map<number, Draft>();
    const byTid = new Map<number, Draft>();
    for (const buffer of this.buffers.values()) {
      const { cpu, tid } = buffer.chunks[0];
      if (cpu >= 0) byCpu.set(cpu, buffer);
      else byTid.set(tid, buffer);
    }
    for (const { cpu, tid, position } of this.#breaks) {
      (byTid.get(tid) ?? byCpu.get(cpu))?.losses.push(position);
    }
    const processes = new PerfProcesses();
    this.#events.sort((a, b) => a.time - b.time || a.order - b.order);
    for (const event of this.#events) {
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
          const thread = processes.exec(event.pid, event.tid, event.comm);
          const buffer = byTid.get(event.tid) ?? byCpu.get(event.cpu);
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
    for (const [index, buffer] of this.buffers) {
      buffer.losses.sort((a, b) => a - b);
      const { first = processes.thread(-1, buffer.chunks[0].tid) } = buffer;
      buffers.set(index, { ...buffer, first });
    }
    return buffers;
  }
}

/** Types that are passed over on purpose, beside those that are read. */
const knownTypes: ReadonlySet<number> = new Set([
  ...Object.values(RecordType),
  // THROTTLE, UNTHROTTLE, READ, NAMESPACES, KSYMBOL, BPF_EVENT, CGROUP, TEXT_POKE, AUX_OUTPUT_HW_ID
  5,
  6,
  8,
  16,
  17,
  18,
  19,
  20,
  21,
  // ID_INDEX, AUXTRACE_ERROR, THREAD_MAP, CPU_MAP, STAT_CONFIG, STAT, STAT_ROUND, EVENT_UPDATE, TIME_CONV, FINISHED_INIT, BPF_METADATA
  69,
  72,
  73,
  74,
  75,
  76,
  77,
  78,
  79,
  82,
  84,
]);

/** The event's period field says how often MTC packets come. */
function mtcRate(
  config: number,
  mtcBit: number,
  frequencyBits: number,
  numerator: number,
  denominator: number,
): MtcRate | undefined {
  if (!hasBits(config, mtcBit) || numerator === 0 || denominator === 0) return undefined;
  let shift = 0;
  if (frequencyBits > 0) {
    const low = BigInt(frequencyBits) & -BigInt(frequencyBits);
    shift = Number((BigInt(config) & BigInt(frequencyBits)) / low);
  }
  return { shift: Math.min(shift, 15), ratio: numerator / denominator };
}

function hasBits(config: number, bits: number): boolean {
  return bits > 0 && (BigInt(config) & BigInt(bits)) !== 0n;
}
