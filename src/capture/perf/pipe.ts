import { UserError } from '../../base/errors.ts';
import { number64, type PerfAttr, type PerfFacts, pipeAttr, RecordType } from './file.ts';
import { type LifeEvent, PerfRecords } from './records.ts';

const magic = 0x32454c4946524550n; // "PERFILE2"
const headerBytes = 16;
const traceHeaderBytes = 48;
/** Trace of one round that waits for the records that belong to it. */
const mostHeldBytes = 1 << 28;

/** Who listens to a pipe of perf. */
export interface PerfPipeListener {
  /** Something happened to a process; told before the trace that depends on it. */
  readonly onEvent: (event: LifeEvent) => void;
  /** @param tid  thread whose buffer it is; @param cpu  -1, or the processor whose buffer it is */
  readonly onTrace: (tid: number, cpu: number, bytes: Uint8Array) => void;
}

/**
 * Reads what `perf record -o -` writes, as it comes. Records of mappings and threads stand in other buffers than
 * the trace and come a little later; so trace waits until perf has gone round its buffers once more.
 *
 * @see perf.data-file-format.txt, "Pipe-mode data", in the kernel's `tools/perf/Documentation`
 */
export class PerfPipe implements PerfFacts {
  readonly path: string;
  readonly attrs: PerfAttr[] = [];
  /** Of a pipe, nobody knows. */
  readonly size: number = Number.MAX_SAFE_INTEGER;
  readonly #listener: PerfPipeListener;
  readonly #records: PerfRecords;
  #rest: Buffer = Buffer.alloc(0);
  #hasHeader = false;
  /** Bytes that follow the record before: of a trace, or of something that is passed over. */
  #following = 0;
  #trace: { readonly tid: number; readonly cpu: number } | undefined;
  /** Of this round, and of the round before. */
  #held: { readonly tid: number; readonly cpu: number; readonly bytes: Uint8Array }[] = [];
  #ripe: { readonly tid: number; readonly cpu: number; readonly bytes: Uint8Array }[] = [];
  #heldBytes = 0;

  /** @param path  for messages only */
  constructor(path: string, listener: PerfPipeListener) {
    this.path = path;
    this.#listener = listener;
    this.#records = new PerfRecords(this);
  }

  /** What the recording lacks, and how it was made. */
  get records(): Pick<PerfRecords, 'losses' | 'info'> {
    return this.#records;
  }

  /** @param chunk  cut anywhere; @throws UserError `not-perf-data`, `perf-damaged`, `perf-compressed`, `perf-other-trace` */
  add(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    if (!this.#hasHeader) {
      if (bytes.length < headerBytes) {
        this.#rest = bytes;
        return;
      }
      this.#checkHeader(bytes);
      bytes = bytes.subarray(headerBytes);
    }
    let at = 0;
    while (at < bytes.length) {
      const used = this.#following > 0 ? this.#follow(bytes, at) : this.#record(bytes, at);
      if (used === 0) break;
      at += used;
    }
    // A copy, so that a whole chunk is not held for the sake of a few bytes.
    this.#rest = Buffer.from(bytes.subarray(at));
  }

  /** No more comes. @returns whether it ended inside of a record */
  end(): boolean {
    this.#round();
    this.#round();
    return this.#rest.length > 0 || this.#following > 0;
  }

  #checkHeader(bytes: Buffer): void {
    const isPipe = bytes.readBigUInt64LE(0) === magic && number64(bytes, 8) === headerBytes;
    if (!isPipe) {
      throw new UserError(
        'not-perf-data',
        'is not what perf record -o - writes; a file that is there already is for judge',
        { category: 'input', path: this.path },
      );
    }
    this.#hasHeader = true;
  }

  /** @returns bytes used */
  #follow(bytes: Buffer, at: number): number {
    const taken = Math.min(this.#following, bytes.length - at);
    this.#following -= taken;
    if (this.#trace !== undefined) {
      this.#held.push({ ...this.#trace, bytes: new Uint8Array(bytes.subarray(at, at + taken)) });
      this.#heldBytes += taken;
      if (this.#following === 0) this.#trace = undefined;
      if (this.#heldBytes > mostHeldBytes) this.#round();
    }
    return taken;
  }

  /** @returns bytes used; 0 = the record is not there as a whole */
  #record(bytes: Buffer, at: number): number {
    if (bytes.length - at < 8) return 0;
    const size = bytes.readUInt16LE(at + 6);
    if (size < 8) {
      throw new UserError('perf-damaged', 'bytes that are no record come', {
        ...{ category: 'input', path: this.path },
      });
    }
    if (bytes.length - at < size) return 0;
    const type = bytes.readUInt32LE(at);
    const body = bytes.subarray(at + 8, at + size);
    if (type === RecordType.attr) this.#addAttr(body);
    if (type === RecordType.auxtrace && size >= traceHeaderBytes) {
      this.#following = number64(body, 0);
      this.#trace = { tid: body.readInt32LE(28), cpu: body.readInt32LE(32) };
    } else {
      this.#records.add({ type, misc: bytes.readUInt16LE(at + 4), offset: 0, body });
    }
    if (type === RecordType.tracingData && body.length >= 4) {
      this.#following = Math.ceil(body.readUInt32LE(0) / 8) * 8;
    }
    if (type === RecordType.finishedRound) this.#round();
    return size;
  }

  #addAttr(body: Buffer): void {
    const attr = pipeAttr(body);
    if (attr !== undefined) this.attrs.push(attr);
  }

  /** What came in the round before is told, after what happened up to now. */
  #round(): void {
    const { events } = this.#records;
    for (const event of events.splice(0)) this.#listener.onEvent(event);
    for (const { tid, cpu, bytes } of this.#ripe) this.#listener.onTrace(tid, cpu, bytes);
    this.#ripe = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
  }
}
