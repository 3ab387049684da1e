import type { LineFormat, Said } from './line-format.ts';
import { eachLine } from './lines.ts';
import { CallRecorder, ProcessCalls } from './recorder.ts';

/**
 * Reads a log that has a line for each event. A line that is none of the format is left out and
 * counted, and no window runs across it.
 *
 * @returns one process for each number, or for each name where the log has no numbers; arguments,
 *   results and times are left out
 */
export async function readLineLog(
  input: AsyncIterable<Uint8Array>,
  format: LineFormat,
): Promise<CallRecorder> {
  const reader = new LineLogReader(format);
  const { rest } = await eachLine(input, (line) => reader.line(line));
  if (rest !== '') reader.line(rest);
  reader.finish();
  return reader.recorder;
}

/** Lines that one record of CSV may take: a detail may hold line breaks. */
const mostLinesOfRecord = 64;

class LineLogReader {
  readonly recorder: CallRecorder = new CallRecorder();
  readonly #format: LineFormat;
  readonly #processes: Map<string, ProcessCalls> = new Map();
  /** Stands for processes beyond the limit; nothing of it is kept. */
  readonly #surplus: ProcessCalls = new ProcessCalls();
  #parse: ((line: string) => Said | undefined) | undefined;
  #lines = 0;
  /** Lines of a record that is not closed yet. */
  #open: string[] = [];

  constructor(format: LineFormat) {
    this.#format = format;
    this.#parse = format.parse;
  }

  line(line: string): void {
    this.#lines++;
    if (this.#parse === undefined) {
      this.#parse = this.#format.header?.(line);
      if (this.#parse === undefined) this.#lose();
      return;
    }
    if (this.#format.header === undefined) {
      this.#record(line);
      return;
    }
    this.#open.push(line);
    const isOpen = hasOpenQuote(this.#open);
    if (isOpen && this.#open.length < mostLinesOfRecord) return;
    this.#record(this.#open.join('\n'));
    this.#open = [];
  }

  finish(): void {
    if (this.#open.length > 0) this.#record(this.#open.join('\n'));
  }

  #record(text: string): void {
    if (text.trim() === '') return;
    const said = this.#parse?.(text.replace(/\r$/, ''));
    if (said === undefined) this.#lose();
    else if (said !== 'no call') {
      const process = this.#processOf(said.process, said.processName);
      const at = this.#lines;
      this.recorder.add(process, said.thread, said.name, 1, () => `in line ${at}`);
    }
  }

  #lose(): void {
    const at = this.#lines;
    this.recorder.leftOut.add(
      `lines that are not those of ${this.#format.title}`,
      () => `line ${at}`,
    );
    for (const process of this.#processes.values()) process.addLoss();
  }

  #processOf(id: number | undefined, name: string): ProcessCalls {
    const key = id === undefined ? name : String(id);
    const known = this.#processes.get(key);
    if (known !== undefined) {
      // A program that another one became.
      if (name !== '') known.name = name;
      return known;
    }
    const made = this.recorder.addProcess();
    if (made === undefined) return this.#surplus;
    made.id = id;
    made.name = name;
    this.#processes.set(key, made);
    return made;
  }
}

function hasOpenQuote(lines: readonly string[]): boolean {
  let quotes = 0;
  for (const line of lines) for (const character of line) if (character === '"') quotes++;
  return quotes % 2 === 1;
}
