import type { ProcessCalls } from './recorder.ts';

/**
 * @param wanted  number of a process, or its name with or without its extension, in any case
 * @returns the processes that it means; their threads are not among them
 */
export function processesCalled(
  processes: readonly ProcessCalls[],
  wanted: string,
): readonly ProcessCalls[] {
  const leaders = processes.filter(({ isThread }) => !isThread);
  const byNumber = leaders.filter(({ id }) => String(id) === wanted);
  if (byNumber.length > 0) return byNumber;
  const name = wanted.toLowerCase();
  const isCalled = (own: string): boolean =>
    own === name || own.replace(/\.[a-z]{1,4}$/, '') === name;
  return leaders.filter((process) => isCalled(process.name.toLowerCase()));
}

/**
 * The process of a sandbox report that made the most calls, among those that the target started.
 *
 * @param target  name of the file that was run; a document has no process of its name, and then what
 *   was started first counts as the target
 */
export function largestOfTarget(
  processes: readonly ProcessCalls[],
  target: string | undefined,
): ProcessCalls | undefined {
  const name = target?.toLowerCase();
  const named = processes.find((process) => process.name.toLowerCase() === name);
  // Cuckoo watches lsass.exe for the keys of TLS connections, whatever the target is.
  const first = processes.find(({ isTracked, name: own }) => isTracked && !/^lsass/i.test(own));
  const root = named ?? first ?? processes[0];
  return root === undefined ? undefined : largest(treeOf(processes, root));
}

export function largest(processes: readonly ProcessCalls[]): ProcessCalls | undefined {
  let best = processes[0];
  for (const process of processes) if (process.calls > best.calls) best = process;
  return best;
}

/** @returns `root` and all that it started, directly or not */
function treeOf(processes: readonly ProcessCalls[], root: ProcessCalls): readonly ProcessCalls[] {
  const children = new Map<number, ProcessCalls[]>();
  for (const process of processes) {
    if (process.parent === undefined) continue;
    const siblings = children.get(process.parent) ?? [];
    children.set(process.parent, siblings);
    siblings.push(process);
  }
  // Numbers are used again, so that a tree may lead back to itself.
  const tree = new Set([root]);
  for (const { id } of tree) {
    for (const child of (id === undefined ? undefined : children.get(id)) ?? []) tree.add(child);
  }
  return [...tree];
}

/** At most so many are named. */
const mostNamed = 8;

/** @returns `sample.exe (1234), child.exe (1300)` */
export function namesOf(processes: readonly ProcessCalls[]): string {
  const leaders = processes.filter(({ isThread }) => !isThread);
  const shown = leaders
    .slice(0, mostNamed)
    .map(({ name, id }) => `${name.slice(0, 60) || '(no name)'} (${id ?? 'no number'})`);
  const more = leaders.length - shown.length;
  return `${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
