/**
 * How a guard does: how soon it notices a hijack, what it costs the program, and whether its verdicts are those
 * of `judge`.
 *
 *     node bench/guard.bench.ts [latency|cost|memory|field] [--runs N] [--kinds LIST] [--field DIR] [--samples N]
 *
 * - `latency`: `test/guard/victim.c` is hijacked in five ways after some work at full speed. From the moment at which it
 *   writes over a return address or a pointer to the moment at which the guard's main thread has the alarm: ms of
 *   wall time, and blocks that the program ran behind the place until it was dead.
 * - `cost`: the same harmless run bare under qemu-user, recorded, and guarded, taking turns; by what is built in `dist`
 *   where that is there.
 * - `memory`: one run of hundreds of millions of blocks, with a signal now and then; memory of the guard over its thirds.
 * - `field`: recordings replayed as they would come, against `judge` of the same samples; and blocks between the first
 *   hijacked transfer and the alarm, where that is known.
 */
import { execFileSync, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { silentLogger } from '../src/base/log.ts';
import { type AlarmPlace, LiveRun } from '../src/commands/guard/live/live-run.ts';
import { openSetup } from '../src/commands/guard/live/open-setup.ts';
import { judge } from '../src/commands/judge.ts';
import { learn } from '../src/commands/learn.ts';
import { ImageStore } from '../src/image/image-store.ts';
import { buildAddressSpace } from '../src/image/mapped-space.ts';
import { readMemoryMap } from '../src/image/maps/memory-map.ts';
import { readSample } from '../src/trace/sample.ts';
import { harmlessInput, hijacks, learnVictim, type Victim } from '../test/guard/victim.ts';
import { readSplit } from './field/recorder.ts';
import { tell, watchMachine } from './figures.ts';

const source = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url));
const built = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
/** As users run it. */
const main = existsSync(built) ? built : source;
const quiet = { log: silentLogger, progress: () => {} };
const words = process.argv.slice(2);
const option = (name: string, otherwise: string): string =>
  words.includes(name) ? (words[words.indexOf(name) + 1] ?? otherwise) : otherwise;
const parts = words.filter((word) => ['latency', 'cost', 'memory', 'field'].includes(word));
const wanted = (part: string): boolean => parts.length === 0 || parts.includes(part);
const runs = Number(option('--runs', '10'));
const field = option('--field', fileURLToPath(new URL('../../shared/data/field', import.meta.url)));
/** Of each corpus; evenly taken. */
const most = Number(option('--samples', '1000'));
const rounds = 400;
watchMachine();

const folder = mkdtempSync(join(tmpdir(), 'wayward-guard-bench-'));
try {
  console.log(`${cpus()[0]?.model ?? '?'}, ${cpus().length} cores, Node ${process.version}`);
  if (wanted('latency') || wanted('cost') || wanted('memory')) {
    const victim = await learnVictim(folder, 24, rounds);
    if (wanted('latency')) await measureLatency(victim);
    if (wanted('cost')) measureCost(victim);
    if (wanted('memory')) await measureMemory(victim);
  }
  if (wanted('field')) await compareField();
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Work before the hijack: some seconds at full speed. */
function workBefore(): string {
  return Array.from({ length: 12 }, (_, i) => harmlessInput(3 * i + 1)).join('');
}

async function measureLatency(victim: Victim): Promise<void> {
  console.log(
    '\nfrom hijack to alarm     ms: least  median  p90  most     blocks until it was dead: median  most',
  );
  const kinds = option('--kinds', hijacks.join(',')).split(',');
  for (const kind of hijacks.filter((each) => kinds.includes(each))) {
    const times: number[] = [];
    const behind: number[] = [];
    for (let run = 0; run < runs; run++) {
      const found = await guardOnce(victim, kind);
      if (found === undefined) continue;
      times.push(found.ms);
      behind.push(found.blocks);
    }
    tell({
      name: `${kind} to alarm, median`,
      value: quantile(times, 0.5),
      unit: 'ms',
      goal: { most: 50 },
    });
    const show = (value: number): string => value.toFixed(1).padStart(8);
    console.log(
      `${kind.padEnd(12)} ${times.length} of ${runs}    ${show(quantile(times, 0))}${show(quantile(times, 0.5))}${show(quantile(times, 0.9))}${show(quantile(times, 1))}     ${show(quantile(behind, 0.5))}${show(quantile(behind, 1))}`,
    );
  }
}

interface Noticed {
  readonly ms: number;
  readonly blocks: number;
}

/** Guards one hijacked run in a process of its own, which tells when it has the alarm. */
function guardOnce(victim: Victim, kind: string): Promise<Noticed | undefined> {
  const moment = join(folder, 'moment');
  const script = `
    import { readFileSync } from 'node:fs';
    import { guard } from ${JSON.stringify(fileURLToPath(new URL('../src/commands/guard.ts', import.meta.url)))};
    let alarm;
    const guarding = await guard({ profiles: [${JSON.stringify(victim.profile)}], command: ${JSON.stringify(victim.program)},
      args: [${JSON.stringify(moment)}, '${rounds}'], fpr: 0.05, onAlarm: 'kill', evidence: ${JSON.stringify(join(folder, 'evidence'))},
      searchPath: process.env.PATH, env: { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C' } }, (event) => {
      if (event.event === 'alarm' && alarm === undefined) {
        const now = process.hrtime.bigint();
        const then = readFileSync(${JSON.stringify(moment)}).readBigUInt64LE(0);
        alarm = { ms: Number(now - then) / 1e6, position: event.position };
      }
      if (event.event !== 'process-ended' || alarm === undefined) return;
      console.error('NOTICED ' + JSON.stringify({ ms: alarm.ms, blocks: event.blocks - alarm.position }));
    });
    await guarding.result;`;
  const file = join(folder, 'guard-once.ts');
  writeFileSync(file, script);
  const child = spawn(process.execPath, [file], {
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  child.stdin.on('error', () => {});
  child.stdin.end(`${workBefore()}attack ${kind}\n`);
  let text = '';
  child.stderr.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  return new Promise((resolve) => {
    child.on('close', () => {
      const found = /NOTICED (\{.*\})/.exec(text)?.[1];
      if (found === undefined) console.log(`  ${kind}: no alarm: ${text.slice(0, 300)}`);
      resolve(found === undefined ? undefined : (JSON.parse(found) as Noticed));
    });
  });
}

function measureCost({ program, profile }: Victim): void {
  const input = workBefore();
  const args = [program, join(folder, 'moment'), String(rounds)];
  const env = { PATH: process.env.PATH, LC_ALL: 'C' };
  const timed = (command: string, all: readonly string[]): number => {
    const before = performance.now();
    execFileSync(command, all, { input, env, stdio: ['pipe', 'ignore', 'ignore'] });
    return (performance.now() - before) / 1000;
  };
  const sample = join(folder, 'cost');
  const stdin = join(folder, 'in', 'cost');
  writeFileSync(stdin, input);
  const ways: Readonly<Record<string, () => number>> = {
    bare: () => timed('qemu-x86_64', ['-cpu', 'max', ...args]),
    recorded: () => {
      rmSync(sample, { recursive: true, force: true });
      const words = [
        'record',
        '-o',
        sample,
        '--bin-dir',
        join(folder, 'cost-bin'),
        '--stdin',
        stdin,
      ];
      return timed(process.execPath, [main, ...words, '--', ...args]);
    },
    guarded: () => {
      const words = ['guard', profile, '--evidence', join(folder, 'cost-evidence')];
      return timed(process.execPath, [main, ...words, '--', ...args]);
    },
    'guarded, --no-slow': () => {
      const words = ['guard', profile, '--no-slow', '--evidence', join(folder, 'cost-evidence')];
      return timed(process.execPath, [main, ...words, '--', ...args]);
    },
  };
  const seconds = new Map<string, number[]>(Object.keys(ways).map((name) => [name, []]));
  for (let run = 0; run < runs; run++) {
    for (const [name, way] of Object.entries(ways)) seconds.get(name)?.push(way());
  }
  console.log('\nthe same run             s: median  against recorded, turn by turn: median');
  for (const [name, each] of seconds) {
    const ratios = each.map((value, i) => value / (seconds.get('recorded')?.[i] ?? Number.NaN));
    if (name === 'guarded') {
      const peer = { name: 'recorded', value: quantile(seconds.get('recorded') ?? [], 0.5) };
      tell({ name, value: quantile(each, 0.5), unit: 's', peer, goal: { most: 1.25 } });
    }
    console.log(
      `${name.padEnd(24)} ${quantile(each, 0.5).toFixed(2).padStart(8)} ${quantile(ratios, 0.5).toFixed(2).padStart(8)}`,
    );
  }
}

/** The run goes on at full speed, and is told to look at the clock by signals that it ignores. */
async function measureMemory({ program, profile }: Victim): Promise<void> {
  const args = [program, join(folder, 'moment'), String(10 * rounds)];
  const words = ['guard', profile, '--json', '--evidence', join(folder, 'memory-evidence')];
  const child = spawn(process.execPath, [main, ...words, '--', ...args], {
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  child.stdin.on('error', () => {});
  child.stdin.end(workBefore());
  let told = '';
  child.stderr.on('data', (chunk: Buffer) => {
    told += chunk.toString();
  });
  const sizes: number[] = [];
  const timer = setInterval(() => {
    child.kill('SIGWINCH');
    const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
    sizes.push(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024);
  }, 100);
  await new Promise((resolve) => child.on('exit', resolve));
  clearInterval(timer);
  const blocks = Number(/"event":"ended".*"blocks":(\d+)/.exec(told)?.[1]);
  const third = Math.floor(sizes.length / 3);
  const most = (from: number): string => Math.max(...sizes.slice(from, from + third)).toFixed(0);
  console.log(
    `\nmemory over ${(blocks / 1e6).toFixed(0)} million blocks, MB: first third ${most(0)}, second ${most(third)}, last ${most(2 * third)}`,
  );
}

async function compareField(): Promise<void> {
  console.log(
    '\nreplayed        samples  threads  equal to judge  alarmed = flagged   blocks from hijack to alarm: median  most',
  );
  for (const name of ['xmllint', 'lua5.4', 'perl', 'optipng', 'fzf', 'ruby']) {
    const corpus = join(field, name);
    if (!existsSync(corpus)) continue;
    const split = await readSplit(corpus);
    const train = split.train.slice(0, 20);
    const samples = [...new Set(Object.values(split).flat())];
    const profile = await learnFrom(corpus, name, train);
    const step = Math.max(1, samples.length / most);
    const taken = samples.filter((_, i) => Math.floor(i / step) !== Math.floor((i - 1) / step));
    await compareCorpus(corpus, name, profile, taken, 1.001 / (train.length + 1));
  }
}

async function learnFrom(corpus: string, name: string, train: readonly string[]): Promise<string> {
  const root = join(folder, name);
  mkdirSync(join(root, 'traces'), { recursive: true });
  symlinkSync(join(corpus, 'bin'), join(root, 'bin'));
  for (const sample of train)
    symlinkSync(join(corpus, 'traces', sample), join(root, 'traces', sample));
  const profile = join(folder, `${name}.wayward`);
  await learn({ root, out: folder, profile, workers: 1 }, quiet);
  return profile;
}

async function compareCorpus(
  corpus: string,
  name: string,
  profile: string,
  samples: readonly string[],
  fpr: number,
): Promise<void> {
  const paths = samples.map((sample) => join(corpus, 'traces', sample));
  const binDirs = [join(corpus, 'bin')];
  const { judged } = await judge({ profile, samples: paths, binDirs, fpr, out: folder }, quiet);
  const setup = await openSetup(profile, fpr);
  const truth = readTruth(corpus);
  const distances: number[] = [];
  let equal = 0;
  let alarmedRight = 0;
  let threaded = 0;
  for (const whole of judged) {
    const sample = await readSample(whole.directory);
    const images = new ImageStore(binDirs);
    const space = await buildAddressSpace(await readMemoryMap(sample.map ?? ''), images);
    const alarms: AlarmPlace[] = [];
    const run = new LiveRun(setup, space, (place) => alarms.push(place));
    for (const [thread, path] of sample.traces.entries()) {
      const bytes = path.endsWith('.gz') ? gunzipSync(readFileSync(path)) : readFileSync(path);
      for (let at = 0; at < bytes.length; at += 4096)
        run.push(thread, bytes.subarray(at, at + 4096));
      // Recordings say nothing of the order of threads in time: one after the other.
      run.endThread(thread);
    }
    run.end();
    if (sample.traces.length > 1) threaded++;
    const { pValue, score } = run.decision;
    if (pValue === whole.pValue && score === whole.score) equal++;
    if (alarms.length > 0 === (whole.verdict === 'anomalous')) alarmedRight++;
    const hit = truth.get(whole.name);
    const first = alarms.find(({ position }) => hit !== undefined && position >= hit - 16);
    if (hit !== undefined && first !== undefined) distances.push(first.position - hit);
  }
  await setup.close();
  const far =
    distances.length === 0
      ? '-'
      : `${quantile(distances, 0.5)}  ${quantile(distances, 1)}  (${distances.length} of ${[...truth.keys()].filter((each) => samples.includes(each)).length} attacks)`;
  console.log(
    `${name.padEnd(12)} ${String(judged.length).padStart(10)} ${String(threaded).padStart(8)} ${String(equal).padStart(15)} ${String(alarmedRight).padStart(18)}   ${far}`,
  );
}

/** Block index of the first hijacked transfer, by sample. */
function readTruth(corpus: string): Map<string, number> {
  const path = join(corpus, 'truth.json');
  if (!existsSync(path)) return new Map();
  const truth = JSON.parse(readFileSync(path, 'utf8')) as Record<
    string,
    { hits?: readonly (readonly [number])[] }
  >;
  return new Map(
    Object.entries(truth).flatMap(([name, { hits }]) => {
      const first = hits?.[0]?.[0];
      return typeof first === 'number' ? [[name, first] as const] : [];
    }),
  );
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}
