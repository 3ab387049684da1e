import { areAscending } from './tables/kept-facts.ts';

/** Where the code around one indirect transfer says that it leads; addresses are the image's own. */
export interface SiteTargets {
  readonly isJump: boolean;
  /** Entries of tables and other fixed places, ascending. */
  readonly targets: Float64Array;
  /** Some of the targets come from a table. */
  readonly isTable: boolean;
  /** The code says how long each table is; else it ends where entries stop to make sense. */
  readonly isBounded: boolean;
  /** Places in memory whose content, another image's address mostly, is where it leads. */
  readonly slots: readonly number[];
  /** The position in a table of functions, or in an object, that the target is read from. */
  readonly member: { readonly displacement: number; readonly isObject: boolean } | undefined;
  /** The register that holds it when the function begins, where all ways to the transfer begin there. */
  readonly argument: number | undefined;
  /** Some ways to the transfer do not tell where it leads, or a table can be written to. */
  readonly isOpen: boolean;
}

/** Bits of what a site says, in a list of numbers. */
const Flag = {
  isJump: 1,
  isTable: 2,
  isBounded: 4,
  isOpen: 8,
  hasMember: 16,
  isObject: 32,
  hasArgument: 64,
} as const;
const allFlags = 127;
/** Numbers in front of a site's targets and slots: its address, flags, displacement, argument, how many targets and slots. */
const headSize = 6;
const mostNumbers = 1 << 22;

/** @returns what sites say as one list of numbers, to be kept; `undefined` where that is too much */
export function listOfSites(sites: ReadonlyMap<number, SiteTargets>): Float64Array | undefined {
  let length = 0;
  for (const { targets, slots } of sites.values()) {
    length += headSize + targets.length + slots.length;
  }
  if (length > mostNumbers) return undefined;
  const list = new Float64Array(length);
  let at = 0;
  for (const [address, site] of sites) {
    const { targets, slots, member, argument } = site;
    const displacement = member?.displacement ?? 0;
    const head = [
      address,
      flagsOf(site),
      displacement,
      argument ?? 0,
      targets.length,
      slots.length,
    ];
    list.set(head, at);
    list.set(targets, at + headSize);
    list.set(slots, at + headSize + targets.length);
    at += headSize + targets.length + slots.length;
  }
  return list;
}

/** @returns what sites say, from such a list; `undefined` where it is none */
export function sitesIn(list: Float64Array): Map<number, SiteTargets> | undefined {
  if (!list.every(Number.isFinite)) return undefined;
  const sites = new Map<number, SiteTargets>();
  for (let at = 0; at < list.length; ) {
    const [address, flags, displacement, argument, targetCount, slotCount] = list.subarray(at);
    const end = at + headSize + targetCount + slotCount;
    const areCounts =
      [flags, argument, targetCount, slotCount].every(isCount) && end <= list.length;
    if (!areCounts || flags > allFlags || argument > 15) return undefined;
    const targets = list.slice(at + headSize, at + headSize + targetCount);
    if (!areAscending(targets)) return undefined;
    const has = (flag: number): boolean => (flags & flag) !== 0;
    sites.set(address, {
      isJump: has(Flag.isJump),
      targets,
      isTable: has(Flag.isTable),
      isBounded: has(Flag.isBounded),
      slots: [...list.subarray(at + headSize + targetCount, end)],
      member: has(Flag.hasMember) ? { displacement, isObject: has(Flag.isObject) } : undefined,
      argument: has(Flag.hasArgument) ? argument : undefined,
      isOpen: has(Flag.isOpen),
    });
    at = end;
  }
  return sites;
}

function flagsOf({ isJump, isTable, isBounded, isOpen, member, argument }: SiteTargets): number {
  return (
    (isJump ? Flag.isJump : 0) |
    (isTable ? Flag.isTable : 0) |
    (isBounded ? Flag.isBounded : 0) |
    (isOpen ? Flag.isOpen : 0) |
    (member === undefined ? 0 : Flag.hasMember) |
    (member?.isObject === true ? Flag.isObject : 0) |
    (argument === undefined ? 0 : Flag.hasArgument)
  );
}

function isCount(number: number): boolean {
  return Number.isInteger(number) && number >= 0 && number <= mostNumbers;
}
