/** Where and when a record was made, as records end in it. */
export interface When {
  readonly pid: number;
  readonly tid: number;
  readonly time: bigint;
  readonly cpu: number;
}

export interface PerfDataOptions {
  /** Configuration of the Intel PT event; bit 10 = TSC packets. */
  readonly config?: number;
  readonly excludeKernel?: boolean;
  /** How context switches are told: see AUXTRACE_INFO. */
  readonly switches?: 0 | 2 | 3;
  readonly isSnapshot?: boolean;
  readonly isPerCpu?: boolean;
  readonly sampleType?: number;
  /** Bytes of an attribute; newer kernels have larger ones. */
  readonly attrBytes?: number;
  readonly isPipe?: boolean;
  readonly buildIds?: readonly { readonly path: string; readonly buildId: string }[];
}

/** pt and branch: what perf sets for control flow. */
export const controlFlow = 0x2001;
export const tscBit = 0x400;
export const mtcBit = 0x200;
const pmuType = 8;
const eventId = 77n;
/** IDENTIFIER, CPU, TIME, TID, IP. */
const defaultSampleType = 0x10000 | 0x80 | 4 | 2 | 1;

/** Conversion between perf's clock and the time stamp counter: two ticks a nanosecond, from 1000 on. */
export const timeShift = 8;
export const timeMult = 128;
export const timeZero = 1000n;

/** @returns perf's nanoseconds for a time stamp counter value */
export function perfTime(ticks: number): bigint {
  return timeZero + ((BigInt(ticks) * BigInt(timeMult)) >> BigInt(timeShift));
}

/** Writes `perf.data` files as `perf record` does. */
export class PerfDataWriter {
  readonly #options: PerfDataOptions;
  readonly #sampleType: number;
  readonly #records: Buffer[] = [];
  #length = 0;
  /** Position in the file and size of each AUXTRACE record. */
  readonly #index: { readonly at: number; readonly size: number }[] = [];
  readonly #dataStart: number;
  readonly #attrBytes: number;

  constructor(options: PerfDataOptions = {}) {
    this.#options = options;
    this.#sampleType = options.sampleType ?? defaultSampleType;
    this.#attrBytes = options.attrBytes ?? 128;
    // Header, identifiers, attributes.
    this.#dataStart = options.isPipe ? 16 : 104 + 8 + this.#attrBytes + 16;
    if (options.isPipe) {
      this.record(64, 0, Buffer.concat([this.#attr(), u64(eventId)]));
      this.record(80, 0, Buffer.concat([u64(6n), string('x86_64')]));
      this.record(80, 0, Buffer.concat([u64(7n), u32(64), u32(64)]));
    }
    const isPerCpu = options.isPerCpu ?? false;
    const info = [
      pmuType,
      timeShift,
      timeMult,
      timeZero,
      1,
      tscBit,
      0x800,
      options.switches ?? 0,
      options.isSnapshot ? 1 : 0,
      isPerCpu ? 1 : 0,
      mtcBit,
      0x3c000,
      2,
      1,
      2,
      20,
      0,
    ];
    this.record(70, 0, Buffer.concat([u32(1), u32(0), ...info.map((value) => u64(value))]));
  }

  record(type: number, misc: number, body: Buffer, when?: When): void {
    const trailer = when === undefined || type >= 64 ? Buffer.alloc(0) : this.#trailer(when);
    const header = Buffer.alloc(8);
    header.writeUInt32LE(type, 0);
    header.writeUInt16LE(misc, 4);
    header.writeUInt16LE(8 + body.length + trailer.length, 6);
    this.raw(header, body, trailer);
  }

  raw(...parts: readonly Buffer[]): void {
    for (const part of parts) {
      this.#records.push(part);
      this.#length += part.length;
    }
  }

  comm(pid: number, tid: number, name: string, when: When, isExec = false): void {
    const body = Buffer.concat([u32(pid), u32(tid), string8(name)]);
    this.record(3, isExec ? 1 << 13 : 0, body, when);
  }

  mmap2(
    pid: number,
    start: number,
    length: number,
    fileOffset: number,
    path: string,
    when: When,
    buildId?: string,
  ): void {
    const id = Buffer.alloc(24);
    if (buildId !== undefined) {
      id[0] = buildId.length / 2;
      id.write(buildId, 4, 'hex');
    }
    const body = Buffer.concat([
      u32(pid),
      u32(pid),
      u64(start),
      u64(length),
      u64(fileOffset),
      id,
      u32(5),
      u32(2),
      string8(path),
    ]);
    this.record(10, 2 | (buildId === undefined ? 0 : 1 << 14), body, when);
  }

  fork(pid: number, parentPid: number, tid: number, parentTid: number, when: When): void {
    const ids = [pid, parentPid, tid, parentTid].map((id) => u32(id));
    this.record(7, 0, Buffer.concat([...ids, u64(when.time)]), when);
  }

  exit(pid: number, tid: number, when: When): void {
    const ids = [pid, pid, tid, tid].map((id) => u32(id));
    this.record(4, 0, Buffer.concat([...ids, u64(when.time)]), when);
  }

  itraceStart(pid: number, tid: number, when: When): void {
    this.record(12, 0, Buffer.concat([u32(pid), u32(tid)]), when);
  }

  /** Someone was switched in (`when` says who) or out. */
  switch(isOut: boolean, when: When): void {
    this.record(14, isOut ? 1 << 13 : 0, Buffer.alloc(0), when);
  }

  /** @param other  who comes next, or was before */
  switchCpuWide(isOut: boolean, other: { pid: number; tid: number }, when: When): void {
    this.record(15, isOut ? 1 << 13 : 0, Buffer.concat([u32(other.pid), u32(other.tid)]), when);
  }

  aux(offset: number, size: number, flags: number, when: When): void {
    this.record(11, 0, Buffer.concat([u64(offset), u64(size), u64(flags)]), when);
  }

  auxtrace(index: number, tid: number, cpu: number, offset: number, trace: Uint8Array): void {
    // perf fills up to a multiple of eight bytes.
    const padded = Buffer.alloc(Math.ceil(trace.length / 8) * 8);
    padded.set(trace);
    this.#index.push({ at: this.#dataStart + this.#length, size: 48 });
    const body = Buffer.concat([
      u64(padded.length),
      u64(offset),
      // The time stamp counter when perf took the data: gives a TSC packet its upper eight bits.
      u64(1),
      u32(index),
      u32(tid),
      u32(cpu),
      u32(0),
    ]);
    this.record(71, 0, body);
    this.raw(padded);
  }

  /** @returns the whole file */
  finish(): Buffer {
    const data = Buffer.concat(this.#records);
    if (this.#options.isPipe) return Buffer.concat([Buffer.from('PERFILE2'), u64(16), data]);
    const features: [number, Buffer][] = [];
    const { buildIds = [] } = this.#options;
    if (buildIds.length > 0) features.push([2, Buffer.concat(buildIds.map(buildIdEvent))]);
    features.push([6, string('x86_64')]);
    features.push([7, Buffer.concat([u32(64), u32(64)])]);
    features.push([9, string('GenuineIntel,6,158,10')]);
    const index = this.#index.flatMap(({ at, size }) => [u64(at), u64(size)]);
    features.push([18, Buffer.concat([u64(this.#index.length), ...index])]);
    const dataEnd = this.#dataStart + data.length;
    let at = dataEnd + features.length * 16;
    const table = features.map(([, bytes]) => {
      const entry = Buffer.concat([u64(at), u64(bytes.length)]);
      at += bytes.length;
      return entry;
    });
    const bits = features.reduce((sum, [bit]) => sum | (1n << BigInt(bit)), 0n);
    return Buffer.concat([
      Buffer.from('PERFILE2'),
      u64(104),
      u64(this.#attrBytes + 16),
      u64(112),
      u64(this.#attrBytes + 16),
      u64(this.#dataStart),
      u64(data.length),
      u64(0),
      u64(0),
      u64(bits),
      Buffer.alloc(24),
      u64(eventId),
      this.#attr(),
      u64(104),
      u64(8),
      data,
      ...table,
      ...features.map(([, bytes]) => bytes),
    ]);
  }

  #attr(): Buffer {
    const { config = controlFlow, excludeKernel = true, switches = 0 } = this.#options;
    const attr = Buffer.alloc(this.#attrBytes);
    attr.writeUInt32LE(pmuType, 0);
    attr.writeUInt32LE(this.#attrBytes, 4);
    attr.writeBigUInt64LE(BigInt(config), 8);
    attr.writeBigUInt64LE(1n, 16);
    attr.writeBigUInt64LE(BigInt(this.#sampleType), 24);
    // disabled, inherit, mmap, comm, task, sample_id_all, mmap2, comm_exec
    const flags = [0, 1, 8, 9, 13, 18, 23, 24];
    if (excludeKernel) flags.push(5);
    if (switches > 0) flags.push(26);
    attr.writeUInt32LE(
      flags.reduce((sum, bit) => sum + 2 ** bit, 0),
      40,
    );
    return attr;
  }

  #trailer({ pid, tid, time, cpu }: When): Buffer {
    const parts: Buffer[] = [];
    if (this.#sampleType & 2) parts.push(u32(pid), u32(tid));
    if (this.#sampleType & 4) parts.push(u64(time));
    if (this.#sampleType & 0x40) parts.push(u64(eventId));
    if (this.#sampleType & 0x80) parts.push(u32(cpu), u32(0));
    if (this.#sampleType & 0x10000) parts.push(u64(eventId));
    return Buffer.concat(parts);
  }
}

function buildIdEvent({ path, buildId }: { path: string; buildId: string }): Buffer {
  const name = string8(path);
  const head = Buffer.alloc(36);
  head.writeUInt32LE(67, 0);
  head.writeUInt16LE(2 | 0x8000, 4);
  head.writeUInt16LE(36 + name.length, 6);
  head.writeInt32LE(-1, 8);
  head.write(buildId, 12, 'hex');
  head[32] = buildId.length / 2;
  return Buffer.concat([head, name]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

function u64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
  return bytes;
}

/** Zero-terminated, filled up to a multiple of eight bytes. */
function string8(text: string): Buffer {
  const bytes = Buffer.alloc(Math.ceil((Buffer.byteLength(text) + 1) / 8) * 8);
  bytes.write(text);
  return bytes;
}

/** As the header has them: length, text, fill up to a multiple of 64. */
function string(text: string): Buffer {
  const bytes = Buffer.alloc(Math.ceil((text.length + 1) / 64) * 64);
  bytes.write(text);
  return Buffer.concat([u32(bytes.length), bytes]);
}
