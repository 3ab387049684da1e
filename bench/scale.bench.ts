/**
 * What grows with a corpus: a memory map of a million lines, in each form, and 100,000 samples that are dealt out.
 * Each in a process of its own, for its memory.
 *
 * node bench/scale.bench.ts [LINES=1000000] [SAMPLES=100000]
 */

import { spawnSync } from 'node:child_process';
import { createWriteStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { Random } from '../src/base/random.ts';
import { ImageStore } from '../src/image/image-store.ts';
import { buildAddressSpace } from '../src/image/mapped-space.ts';
import { readMemoryMap } from '../src/image/maps/memory-map.ts';
import { tell, watchMachine } from './figures.ts';

type Row = (i: number) => string;

const hex = (value: number): string => value.toString(16);
const base = (i: number): number => 0x7ff0_0000_0000 + i * 0x2000;
const library = (i: number): string => `\\Windows\\System32\\thing${i % 3000}.dll`;
const json: Row = (i) =>
  JSON.stringify({ Base: base(i), MappedPath: library(i), Pid: 8, Process: 'a.exe' });

const kinds: Readonly<Record<string, { readonly head: string; readonly row: Row }>> = {
  '/proc/PID/maps': {
    head: '',
    row: (i) =>
      `${hex(base(i))}-${hex(base(i) + 0x1000)} ${i % 5 ? 'rw' : 'r-'}xp 00000000 08:01 ${i % 4000}      ${i % 3 ? `/usr/lib/libthing-${i % 3000}.so` : ''}`,
  },
  'ldrmodules, -r quick': {
    head: 'Pid\tProcess\tBase\tInLoad\tInInit\tInMem\tMappedPath\n',
    row: (i) => `8\ta.exe\t0x${hex(base(i))}\tTrue\tTrue\tTrue\t${library(i)}`,
  },
  'ldrmodules, -r jsonl': { head: '', row: json },
};

const [first = '1000000', second = '100000'] = process.argv.slice(2);
if (first === 'read') await readOne(second);
else if (first === 'deal') await dealOne(second);
else {
  watchMachine();
  const folder = mkdtempSync(join(tmpdir(), 'wayward-scale-'));
  try {
    for (const kind of Object.keys(kinds)) await measureMap(folder, kind, Number(first));
    measureDealing(folder, Number(second));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function readOne(path: string): Promise<void> {
  await buildAddressSpace(await readMemoryMap(path), new ImageStore([]));
  report();
}

async function dealOne(root: string): Promise<void> {
  const sizes = [
    '--train-size',
    '--calibration-size',
    '--test-size-benign',
    '--test-size-malicious',
  ];
  const each = sizes.flatMap((size) => [size, '10']);
  // Loaded here, so that reading a map does not pay for it.
  const { runCommand } = await import('../src/cli/run-command.ts');
  await runCommand(['sets', 'make', root, join(root, '..', 'sets.txt'), ...each]);
  report();
}

function report(): void {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  const seconds = ((userCPUTime + systemCPUTime) / 1e6).toFixed(1);
  console.log(`${seconds} s of a core, ${(maxRSS / 1000).toFixed(0)} MB`);
}

async function measureMap(folder: string, kind: string, lines: number): Promise<void> {
  const path = join(folder, 'map');
  const { head = '', row = json } = kinds[kind] ?? {};
  const out = createWriteStream(path);
  out.write(head);
  for (let i = 0; i < lines; i += 10_000) {
    const rows = Array.from({ length: Math.min(10_000, lines - i) }, (_, k) => `${row(i + k)}\n`);
    out.write(rows.join(''));
  }
  out.end();
  await finished(out);
  again(`${kind}, ${lines} rows`, 'read', path);
}

function measureDealing(folder: string, samples: number): void {
  const root = join(folder, 'traces');
  const random = new Random(1);
  for (let i = 0; i < samples; i++) {
    const sample = join(root, `s${i}`);
    mkdirSync(sample, { recursive: true });
    writeFileSync(join(sample, 'info.txt'), `${i}.pdf\n${i % 10 ? 'benign' : 'malicious'}\n`);
    writeFileSync(join(sample, 'mapping.txt'), '400000-500000 r-xp 0 00:00 0 /bin/a\n');
    writeFileSync(
      join(sample, 'trace_0'),
      Uint8Array.from({ length: 200 }, () => random.below(256)),
    );
  }
  again(`${samples} samples dealt out`, 'deal', root);
}

/** Tells what a command takes in a process of its own. */
function again(name: string, mode: string, path: string): void {
  const words = [fileURLToPath(import.meta.url), mode, path];
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  const took = stdout.trim().split('\n').at(-1) ?? '';
  const [seconds = 0, megabytes = 0] = took.split(/ s of a core, | MB/).map(Number);
  console.log(`${name}: ${took}`);
  tell({ name, value: seconds, unit: 's of a core' });
  tell({ name, value: megabytes, unit: 'MB' });
}
