import { appendFileSync } from 'node:fs';
import { type MachineLoad, othersShare, readLoad } from './machine-load.ts';

/** What a benchmark measured, and beside it what somebody else takes for the same work in the same run. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** Another program, or a plain way to do it, in the same unit. */
  readonly peer?: { readonly name: string; readonly value: number };
  /** What is aimed at: of the ratio to the peer where there is one, of the value where not. */
  readonly goal?: { readonly least: number } | { readonly most: number };
}

/** A line of what `npm run bench` collects. */
export type FigureLine = Figure | { readonly busy: number };

/** File that figures are added to, as NDJSON; set by `npm run bench` for the benchmarks that it starts. */
const collected = process.env.WAYWARD_BENCH_FIGURES;
/** With more of the machine in other hands, times say little. */
export const tooBusy = 0.1;

/** Tells `npm run bench` of a figure. What people read, a benchmark prints itself. */
export function tell(figure: Figure): void {
  add(figure);
}

/**
 * Watches the machine from here to the end of the process, and says then whether others kept it so busy that
 * times are not to be believed.
 */
export function watchMachine(): void {
  const before = readLoad();
  process.once('exit', () => sayHowBusy(before));
}

/** @returns the middle of some figures, the upper one of two */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

/** @returns seconds of this process's threads so far */
export function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

function sayHowBusy(before: MachineLoad | undefined): void {
  const after = readLoad();
  if (before === undefined || after === undefined) return;
  const busy = othersShare(before, after);
  if (busy > tooBusy) {
    console.error(
      `The machine is too busy to believe times: others took ${(100 * busy).toFixed(0)} % of it meanwhile.`,
    );
  }
  add({ busy });
}

function add(line: FigureLine): void {
  if (collected !== undefined) appendFileSync(collected, `${JSON.stringify(line)}\n`);
}
