import { eachLine } from './lines.ts';
import { CallRecorder, ProcessCalls } from './recorder.ts';

/**
 * Reads the output of `strace`, with `-f` or without, with any of its time stamps.
 *
 * A call counts where it was entered: what is `<unfinished ...>` counts, where it is `resumed` does
 * not. Signals and exits are no calls.
 *
 * @returns one process for each number; those of threads say so
 */
export async function readStrace(input: AsyncIterable<Uint8Array>): Promise<CallRecorder> {
  const reader = new StraceReader();
  const { rest, bytes } = await eachLine(input, (line) => reader.line(line));
  if (rest !== '') {
    // Every line that strace wrote whole ends in a line break.
    reader.line(rest);
    reader.breakOff(bytes);
  }
  return reader.recorder;
}

/** Characters of a call that are kept until the rest of it comes. */
const longestStart = 1024;

/** What a line says behind its process number and time stamps. */
export type StraceLine =
  | { readonly kind: 'call'; readonly name: string; readonly rest: string }
  | { readonly kind: 'resumed'; readonly name: string | undefined; readonly rest: string }
  | { readonly kind: 'exit' }
  /** Signals, stack traces, messages of strace itself. */
  | { readonly kind: 'other' };

export interface ParsedLine {
  /** Of the process or thread; empty when the line has none. */
  readonly number: string;
  readonly said: StraceLine;
}

/** `1234 `, or `[pid  1234] ` on a terminal; with `-Y` the name of the program stands behind it. */
const numberPattern = /^(?:\[pid +(\d+)(?:<[^>]*>)?\] |(\d+)(?:<[^>]*>)? +)/;
/** Time stamps of `-t`, `-tt`, `-ttt` and `-r`, the address of `-i`, the number of `-n`. */
const stampPattern = /^ *(?:\d\d:\d\d:\d\d(?:\.\d+)?|\(?\+? *\d+\.\d+\)?|\[ *[0-9a-f?]+\])(?: |$)/i;
const callPattern = /^([A-Za-z_?][\w?.]*)\(/;
const resumedPattern = /^<\.\.\. (?:([\w?.]+) )?resumed>/;
const otherPattern = /^(?:--- |strace: |\[ Process |> |$)/;

/** @returns `undefined` when it is no line of strace */
export function parseStraceLine(line: string): ParsedLine | undefined {
  const numbered = numberPattern.exec(line);
  let rest = line.slice(numbered?.[0].length ?? 0);
  for (let i = 0; i < 4; i++) {
    const stamp = stampPattern.exec(rest);
    if (stamp === null) break;
    rest = rest.slice(stamp[0].length);
  }
  rest = rest.trim();
  const number = numbered?.[1] ?? numbered?.[2] ?? '';
  const call = callPattern.exec(rest)?.[1];
  if (call !== undefined) return { number, said: { kind: 'call', name: call, rest } };
  const resumed = resumedPattern.exec(rest);
  if (resumed !== null) return { number, said: { kind: 'resumed', name: resumed[1], rest } };
  if (rest.startsWith('+++ ')) return { number, said: { kind: 'exit' } };
  if (otherPattern.test(rest)) return { number, said: { kind: 'other' } };
  return undefined;
}

/** On a terminal strace writes this into the middle of a call's line. */
const attachedPattern = /strace: Process (\d+) attached$/;

class StraceReader {
  readonly recorder: CallRecorder = new CallRecorder();
  readonly #processes: Map<string, ProcessCalls> = new Map();
  /** Those that have not exited. */
  readonly #alive: Set<ProcessCalls> = new Set();
  /** Calls that are unfinished, up to there. */
  readonly #unfinished: Map<ProcessCalls, string> = new Map();
  /** Stands for processes beyond the limit; nothing of it is kept. */
  readonly #surplus: ProcessCalls = new ProcessCalls();
  #lines = 0;
  /** Start of a line that was torn in two. */
  #torn = '';
  #last: ProcessCalls | undefined;

  line(line: string): void {
    this.#lines++;
    const attached = attachedPattern.exec(line);
    // Otherwise the first number on a terminal would be taken for that of the first process.
    if (attached !== null && !this.#processes.has(attached[1])) this.#add(attached[1]);
    const isTorn = attached !== null && attached.index > 0;
    let text = isTorn ? line.replace(attachedPattern, '') : line;
    let parsed = parseStraceLine(text);
    if (this.#torn !== '') {
      if (parsed === undefined) {
        text = this.#torn + text;
        parsed = parseStraceLine(text);
      } else {
        const whole = parseStraceLine(this.#torn);
        if (whole !== undefined) this.#take(whole);
      }
      this.#torn = '';
    }
    if (isTorn) this.#torn = text.slice(0, longestStart);
    else if (parsed !== undefined) this.#take(parsed);
    else {
      this.recorder.leftOut.add('lines that are none of strace', this.#where);
      this.#last?.addLoss();
    }
  }

  breakOff(offset: number): void {
    this.recorder.leftOut.add('ends of lines that were cut off', () => `at byte ${offset}`);
    for (const process of this.#processes.values()) process.addLoss();
  }

  #take({ number, said }: ParsedLine): void {
    if (said.kind === 'other') return;
    const process = this.#processOf(number);
    this.#last = process;
    if (said.kind === 'exit') {
      this.#alive.delete(process);
    } else if (said.kind === 'call') {
      this.recorder.add(process, '', said.name, 1, this.#where);
      if (!said.rest.endsWith('<unfinished ...>')) this.#learn(process, said.name, said.rest);
      else if (process !== this.#surplus)
        this.#unfinished.set(process, said.rest.slice(0, longestStart));
    } else {
      const start = this.#unfinished.get(process);
      this.#unfinished.delete(process);
      const name = said.name ?? callPattern.exec(start ?? '')?.[1] ?? '?';
      // A log may begin between the two halves of a call.
      if (start === undefined) this.recorder.add(process, '', name, 1, this.#where);
      this.#learn(process, name, `${start ?? ''}${said.rest}`);
    }
  }

  /** Takes in what a call says about processes. @param line  the call with its result */
  #learn(process: ProcessCalls, name: string, line: string): void {
    if (name === 'execve' || name === 'execveat') {
      const path = /"([^"]*)"/.exec(line)?.[1];
      if (path !== undefined && /\) += 0\b/.test(line)) {
        process.name = path.slice(path.lastIndexOf('/') + 1);
      }
    } else if (/^(?:clone3?|v?fork)$/.test(name)) {
      const number = /\) += (\d+)/.exec(line)?.[1];
      if (number === undefined) return;
      const child = this.#processes.get(number) ?? this.#add(number);
      child.parent = process.id;
      child.isThread = line.includes('CLONE_THREAD');
      if (child.name === '') child.name = process.name;
    }
  }

  /** @returns the process that a line is about */
  #processOf(number: string): ProcessCalls {
    const known = this.#processes.get(number);
    const [only] = this.#alive;
    // On a terminal strace gives no number while it watches one process only.
    if (number === '') {
      return this.#alive.size === 1 && only !== undefined ? only : (known ?? this.#add(number));
    }
    const first = this.#processes.get('');
    if (known !== undefined || first === undefined || first.id !== undefined) {
      return known ?? this.#add(number);
    }
    first.id = Number(number);
    this.#processes.set(number, first);
    return first;
  }

  #add(number: string): ProcessCalls {
    const made = this.recorder.addProcess();
    if (made === undefined) return this.#surplus;
    if (number !== '') made.id = Number(number);
    this.#processes.set(number, made);
    this.#alive.add(made);
    return made;
  }

  readonly #where = (): string => `in line ${this.#lines}`;
}
