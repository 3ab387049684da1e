/**
 * Decoding speed beside libipt's block decoder (Debian's libipt-dev), in the same run: from raw bytes in
 * memory to the stream of blocks. "Cold" builds the control-flow graph; "warm" has the decoded code of a
 * run before (the graph is built anew, as for the next trace of a corpus). Times are of the wall clock
 * and, beside them, of the processor (of all threads): the latter tell more on a busy machine.
 *
 * node bench/decode.bench.ts [FOLDER]   FOLDER holds traces as in ../shared/data/pt-bench
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { CodeCache } from '../src/flow/code-cache.ts';
import { TraceDecoder } from '../src/flow/trace-decoder.ts';
import { ImageStore } from '../src/image/image-store.ts';
import { buildAddressSpace } from '../src/image/mapped-space.ts';
import { readMemoryMap } from '../src/image/maps/memory-map.ts';
import { median, tell, watchMachine } from './figures.ts';

interface Times {
  readonly wall: number[];
  readonly cpu: number[];
}

watchMachine();
const rounds = 5;
const root = process.argv[2] ?? '../shared/data/pt-bench';
const work = mkdtempSync(join(tmpdir(), 'wayward-bench-'));
const peer = buildPeer();

for (const name of ['py', 'py-noretc']) {
  const folder = join(root, name);
  if (!existsSync(folder)) continue;
  const map = await readMemoryMap(join(folder, 'trace/mapping.txt'));
  const images = new ImageStore([join(folder, 'bin')]);
  const bytes = gunzipSync(readFileSync(join(folder, 'trace/trace_0.gz')));
  const raw = join(work, name);
  writeFileSync(raw, bytes);
  const branches = Number(
    /branches\(tnt\+tip\)=(\d+)/.exec(readFileSync(join(folder, 'expected.txt'), 'utf8'))?.[1],
  );
  const sections = [...map.regions].flatMap(({ path, fileOffset = 0, start, end }) => [
    join(folder, 'bin', basename(path)),
    fileOffset.toString(16),
    (end - start).toString(16),
    start.toString(16),
  ]);
  const cold: Times = { wall: [], cpu: [] };
  const warm: Times = { wall: [], cpu: [] };
  const theirs: Times = { wall: [], cpu: [] };
  let blocks = 0;
  let instructions = '';
  // Taken in turns, so that a noisy neighbour disturbs all alike.
  for (let round = 0; round < rounds; round++) {
    const codeCache = new CodeCache();
    for (const times of [cold, warm]) {
      const space = await buildAddressSpace(map, images);
      const started = performance.now();
      const startedCpu = process.cpuUsage();
      const summary = await new TraceDecoder({ space, input: bytes, codeCache }).run(() => {});
      times.wall.push((performance.now() - started) / 1000);
      const { user, system } = process.cpuUsage(startedCpu);
      times.cpu.push((user + system) / 1e6);
      blocks = summary.blocks;
    }
    codeCache.dispose();
    if (peer !== undefined) {
      const { stdout } = spawnSync(peer, [raw, ...sections], { encoding: 'utf8' });
      const [wall, cpu, , count] = stdout.split(' ');
      theirs.wall.push(Number(wall));
      theirs.cpu.push(Number(cpu));
      instructions = count ?? '';
    }
  }
  console.log(
    `${name}: ${(bytes.length / 1e6).toFixed(1)} MB, ${branches} branches, ${blocks} blocks; median of ${rounds}`,
  );
  const first = { wall: cold.wall.slice(0, 1), cpu: cold.cpu.slice(0, 1) };
  const rows: [string, Times][] = [
    ['cold', cold],
    ['cold, the first', first],
    ['warm', warm],
    [`libipt (${instructions} instructions)`, theirs],
  ];
  for (const [label, times] of rows) {
    if (times.wall.length === 0) continue;
    const columns = (['wall', 'cpu'] as const).map((clock) => {
      const rate = (branches / median(times[clock]) / 1e6).toFixed(1).padStart(6);
      const ratio = median(theirs[clock]) / median(times[clock]);
      return `${clock} ${rate} M branches/s${Number.isNaN(ratio) ? '' : `, ${ratio.toFixed(2)} x libipt`}`;
    });
    console.log(`  ${label.padEnd(32)} ${columns.join('   ')}`);
  }
  for (const [label, times, least] of [
    ['cold', cold, 5.5],
    ['warm', warm, 7.5],
  ] as const) {
    const rate = (of: Times): number => branches / median(of.cpu) / 1e6;
    tell({
      ...{ name: `${name}, ${label}`, unit: 'M branches/s of a core', value: rate(times) },
      ...(peer === undefined
        ? {}
        : { peer: { name: 'libipt', value: rate(theirs) }, goal: { least } }),
    });
  }
  if (peer === undefined) console.log('  libipt not measured: needs libipt-dev and a C compiler');
}
console.log(`peak memory ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MB`);

function buildPeer(): string | undefined {
  const source = new URL('libipt-blocks.c', import.meta.url).pathname;
  const program = join(work, 'libipt-blocks');
  const { status } = spawnSync('cc', ['-O2', '-o', program, source, '-lipt']);
  return status === 0 ? program : undefined;
}
