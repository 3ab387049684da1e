/**
 * Decoding speed beside libipt's block decoder (Debian's libipt-dev), in the same run: from raw bytes in
 * memory to the stream of blocks. "Cold" builds the control-flow graph; "warm" has the decoded code of a
 * run before (the graph and its walks are built anew, as for the next trace of a corpus).
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
import { readMemoryMap } from '../src/image/memory-map.ts';

const rounds = 5;
const root = process.argv[2] ?? '../shared/data/pt-bench';
const work = mkdtempSync(join(tmpdir(), 'wayward-bench-'));
const peer = buildPeer();
const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1];

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
  const sections = map.regions.flatMap(({ path, fileOffset = 0, start, end }) => [
    join(folder, 'bin', basename(path)),
    fileOffset.toString(16),
    (end - start).toString(16),
    start.toString(16),
  ]);
  const cold: number[] = [];
  const warm: number[] = [];
  const theirs: number[] = [];
  let blocks = 0;
  let instructions = '';
  // Taken in turns, so that a noisy neighbour disturbs all alike.
  for (let round = 0; round < rounds; round++) {
    const codeCache = new CodeCache();
    for (const times of [cold, warm]) {
      const space = await buildAddressSpace(map, images);
      const started = performance.now();
      const summary = await new TraceDecoder({ space, input: bytes, codeCache }).run(() => {});
      times.push((performance.now() - started) / 1000);
      blocks = summary.blocks;
    }
    codeCache.dispose();
    if (peer !== undefined) {
      const { stdout } = spawnSync(peer, [raw, ...sections], { encoding: 'utf8' });
      const [seconds, , count] = stdout.split(' ');
      theirs.push(Number(seconds));
      instructions = count ?? '';
    }
  }
  const rate = (seconds: number): string =>
    `${(branches / seconds / 1e6).toFixed(1).padStart(6)} M branches/s`;
  console.log(
    `${name}: ${(bytes.length / 1e6).toFixed(1)} MB, ${branches} branches, ${blocks} blocks; median of ${rounds}`,
  );
  console.log(`  wayward, cold   ${rate(median(cold))}  (first: ${rate(cold[0])})`);
  console.log(`  wayward, warm   ${rate(median(warm))}`);
  if (theirs.length > 0) {
    console.log(`  libipt blocks   ${rate(median(theirs))}  (${instructions} instructions)`);
    console.log(`  cold / libipt   ${(median(theirs) / median(cold)).toFixed(2)}`);
    console.log(`  warm / libipt   ${(median(theirs) / median(warm)).toFixed(2)}`);
  } else {
    console.log('  libipt blocks   not measured: needs libipt-dev and a C compiler');
  }
}
console.log(`peak memory ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MB`);

function buildPeer(): string | undefined {
  const source = new URL('libipt-blocks.c', import.meta.url).pathname;
  const program = join(work, 'libipt-blocks');
  const { status } = spawnSync('cc', ['-O2', '-o', program, source, '-lipt']);
  return status === 0 ? program : undefined;
}
