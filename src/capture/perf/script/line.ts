import { type Address, parseAddress } from '../../../base/address.ts';
import type { CodeMapping } from '../processes.ts';

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

const mmap =
  /PERF_RECORD_MMAP2? (-?\d+)\/-?\d+: \[(0x[0-9a-f]+)\((0x[0-9a-f]+)\) @ (\w+) ?([^\]]*)\]: (\S+) (.*)$/;
const comm = /PERF_RECORD_COMM( exec)?: (.*):(\d+)\/(\d+)\s*$/;
const fork = /PERF_RECORD_FORK\((-?\d+):(-?\d+)\):\((-?\d+):(-?\d+)\)/;
const traceError = /instruction trace error .*\btid (-?\d+)/;
/** Name, numbers of process and thread, processor, time, period: any of them may be left out. */
const before = /(?:(-?\d+)\/)?(-?\d+)\s+(?:\[\d+\]\s+)?(?:\d+\.\d+:\s+)?(?:\d+\s+)?$/;
const branch = /^[^:]*:(?:[a-zA-Z]*:)?\s+([a-z ()]*?\s)?([0-9a-f]+)(?:\s.*?)?\s*=>\s+([0-9a-f]+)/;

/**
 * Reads a line of `perf script --itrace=b` (or `be`) with the fields `tid`, `event`, `ip` and `addr`, and
 * maybe others; with `--show-mmap-events` and `--show-task-events`.
 *
 * @returns `undefined` for a line that says nothing of these
 */
export function parseScriptLine(line: string): ScriptLine | undefined {
  const event = line.indexOf('branches');
  if (event >= 0) {
    const who = before.exec(line.slice(0, event));
    const row = branch.exec(line.slice(event));
    if (who === null || row === null) return undefined;
    return {
      kind: 'branch',
      pid: who[1] === undefined ? -1 : Number(who[1]),
      tid: Number(who[2]),
      from: userAddress(row[2]),
      to: userAddress(row[3]),
      isAsync: /\basync\b|\bhw int\b/.test(row[1] ?? ''),
    };
  }
  if (line.includes('instruction trace error')) {
    return { kind: 'error', tid: Number(traceError.exec(line)?.[1] ?? -1) };
  }
  if (!line.includes('PERF_RECORD_')) return undefined;
  const mapped = mmap.exec(line);
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
  const named = comm.exec(line);
  if (named !== null) {
    const [, exec, name = '', pid, tid] = named;
    const isExec = exec !== undefined;
    return { kind: 'comm', pid: Number(pid), tid: Number(tid), comm: name, isExec };
  }
  const forked = fork.exec(line);
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
