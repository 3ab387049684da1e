/**
 * Recording speed, from start to written sample, beside the same program under QEMU alone.
 *
 *     node bench/record.bench.ts [PROGRAM ARGS...]
 */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildPlugin } from '../src/capture/plugin-build.ts';
import { record } from '../src/capture/record.ts';

const rounds = 5;
const given = process.argv.slice(2);
const [command, ...args] =
  given.length > 0 ? given : ['/usr/bin/python3.11', '-c', 'print(sum(range(300000)))'];
const work = await mkdtemp(join(tmpdir(), 'wayward-bench-'));
const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1];
try {
  const plugin = await buildPlugin(work);
  const alone: number[] = [];
  const recorded: number[] = [];
  let blocks = 0;
  let bytes = 0;
  for (let round = 0; round < rounds; round++) {
    const started = performance.now();
    execFileSync('qemu-x86_64', ['-cpu', 'max', command, ...args], { stdio: 'ignore' });
    alone.push((performance.now() - started) / 1000);
    const out = join(work, 'traces', String(round));
    const result = await record({ command, args, out, plugin, label: 'benign', name: 'bench' });
    recorded.push(result.seconds);
    blocks = result.blocks.reduce((sum, count) => sum + count, 0);
    bytes = result.traceBytes;
  }
  const seconds = median(recorded);
  console.log(`${blocks} blocks, ${bytes} trace bytes`);
  console.log(
    `recorded     ${seconds.toFixed(3)} s, ${(blocks / seconds / 1e6).toFixed(2)} M blocks/s`,
  );
  console.log(`QEMU alone   ${median(alone).toFixed(3)} s`);
} finally {
  await rm(work, { recursive: true, force: true });
}
