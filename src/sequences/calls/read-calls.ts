import { UserError } from '../../base/errors.ts';
import { streamMaybeGzip } from '../../base/files/read.ts';
import { largest, largestOfTarget, namesOf, processesCalled } from './calling-process.ts';
import { readIntegers } from './integer-log.ts';
import { lineFormats } from './line-formats.ts';
import { readLineLog } from './line-log.ts';
import type { CallLog, CallLogFormat } from './log.ts';
import { recognize } from './recognize.ts';
import type { CallRecorder, ProcessCalls } from './recorder.ts';
import { readReport } from './report-log.ts';
import { readStrace } from './strace-log.ts';
import { isZip, readZippedLog, ZipProblem } from './zipped-log.ts';

export interface CallLogOptions {
  /** `undefined`: told by the content. */
  readonly format?: CallLogFormat | undefined;
  /**
   * The process whose calls count, by number or name. Without it, of a sandbox report the one of the
   * target's that made the most calls, of other logs all of them.
   */
  readonly process?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads a log of calls, compressed with gzip or not. What is damaged or cut off is left out, and
 * noted.
 *
 * @throws UserError when the file cannot be read, is no such log, has no such process or no call
 */
export function readCallLog(path: string, options: CallLogOptions = {}): Promise<CallLog> {
  return readCalls(streamMaybeGzip(path), path, options);
}

/** As `readCallLog`. @param path  for messages only */
export async function readCalls(
  bytes: AsyncIterable<Uint8Array>,
  path: string,
  options: CallLogOptions = {},
): Promise<CallLog> {
  const notes: string[] = [];
  let isCutOff = false;
  const whole = tolerant(bytes, options.signal, () => {
    isCutOff = true;
    notes.push('the gzip data is cut off or damaged: what came before counts');
  });
  const fail = (code: string, problem: string): UserError => {
    const why = notes.length === 0 ? '' : `: ${notes.join('; ')}`;
    return new UserError(code, problem + why, { category: 'input', path });
  };
  const { head, isWhole, input } = await unzipped(await startOf(whole), fail);
  const told = options.format === undefined ? recognize(head, isWhole) : options;
  const { format } = told;
  if (format === undefined) {
    // Lets go of the file.
    await whole.return(undefined);
    throw fail('no-call-log', 'problem' in told ? told.problem : '');
  }
  const { recorder, processes } = await read(format, input, options.process, notes, fail);
  if (isCutOff) for (const process of processes) process.addLoss();
  const threads = processes.flatMap((process) => process.finish());
  notes.push(...recorder.leftOut.notes);
  if (!processes.some(({ calls }) => calls > 0)) throw fail('no-calls', 'holds no call');
  return { format, names: recorder.names, threads, notes };
}

type Fail = (code: string, problem: string) => UserError;

interface Chosen {
  readonly recorder: CallRecorder;
  readonly processes: readonly ProcessCalls[];
}

async function read(
  format: CallLogFormat,
  input: AsyncIterable<Uint8Array>,
  wanted: string | undefined,
  notes: string[],
  fail: Fail,
): Promise<Chosen> {
  if (format === 'integers') {
    const recorder = await readIntegers(input);
    return { recorder, processes: recorder.processes };
  }
  if (format !== 'report') {
    const lines = lineFormats.find(({ name }) => name === format);
    const recorder = await (lines === undefined ? readStrace(input) : readLineLog(input, lines));
    const all = recorder.processes;
    if (wanted === undefined) return { recorder, processes: all };
    return { recorder, processes: withThreads(all, processCalled(all, wanted, notes, fail)) };
  }
  const { recorder, target, hasBehavior, damage } = await readReport(input);
  if (damage !== undefined) notes.push(`the report ${damage}`);
  if (recorder.processes.length === 0) {
    notes.push(...recorder.leftOut.notes);
    throw fail('no-behavior', hasBehavior ? 'names no process' : 'has no behavior');
  }
  if (wanted !== undefined) {
    return { recorder, processes: [processCalled(recorder.processes, wanted, notes, fail)] };
  }
  const process = largestOfTarget(recorder.processes, target);
  return { recorder, processes: process === undefined ? [] : [process] };
}

/** @throws UserError when no process is called so */
function processCalled(
  processes: readonly ProcessCalls[],
  wanted: string,
  notes: string[],
  fail: Fail,
): ProcessCalls {
  const found = processesCalled(processes, wanted);
  const process = largest(found);
  if (process === undefined) {
    throw fail('no-process', `has no process "${wanted}", but ${namesOf(processes)}`);
  }
  if (found.length > 1) {
    notes.push(
      `${found.length} processes are called ${wanted}: the one with the most calls counts`,
    );
  }
  return process;
}

/** A process and what it started as its threads. */
function withThreads(
  processes: readonly ProcessCalls[],
  leader: ProcessCalls,
): readonly ProcessCalls[] {
  const numbers = new Set([leader.id]);
  // A thread is known by its own number to the threads that it starts; those come later.
  return processes.filter((process) => {
    const isOwn = process === leader || (process.isThread && numbers.has(process.parent));
    if (isOwn) numbers.add(process.id);
    return isOwn;
  });
}

/** A log whose first bytes are known. */
interface Started {
  readonly head: Buffer;
  readonly isWhole: boolean;
  readonly input: AsyncIterable<Uint8Array>;
}

/** @returns the log in a zip, or what was given @throws UserError */
async function unzipped(started: Started, fail: Fail): Promise<Started> {
  if (!isZip(started.head)) return started;
  try {
    const bytes = await readZippedLog(started.input);
    return startOf(
      (async function* () {
        yield bytes;
      })(),
    );
  } catch (error) {
    if (!(error instanceof ZipProblem)) throw error;
    throw fail('zip-unreadable', error.message);
  }
}

/** Bytes that a format is told by. */
const headLength = 1 << 16;

/** Reads on until the format can be told. @returns the first bytes, and all bytes from the start */
async function startOf(input: AsyncGenerator<Uint8Array>): Promise<Started> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  let isWhole = false;
  while (length < headLength) {
    const next = await input.next();
    if (next.done === true) {
      isWhole = true;
      break;
    }
    pieces.push(next.value);
    length += next.value.length;
  }
  return {
    head: Buffer.concat(pieces).subarray(0, headLength),
    isWhole: isWhole && length <= headLength,
    input: (async function* () {
      yield* pieces;
      yield* input;
    })(),
  };
}

/** Ends where compressed data is damaged. */
async function* tolerant(
  input: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
  tell: () => void,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of input) {
      signal?.throwIfAborted();
      yield piece;
    }
  } catch (error) {
    if (!(error instanceof UserError) || error.code !== 'gzip-damaged') throw error;
    tell();
  }
}
