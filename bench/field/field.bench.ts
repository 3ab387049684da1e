/**
 * How Wayward does on programs that nobody tuned it on.
 *
 *     npm run bench:field -- [--folder DIR] [--only NAME,...] [--fast] [--json] [CORPUS...]
 *
 * Records runs of unmodified Debian programs of different makes, learns from half of each program's
 * runs and judges the others: how many harmless runs hold a proof of an attack, how much is
 * mispredicted, what the decoder lost, how long it takes. Then judges corpora with real attacks: those given as
 * arguments, or those of `../shared/data/field`, and with `--attacks` such as are recorded here
 * (`hijack/`). See README.md for the options.
 */
import { existsSync, readdirSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { holdsProof, judgeCorpus, type Told } from './corpora.ts';
import { makeCorpus } from './hijack/corpus.ts';
import { hijackTargets } from './hijack/targets.ts';
import { measure } from './measure.ts';
import type { FieldProgram } from './program.ts';
import { aptLine, findProgram, programs } from './programs.ts';
import { type Count, countOf, showCount } from './quality.ts';
import { readSplit, recordRuns } from './recorder.ts';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    folder: { type: 'string', default: join(tmpdir(), 'wayward-field') },
    only: { type: 'string', multiple: true, default: [] },
    runs: { type: 'string' },
    seed: { type: 'string', default: '1' },
    fpr: { type: 'string', default: '0.05' },
    features: { type: 'string', default: 'all' },
    attacks: { type: 'boolean', default: false },
    fast: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});

/** Quick to record, and each of another make. */
const fastPrograms = ['perl', 'bash', 'optipng', 'fzf', 'menhir', 'qemu-img', 'luajit', 'busybox'];

const folder = resolve(flags.folder);
const only = new Set(flags.only.flatMap((names) => names.split(',')));
const seed = Number(flags.seed);
const runs = Number(flags.runs ?? (flags.fast ? 8 : 12));
const fpr = Number(flags.fpr);
const isWanted = (name: string): boolean =>
  only.size > 0 ? only.has(name) : !flags.fast || fastPrograms.includes(name);
const progress = (text: string): void => console.error(text);
const print = (text: string): void => {
  if (!flags.json) console.log(text);
};

const wanted = programs.filter((program) => isWanted(program.name));
const missing = wanted.filter((program) => findProgram(program) === undefined);
const apt = aptLine(missing);
if (flags.list) {
  for (const program of programs) {
    const path = findProgram(program) ?? `missing: package ${program.package}`;
    console.log(`${program.name.padEnd(18)}${path.padEnd(46)}${program.make}`);
  }
  if (apt !== undefined) console.log(apt);
  process.exit(0);
}
if (apt !== undefined) {
  progress(`missing: ${missing.map(({ name }) => name).join(', ')}; ${apt}`);
}

interface ProgramResult {
  readonly name: string;
  readonly make: string;
  readonly failed?: string;
  readonly training?: number;
  readonly withProof?: Count;
  /** Proofs of all harmless runs, by kind. */
  readonly proofs?: Readonly<Record<string, number>>;
  /** Runs that hold one and the first block of it, for `wayward inspect`. */
  readonly places?: readonly string[];
  readonly mispredicted?: number;
  readonly gaps?: number;
  readonly blocks?: number;
  readonly seconds?: { readonly learn: number; readonly classify: number };
}

print(`node ${process.version}, ${cpus()[0]?.model}, ${new Date().toISOString()}`);
print(`recordings in ${folder}\n`);
const columns = [20, 7, 12, 14, 8, 12, 10] as const;
const row = (cells: readonly string[]): string =>
  cells.map((cell, index) => cell.padEnd(columns[index] ?? 0)).join('');
const results: ProgramResult[] = [];
if (wanted.length > 0) {
  print(
    row(['program', 'learned', ' hold proof', 'mispredicted', 'gaps', 'blocks', 'learn', 'kinds']),
  );
}
for (const program of wanted) {
  const result = await tryProgram(program);
  results.push(result);
  const { withProof, mispredicted = Number.NaN, seconds } = result;
  print(
    withProof === undefined
      ? row([program.name, result.failed ?? ''])
      : row([
          program.name,
          `${result.training}`,
          ` ${showCount(withProof)}`,
          `${(100 * mispredicted).toFixed(2)} %`,
          `${result.gaps}`,
          `${((result.blocks ?? 0) / 1e6).toFixed(1)} M`,
          `${seconds?.learn.toFixed(1)} s`,
          Object.entries(result.proofs ?? {})
            .map(([kind, count]) => `${kind} ${count}`)
            .join(', '),
        ]),
  );
}

/** One program's failure is that program's failure. */
async function tryProgram(program: FieldProgram): Promise<ProgramResult> {
  const { name, make } = program;
  const command = findProgram(program);
  if (command === undefined) return { name, make, failed: `package ${program.package} is missing` };
  try {
    const corpus = join(folder, name);
    const limits = { runs, maxBlocks: 15e6, seed };
    const recorded = await recordRuns(program, { command, folder: corpus, ...limits, progress });
    if (recorded.names.length < 4) throw new Error(`only ${recorded.names.length} runs recorded`);
    const split = await readSplit(corpus);
    const scratch = join(folder, 'scratch', name);
    const measured = await measure({
      folder: corpus,
      split,
      scratch,
      fpr,
      features: flags.features,
    });
    const proofs: Record<string, number> = {};
    for (const run of measured.runs) {
      for (const [kind, count] of Object.entries(run.proofs)) {
        proofs[kind] = (proofs[kind] ?? 0) + count;
      }
    }
    const sum = (of: (run: (typeof measured.runs)[number]) => number): number =>
      measured.runs.reduce((total, run) => total + of(run), 0);
    return {
      name,
      make,
      training: split.train.length,
      withProof: countOf(measured.runs, holdsProof),
      proofs,
      places: measured.runs
        .filter(holdsProof)
        .map((run) => `${run.name} block ${run.proofBlocks[0]}`),
      mispredicted: sum((run) => run.mispredicted) / sum((run) => run.predictions),
      gaps: sum((run) => run.gaps),
      blocks: sum((run) => run.blocks),
      seconds: measured.seconds,
    };
  } catch (error) {
    progress(`${name}: ${(error as Error).message}`);
    return { name, make, failed: (error as Error).message };
  }
}

const corpora = await findCorpora();
const judged: {
  readonly name: string;
  readonly told?: readonly Told[];
  readonly failed?: string;
}[] = [];
for (const corpus of corpora) {
  const name = corpus.split('/').slice(-2).join('/');
  try {
    const scratch = join(folder, 'scratch', name.replaceAll('/', '-'));
    const curve = flags.fast ? [] : [10, 20, 45];
    const options = { folder: corpus, scratch, fpr, features: flags.features, curve, progress };
    const told = await judgeCorpus(options);
    judged.push({ name, told });
    printCorpus(name, told);
  } catch (error) {
    progress(`${name}: ${(error as Error).message}`);
    judged.push({ name, failed: (error as Error).message });
  }
}

/** Corpora with attacks: given, of the shared data, and recorded here. */
async function findCorpora(): Promise<string[]> {
  const found = positionals.map((path) => resolve(path));
  const shared = join(import.meta.dirname, '../../../shared/data/field');
  if (found.length === 0 && existsSync(shared)) {
    found.push(...readdirSync(shared).map((name) => join(shared, name)));
  }
  const whole = found.filter((path) => existsSync(join(path, 'truth.json')));
  if (!flags.attacks) return whole;
  for (const target of hijackTargets) {
    const { name } = target.program;
    if (only.size > 0 && !only.has(name)) continue;
    const corpus = join(folder, 'attacks', name);
    const sizes = flags.fast
      ? { nominal: 24, controls: 4, attacks: 1 }
      : { nominal: 90, controls: 10, attacks: 3 };
    try {
      await makeCorpus(target, { folder: corpus, ...sizes, seed, progress });
      whole.push(corpus);
    } catch (error) {
      progress(`${name}: ${(error as Error).message}`);
    }
  }
  return whole;
}

function printCorpus(name: string, told: readonly Told[]): void {
  print(
    `\n${name} (area: held-out nominal / with controls; flagged at a false-positive rate of ${fpr})`,
  );
  for (const item of told) {
    const families = Object.entries(item.families).map(
      ([key, count]) => `${key} ${showCount(count)}`,
    );
    const parts = [
      `${String(item.training).padStart(3)} trained`,
      `area ${item.area.toFixed(3)} / ${item.areaWithControls.toFixed(3)}`,
      `flagged ${showCount(item.flagged)}`,
      `false alarms ${showCount(item.falseAlarms)}, controls ${showCount(item.flaggedControls)}`,
      `hold proof ${showCount(item.withProof)}`,
      `worst place at the hijack ${showCount(item.located)}`,
      `learn ${item.learnSeconds.toFixed(1)} s`,
    ];
    print(parts.join('; '));
    print(`            ${families.join(', ')}; data ${showCount(item.data)}`);
  }
}

if (flags.json) {
  const machine = { node: process.version, cpu: cpus()[0]?.model, time: new Date().toISOString() };
  console.log(JSON.stringify({ schemaVersion: 1, machine, programs: results, corpora: judged }));
}
