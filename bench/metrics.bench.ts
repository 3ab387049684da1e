/**
 * `stats` and `novelty` over 20 stored traces of about 1.5 M blocks: time, memory, and how far the
 * Bloom filter's counts lie from exact ones. Beside them the same with Sets of strings, on one trace.
 *
 * node bench/metrics.bench.ts [FOLDER]   FOLDER holds traces/ and bin/ as in ../shared/data/pdftotext
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { silentLogger } from '../src/base/log.ts';
import { type NoveltyOptions, novelty } from '../src/commands/novelty.ts';
import { Decoding, preprocessSample } from '../src/commands/samples/preprocess.ts';
import { stats } from '../src/commands/stats.ts';
import { CodeCache } from '../src/flow/code-cache.ts';
import { ImageStore } from '../src/image/image-store.ts';
import { openTraces } from '../src/trace/open-trace.ts';
import { findSamples } from '../src/trace/sample.ts';
import { writeSets } from '../src/trace/sets-file.ts';
import { transferNames } from '../src/x86/transfer.ts';
import { tell, watchMachine } from './figures.ts';

const folder = process.argv[2] ?? '../shared/data/pdftotext';
watchMachine();
const most = 20;
const blocksWanted = 1_500_000;
const context = { log: silentLogger, progress: (): void => {} };
const filter = ['ret', 'icall', 'ijmp'] as const;

if (!existsSync(join(folder, 'traces'))) {
  console.log(`${folder} is not here; nothing is measured`);
  process.exit();
}

/** The traces whose raw size comes nearest to that of 1.5 M blocks stand for such traces. */
function nearest(): string[] {
  const truth = join(folder, 'truth');
  const sizes = readdirSync(truth).map((name) => ({
    name: basename(name, '.json'),
    blocks: (JSON.parse(readFileSync(join(truth, name), 'utf8')) as { blocks: number }).blocks,
  }));
  return sizes
    .sort((a, b) => Math.abs(a.blocks - blocksWanted) - Math.abs(b.blocks - blocksWanted))
    .slice(0, most)
    .map(({ name }) => name);
}

async function timed<T>(name: string, work: () => Promise<T>): Promise<T> {
  const before = process.cpuUsage();
  const started = performance.now();
  const result = await work();
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(before);
  const peak = process.resourceUsage().maxRSS / 1024;
  tell({ name, value: (user + system) / 1e6, unit: 's of a core' });
  console.log(
    `${name}: ${seconds.toFixed(2)} s, ${((user + system) / 1e6).toFixed(2)} s of a core, peak so far ${peak.toFixed(0)} MB`,
  );
  return result;
}

const work = mkdtempSync(join(tmpdir(), 'wayward-bench-'));
try {
  const root = join(work, 'traces');
  mkdirSync(root);
  for (const name of nearest()) {
    // The corpus may be read-only; a copy of what is in it must not be.
    const to = join(root, name);
    mkdirSync(to);
    for (const file of readdirSync(join(folder, 'traces', name))) {
      cpSync(join(folder, 'traces', name, file), join(to, file));
    }
  }
  const binDirs = [join(folder, 'bin')];
  const each = { binDirs, rawImages: false, format: 'wayward', force: false } as const;
  const { samples: recorded } = await findSamples(root);
  // In this process, so that its time is counted.
  await timed('preprocess', async () => {
    const options = { ...each, timeout: undefined, partial: true };
    const decoding = new Decoding(options);
    for (const sample of recorded) await preprocessSample(sample, options, decoding);
    decoding.dispose();
  });
  const { samples } = await findSamples(root);
  const sets = join(work, 'sets.txt');
  const directories = samples.map(({ directory }) => directory);
  await writeSets(sets, {
    train: directories.slice(0, 16),
    calibrate: [],
    testNominal: directories.slice(16),
    testAnomalous: [],
  });
  const read = {
    binDirs: [],
    rawImages: false,
    source: 'trace' as const,
    process: undefined,
    preprocessed: true,
    filter,
    plot: undefined,
  };
  const targets = await timed('stats', () =>
    stats(
      { ...read, root, output: join(work, 't.csv'), maxLength: 32, maxWindows: 2_000_000 },
      context,
    ),
  );
  console.log(
    `  ${targets.samples} traces, ${targets.blocks} blocks, ${targets.distinctWindows} distinct windows, all lengths up to 32`,
  );
  const common: Omit<NoveltyOptions, 'errorRate'> = {
    ...read,
    sets,
    output: join(work, 'n.csv'),
    windowLength: 32,
    maxWindows: 2_000_000,
  };
  const exact = await timed('novelty, exact', () =>
    novelty({ ...common, errorRate: undefined }, context),
  );
  const total = exact.points.at(-1)?.total ?? 0;
  for (const errorRate of [0.01, 0.001]) {
    const { points } = await timed(`novelty, error rate ${errorRate}`, () =>
      novelty({ ...common, errorRate }, context),
    );
    const missed = total - (points.at(-1)?.total ?? 0);
    console.log(`  ${total} new sequences, ${missed} of them missed (${missed / total})`);
  }
  await timed('one trace with a Set of strings', async () => {
    const codeCache = new CodeCache();
    const [sample] = samples;
    if (sample === undefined) return;
    const traces = { images: new ImageStore([]), codeCache, preprocessed: true };
    const seen = new Set<string>();
    for (const { source } of await openTraces(sample, traces)) {
      let history: number[] = [];
      let isDue = false;
      await source.run(({ entries, length }) => {
        for (const block of entries.subarray(0, length)) {
          if (block < 0) {
            history = [];
            isDue = false;
            continue;
          }
          history = [...history.slice(-32), block];
          if (isDue && history.length === 33) seen.add(history.join());
          isDue = filter.includes(transferNames[source.blocks.kind[block]] as 'ret');
        }
      });
    }
    console.log(`  ${seen.size} distinct in ${sample.name}`);
    codeCache.dispose();
  });
} finally {
  rmSync(work, { recursive: true, force: true });
}
