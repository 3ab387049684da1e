/**
 * All benchmarks that have a figure to hold, short, one after the other, and one table of what they measured with
 * ratios to the peers of each. Ends with code 1 when one of them failed.
 *
 *     npm run bench [-- NAME...] [--keep]
 *
 * `--keep` adds the table to the history in `docs/benchmarks.md`. Comparisons of models, which take hours, are not
 * among these: `bench/models.bench.ts`, `weighting`, `ngram`, `detection`, `unlike`, `cluster`, and `npm run bench:field`.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Figure, type FigureLine, tooBusy } from './figures.ts';
import { historyWith, type Measured, tableOf } from './table.ts';

const pdftotext = '../shared/data/pdftotext';
/** Words for each, so that all together take less than ten minutes on two cores. */
const benchmarks: Readonly<Record<string, readonly string[]>> = {
  start: ['start.bench.ts', '5'],
  decode: ['decode.bench.ts'],
  stored: ['stored.bench.ts'],
  judge: [
    'judge.bench.ts',
    '--runs',
    '6',
    '--rounds',
    '3',
    '../shared/data/field/lua5.4',
    pdftotext,
  ],
  calls: ['calls.bench.ts'],
  reports: ['reports.bench.ts', '100'],
  import: ['import.bench.ts', '50'],
  metrics: ['metrics.bench.ts'],
  scale: ['scale.bench.ts', '200000', '10000'],
  page: ['page.bench.ts'],
  record: ['record.bench.ts'],
  guard: ['guard.bench.ts', 'latency', 'cost', '--runs', '3'],
  queue: ['queue.bench.ts', 'cost'],
  learner: ['learner.bench.ts'],
};
const history = 'docs/benchmarks.md';

const { values, positionals } = parseArgs({
  options: { keep: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const strange = positionals.filter((name) => !(name in benchmarks));
if (strange.length > 0) {
  console.error(`There is no ${strange.join(', ')}. Names: ${Object.keys(benchmarks).join(', ')}.`);
  process.exit(1);
}

const folder = mkdtempSync(join(tmpdir(), 'wayward-bench-'));
try {
  const measured = Object.entries(benchmarks)
    .filter(([name]) => positionals.length === 0 || positionals.includes(name))
    .map(([name, words]) => measure(name, words));
  const table = tableOf(measured);
  console.log(`\n${machine()}\n\n${table}`);
  if (values.keep) {
    writeFileSync(history, historyWith(readFileSync(history, 'utf8'), machine(), table));
    console.log(`\nAdded to the history in ${history}.`);
  }
  if (measured.some(({ failed }) => failed)) process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function measure(name: string, words: readonly string[]): Measured {
  console.log(`\n== ${name}: node bench/${words.join(' ')}`);
  const path = join(folder, name);
  const started = performance.now();
  const { status } = spawnSync(
    process.execPath,
    [join('bench', words[0] ?? ''), ...words.slice(1)],
    {
      env: { ...process.env, WAYWARD_BENCH_FIGURES: path },
      stdio: 'inherit',
    },
  );
  const lines = existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
  const told = lines.map((line) => JSON.parse(line) as FigureLine);
  return {
    name,
    failed: status !== 0,
    seconds: (performance.now() - started) / 1000,
    isTooBusy: told.some((line) => 'busy' in line && line.busy > tooBusy),
    figures: told.filter((line): line is Figure => 'value' in line),
  };
}

/** Where, when and on what this was measured. */
function machine(): string {
  const git = (...words: readonly string[]): string =>
    execFileSync('git', words, { encoding: 'utf8' }).trim();
  const commit = git('rev-parse', '--short', 'HEAD');
  const changed = git('status', '--porcelain', '--untracked-files=no') === '' ? '' : ', changed';
  const memory = (totalmem() / 2 ** 30).toFixed(0);
  return [
    new Date().toISOString().slice(0, 10),
    `${commit}${changed}`,
    `${cpus().length} x ${cpus()[0]?.model ?? 'unknown processor'}`,
    `${memory} GiB`,
    `Node ${process.version}`,
    ...versions(),
  ].join(', ');
}

/** Versions of the peers that are there. */
function versions(): readonly string[] {
  const { stdout, status } = spawnSync(
    'dpkg-query',
    ['-W', 'libipt-dev', 'qemu-user', 'redis-server'],
    {
      encoding: 'utf8',
    },
  );
  return status === null
    ? []
    : stdout
        .trim()
        .split('\n')
        .map((line) => line.replace('\t', ' '));
}
