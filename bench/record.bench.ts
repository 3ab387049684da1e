/**
 * Recording speed of each backend, from start to written sample, beside the same program under QEMU
 * alone and under QEMU that writes its log to nowhere.
 *
 *     node bench/record.bench.ts [PROGRAM ARGS...]
 */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildPlugin } from '../src/capture/qemu/plugin/build.ts';
import { type RecordOptions, record } from '../src/capture/record.ts';
import { median, tell, watchMachine } from './figures.ts';

watchMachine();
/** By the log once: it takes 12 to 50 times as long as the plugin and QEMU alone. */
const rounds = 5;
const logRounds = 1;
const given = process.argv.slice(2);
const [command, ...args] =
  given.length > 0 ? given : ['/usr/bin/python3.11', '-c', 'print(sum(range(300000)))'];
const work = await mkdtemp(join(tmpdir(), 'wayward-bench-'));

const qemu = (...flags: string[]): number => {
  const started = performance.now();
  execFileSync('qemu-x86_64', ['-cpu', 'max', ...flags, command, ...args], { stdio: 'ignore' });
  return (performance.now() - started) / 1000;
};

try {
  const plugin = await buildPlugin(work);
  let blocks = 0;
  let bytes = 0;
  let folders = 0;
  const recorded = async (options: Partial<RecordOptions>): Promise<number> => {
    const out = join(work, 'traces', String(folders++));
    const result = await record({ command, args, out, label: 'benign', name: 'bench', ...options });
    blocks = result.blocks.reduce((sum, count) => sum + count, 0);
    bytes = result.traceBytes;
    return result.seconds;
  };
  const ways: [string, () => number | Promise<number>][] = [
    ['QEMU alone', () => qemu()],
    ['QEMU, log to nowhere', () => qemu('-d', 'exec,nochain', '-D', '/dev/null')],
    ['recorded, plugin', () => recorded({ plugin })],
    ['recorded, log', () => recorded({ backend: 'log' })],
  ];
  const times = ways.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, [name, measure]] of ways.entries()) {
      if (round < logRounds || !/\blog\b/.test(name)) times[index].push(await measure());
    }
  }
  console.log(`${blocks} blocks, ${bytes} trace bytes; medians of ${rounds} rounds, logs once`);
  for (const [index, [name]] of ways.entries()) {
    const seconds = median(times[index]);
    const speed = (blocks / seconds / 1e6).toFixed(2);
    if (index > 1) {
      const peer = { name: 'QEMU alone', value: median(times[0]) };
      tell({ name, value: seconds, unit: 's', peer });
    }
    console.log(`${name.padEnd(21)} ${seconds.toFixed(3)} s, ${speed} M blocks/s`);
  }
} finally {
  await rm(work, { recursive: true, force: true });
}
