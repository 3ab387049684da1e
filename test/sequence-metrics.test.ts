import { mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { silentLogger } from '../src/base/log.ts';
import { conclude, type NoveltyOptions, novelty } from '../src/commands/novelty.ts';
import { stats } from '../src/commands/stats.ts';
import { CodeCache } from '../src/flow/code-cache.ts';
import { ImageStore } from '../src/image/image-store.ts';
import type { NoveltyPoint } from '../src/report/charts/novelty-chart.ts';
import { openTraces } from '../src/trace/open-trace.ts';
import { readSample } from '../src/trace/sample.ts';
import { writeSets } from '../src/trace/sets-file.ts';
import { transferNames } from '../src/x86/transfer.ts';

const corpus = fileURLToPath(new URL('../examples/corpus', import.meta.url));
const binDirs = [join(corpus, 'bin')];
const work = mkdtempSync(join(tmpdir(), 'wayward-'));
const context = { log: silentLogger, progress: (): void => {} };
const length = 8;

const directories = readdirSync(join(corpus, 'traces'))
  .map((name) => join(corpus, 'traces', name))
  .filter((path) => readFileSync(join(path, 'info.txt'), 'utf8').includes('benign'))
  .slice(0, 12);
const sets = {
  train: directories.slice(0, 8),
  calibrate: [],
  testNominal: directories.slice(8),
  testAnomalous: [],
};
const options: NoveltyOptions = {
  sets: join(work, 'sets.txt'),
  output: undefined,
  plot: undefined,
  binDirs,
  rawImages: false,
  source: 'trace' as const,
  process: undefined,
  preprocessed: false,
  filter: ['ret', 'icall', 'ijmp'],
  windowLength: length,
  errorRate: 0.01,
  maxWindows: 2_000_000,
};

/** Windows of one sample as text, the plain way: the last blocks, then where their transfer led. */
async function windowsOf(directory: string): Promise<string[]> {
  const codeCache = new CodeCache();
  const images = new ImageStore(binDirs);
  const found: string[] = [];
  const sample = await readSample(directory);
  for (const { source } of await openTraces(sample, { images, codeCache, preprocessed: false })) {
    let history: string[] = [];
    let isDue = false;
    await source.run(({ entries, length: count }) => {
      const { module, modules, offset, kind } = source.blocks;
      for (const entry of entries.subarray(0, count)) {
        if (entry < 0) {
          if (source.marks[~entry]?.kind === 'gap') history = [];
          isDue = false;
          continue;
        }
        const name = `${modules[module[entry]]?.name}+${offset[entry]}`;
        if (isDue && history.length === length) found.push([...history, name].join(' '));
        history = [...history, name].slice(-length);
        isDue = ['ret', 'icall', 'ijmp'].includes(transferNames[kind[entry]] ?? '');
      }
    });
  }
  codeCache.dispose();
  return found;
}

const windows = await Promise.all(directories.map(windowsOf));
const all = new Set<string>();
const plain = windows.map((each) => {
  const distinct = new Set(each);
  const before = all.size;
  for (const window of distinct) all.add(window);
  return { fresh: all.size - before, distinct: distinct.size };
});
await writeSets(options.sets, sets);

describe('novelty', () => {
  test('exact, it is that of sets of strings, and the table says so', async () => {
    const output = join(work, 'new.csv');
    const { points } = await novelty({ ...options, errorRate: undefined, output }, context);
    expect(points.map(({ fresh, distinct }) => ({ fresh, distinct }))).toEqual(plain);
    expect(points.at(-1)?.total).toBe(all.size);
    const lines = readFileSync(output, 'utf8').split('\r\n');
    expect(lines[0]).toBe('trace,role,new,distinct,share,total');
    expect(lines[1]).toBe(
      `${basename(directories[0] ?? '')},training,${plain[0]?.fresh},${plain[0]?.distinct},1,${plain[0]?.fresh}`,
    );
    expect(lines).toHaveLength(2 + directories.length);
  });

  test.each([
    [0.1, 2_000_000],
    [0.01, 2_000_000],
    [0.01, 200],
  ])(
    'of error rate %f, with %i windows in memory, it stays within it',
    async (errorRate, maxWindows) => {
      const { points } = await novelty({ ...options, errorRate, maxWindows }, context);
      expect(points).toHaveLength(plain.length);
      let missed = 0;
      for (const [i, { fresh, distinct }] of points.entries()) {
        const exact = plain[i] ?? { fresh: 0, distinct: 0 };
        // It may take a new one for known, never a known one for new.
        expect(fresh).toBeLessThanOrEqual(exact.fresh);
        missed += exact.fresh - fresh;
        expect(distinct).toBeLessThanOrEqual(exact.distinct);
        expect(distinct).toBeGreaterThanOrEqual(exact.distinct * (1 - 2 * errorRate) - 3);
      }
      // The rate is one of chance: three standard deviations of room.
      const allowed = errorRate * all.size;
      expect(missed).toBeLessThanOrEqual(allowed + 3 * Math.sqrt(allowed));
    },
  );

  test('says whether more traces would help', () => {
    const trace = (role: NoveltyPoint['role'], fresh: number): NoveltyPoint => ({
      name: 'a',
      role,
      fresh,
      distinct: 1000,
      total: 5000,
    });
    const training = [900, 300, 100, 60, 50, 40, 30, 10].map((n) => trace('training', n));
    expect(conclude(training)).toBe(
      'Of the sequences of the last 2 training traces 2.00 % were new: more training traces would help.',
    );
    expect(conclude([...training.slice(0, 6), trace('training', 3), trace('training', 5)])).toMatch(
      /0\.40 % were new: more training traces would bring little/,
    );
    // What benign traces show that trained nothing counts for more than the curve's own end.
    const calm = [...training.slice(0, 6), trace('training', 3), trace('training', 5)];
    expect(conclude([...calm, trace('test nominal', 80)])).toMatch(/8\.00 % .*would help/);
    expect(conclude(training.slice(0, 3))).toMatch(/^Too few training traces \(3\)/);
  });
});

describe('stats', () => {
  const statsOptions = {
    root: join(work, 'samples'),
    output: join(work, 'targets.csv'),
    plot: undefined,
    binDirs,
    rawImages: false,
    source: 'trace' as const,
    process: undefined,
    preprocessed: false,
    filter: options.filter,
    maxLength: length,
    maxWindows: 2_000_000,
  };
  mkdirSync(statsOptions.root);
  for (const path of directories) symlinkSync(path, join(statsOptions.root, basename(path)));

  /** `[length][targets - 1]` = sources, of windows as text. */
  function tableOf(texts: Iterable<string>): number[][] {
    return Array.from({ length }, (_, i) => {
      const targets = new Map<string, Set<string>>();
      for (const text of texts) {
        const blocks = text.split(' ');
        const source = blocks.slice(length - 1 - i, length).join(' ');
        targets.set(source, (targets.get(source) ?? new Set()).add(blocks[length] ?? ''));
      }
      const row = new Array<number>(100).fill(0);
      for (const { size } of targets.values()) row[Math.min(size, 100) - 1]++;
      return row;
    });
  }
  const readTable = (): number[][] => {
    const [header, ...lines] = readFileSync(statsOptions.output, 'utf8').trimEnd().split('\n');
    expect(header).toMatch(/^seq_len,1,2,3,.*,99,100$/);
    return lines.map((line, i) => {
      const [first, ...row] = line.split(',').map(Number);
      expect(first).toBe(i + 1);
      return row;
    });
  };

  test("its table is that of sets of strings, in the ancestor's layout", async () => {
    await stats(statsOptions, context);
    expect(readTable()).toEqual(tableOf(all));
  });

  test('takes a single sample, too', async () => {
    await stats({ ...statsOptions, root: directories[0] ?? '' }, context);
    expect(readTable()).toEqual(tableOf(new Set(windows[0])));
  });

  test('in little memory it counts a share of the sources, whole', async () => {
    const exact = await stats(statsOptions, context);
    const { sampled, distinctWindows, distributions } = await stats(
      { ...statsOptions, maxWindows: 300 },
      context,
    );
    expect(distinctWindows).toBeLessThanOrEqual(300);
    expect(sampled).toBeGreaterThanOrEqual(1 / 16);
    expect(sampled).toBeLessThan(1);
    // Sources that stay keep all of their targets, so the most branching one is there or not.
    for (const [i, { histogram }] of distributions.entries()) {
      const all = new Map(exact.distributions[i]?.histogram);
      for (const [targets, sources] of histogram) {
        expect(sources).toBeLessThanOrEqual(all.get(targets) ?? 0);
      }
    }
  });
});
