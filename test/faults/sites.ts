import type { Fault, Operation } from './injector.ts';

// A run has hundreds of file operations, most of which do again what another did: the next piece of a
// file, the next trace of a folder. Such ones are a site; what one of them endures, the others do.

/** An operation, and what is to become of it. */
export type Point = readonly [Operation, Fault];

/** Of the name of a file, what differs between files of one kind, or from run to run. */
const drawn = /\.[\w-]+-\d+-[0-9a-f]{8}(?=\.part)|[0-9a-f]{8,}|\d+/g;

/** @returns what an operation has in common with those that do the same to files of the same kind */
export function siteOf({ class: kind, name, path }: Operation): string {
  // `mkdtemp` adds six letters.
  const file = path.replace(/(?<=\/tmp\/[\w.-]*-)\w{6}(?=\/|$)/, 'X').replace(drawn, 'N');
  return `${kind} ${name} ${file}`;
}

/** @returns of the points of each site, with each of its faults, the first and the last */
export function atEachSite(points: readonly Point[]): readonly Point[] {
  const ends = new Map<string, Point[]>();
  for (const point of points) {
    const [operation, fault] = point;
    const site = `${fault} ${siteOf(operation)}`;
    const found = ends.get(site);
    if (found === undefined) ends.set(site, [point]);
    else found.splice(1, 1, point);
  }
  return [...ends.values()].flat().sort(([a], [b]) => a.number - b.number);
}
