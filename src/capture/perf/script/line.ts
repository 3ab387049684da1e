import { type Address, parseAddress } from '../../../base/address.ts';
import type { CodeMapping } from '../records/processes.ts';

/** What one line of `perf script` says. */
export type ScriptLine =
  | {
      readonly kind: 'branch';
      readonly pid: number;
      readonly tid: number;
      /** `undefined` = from, or to, code that is not traced. */
      readonly from: Address | undefined;
      readonly to: Address | undefined;
      /** An interrupt, exception or signal before the instruction at `from`. */
      readonly isAsync: boolean;
    }
  /** The decoder lost its way. */
  | { readonly kind: 'error'; readonly tid: number }
  | { readonly kind: 'mmap'; readonly pid: number; readonly mapping: CodeMapping }
  | {
      readonly kind: 'comm';
      readonly pid: number;
      readonly tid: number;
      readonly comm: string;
      readonly isExec: boolean;
    }
  | {
      readonly kind: 'fork';
      readonly pid: number;
      readonly parentPid: number;
      readonly tid: number;
      readonly parentTid: number;
    };

/**
 * What a line begins with: the thread's name, numbers of process and thread, processor, time. perf writes
 * the name right-aligned into 16 columns; it may hold anything, names of events and numbers included, but
 * what follows must fit to the end of the line. Any of the fields but the thread may be left out.
 */
const who = String.raw`(?:(-?\d+)\/)?(-?\d+)`;
const where = String.raw`(?:\[\d+\]\s+)?(?:\d+\.\d+:\s+)?`;
/** Columns of the name. */
const nameColumns = 16;
/** A name has 15 bytes, that of a kernel thread 63. */
const name = '.{0,63}?';
const branch = new RegExp(
  `^\\s*${who}\\s+${where}(?:\\d+\\s+)?` +
    String.raw`branches:(?:[a-zA-Z]*:)?\s+([a-zA-Z ()]*?\s)?([0-9a-f]+)(?:\s.*?)?\s*=>\s+([0-9a-f]+)(?:\s.*)?$`,
);
const record = new RegExp(`^\\s*${who}:?\\s+${where}(PERF_RECORD_.*)$`);
const namedBranch = new RegExp(`^${name}\\s${branch.source.slice(1)}`);
const namedRecord = new RegExp(`^${name}\\s${record.source.slice(1)}`);

const mmap =
  /^PERF_RECORD_MMAP2? (-?\d+)\/-?\d+: \[(0x[0-9a-f]+)\((0x[0-9a-f]+)\) @ (\w+) ?([^\]]*)\]: (\S+) (.*)$/;
const comm = /^PERF_RECORD_COMM( exec)?: (.*):(\d+)\/(\d+)\s*$/;
const fork = /^PERF_RECORD_FORK\((-?\d+):(-?\d+)\):\((-?\d+):(-?\d+)\)/;
const traceError = /^\s*instruction trace error (?:.*\btid (-?\d+))?/;

/**
 * Reads a line of `perf script --itrace=b` (or `be`) with the fields `tid`, `event`, `ip` and `addr`, and
 * maybe others; with `--show-mmap-events` and `--show-task-events`. Fields are known by their place.
 *
 * @returns `undefined` for a line that says nothing of these
 * @see `perf_sample__fprintf_start` in the kernel's `tools/perf/builtin-script.c`
 */
export function parseScriptLine(line: string): ScriptLine | undefined {
  const row = matchAfterName(line, branch, namedBranch);
  if (row !== undefined) {
    return {
      kind: 'branch',
      pid: row[1] === undefined ? -1 : Number(row[1]),
      tid: Number(row[2]),
      from: userAddress(row[4]),
      to: userAddress(row[5]),
      isAsync: /\basync\b|\bhw int\b/.test(row[3] ?? ''),
    };
  }
  const error = traceError.exec(line);
  if (error !== null) return { kind: 'error', tid: Number(error[1] ?? -1) };
  return parseRecord(matchAfterName(line, record, namedRecord)?.[3] ?? '');
}

/**
 * @param bare  what follows the name
 * @param named  the same with a name before it, the shortest that fits
 */
function matchAfterName(line: string, bare: RegExp, named: RegExp): RegExpExecArray | undefined {
  const isAligned =
    line[nameColumns] === ' ' && /^ *\S.*\S$|^ *\S$/.test(line.slice(0, nameColumns));
  const afterColumns = isAligned ? bare.exec(line.slice(nameColumns)) : null;
  return afterColumns ?? bare.exec(line) ?? named.exec(line) ?? undefined;
}

/** @param text  from `PERF_RECORD_` on */
function parseRecord(text: string): ScriptLine | undefined {
  const mapped = mmap.exec(text);
  if (mapped !== null) {
    const [, pid, start = '', length = '', offset = '', id = '', prot = '', path = ''] = mapped;
    const from = parseAddress(start);
    const size = Number(length);
    const fileOffset = Number(offset);
    if (!prot.includes('x') || from === undefined || from < 0 || from + size > 2 ** 47) {
      return undefined;
    }
    if (!Number.isSafeInteger(fileOffset) || size <= 0) return undefined;
    const buildId = /^<?([0-9a-f]{16,40})>?$/.exec(id)?.[1];
    const mapping = { start: from, end: from + size, fileOffset, path, buildId };
    return { kind: 'mmap', pid: Number(pid), mapping };
  }
  const named = comm.exec(text);
  if (named !== null) {
    const [, exec, own = '', pid, tid] = named;
    const isExec = exec !== undefined;
    return { kind: 'comm', pid: Number(pid), tid: Number(tid), comm: own, isExec };
  }
  const forked = fork.exec(text);
  if (forked !== null) {
    const [pid, tid, parentPid, parentTid] = forked.slice(1).map(Number);
    return { kind: 'fork', pid, parentPid, tid, parentTid };
  }
  return undefined;
}

/** @returns `undefined` for 0 (tracing began or ended there) and for addresses of the kernel */
function userAddress(digits: string | undefined): Address | undefined {
  const address = parseAddress(digits ?? '');
  return address === undefined || address <= 0 ? undefined : address;
}
