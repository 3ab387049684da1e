import type { LineFormat, Said } from './line-format.ts';

/**
 * LID-DS 2021: time in nanoseconds, user, process, its name, thread, call, direction, arguments. A
 * call is entered at `>` and left at `<`.
 *
 * @see https://github.com/LID-DS/LID-DS, dataloader/syscall_2021.py
 */
const lidDs: LineFormat = {
  name: 'lid-ds',
  title: 'a recording of LID-DS 2021',
  parse(line) {
    const match = /^\d{10,20} -?\d+ (\d+) (.+?) (\d+) ([a-z_]\w*) ([<>])(?: |$)/.exec(line);
    if (match === null) return undefined;
    const [, process, processName = '', thread = '', name = '', direction] = match;
    if (direction === '<') return 'no call';
    return { process: Number(process), processName, thread, name };
  },
};

const timeOfDay = String.raw`\d\d:\d\d:\d\d\.\d+`;
/** LID-DS 2019: number, time, processor, user, process' name, thread, direction, call, arguments. */
const lidDs2019 = new RegExp(
  String.raw`^\d+ ${timeOfDay} \d+ -?\d+ (.+?) (\d+) ([<>]) ([a-z_]\w*)(?: |$)`,
);
/** Sysdig's own: number, time, processor, process' name (thread, or process.thread), direction, call. */
const sysdigDefault = new RegExp(
  String.raw`^\d+ (?:${timeOfDay}|\d+\.\d+) \d+ (.*?) \((?:(\d+)\.)?(\d+)\) ([<>]) ([a-z_]\w*)(?: |$)`,
);
/** Events of sysdig that are no system calls. */
const noCalls = new Set(['switch', 'procexit', 'signaldeliver', 'page_fault', 'drop', 'procinfo']);

/**
 * Sysdig's text, in its default form and in that of LID-DS 2019 (`%evt.num %evt.time %evt.cpu
 * %user.uid %proc.name %thread.tid %evt.dir %evt.type %evt.args`).
 *
 * @see sysdig(8), "Output format"; LID-DS, dataloader/syscall_2019.py
 */
const sysdig: LineFormat = {
  name: 'sysdig',
  title: 'text of sysdig',
  parse(line) {
    const own = sysdigDefault.exec(line);
    if (own !== null) {
      const [, processName = '', process, thread = '', direction, name = ''] = own;
      if (direction === '<' || noCalls.has(name)) return 'no call';
      return {
        process: process === undefined ? undefined : Number(process),
        processName,
        thread,
        name,
      };
    }
    const lid = lidDs2019.exec(line);
    if (lid === null) return undefined;
    const [, processName = '', thread = '', direction, name = ''] = lid;
    if (direction === '<' || noCalls.has(name)) return 'no call';
    return { process: undefined, processName, thread, name };
  },
};

/**
 * `perf trace`: time in milliseconds, duration, thread where there are several, the call. What was
 * interrupted comes again as `... [continued]`.
 *
 * @see perf-trace(1)
 */
const perfTrace: LineFormat = {
  name: 'perf-trace',
  title: 'output of perf trace',
  parse(line) {
    const match = /^\s*\d+\.\d{3} \(\s*(?:\d+\.\d{3} ms)?\s*\): (?:(.*?)\/(\d+) +)?(.*)$/.exec(
      line,
    );
    if (match === null) return undefined;
    const [, processName = '', thread = '', rest = ''] = match;
    const name = /^([a-z_]\w*)\(/.exec(rest)?.[1];
    // Continued calls, page faults, tracepoints that were asked for.
    if (name === undefined) return 'no call';
    return { process: undefined, processName, thread, name };
  },
};

/** `AUDIT_ARCH_X86_64` of linux/audit.h, by number and by `ausearch -i`: its calls need no more name. */
const x86 = /^(?:c000003e|x86_64)$/;

/**
 * Records of the Linux audit system, as in audit.log or from `ausearch`, with `-i` or without. Calls
 * are in those of type SYSCALL; the others of an event say more of the same call.
 *
 * @see auditd(8); https://github.com/linux-audit/audit-documentation/wiki/SPEC-Audit-Event-Enrichment
 */
const auditd: LineFormat = {
  name: 'auditd',
  title: 'a log of auditd',
  parse(line) {
    if (line === '----' || /^time->/.test(line)) return 'no call';
    const match = /^(?:node=\S+ )?type=([A-Z_]+|UNKNOWN\[\d+\]) msg=audit\([^)]*\) ?:/.exec(line);
    if (match === null) return undefined;
    if (match[1] !== 'SYSCALL') return 'no call';
    const field = (name: string): string | undefined =>
      new RegExp(`(?:^|[ )])${name}=("[^"]*"|\\S+)`).exec(line)?.[1]?.replaceAll('"', '');
    const [call, process, arch] = [field('syscall'), field('pid'), field('arch')];
    if (call === undefined || process === undefined) return undefined;
    const isUsual = arch === undefined || x86.test(arch);
    const name = /^\d+$/.test(call) ? Number(call) : call;
    return {
      process: Number(process),
      processName: field('comm') ?? '',
      // The audit system does not tell threads apart.
      thread: process,
      name: isUsual ? name : `${arch}:${call}`,
    };
  },
};

/**
 * DRAKVUF with `-o json`, a record a line: `syscall` and `apimon` are calls, the other plugins say
 * other things.
 *
 * @see https://github.com/tklengyel/drakvuf, src/plugins/syscalls, src/plugins/apimon
 */
const drakvuf: LineFormat = {
  name: 'drakvuf',
  title: 'a log of DRAKVUF (-o json)',
  parse(line) {
    if (!line.startsWith('{')) return undefined;
    let record: Readonly<Record<string, unknown>>;
    try {
      record = JSON.parse(Buffer.from(line, 'latin1').toString('utf8'));
    } catch {
      return undefined;
    }
    const { Plugin: plugin, PID: process, TID: thread, Method: name, Event: event } = record;
    if (typeof plugin !== 'string') return undefined;
    const isCall = plugin === 'syscall' || (plugin === 'apimon' && event === 'api_called');
    if (!isCall) return 'no call';
    if (typeof name !== 'string' || typeof process !== 'number') return undefined;
    const path = typeof record.ProcessName === 'string' ? record.ProcessName : '';
    return {
      process,
      processName: path.split('\\').at(-1) ?? '',
      thread: typeof thread === 'number' ? String(thread) : '',
      name,
    };
  },
};

/**
 * Process Monitor's CSV, which Noriben makes, too: the columns are named in the first line. Without
 * the column TID, a process is one thread.
 */
const procmon: LineFormat = {
  name: 'procmon',
  title: 'a CSV file of Process Monitor',
  header(line) {
    const columns = csvCells(line.replace(/^(?:\xef\xbb\xbf)/, ''));
    const index = (name: string): number => columns.indexOf(name);
    const [process, name, processName] = [index('PID'), index('Operation'), index('Process Name')];
    const thread = index('TID');
    if (process < 0 || name < 0 || processName < 0) return undefined;
    return (row): Said | undefined => {
      const cells = csvCells(row);
      const pid = cells[process] ?? '';
      if (cells.length < columns.length || !/^\d+$/.test(pid)) return undefined;
      return {
        process: Number(pid),
        processName: cells[processName] ?? '',
        thread: cells[thread] ?? '',
        name: cells[name] ?? '',
      };
    };
  },
};

function csvCells(line: string): string[] {
  const cells: string[] = [];
  const cell = /(?:"((?:[^"]|"")*)"|([^,"]*))(?:,|\r?$)/gy;
  while (cell.lastIndex < line.length) {
    const match = cell.exec(line);
    if (match === null) return [];
    cells.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
  }
  return cells;
}

export const lineFormats: readonly LineFormat[] = [
  lidDs,
  sysdig,
  perfTrace,
  auditd,
  drakvuf,
  procmon,
];
