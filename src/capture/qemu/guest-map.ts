import type { Address } from '../../base/address.ts';
import { UserError } from '../../base/errors.ts';
import { toMapPath } from '../../base/text/line.ts';

export interface Range {
  readonly start: Address;
  readonly end: Address;
  readonly perms: string;
  readonly offset: number;
  readonly path: string;
}

/** Linux allows 65,530 to a process. */
const mostRanges = 1 << 17;

/** What was unmapped, and when: the how many-th time that code was. */
interface Gone {
  readonly range: Range;
  readonly nth: number;
}

/** What lies where in the recorded program, kept as its system calls change it. */
export class GuestMap {
  #ranges: Range[] = [];
  /** What was unmapped though its code may have run, until something else is mapped there: a trace leads there. */
  #gone: readonly Gone[] = [];
  /** Files that were mapped for code. */
  readonly #codePaths: Set<string> = new Set();
  /** How often code was unmapped. */
  unmaps = 0;
  /** Grows when what is mapped as code changes. */
  codeVersion = 0;

  /** @throws UserError `recording-damaged` when there are more ranges than a process can have */
  map(start: Address, end: Address, prot: number, offset: number, path: string): void {
    if (this.#ranges.length + this.#gone.length >= mostRanges) {
      throw new UserError('recording-damaged', 'the recorder maps more than a process can', {
        category: 'runtime',
      });
    }
    const replaced = this.#cut(start, end);
    this.#cutGone(start, end);
    const isCode = (prot & 4) !== 0 && path !== '';
    if (isCode || replaced.some(({ perms }) => perms[2] === 'x')) this.codeVersion++;
    if (isCode) this.#codePaths.add(path);
    this.#ranges.push({ start, end, perms: permsOf(prot), offset, path });
  }

  /** @returns a map that goes its own way from here on */
  copy(): GuestMap {
    const other = new GuestMap();
    other.#ranges = [...this.#ranges];
    other.#gone = this.#gone;
    for (const path of this.#codePaths) other.#codePaths.add(path);
    other.unmaps = this.unmaps;
    return other;
  }

  /**
   * Code that was unmapped has run all the same: only a new mapping replaces it. Nothing may be protected, at no
   * address, and Linux lets it pass: gccgo's runtime does that.
   */
  protect(start: Address, end: Address, prot: number): void {
    if (start >= end) return;
    const inside = this.#cut(start, end);
    const isCode = (prot & 4) !== 0;
    if (inside.some(({ perms, path }) => path !== '' && isCode !== (perms[2] === 'x'))) {
      this.codeVersion++;
    }
    for (const range of inside) {
      if (isCode && range.path !== '') this.#codePaths.add(range.path);
      this.#ranges.push({ ...range, perms: permsOf(prot) });
    }
    if (inside.length === 0) {
      this.#ranges.push({ start, end, perms: permsOf(prot), offset: 0, path: '' });
    }
  }

  /**
   * Takes mappings out that hold no code. What was loaded for code stays, as a trace may have run it: only a new mapping
   * replaces it. A program may map data for ever, each time elsewhere.
   */
  unmap(start: Address, end: Address): void {
    const inside = this.#cut(start, end);
    const kept = inside.filter((range) => isExecutable(range) || this.#codePaths.has(range.path));
    if (kept.length === 0) return;
    this.unmaps++;
    this.#gone = [...this.#gone, ...kept.map((range) => ({ range, nth: this.unmaps }))];
  }

  /** What is mapped. */
  get ranges(): readonly Range[] {
    return this.#ranges;
  }

  /** What is mapped, and what was. */
  get #all(): Range[] {
    return [...this.#ranges, ...this.#gone.map(({ range }) => range)];
  }

  /** Paths of mapped files that hold code. */
  get codeFiles(): string[] {
    const code = this.#all.filter(({ path, perms }) => path !== '' && perms[2] === 'x');
    return [...new Set(code.map(({ path }) => path))];
  }

  find(address: Address): Range | undefined {
    const holds = ({ start, end }: Range): boolean => address >= start && address < end;
    return this.#ranges.find(holds) ?? this.#gone.find(({ range }) => holds(range))?.range;
  }

  /** Takes the name from a file's mappings: what lay there cannot be read any more. */
  unname(path: string): void {
    const unnamed = (range: Range): Range =>
      range.path === path ? { ...range, path: '', offset: 0 } : range;
    this.#ranges = this.#ranges.map(unnamed);
    this.#gone = this.#gone.map(({ range, nth }) => ({ range: unnamed(range), nth }));
  }

  /** Takes mappings out. */
  forget(start: Address, end: Address): void {
    this.#cut(start, end);
    this.#cutGone(start, end);
  }

  /**
   * @param past  what was unmapped up to this time is left out
   * @returns the lines of `/proc/PID/maps`
   */
  text(past: number = 0): string {
    const hex = (n: number): string => n.toString(16).padStart(8, '0');
    const gone = this.#gone.filter(({ nth }) => nth > past).map(({ range }) => range);
    return [...this.#ranges, ...gone]
      .sort((a, b) => a.start - b.start)
      .map(({ start, end, perms, offset, path }) =>
        `${hex(start)}-${hex(end)} ${perms} ${hex(offset)} 00:00 0 ${toMapPath(path)}`.trimEnd(),
      )
      .map((line) => `${line}\n`)
      .join('');
  }

  /** Takes `[start, end)` out of what is mapped. @returns what was there */
  #cut(start: Address, end: Address): Range[] {
    const rest: Range[] = [];
    const inside: Range[] = [];
    for (const range of this.#ranges) {
      if (isApart(range, start, end)) rest.push(range);
      else {
        rest.push(...outsideOf(range, start, end));
        inside.push(partOf(range, Math.max(start, range.start), Math.min(end, range.end)));
      }
    }
    this.#ranges = rest;
    return inside;
  }

  /** Something else lies there now. */
  #cutGone(start: Address, end: Address): void {
    if (this.#gone.every(({ range }) => isApart(range, start, end))) return;
    this.#gone = this.#gone.flatMap((gone) =>
      outsideOf(gone.range, start, end).map((range) => ({ ...gone, range })),
    );
  }
}

function isApart(range: Range, start: Address, end: Address): boolean {
  return range.end <= start || range.start >= end || start >= end;
}

function partOf(range: Range, start: Address, end: Address): Range {
  const into = range.path === '' ? 0 : start - range.start;
  return { ...range, start, end, offset: range.offset + into };
}

/** @returns what of a range lies before `start`, and from `end` on */
function outsideOf(range: Range, start: Address, end: Address): Range[] {
  if (isApart(range, start, end)) return [range];
  return [
    ...(range.start < start ? [partOf(range, range.start, start)] : []),
    ...(end < range.end ? [partOf(range, end, range.end)] : []),
  ];
}

function isExecutable({ perms }: Range): boolean {
  return perms[2] === 'x';
}

function permsOf(prot: number): string {
  return `${prot & 1 ? 'r' : '-'}${prot & 2 ? 'w' : '-'}${prot & 4 ? 'x' : '-'}p`;
}

export function pageFloor(size: number): number {
  return Math.floor(size / 4096) * 4096;
}

export function pageCeil(size: number): number {
  return Math.ceil(size / 4096) * 4096;
}
