import { enlarged } from '../../base/bytes/typed-array.ts';
import { type CallId, lostCalls } from './log.ts';

/**
 * No honest log has more. A small one that claims more, by a run length or by a new name in every
 * line, must not fill the memory: what is beyond is left out, and counted.
 */
export const logLimits: Readonly<Record<'calls' | 'names' | 'threads' | 'processes', number>> = {
  calls: 1 << 25,
  names: 1 << 16,
  threads: 1 << 16,
  processes: 1 << 16,
};

/** Longest name of a call, in characters. */
const longestName = 256;

/** Gathers the calls of a log, in 4 bytes each. */
export class CallRecorder {
  readonly names: (string | number)[] = [];
  readonly processes: ProcessCalls[] = [];
  readonly leftOut: LeftOut = new LeftOut();
  readonly #ids: Map<string | number, CallId> = new Map();
  #calls = 0;
  #threads = 0;

  /** @returns `undefined` when there are too many */
  addProcess(): ProcessCalls | undefined {
    if (this.processes.length === logLimits.processes) {
      this.leftOut.add(`processes beyond the first ${logLimits.processes}`, () => '');
      return undefined;
    }
    const made = new ProcessCalls();
    this.processes.push(made);
    return made;
  }

  /**
   * @param name  of the call, or its number
   * @param times  how often in a row it was made, at least 1
   * @param place  where in the log this is
   */
  add(
    process: ProcessCalls,
    thread: string,
    name: string | number,
    times: number,
    place: () => string,
  ): void {
    const call = this.#idOf(name);
    if (call === undefined) {
      const isLong = typeof name === 'string' && name.length > longestName;
      const why = isLong
        ? `calls with names longer than ${longestName} characters`
        : `calls of names beyond the first ${logLimits.names}`;
      this.lose(process, why, place);
      return;
    }
    let calls = process.find(thread);
    if (calls === undefined) {
      if (this.#threads === logLimits.threads) {
        this.lose(process, `calls of threads beyond the first ${logLimits.threads}`, place);
        return;
      }
      this.#threads++;
      calls = process.addThread(thread);
    }
    const room = logLimits.calls - this.#calls;
    const count = Math.min(times, room);
    this.#calls += count;
    process.add(calls, call, count);
    if (count < times) this.lose(process, `calls beyond the first ${logLimits.calls}`, place);
  }

  /** Something of a process was left out: windows do not run across it. */
  lose(process: ProcessCalls, reason: string, place: () => string): void {
    this.leftOut.add(reason, place);
    process.addLoss();
  }

  #idOf(name: string | number): CallId | undefined {
    const known = this.#ids.get(name);
    if (known !== undefined) return known;
    if (typeof name === 'string' && name.length > longestName) return undefined;
    const id = this.names.length;
    if (id === logLimits.names) return undefined;
    this.names.push(name);
    this.#ids.set(name, id);
    return id;
  }
}

/** What a log says of one process. */
export class ProcessCalls {
  id: number | undefined;
  parent: number | undefined;
  name = '';
  /** A thread of its parent: Linux gives threads numbers as to processes. */
  isThread = false;
  /** Belongs to what the sandbox was asked to run, as far as it says. */
  isTracked = true;
  calls = 0;
  readonly #threads: Map<string, ThreadCalls> = new Map();
  #losses = 0;

  find(thread: string): ThreadCalls | undefined {
    return this.#threads.get(thread);
  }

  addThread(thread: string): ThreadCalls {
    const made = new ThreadCalls(this.#losses);
    this.#threads.set(thread, made);
    return made;
  }

  add(thread: ThreadCalls, call: CallId, times: number): void {
    thread.catchUp(this.#losses);
    for (let i = 0; i < times; i++) thread.add(call);
    this.calls += times;
  }

  /** In all threads, since nobody knows whose calls were lost. */
  addLoss(): void {
    this.#losses++;
  }

  /** In the order of their first calls. */
  finish(): Int32Array[] {
    return [...this.#threads.values()].map((thread) => {
      thread.catchUp(this.#losses);
      return thread.calls;
    });
  }
}

/** Calls of one thread so far. */
class ThreadCalls {
  #calls: Int32Array<ArrayBuffer> = new Int32Array(8);
  #length = 0;
  /** Losses of its process that it has taken note of. */
  #losses: number;

  constructor(losses: number) {
    this.#losses = losses;
  }

  add(call: number): void {
    if (this.#length === this.#calls.length) {
      this.#calls = enlarged(this.#calls, this.#calls.length * 2);
    }
    this.#calls[this.#length++] = call;
  }

  /** One gap, however much was lost. */
  catchUp(losses: number): void {
    if (this.#losses === losses) return;
    this.#losses = losses;
    if (this.#calls[this.#length - 1] !== lostCalls) this.add(lostCalls);
  }

  get calls(): Int32Array {
    return this.#calls.subarray(0, this.#length);
  }
}

/** Counts what a reader leaves out, and keeps the first place for each reason. */
export class LeftOut {
  readonly #reasons: Map<string, { count: number; readonly place: string }> = new Map();

  /** @param reason  a plural: "words that are no number" */
  add(reason: string, place: () => string): void {
    const before = this.#reasons.get(reason);
    if (before === undefined) this.#reasons.set(reason, { count: 1, place: place() });
    else before.count++;
  }

  /** `left out: words that are no number (3, the first at byte 17)` */
  get notes(): readonly string[] {
    return [...this.#reasons].map(([reason, { count, place }]) => {
      const where = place === '' ? '' : `, ${count === 1 ? '' : 'the first '}${place}`;
      return `left out: ${reason} (${count}${where})`;
    });
  }
}
