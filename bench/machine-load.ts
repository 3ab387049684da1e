import { readFileSync } from 'node:fs';

/** Processor time since the start of the machine, in ticks of the clock (proc(5)). */
export interface MachineLoad {
  /** All processors together: idle or not. */
  readonly all: number;
  /** Spent on anything; time that a hypervisor gave to other machines included. */
  readonly busy: number;
  /** Spent by this process and by its children that have ended. */
  readonly own: number;
}

/** @returns `undefined` where there is no /proc */
export function readLoad(): MachineLoad | undefined {
  try {
    return parseLoad(readFileSync('/proc/stat', 'utf8'), readFileSync('/proc/self/stat', 'utf8'));
  } catch {
    return undefined;
  }
}

/**
 * @param stat  of `/proc/stat`
 * @param self  of `/proc/self/stat`
 */
export function parseLoad(stat: string, self: string): MachineLoad {
  // user nice system idle iowait irq softirq steal; guests are in user already.
  const times = stat.slice(0, stat.indexOf('\n')).split(/\s+/).slice(1, 9).map(Number);
  const all = times.reduce((sum, ticks) => sum + ticks, 0);
  const [idle = 0, waiting = 0] = times.slice(3, 5);
  // The name in brackets may hold anything; utime, stime, cutime, cstime are fields 14 to 17.
  const fields = self.slice(self.lastIndexOf(')') + 2).split(' ');
  const own = fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0);
  return { all, busy: all - idle - waiting, own };
}

/** @returns which part of the machine others had between two moments, 0 to 1 */
export function othersShare(before: MachineLoad, after: MachineLoad): number {
  const others = after.busy - before.busy - (after.own - before.own);
  return Math.max(0, others) / Math.max(1, after.all - before.all);
}
