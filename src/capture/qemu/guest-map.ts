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

/** What lies where in the recorded program, kept as its system calls change it. */
export class GuestMap {
  #ranges: Range[] = [];
  /** Grows when what is mapped as code changes. */
  codeVersion = 0;

  /** @throws UserError `recording-damaged` when there are more ranges than a process can have */
  map(start: Address, end: Address, prot: number, offset: number, path: string): void {
    if (this.#ranges.length >= mostRanges) {
      throw new UserError('recording-damaged', 'the recorder maps more than a process can', {
        category: 'runtime',
      });
    }
    const replaced = this.#cut(start, end);
    const isCode = (prot & 4) !== 0 && path !== '';
    if (isCode || replaced.some(({ perms }) => perms[2] === 'x')) this.codeVersion++;
    this.#ranges.push({ start, end, perms: permsOf(prot), offset, path });
  }

  /** @returns a map that goes its own way from here on */
  copy(): GuestMap {
    const other = new GuestMap();
    other.#ranges = [...this.#ranges];
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
    for (const range of inside) this.#ranges.push({ ...range, perms: permsOf(prot) });
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
    const code = new Set([...this.#ranges, ...inside].filter(isExecutable).map(({ path }) => path));
    for (const range of inside) {
      if (isExecutable(range) || (range.path !== '' && code.has(range.path)))
        this.#ranges.push(range);
    }
  }

  get ranges(): readonly Range[] {
    return this.#ranges;
  }

  /** Paths of mapped files that hold code. */
  get codeFiles(): string[] {
    const code = this.#ranges.filter(({ path, perms }) => path !== '' && perms[2] === 'x');
    return [...new Set(code.map(({ path }) => path))];
  }

  find(address: Address): Range | undefined {
    return this.#ranges.find(({ start, end }) => address >= start && address < end);
  }

  /** Takes the name from a file's mappings: what lay there cannot be read any more. */
  unname(path: string): void {
    this.#ranges = this.#ranges.map((range) =>
      range.path === path ? { ...range, path: '', offset: 0 } : range,
    );
  }

  /** Takes mappings out. */
  forget(start: Address, end: Address): void {
    this.#cut(start, end);
  }

  /** @returns the lines of `/proc/PID/maps` */
  text(): string {
    const hex = (n: number): string => n.toString(16).padStart(8, '0');
    return this.#ranges
      .sort((a, b) => a.start - b.start)
      .map(({ start, end, perms, offset, path }) =>
        `${hex(start)}-${hex(end)} ${perms} ${hex(offset)} 00:00 0 ${toMapPath(path)}`.trimEnd(),
      )
      .map((line) => `${line}\n`)
      .join('');
  }

  /** Takes `[start, end)` out. @returns what was there */
  #cut(start: Address, end: Address): Range[] {
    const rest: Range[] = [];
    const inside: Range[] = [];
    for (const range of this.#ranges) {
      const from = Math.max(start, range.start);
      const to = Math.min(end, range.end);
      if (from >= to) {
        rest.push(range);
        continue;
      }
      const part = (a: Address, b: Address): Range => ({
        ...range,
        start: a,
        end: b,
        offset: range.offset + (range.path === '' ? 0 : a - range.start),
      });
      if (range.start < from) rest.push(part(range.start, from));
      if (to < range.end) rest.push(part(to, range.end));
      inside.push(part(from, to));
    }
    this.#ranges = rest;
    return inside;
  }
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
