import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll } from 'vitest';
import type { AddressSpace } from '../src/image/address-space.ts';
import { ImageStore } from '../src/image/image-store.ts';
import { buildAddressSpace } from '../src/image/mapped-space.ts';
import { RegionTable } from '../src/image/maps/region-table.ts';

/** Compilers and binary utilities that a test can do without: absent ones skip it. */
export function hasTool(name: string, ...words: string[]): boolean {
  return spawnSync(name, words.length === 0 ? ['--version'] : words).status === 0;
}

/**
 * @returns what a program printed
 * @throws Error with what it said when it failed; `readelf` fails when it misses debug information
 *   that is elsewhere, too, which is no failure
 */
export function run(name: string, ...words: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(name, words, {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  const isFailure = status !== 0 && (name !== 'readelf' || stdout === '');
  if (isFailure) throw new Error(`${name} ${words.join(' ')}: ${error?.message ?? stderr}`);
  return stdout;
}

/** A folder for what a test file compiles, removed behind it. */
export class Workshop {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'wayward-compiled-'));
  #count = 0;

  constructor() {
    afterAll(() => rmSync(this.folder, { recursive: true, force: true }));
  }

  /** Writes a source. @returns its path */
  write(text: string, extension: string): string {
    const path = join(this.folder, `source${this.#count++}.${extension}`);
    writeFileSync(path, text);
    return path;
  }

  /** @returns the path of the program that `compiler` makes of `source` */
  compile(compiler: string, source: string, ...options: string[]): string {
    const path = join(this.folder, `program${this.#count++}`);
    run(compiler, '-o', path, source, ...options);
    // Compilers for Windows add an ending.
    return existsSync(path) ? path : `${path}.exe`;
  }
}

/**
 * A process that has whole files mapped as their headers say.
 *
 * @returns the process, and where the lowest page of each file lies
 */
export async function mapFiles(
  ...paths: string[]
): Promise<{ readonly space: AddressSpace; readonly bases: readonly number[] }> {
  const bases = paths.map((_, index) => firstBase + index * distance);
  const regions = paths.map((path, index) => ({
    start: bases[index]!,
    end: bases[index]! + distance,
    path,
    isExecutable: undefined,
    fileOffset: undefined,
  }));
  const process = { pid: undefined, name: '' };
  const store = new ImageStore([...new Set(paths.map((path) => dirname(path)))]);
  const space = await buildAddressSpace(
    { format: 'ldrmodules', process, regions: RegionTable.of(regions) },
    store,
  );
  return { space, bases };
}

const firstBase = 0x7000_0000_0000;
const distance = 0x1000_0000;
