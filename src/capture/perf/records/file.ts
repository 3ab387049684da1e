import { UserError } from '../../../base/errors.ts';
import { statusOf } from '../../../base/files/exists.ts';
import { FileBytes } from '../../../base/files/file-bytes.ts';

/** Record types that are read. @see linux/perf_event.h and perf.data-file-format.txt of the kernel's `tools/perf` */
export const RecordType = {
  mmap: 1,
  lost: 2,
  comm: 3,
  exit: 4,
  fork: 7,
  sample: 9,
  mmap2: 10,
  aux: 11,
  itraceStart: 12,
  lostSamples: 13,
  switch: 14,
  switchCpuWide: 15,
  attr: 64,
  tracingData: 66,
  buildId: 67,
  finishedRound: 68,
  auxtraceInfo: 70,
  auxtrace: 71,
  feature: 80,
  compressed: 81,
  compressed2: 83,
} as const;

/** Bits of `sample_type` that decide what ends a record. */
export const SampleField = {
  tid: 0x2,
  time: 0x4,
  id: 0x40,
  cpu: 0x80,
  streamId: 0x200,
  identifier: 0x10000,
} as const;

/** Bits of the header that say which feature sections follow the data. */
const Feature = { buildId: 2, version: 5, arch: 6, cmdline: 11 } as const;

/** One event that `perf record` asked the kernel for. */
export interface PerfAttr {
  readonly type: number;
  readonly config: number;
  readonly sampleType: number;
  readonly excludeKernel: boolean;
  /** Whether every record ends in the fields of `sampleType` that say where and when. */
  readonly sampleIdAll: boolean;
  readonly usesClockId: boolean;
  readonly ids: readonly bigint[];
}

/** A record as it lies in the file. */
export interface RawRecord {
  readonly type: number;
  readonly misc: number;
  /** Position in the file. */
  readonly offset: number;
  /** What follows the header of eight bytes; valid until the next record is read. */
  readonly body: Buffer;
}

/** The build id of a file, as the header lists it. */
export interface BuildIdEntry {
  readonly path: string;
  /** Lower-case hexadecimal. */
  readonly buildId: string;
}

const magic = 0x32454c4946524550n; // "PERFILE2"
const swappedMagic = 0x50455246494c4532n;
const oldMagic = 0x454c494646524550n; // "PERFFILE"
const headerBytes = 104;
const pipeHeaderBytes = 16;
/** Longest attribute that is taken for one; perf 6.16 writes 136 bytes. */
const maxAttrBytes = 4096;
const maxAttrs = 65536;
const maxIds = 1 << 20;
const maxFeatureBytes = 1 << 26;
/** Different things that are told to be wrong with a file. */
const maxDamage = 100;
const windowBytes = 1 << 20;
/** A record's size is a 16-bit number. */
const maxRecord = 65536;

/**
 * A `perf.data` file: its header at once, its records as a stream. Trace data is skipped over, not
 * read.
 *
 * @see perf.data-file-format.txt in the kernel's `tools/perf/Documentation`
 */
export class PerfFile {
  readonly path: string;
  readonly size: number;
  readonly attrs: PerfAttr[] = [];
  readonly buildIds: BuildIdEntry[] = [];
  /** `uname -m` of the machine that was traced. */
  arch: string | undefined;
  commandLine: string | undefined;
  /** Version of perf that wrote the file. */
  version: string | undefined;
  /** What is wrong with the file, in words. */
  readonly damage: string[] = [];
  #idsLeft = maxIds;
  readonly #file: FileBytes;
  readonly #isPipe: boolean;
  readonly #dataStart: number;
  readonly #dataEnd: number;

  private constructor(
    path: string,
    file: FileBytes,
    layout: { readonly isPipe: boolean; readonly start: number; readonly end: number },
  ) {
    this.path = path;
    this.#file = file;
    this.size = file.length;
    this.#isPipe = layout.isPipe;
    this.#dataStart = layout.start;
    this.#dataEnd = layout.end;
  }

  /**
   * @throws UserError `not-readable`, `not-perf-data`, `perf-other-byte-order`, `perf-damaged` when
   *   the header cannot be made sense of
   */
  static async open(path: string): Promise<PerfFile> {
    if (statusOf(path)?.isDirectory() === true) {
      const why = 'it is a folder (of perf record --threads, which is not read)';
      throw inputError('not-readable', `cannot be read: ${why}`, path);
    }
    const bytes = await FileBytes.open(path);
    try {
      return await PerfFile.#read(path, bytes);
    } catch (error) {
      await bytes.close();
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  /** @returns up to `length` bytes from `offset`; fewer at the end of the file */
  read(offset: number, length: number): Promise<Buffer> {
    return this.#file.read(offset, length);
  }

  /** Reads the records in the order of the file. Where they stop making sense, it ends and says so in `damage`. */
  async *records(): AsyncGenerator<RawRecord> {
    let window: Buffer = Buffer.alloc(0);
    let windowAt = this.#dataStart;
    let at = this.#dataStart;
    const end = this.#dataEnd;
    while (at < end) {
      if (at + maxRecord > windowAt + window.length && windowAt + window.length < end) {
        windowAt = at;
        window = await this.read(at, Math.min(windowBytes, end - at));
        if (window.length === 0) break;
      }
      const from = at - windowAt;
      const size = from + 8 <= window.length ? window.readUInt16LE(from + 6) : 0;
      if (size < 8 || from + size > window.length) {
        const isCut = from + 8 > window.length || (size >= 8 && at + size > end);
        const what = isCut ? 'a record is cut off' : 'bytes that are no record follow';
        this.damage.push(`at byte ${at} ${what}; the rest is left out`);
        return;
      }
      const type = window.readUInt32LE(from);
      const body = window.subarray(from + 8, from + size);
      const start = at;
      yield { type, misc: window.readUInt16LE(from + 4), offset: at, body };
      if (type === RecordType.attr && this.#isPipe) this.#pipeAttr(body);
      if (type === RecordType.feature && this.#isPipe && body.length >= 8) {
        this.#feature(number64(body, 0), body.subarray(8));
      }
      if (type === RecordType.buildId) this.#buildId(window.subarray(from, from + size));
      at += size;
      // The trace itself follows its record.
      if (type === RecordType.auxtrace && body.length >= 8) at += number64(body, 0);
      if (type === RecordType.tracingData && body.length >= 4) {
        at += Math.ceil(body.readUInt32LE(0) / 8) * 8;
      }
      if (at > end) {
        const where = end === this.size ? 'the end of the file' : 'the records';
        const isCut = this.#isPipe || end === this.size;
        this.#tell(
          isCut
            ? 'the file is cut off inside of trace data'
            : `the data behind the record at byte ${start} reaches beyond ${where}`,
        );
      }
    }
  }

  static async #read(path: string, file: FileBytes): Promise<PerfFile> {
    const size = file.length;
    const probe = new PerfFile(path, file, { isPipe: false, start: 0, end: 0 });
    const head = await probe.read(0, headerBytes);
    const tag = head.length >= 8 ? head.readBigUInt64LE(0) : 0n;
    if (tag === swappedMagic) {
      throw inputError(
        'perf-other-byte-order',
        'was written on a big-endian machine, which has no Intel PT',
        path,
      );
    }
    if (tag === oldMagic) {
      throw inputError('not-perf-data', 'is of a perf before 3.3, which had no Intel PT', path);
    }
    if (tag !== magic) {
      throw inputError('not-perf-data', 'is no perf.data file (no PERFILE2 at its start)', path);
    }
    const cutOff = (): UserError =>
      inputError('perf-damaged', 'the file is cut off inside of its header', path);
    if (head.length < pipeHeaderBytes) throw cutOff();
    const headerSize = number64(head, 8);
    if (headerSize === pipeHeaderBytes) {
      const layout = { isPipe: true, start: pipeHeaderBytes, end: size };
      return new PerfFile(path, file, layout);
    }
    if (head.length < headerBytes) throw cutOff();
    if (headerSize < headerBytes) {
      throw inputError('perf-damaged', `its header has ${headerSize} bytes`, path);
    }
    const dataStart = number64(head, 40);
    const dataSize = number64(head, 48);
    if (dataStart < headerBytes || dataStart > size) {
      throw inputError('perf-damaged', `its records begin at byte ${dataStart} of ${size}`, path);
    }
    // perf writes the size when it ends: 0 means that it was killed.
    const end = dataSize === 0 ? size : Math.min(size, dataStart + dataSize);
    const perf = new PerfFile(path, file, { isPipe: false, start: dataStart, end });
    if (dataSize === 0) perf.damage.push('perf record did not end properly: no size in the header');
    else if (dataStart + dataSize > size) {
      perf.damage.push(`the file is cut off: ${size} of at least ${dataStart + dataSize} bytes`);
    }
    await perf.#readAttrs(number64(head, 16), number64(head, 24), number64(head, 32));
    if (dataSize > 0) await perf.#readFeatures(head.readBigUInt64LE(72), dataStart + dataSize);
    return perf;
  }

  async #readAttrs(entrySize: number, offset: number, length: number): Promise<void> {
    if (length === 0) return;
    if (entrySize < 16 + 48 || entrySize > maxAttrBytes || length / entrySize > maxAttrs) {
      throw inputError('perf-damaged', `its attributes have ${entrySize} bytes each`, this.path);
    }
    const table = await this.#section(offset, length, 'the table of events');
    for (let at = 0; at + entrySize <= table.length; at += entrySize) {
      const idsAt = number64(table, at + entrySize - 16);
      const idsLength = number64(table, at + entrySize - 8);
      if (idsLength > this.#idsLeft * 8) this.#tell(`more than ${maxIds} ids of events`);
      const taken = Math.min(idsLength, this.#idsLeft * 8);
      const ids = await this.#section(idsAt, taken, `the ids of event ${this.attrs.length + 1}`);
      this.#idsLeft -= Math.floor(ids.length / 8);
      this.attrs.push(parseAttr(table.subarray(at, at + entrySize - 16), idsOf(ids)));
    }
    if (length % entrySize !== 0) this.#tell('the table of events ends inside of an event');
  }

  /** As `read`; what reaches beyond the file is damage. @param what  names the section */
  #section(offset: number, length: number, what: string): Promise<Buffer> {
    this.#tellBeyond(offset, length, what);
    return this.read(Math.min(offset, this.size), length);
  }

  #tellBeyond(offset: number, length: number, what: string): void {
    if (length === 0 || offset + length <= this.size) return;
    const range = `${length} bytes from byte ${offset}`;
    this.#tell(`${what}: ${range} reach beyond the file, which has ${this.size}`);
  }

  /** The same once only: a damaged file may repeat itself. */
  #tell(what: string): void {
    if (!this.damage.includes(what) && this.damage.length < maxDamage) this.damage.push(what);
  }

  #pipeAttr(body: Buffer): void {
    const attr = this.attrs.length >= maxAttrs ? undefined : pipeAttr(body);
    if (attr !== undefined) this.attrs.push(attr);
  }

  /** The table of sections lies behind the data, one for each bit that is set. */
  async #readFeatures(bits: bigint, tableAt: number): Promise<void> {
    // A file that is cut off before says so already.
    if (tableAt > this.size) return;
    let entry = tableAt;
    for (let bit = 1; bit < 64; bit++) {
      if (((bits >> BigInt(bit)) & 1n) === 0n) continue;
      const section = await this.read(entry, 16);
      entry += 16;
      if (section.length < 16) {
        this.#tell('the sections behind the records are cut off');
        return;
      }
      const offset = number64(section, 0);
      const length = number64(section, 8);
      const what = `section ${bit} behind the records`;
      this.#tellBeyond(offset, length, what);
      if (!Object.values(Feature).some((known) => known === bit)) continue;
      const there = Math.max(0, Math.min(length, this.size - offset));
      if (there > maxFeatureBytes) this.#tell(`${what} is longer than ${maxFeatureBytes} bytes`);
      this.#feature(bit, await this.read(offset, Math.min(there, maxFeatureBytes)));
    }
  }

  #feature(bit: number, bytes: Buffer): void {
    switch (bit) {
      case Feature.buildId:
        for (let at = 0; at + 8 <= bytes.length; ) {
          const size = bytes.readUInt16LE(at + 6);
          if (size < 8 || at + size > bytes.length) {
            this.#tell('the list of build ids is damaged');
            return;
          }
          this.#buildId(bytes.subarray(at, at + size));
          at += size;
        }
        return;
      case Feature.version:
        this.version = this.#string(bytes, 'the version of perf');
        return;
      case Feature.arch:
        this.arch = this.#string(bytes, 'the architecture');
        return;
      case Feature.cmdline: {
        const words: string[] = [];
        let at = 4;
        while (at + 4 <= bytes.length && words.length < 4096) {
          words.push(lengthString(bytes.subarray(at)) ?? '');
          at += 4 + bytes.readUInt32LE(at);
        }
        if (at > bytes.length) this.#tell('the command line reaches beyond its section');
        this.commandLine = words.join(' ');
        return;
      }
    }
  }

  #string(bytes: Buffer, what: string): string | undefined {
    const length = bytes.length < 4 ? 0 : 4 + bytes.readUInt32LE(0);
    if (length > bytes.length) this.#tell(`${what} reaches beyond its section`);
    return lengthString(bytes);
  }

  /** Header, pid, 24 bytes for the id, the file's name. */
  #buildId(record: Buffer): void {
    if (record.length < 37) return;
    // Since Linux 5.12 the record says how long the id is; before it was always 20 bytes.
    const hasSize = (record.readUInt16LE(4) & 0x8000) !== 0;
    const length = hasSize ? Math.min(20, record[32]) : 20;
    const buildId = record.toString('hex', 12, 12 + length);
    this.buildIds.push({ path: cString(record, 36), buildId });
  }
}

/** What readers of records ask about the file that they are in. */
export type PerfFacts = Pick<PerfFile, 'path' | 'size' | 'attrs'>;

/** @returns what an attribute's record in a pipe says; `undefined` where it is none */
export function pipeAttr(body: Buffer): PerfAttr | undefined {
  if (body.length < 48) return undefined;
  const size = body.readUInt32LE(4);
  if (size < 48 || size > body.length) return undefined;
  return parseAttr(body.subarray(0, size), idsOf(body.subarray(size)));
}

/** @returns an unsigned 64-bit number as a double; above 2^53 rounded, which no valid offset reaches */
export function number64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at + 4) * 0x1_0000_0000 + bytes.readUInt32LE(at);
}

/** @returns the text up to the next zero byte */
export function cString(bytes: Buffer, at: number, end: number = bytes.length): string {
  const stop = bytes.indexOf(0, at);
  return bytes.toString('utf8', at, stop < 0 || stop > end ? end : stop);
}

function lengthString(bytes: Buffer): string | undefined {
  if (bytes.length < 4) return undefined;
  return cString(bytes, 4, Math.min(bytes.length, 4 + bytes.readUInt32LE(0)));
}

function parseAttr(bytes: Buffer, ids: readonly bigint[]): PerfAttr {
  const flags = bytes.readUInt32LE(40);
  const bit = (index: number): boolean => ((flags >>> index) & 1) === 1;
  return {
    type: bytes.readUInt32LE(0),
    config: number64(bytes, 8),
    // Newer fields lie above bit 31 or do not end records.
    sampleType: bytes.readUInt32LE(24),
    excludeKernel: bit(5),
    sampleIdAll: bit(18),
    usesClockId: bit(25),
    ids,
  };
}

function idsOf(bytes: Buffer): bigint[] {
  const count = Math.floor(bytes.length / 8);
  return Array.from({ length: count }, (_, index) => bytes.readBigUInt64LE(index * 8));
}

function inputError(code: string, message: string, path: string, cause?: unknown): UserError {
  return new UserError(code, message, { category: 'input', path, cause });
}
