import { UserError } from '../base/errors.ts';
import { writeFileAtomic } from '../base/files/write.ts';
import { CodeCache } from '../flow/code-cache.ts';
import { ImageStore } from '../image/image-store.ts';
import type { RunContext } from '../model/first-layer.ts';
import { renderTargets } from '../report/charts/target-chart.ts';
import type { FilterName } from '../sequences/filter.ts';
import { SymbolTable } from '../sequences/symbol-table.ts';
import {
  distributeTargets,
  isSampled,
  type TargetDistribution,
} from '../sequences/target-statistics.ts';
import { WindowCounter } from '../sequences/window-counter.ts';
import { writeChart } from './run/plots.ts';
import { layoutOf } from './samples/layout.ts';
import type { SkippedSample } from './samples/skipped.ts';
import { readingOf, type SampleSource, sourceFilter, sourceSamplesAt } from './samples/source.ts';
import { countSampleWindows } from './samples/windows.ts';

export interface StatsOptions extends SampleSource {
  /** Root with `traces`, folder that holds one folder a sample, or a sample's folder. */
  readonly root: string;
  /** CSV file to write. */
  readonly output: string | undefined;
  /** SVG file to write. */
  readonly plot: string | undefined;
  /** Folders of images; empty: those that `layoutOf` finds. */
  readonly binDirs: readonly string[];
  readonly rawImages: boolean;
  readonly filter: readonly FilterName[];
  /** Longest sequence, in blocks. */
  readonly maxLength: number;
  /** Distinct windows held at most; beyond it sources are sampled. */
  readonly maxWindows: number;
}

export interface StatsResult {
  readonly samples: number;
  readonly blocks: number;
  readonly distinctWindows: number;
  /** Share of the blocks whose sources were counted: 1, or 1/2, 1/4 ... when they did not fit. */
  readonly sampled: number;
  readonly distributions: readonly TargetDistribution[];
  readonly skipped: readonly SkippedSample[];
}

/**
 * For each sequence length, how many sources have 1, 2, 3 ... unique targets. Memory is bounded by
 * `maxWindows`, of which one sample and all samples together each hold as many.
 *
 * @throws UserError
 */
export async function stats(options: StatsOptions, context: RunContext): Promise<StatsResult> {
  const layout = layoutOf(options.root, options.binDirs);
  const found = await sourceSamplesAt(layout.samples, options);
  const skipped: SkippedSample[] = found.skipped.map(({ directory, reason }) => ({
    name: directory,
    reason,
  }));
  for (const { reason } of found.skipped) context.log.log('warning', `left out: ${reason}`);
  const images = new ImageStore(layout.binDirs, { rawImages: options.rawImages });
  const codeCache = new CodeCache();
  const table = new SymbolTable();
  const all = new WindowCounter(options.maxLength);
  const filter = sourceFilter(options.source, options.filter);
  let halvings = 0;
  const sample = (counter: WindowCounter): void => {
    if (halvings > 0) counter.retain((index) => isSampled(counter, index, halvings));
  };
  const limit = (counter: WindowCounter): void => {
    if (counter.length <= options.maxWindows) return;
    // What came in since the last halving goes first, and some room has to come of it: passing over
    // all windows for each batch would take long.
    sample(counter);
    while (counter.length > 0.75 * options.maxWindows && halvings < 30) {
      halvings++;
      sample(counter);
    }
  };
  let blocks = 0;
  let samples = 0;
  try {
    for (const [index, each] of found.samples.entries()) {
      context.signal?.throwIfAborted();
      context.progress({
        step: 'reading traces',
        done: index,
        total: found.samples.length,
        unit: 'traces',
        facts: { distinct: all.length },
      });
      try {
        const traces = { images, codeCache, ...readingOf(options) };
        const read = await countSampleWindows(
          each,
          { table, windowLength: options.maxLength, filter, traces },
          context,
          limit,
        );
        all.addAll(read.counter);
        // Windows taken in before the last halving go now.
        sample(all);
        limit(all);
        blocks += read.blocks;
        samples++;
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        context.log.log('warning', `left out: ${error.message}`);
        skipped.push({ name: each.name, reason: error.message });
      }
    }
  } finally {
    codeCache.dispose();
  }
  const distributions = distributeTargets(all);
  if (options.output !== undefined) await writeFileAtomic(options.output, toCsv(distributions));
  if (options.plot !== undefined) await writeChart(options.plot, renderTargets(distributions));
  return {
    samples,
    blocks,
    distinctWindows: all.length,
    sampled: 2 ** -halvings,
    distributions,
    skipped,
  };
}

/** Targets from which on sources are counted together. */
const mostTargets = 100;

/** The ancestor's table: a line a length, in its columns the sources with 1, 2 ... targets. */
function toCsv(distributions: readonly TargetDistribution[]): string {
  const lines = distributions.map(({ length, histogram }) => {
    const columns = new Array<number>(mostTargets).fill(0);
    for (const [targets, sources] of histogram) {
      columns[Math.min(targets, mostTargets) - 1] += sources;
    }
    return `${[length, ...columns].join()}\n`;
  });
  const header = ['seq_len', ...Array.from({ length: mostTargets }, (_, i) => i + 1)];
  return `${header.join()}\n${lines.join('')}`;
}
