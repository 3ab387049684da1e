import { enlarged } from '../base/typed-array.ts';

/** Index into the `names` of one log. */
export type CallId = number;

/** Stands between calls where something was lost: windows do not run across it. */
export const lostCalls = -1;

export type CallLogFormat = 'report' | 'strace' | 'integers';

/** What one log holds: the calls of each thread, in order. */
export interface CallLog {
  readonly format: CallLogFormat;
  /** Names of calls, or their numbers, by `CallId`. */
  readonly names: readonly (string | number)[];
  /** Threads in the order in which they first called; `lostCalls` or a `CallId` each. */
  readonly threads: readonly Int32Array[];
  /** What was left out or cut off, for the user. */
  readonly notes: readonly string[];
}

/** Calls of one thread so far: 4 bytes a call. */
export class ThreadCalls {
  #calls: Int32Array<ArrayBuffer> = new Int32Array(64);
  length = 0;

  add(call: CallId): void {
    if (this.length === this.#calls.length) {
      this.#calls = enlarged(this.#calls, this.#calls.length * 2);
    }
    this.#calls[this.length++] = call;
  }

  /** One gap, however much was lost. Nothing is lost before the first call. */
  addLoss(): void {
    if (this.length > 0 && this.#calls[this.length - 1] !== lostCalls) this.add(lostCalls);
  }

  get calls(): Int32Array {
    return this.#calls.subarray(0, this.length);
  }
}

/** Numbers the calls of a log in the order of their first appearance. */
export class CallNames {
  readonly #ids: Map<string | number, CallId> = new Map();
  readonly names: (string | number)[] = [];

  idOf(name: string | number): CallId {
    const known = this.#ids.get(name);
    if (known !== undefined) return known;
    const id = this.names.length;
    this.names.push(name);
    this.#ids.set(name, id);
    return id;
  }
}

/** Counts what a reader leaves out, and keeps the first place of each reason. */
export class LeftOut {
  readonly #reasons: Map<string, { count: number; readonly first: string }> = new Map();

  /** @param reason  a plural: "words that are no number" */
  add(reason: string, place: string): void {
    const before = this.#reasons.get(reason);
    if (before === undefined) this.#reasons.set(reason, { count: 1, first: place });
    else before.count++;
  }

  /** `left out 3 words that are no number, the first at byte 17` */
  get notes(): readonly string[] {
    return [...this.#reasons].map(
      ([reason, { count, first }]) =>
        `left out ${count} ${reason}, ${count === 1 ? '' : 'the first '}${first}`,
    );
  }
}
