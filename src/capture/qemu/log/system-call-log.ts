import { realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { pageCeil, pageFloor } from '../guest-map.ts';
import type { LoadedFile } from '../loaded-file.ts';
import type { Recording } from '../recording.ts';

/** What a line of the log means for the order of blocks. */
export type CallMeaning = 'signal' | 'thread-start' | 'thread-end' | undefined;

/**
 * Follows the system calls of QEMU's log as far as they change what lies where, and the layout of
 * the program that it tells at the start.
 */
export class SystemCallLog {
  /** The program forked: from now on the log holds lines of two processes that look alike. */
  hasForked = false;
  readonly #recording: Recording;
  readonly #program: LoadedFile;
  readonly #loader: LoadedFile | undefined;
  #cwd: string;
  /** Path by file descriptor. */
  readonly #files: Map<number, string> = new Map();
  /** A mapping whose result comes on a later line. */
  #mapping: RegExpExecArray | undefined;

  constructor(
    recording: Recording,
    program: LoadedFile,
    loader: LoadedFile | undefined,
    cwd: string,
  ) {
    this.#recording = recording;
    this.#program = program;
    this.#loader = loader;
    this.#cwd = cwd;
  }

  add(line: string): CallMeaning {
    const [, name, rest = ''] = /^(?:\d+ )?([a-z]\w*)(\(.*|\s+0x[0-9a-f]+)$/.exec(line) ?? [];
    switch (name) {
      case undefined:
        break;
      case 'start_code':
        this.#place(this.#program, Number(rest) - this.#program.codeStart);
        return undefined;
      case 'entry':
        if (this.#loader !== undefined)
          this.#place(this.#loader, Number(rest) - this.#loader.entry);
        return undefined;
      case 'open':
      case 'openat':
        this.#open(rest);
        return undefined;
      case 'chdir':
        this.#cwd = resolve(this.#cwd, quoted(rest));
        return undefined;
      case 'mmap':
      case 'mmap2':
        this.#map(name, rest);
        return undefined;
      case 'mprotect':
        this.#protect(rest);
        return undefined;
      case 'execve':
      case 'execveat':
        if (!/\) = -/.test(rest)) this.#recording.replacedBy = quoted(rest);
        return undefined;
      case 'fork':
      case 'vfork':
        this.#fork();
        return undefined;
      case 'clone':
        if (rest.includes('CLONE_THREAD')) return 'thread-start';
        this.#fork();
        return undefined;
      case 'exit':
        return 'thread-end';
      default:
        return undefined;
    }
    if (line.startsWith('--- SIG')) return 'signal';
    const result = /^ = (0x[0-9a-f]+)/.exec(line);
    if (result !== null) this.#mapped(Number(result[1]));
    else if (line.startsWith(' = -1')) {
      this.#mapping = undefined;
      this.#recording.replacedBy = undefined;
    }
    return undefined;
  }

  #fork(): void {
    this.hasForked = true;
    this.#recording.forks++;
  }

  #place({ path, segments }: LoadedFile, base: number): void {
    const { map } = this.#recording;
    for (const { address, length, fileOffset, isExecutable } of segments) {
      const start = base + address;
      const from = pageFloor(start);
      const to = pageCeil(start + length);
      map.map(from, to, isExecutable ? 5 : 1, fileOffset - (start - from), path);
    }
  }

  #open(rest: string): void {
    const row = /^\((?:[^",]+,)?"(.*)",[^"]*\) = (\d+)$/.exec(rest);
    if (row === null) return;
    this.#files.set(Number(row[2]), realPath(resolve(this.#cwd, utf8(row[1] ?? ''))));
  }

  #map(name: string, rest: string): void {
    const row =
      /^\((?:0x[0-9a-f]+|NULL|\d+),(\d+),([\w|]+),([\w|]+),(-?\d+),(0x[0-9a-f]+|\d+)\)(?: = (\S+))?/.exec(
        rest,
      );
    if (row === null) return;
    // Offsets of the 32-bit call are in pages.
    if (name === 'mmap2') row[5] = String(Number(row[5]) * 4096);
    this.#mapping = row;
    if (row[6]?.startsWith('0x')) this.#mapped(Number(row[6]));
  }

  #mapped(start: number): void {
    const row = this.#mapping;
    this.#mapping = undefined;
    if (row === undefined) return;
    const [, length, protection = '', flags = '', file, offset] = row;
    const isAnonymous = flags.includes('MAP_ANON');
    const path = isAnonymous ? '' : (this.#files.get(Number(file)) ?? '');
    const end = start + pageCeil(Number(length));
    const at = path === '' ? 0 : Number(offset);
    this.#recording.map.map(start, end, bitsOf(protection), at, path);
  }

  #protect(rest: string): void {
    const row = /^\((0x[0-9a-f]+),(\d+),([\w|]+)\) = 0$/.exec(rest);
    if (row === null) return;
    const start = Number(row[1]);
    this.#recording.map.protect(start, start + pageCeil(Number(row[2])), bitsOf(row[3] ?? ''));
  }
}

/** As the kernel names a mapped file. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function bitsOf(protection: string): number {
  const has = (name: string, bit: number): number => (protection.includes(name) ? bit : 0);
  return has('PROT_READ', 1) | has('PROT_WRITE', 2) | has('PROT_EXEC', 4);
}

function quoted(text: string): string {
  return utf8(/"(.*?)"/.exec(text)?.[1] ?? '');
}

/** Lines are read as Latin-1, one character a byte. */
function utf8(text: string): string {
  return Buffer.from(text, 'latin1').toString('utf8');
}
