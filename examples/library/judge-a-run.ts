/**
 * Learns a program's normal control flow from harmless runs, and judges others.
 *
 *     node judge-a-run.ts RECORDINGS RUN...
 *
 * RECORDINGS is laid out as `wayward record --input-dir` does, and as the recordings that come with
 * Wayward are: `traces` holds one folder a run, `bin` what they ran.
 */
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { judge, learn } from 'wayward';

const [recordings, ...runs] = process.argv.slice(2);
if (recordings === undefined) throw new Error('usage: node judge-a-run.ts RECORDINGS RUN...');
const work = mkdtempSync(join(tmpdir(), 'judge-a-run-'));
try {
  // Learn from 20 runs: fewer than 19 cannot set a threshold for one false alarm in 20.
  const traces = join(recordings, 'traces');
  const harmless = readdirSync(traces).filter((name) => name.startsWith('nominal-train'));
  for (const name of harmless.slice(0, 20)) {
    cpSync(join(traces, name), join(work, 'traces', name), { recursive: true });
  }
  cpSync(join(recordings, 'bin'), join(work, 'bin'), { recursive: true });
  const { profile } = await learn(
    { root: work, out: work },
    { onProgress: ({ step, done, total, unit }) => console.error(step, done, total, unit) },
  );
  if (profile === undefined) throw new Error('too few runs to judge others by');

  for (const name of runs) {
    const { verdict, pValue, place = '' } = await judge(profile, join(traces, name));
    console.log(`${name}: ${verdict}, p ${pValue.toFixed(3)} ${place}`);
  }
} finally {
  rmSync(work, { recursive: true });
}
