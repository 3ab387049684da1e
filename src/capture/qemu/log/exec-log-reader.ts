import type { Address } from '../../../base/address.ts';
import { enlarged } from '../../../base/bytes/typed-array.ts';
import { Transfer } from '../../../x86/transfer.ts';
import type { Recording } from '../recording.ts';
import type { SystemCallLog } from './system-call-log.ts';

/** Executed translation blocks that are passed on at once. */
const batchSize = 16384;
/** QEMU runs no more; a greater number is text of the program's own making. */
const maxCpus = 4096;
const newline = 10;

interface Cpu {
  readonly batch: Uint32Array<ArrayBuffer>;
  length: number;
  /** Announced, perhaps not executed; -1 for none. */
  pending: number;
  /** The one before it; -1 for none. */
  previous: number;
}

/**
 * Reads QEMU's text log, as `-d in_asm,exec,nochain,strace,page` writes it (QEMU 7.2, `log_cpu_exec`
 * in `accel/tcg/cpu-exec.c`, `target_disas`, `linux-user/strace.c`).
 *
 * A block is announced before it runs: "Stopped execution" takes the announcement back.
 */
export class ExecLogReader {
  readonly #recording: Recording;
  readonly #calls: SystemCallLog;
  readonly #cpus: Map<number, Cpu> = new Map();
  #rest: Buffer = Buffer.alloc(0);
  /** Translation that the log is just listing. */
  #listing: { start: Address; last: Address; bytes: number[] } | undefined;
  #translations = 0;
  /** Newest translation by start. */
  readonly #newest: Map<Address, number> = new Map();
  /** Low half of each translation's start. */
  #startLow: Int32Array<ArrayBuffer> = new Int32Array(4096);
  /** Hash table from the low half of QEMU's own code address to a translation plus one; 0: empty. */
  #hostLow: Int32Array<ArrayBuffer> = new Int32Array(1 << 16);
  #hostId: Int32Array<ArrayBuffer> = new Int32Array(1 << 16);
  #hosts = 0;
  /** The next block may be a signal's handler. */
  #isSignalled = false;
  /** Where new threads begin. */
  readonly #threadStarts: Set<Address> = new Set();
  /** Threads that asked to end and whose CPU has not been seen again. */
  #ending = 0;

  constructor(recording: Recording, calls: SystemCallLog) {
    this.#recording = recording;
    this.#calls = calls;
  }

  add(chunk: Buffer): void {
    const end = chunk.lastIndexOf(newline) + 1;
    if (end === 0) {
      this.#rest = Buffer.concat([this.#rest, chunk]);
      return;
    }
    let bytes = chunk.subarray(0, end);
    if (this.#rest.length > 0) bytes = Buffer.concat([this.#rest, bytes]);
    this.#rest = Buffer.from(chunk.subarray(end));
    let at = 0;
    // After a fork the lines of two processes mingle.
    while (at < bytes.length && !this.#calls.hasForked) {
      const after = this.#executed(bytes, at);
      if (after > 0) {
        at = after;
        continue;
      }
      const stop = bytes.indexOf(newline, at);
      this.#line(bytes, at, stop);
      at = stop + 1;
    }
  }

  finish(): void {
    for (const cpu of this.#cpus.keys()) {
      this.#commit(cpu);
      this.#flush(cpu);
    }
  }

  /**
   * Reads `Trace CPU: 0xHOST [CSBASE/PC/FLAGS/CFLAGS] SYMBOL`.
   *
   * @returns the place after the line; -1 when it is no such line
   */
  #executed(bytes: Buffer, start: number): number {
    // "Trace "
    if (bytes[start] !== 0x54 || bytes[start + 1] !== 0x72 || bytes[start + 5] !== 0x20) return -1;
    let at = start + 6;
    let cpu = 0;
    let byte = bytes[at];
    while (byte >= 0x30 && byte <= 0x39) {
      cpu = cpu * 10 + byte - 0x30;
      byte = bytes[++at];
    }
    // ": 0x"
    at += 4;
    let host = 0;
    for (byte = bytes[at]; byte > 0x20; byte = bytes[++at]) host = (host << 4) | nibble(byte);
    // " [CSBASE/"
    at += 2;
    while (bytes[at] > 0x2f) at++;
    at++;
    const pcAt = at;
    let low = 0;
    for (byte = bytes[at]; byte > 0x2f; byte = bytes[++at]) low = (low << 4) | nibble(byte);
    if (byte !== 0x2f || cpu >= maxCpus) return -1;
    let id = this.#find(host);
    if (id < 0 || this.#startLow[id] !== low) {
      const pc = Number.parseInt(bytes.toString('latin1', pcAt, at), 16);
      const newest = this.#newest.get(pc);
      // Such a line without a translation is text of the program's own making.
      if (newest === undefined) return -1;
      id = newest;
      this.#bind(host, id);
    }
    this.#announce(cpu, id);
    while (bytes[at] !== newline) at++;
    return at + 1;
  }

  #find(host: number): number {
    const mask = this.#hostLow.length - 1;
    for (let slot = Math.imul(host, 0x9e3779b1) >>> 8; ; slot++) {
      const found = this.#hostId[slot & mask];
      if (found === 0) return -1;
      if (this.#hostLow[slot & mask] === host) return found - 1;
    }
  }

  #bind(host: number, id: number): void {
    if (this.#hosts * 2 > this.#hostLow.length) {
      const low = this.#hostLow;
      const ids = this.#hostId;
      this.#hostLow = new Int32Array(low.length * 2);
      this.#hostId = new Int32Array(low.length * 2);
      this.#hosts = 0;
      for (const [slot, found] of ids.entries()) if (found > 0) this.#bind(low[slot], found - 1);
    }
    const mask = this.#hostLow.length - 1;
    let slot = Math.imul(host, 0x9e3779b1) >>> 8;
    while (this.#hostId[slot & mask] !== 0 && this.#hostLow[slot & mask] !== host) slot++;
    if (this.#hostId[slot & mask] === 0) this.#hosts++;
    this.#hostLow[slot & mask] = host;
    this.#hostId[slot & mask] = id + 1;
  }

  #announce(number: number, id: number): void {
    const cpu = this.#commit(number);
    const { kind, start, end } = this.#recording.table;
    const before = kind[cpu.previous];
    if (this.#isSignalled) {
      this.#isSignalled = false;
      const at = start[id];
      const isOpen =
        before === Transfer.ret || before === Transfer.icall || before === Transfer.ijmp;
      if (isOpen && !this.#recording.handlers.has(at)) {
        // What came before went there by itself.
        for (const each of this.#cpus.keys()) this.#flush(each);
        this.#recording.handlers.add(at);
      }
    } else if (
      this.#ending > 0 &&
      before === Transfer.syscall &&
      start[id] !== end[cpu.previous] &&
      this.#threadStarts.has(start[id])
    ) {
      this.#ending--;
      this.#flush(number);
      this.#recording.endThread(number);
    }
    cpu.pending = id;
  }

  /** What was announced for a CPU has run. */
  #commit(number: number): Cpu {
    let cpu = this.#cpus.get(number);
    if (cpu === undefined) {
      cpu = { batch: new Uint32Array(batchSize), length: 0, pending: -1, previous: -1 };
      this.#cpus.set(number, cpu);
    }
    if (cpu.pending < 0) return cpu;
    cpu.batch[cpu.length++] = cpu.pending;
    cpu.previous = cpu.pending;
    cpu.pending = -1;
    if (cpu.length === batchSize) this.#flush(number);
    return cpu;
  }

  #flush(number: number): void {
    const cpu = this.#cpus.get(number);
    if (cpu === undefined || cpu.length === 0) return;
    this.#recording.execute(number, cpu.batch.subarray(0, cpu.length));
    cpu.length = 0;
  }

  #line(bytes: Buffer, start: number, end: number): void {
    const text = bytes.toString('latin1', start, end);
    if (this.#listing !== undefined && this.#listed(text)) return;
    if (text.startsWith('IN:')) {
      this.#listing = { start: 0, last: 0, bytes: [] };
      return;
    }
    const stopped = /^Stopped execution of TB chain before \S+ \[([0-9a-f]+)\]/.exec(text);
    if (stopped !== null) {
      const at = Number.parseInt(stopped[1] ?? '', 16);
      for (const cpu of this.#cpus.values()) {
        if (this.#recording.table.start[cpu.pending] !== at) continue;
        cpu.pending = -1;
        break;
      }
      return;
    }
    // A system call's line can be cut by that of a block.
    const inside = text.indexOf('Trace ');
    if (inside > 0 && this.#executed(bytes, start + inside) > 0) {
      this.#call(text.slice(0, inside));
      return;
    }
    this.#call(text);
  }

  #call(text: string): void {
    switch (this.#calls.add(text)) {
      case 'signal':
        this.#isSignalled = true;
        return;
      case 'thread-start':
        for (const { pending } of this.#cpus.values()) {
          const { kind, end } = this.#recording.table;
          if (kind[pending] === Transfer.syscall) this.#threadStarts.add(end[pending]);
        }
        return;
      case 'thread-end':
        this.#ending++;
        return;
      default:
        return;
    }
  }

  /** Reads a line of a listing. @returns whether it was one; the first other line ends the listing */
  #listed(text: string): boolean {
    const listing = this.#listing;
    if (listing === undefined) return false;
    const row = /^0x([0-9a-f]+):\s+((?:[0-9a-f]{2} )*[0-9a-f]{2})(\s+\S)?/.exec(text);
    if (row === null) {
      this.#listing = undefined;
      if (listing.bytes.length === 0) return text === '';
      const id = this.#translations++;
      if (id >= this.#startLow.length) this.#startLow = enlarged(this.#startLow, id * 2);
      this.#startLow[id] = Number(BigInt.asIntN(32, BigInt(listing.start)));
      this.#newest.set(listing.start, id);
      this.#recording.translate(id, listing.start, listing.last, new Uint8Array(listing.bytes));
      return text === '';
    }
    const [, address = '', code = '', instruction] = row;
    const at = Number.parseInt(address, 16);
    if (listing.bytes.length === 0) listing.start = at;
    // Instructions of more than eight bytes take two lines, the second without text.
    if (instruction !== undefined) listing.last = at;
    for (const byte of code.split(' ')) listing.bytes.push(Number.parseInt(byte, 16));
    return true;
  }
}

function nibble(byte: number): number {
  return (byte & 15) + (byte >> 6) * 9;
}
