import { UserError } from '../../../base/errors.ts';
import { number64, type PerfAttr, type PerfFacts, pipeAttr, RecordType } from '../records/file.ts';
import { type LifeEvent, PerfRecords } from '../records/records.ts';

const magic = 0x32454c4946524550n; // "PERFILE2"
const headerBytes = 16;
const traceHeaderBytes = 48;
/** Trace of one round that waits for the records that belong to it. */
const mostHeldBytes = 1 << 28;

/** Who listens to a pipe of perf. */
export interface PerfPipeListener {
  /** Something happened to a process; told before the trace that depends on it. */
  readonly onEvent: (event: LifeEvent) => void;
  /** The next bytes of a buffer, or those behind a loss. */
  readonly onTrace: (trace: PipeTrace) => void;
  /** Perf has gone round its buffers once more, and what can be told is told. */
  readonly onRound: () => void;
}

/** Some bytes of the trace of one buffer. */
export interface PipeTrace {
  /** -1 = a buffer of a thread, not of a processor. */
  readonly cpu: number;
  readonly tid: number;
  /** Position of the first of them in all that the buffer gave. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/**
 * Reads what `perf record -o -` writes, as it comes. Perf goes round its buffers: in a round it reads of each what is
 * there, records first, then trace. So what happened before some trace was read is there at the end of the next round;
 * and since perf comes to one buffer later than to another, what is there is known to be all only up to the last
 * record of the round before. Records are told in the order of time up to there; trace waits for two rounds.
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
  #trace: { readonly tid: number; readonly cpu: number; offset: number } | undefined;
  /** Trace by the round that it came in, this one's first. */
  readonly #held: PipeTrace[][] = [[], [], []];
  #heldBytes = 0;
  /** Records that are not told yet. */
  #events: LifeEvent[] = [];
  /** Time of the last record of all rounds before this one. */
  #latest = 0;

  /** @param path  for messages only */
  constructor(path: string, listener: PerfPipeListener) {
    this.path = path;
    this.#listener = listener;
    this.#records = new PerfRecords(this);
  }

  /** How the recording was made, and where trace was lost. */
  get records(): Pick<PerfRecords, 'info' | 'breaks'> {
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
    for (let round = 0; round <= this.#held.length; round++) this.#round();
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
      const own = new Uint8Array(bytes.subarray(at, at + taken));
      this.#held[0].push({ ...this.#trace, bytes: own });
      this.#trace.offset += taken;
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
      this.#trace = {
        ...{ tid: body.readInt32LE(28), cpu: body.readInt32LE(32) },
        offset: number64(body, 8),
      };
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

  /** Tells what nothing can come before any more. */
  #round(): void {
    const come = this.#records.events.splice(0);
    const before = this.#latest;
    this.#latest = come.reduce((time, event) => Math.max(time, event.time), before);
    // The sort keeps the order of those of one moment.
    const waiting = [...this.#events, ...come].sort((a, b) => a.time - b.time);
    this.#events = waiting.filter(({ time }) => time > before);
    for (const event of waiting) if (event.time <= before) this.#listener.onEvent(event);
    const ripe = this.#held.pop() ?? [];
    this.#held.unshift([]);
    for (const trace of ripe) {
      this.#heldBytes -= trace.bytes.length;
      this.#listener.onTrace(trace);
    }
    this.#listener.onRound();
  }
}
