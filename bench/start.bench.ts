/**
 * What it costs to start: processor time of command lines that have nothing to do, beside `node -e 0` in the same run,
 * taking turns. Build first.
 *
 *     node bench/start.bench.ts [ROUNDS, default 9]
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { median, tell, watchMachine } from './figures.ts';

watchMachine();
const rounds = Number(process.argv[2] ?? 9);
const wayward = fileURLToPath(new URL('../bin/wayward.cjs', import.meta.url));
const nowhere = join(tmpdir(), 'nowhere');
const cases: Readonly<Record<string, readonly string[]>> = {
  'node -e 0': ['-e', '0'],
  '--version': [wayward, '--version'],
  '--help': [wayward, '--help'],
  'a wrong word': [wayward, 'lern'],
  'inspect of nothing': [wayward, 'inspect', nowhere],
  'record of nothing': [wayward, 'record', '--', nowhere],
  'learn of nothing': [wayward, 'learn', nowhere],
  'judge of nothing': [wayward, 'judge', nowhere, nowhere],
  'report of nothing': [wayward, 'report', nowhere],
};

const cache = mkdtempSync(join(tmpdir(), 'wayward-start-'));
try {
  const times = new Map(Object.keys(cases).map((name) => [name, [] as number[]]));
  // The first round fills the compile cache.
  for (let round = 0; round <= rounds; round++) {
    for (const [name, words] of Object.entries(cases)) {
      const milliseconds = processorTime(words);
      if (round > 0) times.get(name)?.push(milliseconds);
    }
  }
  const bare = median(times.get('node -e 0') ?? []);
  for (const [name, values] of times) {
    const value = median(values);
    if (value !== bare) tell({ name, value, unit: 'ms', peer: { name: 'node -e 0', value: bare } });
    console.log(
      `${name.padEnd(20)} ${value.toFixed(0).padStart(4)} ms  ${(value / bare).toFixed(1).padStart(5)} x  + ${(value - bare).toFixed(0)} ms`,
    );
  }
} finally {
  rmSync(cache, { recursive: true });
}

/** @returns user and system time of a process, ms; the system counts in hundredths of a second */
function processorTime(words: readonly string[]): number {
  const script = `
    require('node:child_process').spawnSync(process.execPath, ${JSON.stringify(words)});
    const [, rest] = require('node:fs').readFileSync('/proc/self/stat', 'latin1').split(') ');
    const fields = rest.split(' ');
    // Of children that have ended: cutime and cstime of proc(5).
    console.log(10 * (Number(fields[13]) + Number(fields[14])));`;
  const { stdout } = spawnSync(process.execPath, ['-e', script], {
    encoding: 'utf8',
    env: { ...process.env, NODE_COMPILE_CACHE: cache },
  });
  return Number(stdout);
}
