import type { PerfThread } from './records/processes.ts';

/** @param wanted  name of a thread or of a program; `undefined` = all */
export function isWanted({ comm, program }: PerfThread, wanted: string | undefined): boolean {
  return wanted === undefined || comm === wanted || program.comm === wanted;
}

/** @returns names for samples: `base` for an only thread, else with the thread's own name and number */
export function sampleNames(
  threads: readonly PerfThread[],
  base: string,
): ReadonlyMap<PerfThread, string> {
  const names = new Map<PerfThread, string>();
  const taken = new Set<string>();
  for (const thread of threads) {
    const comm = (thread.comm || thread.program.comm || 'thread').replace(/[^\w.+-]/g, '_');
    const own = threads.length === 1 ? base : `${base}-${comm}-${thread.tid}`;
    let name = own;
    for (let again = 2; taken.has(name); again++) name = `${own}-${again}`;
    taken.add(name);
    names.set(thread, name);
  }
  return names;
}
