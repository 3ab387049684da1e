import { addressFromBigInt } from '../../../base/address.ts';
import { UserError } from '../../../base/errors.ts';
import { cString, number64, type PerfFacts, type RawRecord, RecordType } from './file.ts';
import { type PtInfo, parsePtInfo } from './pt-info.ts';
import { TrailerReader, type WhereAndWhen } from './trailer.ts';

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
const protExecute = 4;

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

/** `time` in nanoseconds of perf's clock. */
interface Moment {
  readonly time: number;
  /** Among all events, for those of one time. */
  readonly order: number;
}

/** Something that happened to a process or on a processor. */
export type LifeEvent = Moment &
  (
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

/** Sorts the records of a recording into what they say: where trace lies, what happened, what was lost. */
export class PerfRecords {
  /** Trace by number of its ring buffer. */
  readonly chunks: Map<number, TraceChunk[]> = new Map();
  readonly losses: PerfLosses = {
    truncated: 0,
    partial: 0,
    collisions: 0,
    records: 0,
    unknownRecords: 0,
    badMappings: 0,
  };
  info: PtInfo | undefined;
  readonly #file: PerfFacts;
  #trailers: TrailerReader | undefined;
  readonly events: LifeEvent[] = [];
  /** Ends of AUX records that say that data was lost, by CPU, or by thread where there is none. */
  readonly breaks: { readonly cpu: number; readonly tid: number; readonly position: number }[] = [];

  constructor(file: PerfFacts) {
    this.#file = file;
  }

  add({ type, misc, offset, body }: RawRecord): void {
    switch (type) {
      case RecordType.attr:
        this.#trailers = undefined;
        return;
      case RecordType.auxtraceInfo:
        this.info = parsePtInfo(body, this.#file) ?? this.info;
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
    const least = shortest.get(type);
    if (!knownTypes.has(type) || (least !== undefined && end < least)) {
      this.losses.unknownRecords++;
      return;
    }
    const told = body.subarray(0, Math.max(0, end));
    const time = where.time === undefined ? 0 : Number(where.time);
    const event = { time, order: this.events.length };
    switch (type) {
      case RecordType.mmap:
      case RecordType.mmap2:
        this.#mmap(type, misc, told, event);
        return;
      case RecordType.comm:
        this.#comm(misc, told, event, where.cpu);
        return;
      case RecordType.fork:
        this.#fork(told, event);
        return;
      case RecordType.itraceStart:
        this.#run(event, told.readInt32LE(0), told.readInt32LE(4), where.cpu);
        return;
      case RecordType.switch:
        if ((misc & Misc.switchOut) === 0) this.#run(event, where.pid, where.tid, where.cpu);
        return;
      case RecordType.switchCpuWide:
        this.#switchOnCpu(misc, told, event, where);
        return;
      case RecordType.aux:
        this.#aux(told, event, where);
        return;
      case RecordType.lost:
        this.losses.records += number64(told, 8);
        return;
      case RecordType.lostSamples:
        this.losses.records += number64(told, 0);
    }
  }

  #comm(misc: number, body: Buffer, event: Moment, cpu: number): void {
    this.events.push({
      ...event,
      kind: 'comm',
      pid: body.readInt32LE(0),
      tid: body.readInt32LE(4),
      comm: cString(body, 8, body.length),
      isExec: (misc & Misc.exec) !== 0,
      cpu,
    });
  }

  #fork(body: Buffer, event: Moment): void {
    this.events.push({
      ...event,
      kind: 'fork',
      pid: body.readInt32LE(0),
      parentPid: body.readInt32LE(4),
      tid: body.readInt32LE(8),
      parentTid: body.readInt32LE(12),
    });
  }

  /** Only the CPU-wide record says who comes next. */
  #switchOnCpu(misc: number, body: Buffer, event: Moment, { pid, tid, cpu }: WhereAndWhen): void {
    if ((misc & Misc.switchOut) === 0) {
      this.#run(event, pid, tid, cpu);
      return;
    }
    // Who leaves was running.
    this.events.push({ ...event, kind: 'aux', pid, tid, cpu, position: -1 });
    this.#run(event, body.readInt32LE(0), body.readInt32LE(4), cpu);
  }

  #run(event: Moment, pid: number, tid: number, cpu: number): void {
    this.events.push({ ...event, kind: 'run', pid, tid, cpu });
  }

  #aux(body: Buffer, event: Moment, { pid, tid, cpu }: WhereAndWhen): void {
    const flags = number64(body, 16);
    const position = number64(body, 0) + number64(body, 8);
    if (flags & AuxFlag.truncated) this.losses.truncated++;
    if (flags & AuxFlag.partial) this.losses.partial++;
    if (flags & AuxFlag.collision) this.losses.collisions++;
    if (flags & (AuxFlag.truncated | AuxFlag.partial | AuxFlag.collision)) {
      this.breaks.push({ cpu, tid, position });
    }
    if (number64(body, 8) > 0) this.events.push({ ...event, kind: 'aux', pid, tid, cpu, position });
  }

  #mmap(type: number, misc: number, body: Buffer, event: Moment): void {
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
    this.events.push({ ...event, kind: 'mmap', pid, start, length, fileOffset, path, buildId });
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
    const chunks = this.chunks.get(index);
    if (chunks !== undefined) chunks.push(chunk);
    else this.chunks.set(index, [chunk]);
  }
}

/** Bytes that a record of a type has at least, without its trailer. */
const shortest: ReadonlyMap<number, number> = new Map([
  [RecordType.mmap, 33],
  [RecordType.mmap2, 65],
  [RecordType.comm, 9],
  [RecordType.fork, 24],
  [RecordType.itraceStart, 8],
  [RecordType.switchCpuWide, 8],
  [RecordType.aux, 24],
  [RecordType.lost, 16],
  [RecordType.lostSamples, 8],
]);

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
