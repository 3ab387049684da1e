import { UserError } from '../base/errors.ts';
import { writeFileAtomic } from '../base/files/write.ts';
import { CodeCache } from '../flow/code-cache.ts';
import { ImageStore } from '../image/image-store.ts';
import type { RunContext } from '../model/first-layer.ts';
import { type NoveltyPoint, renderNovelty } from '../report/charts/novelty-chart.ts';
import { ScalableBloomFilter } from '../sequences/bloom-filter.ts';
import type { FilterName } from '../sequences/filter.ts';
import { SymbolTable } from '../sequences/symbol-table.ts';
import { hashOfSymbol, hashWindow, mix, WindowCounter } from '../sequences/window-counter.ts';
import { readSets } from '../trace/sets-file.ts';
import { writeChart } from './run/plots.ts';
import { layoutOf } from './samples/layout.ts';
import type { SkippedSample } from './samples/skipped.ts';
import { readingOf, readSourceSample, type SampleSource, sourceFilter } from './samples/source.ts';
import { countSampleWindows } from './samples/windows.ts';

export interface NoveltyOptions extends SampleSource {
  /** Sets file. */
  readonly sets: string;
  /** CSV file to write. */
  readonly output: string | undefined;
  /** SVG file to write. */
  readonly plot: string | undefined;
  readonly binDirs: readonly string[];
  readonly rawImages: boolean;
  readonly filter: readonly FilterName[];
  /** Blocks in a sequence, without the block that it led to. */
  readonly windowLength: number;
  /** Share of new sequences that may be taken for known; `undefined` = count exactly. */
  readonly errorRate: number | undefined;
  /** Distinct windows of one trace held at most, unless all are counted exactly. */
  readonly maxWindows: number;
}

export interface NoveltyResult {
  readonly points: readonly NoveltyPoint[];
  readonly conclusion: string;
  readonly errorRate: number;
  readonly skipped: readonly SkippedSample[];
}

const roles = [
  ['train', 'training'],
  ['calibrate', 'calibration'],
  ['testNominal', 'test nominal'],
  ['testAnomalous', 'test anomalous'],
] as const;

/**
 * How many sequences each trace of a sets file adds to those before it: training traces first, then
 * calibration, benign and malicious test traces. A sequence is a window with the block it led to.
 *
 * @throws UserError
 */
export async function novelty(
  options: NoveltyOptions,
  context: RunContext,
): Promise<NoveltyResult> {
  const { sets, skipped: entries } = await readSets(options.sets, '/');
  const skipped: SkippedSample[] = [];
  const leaveOut = (name: string, reason: string): void => {
    context.log.log('warning', `left out: ${reason}`);
    skipped.push({ name, reason });
  };
  for (const { entry, reason } of entries) leaveOut(entry, `${entry} ${reason}`);
  const listed = roles.flatMap(([key, role]) =>
    sets[key].map((directory) => ({ directory, role })),
  );
  const beside = listed.flatMap(({ directory }) => layoutOf(directory, options.binDirs).binDirs);
  const images = new ImageStore([...new Set(beside)], { rawImages: options.rawImages });
  const codeCache = new CodeCache();
  const traces = { images, codeCache, ...readingOf(options) };
  const { windowLength } = options;
  const read = {
    table: new SymbolTable(),
    windowLength,
    filter: sourceFilter(options.source, options.filter),
    traces,
  };
  const seen =
    options.errorRate === undefined
      ? new ExactSet(windowLength)
      : new ApproximateSet(options.errorRate);
  const points: NoveltyPoint[] = [];
  let total = 0;
  try {
    for (const [index, { directory, role }] of listed.entries()) {
      context.signal?.throwIfAborted();
      const progress = { step: 'reading traces', total: listed.length, unit: 'traces' } as const;
      context.progress({ ...progress, done: index, facts: { unique: total } });
      try {
        const sample = await readSourceSample(directory, options);
        const news = new TraceNews(seen, options.errorRate, options.maxWindows);
        const { counter } = await countSampleWindows(sample, read, context, news.limit);
        const { fresh, distinct } = news.finish(counter);
        total += fresh;
        points.push({ name: sample.name, role, fresh, distinct, total });
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        leaveOut(directory, error.message);
      }
    }
  } finally {
    codeCache.dispose();
  }
  const conclusion = conclude(points);
  if (options.output !== undefined) await writeFileAtomic(options.output, toCsv(points));
  if (options.plot !== undefined) await writeChart(options.plot, renderNovelty(points, conclusion));
  return { points, conclusion, errorRate: options.errorRate ?? 0, skipped };
}

/** A set of windows with their targets. */
interface WindowBag {
  /** @returns how many were new */
  addAll(windows: WindowCounter): number;
}

/**
 * How many distinct windows a trace has, and how many of them are new. A trace with more of them
 * than memory should hold is looked up in parts, and what the parts share in a filter of its own;
 * if it turns out to be damaged after that, those parts stay known.
 */
class TraceNews {
  readonly #seen: WindowBag;
  readonly #errorRate: number | undefined;
  readonly #most: number;
  #ofTrace: WindowBag | undefined;
  #fresh = 0;
  #distinct = 0;

  constructor(seen: WindowBag, errorRate: number | undefined, most: number) {
    this.#seen = seen;
    this.#errorRate = errorRate;
    this.#most = most;
  }

  readonly limit = (counter: WindowCounter): void => {
    if (this.#errorRate === undefined || counter.length <= this.#most) return;
    this.#ofTrace ??= new ApproximateSet(this.#errorRate);
    this.#take(counter);
    counter.clear();
  };

  finish(counter: WindowCounter): { readonly fresh: number; readonly distinct: number } {
    this.#take(counter);
    return { fresh: this.#fresh, distinct: this.#distinct };
  }

  #take(counter: WindowCounter): void {
    this.#fresh += this.#seen.addAll(counter);
    this.#distinct += this.#ofTrace?.addAll(counter) ?? counter.length;
  }
}

class ExactSet implements WindowBag {
  readonly #counter: WindowCounter;

  constructor(windowLength: number) {
    this.#counter = new WindowCounter(windowLength);
  }

  addAll(windows: WindowCounter): number {
    const before = this.#counter.length;
    this.#counter.addAll(windows);
    return this.#counter.length - before;
  }
}

class ApproximateSet implements WindowBag {
  readonly #filter: ScalableBloomFilter;

  constructor(errorRate: number) {
    this.#filter = new ScalableBloomFilter(errorRate);
  }

  addAll({ length, windowLength: n, symbols, targets }: WindowCounter): number {
    let fresh = 0;
    for (let index = 0; index < length; index++) {
      const low = hashWindow(symbols, index * n, n) ^ Math.imul(targets[index], 0x85ebca6b);
      let high = hashOfSymbol(targets[index]);
      for (let i = index * n; i < (index + 1) * n; i++) high = mix(high ^ hashOfSymbol(symbols[i]));
      if (this.#filter.add(low, high)) fresh++;
    }
    return fresh;
  }
}

/** Below this share of new sequences another trace teaches next to nothing. */
const littleNews = 0.01;

/** Says whether more training traces would help: what did the last quarter of them bring? */
export function conclude(points: readonly NoveltyPoint[]): string {
  const training = points.filter(({ role }) => role === 'training');
  if (training.length < 4) {
    return `Too few training traces (${training.length}) to say whether more would help: at least 4 are needed.`;
  }
  const last = training.slice(-Math.max(2, Math.floor(training.length / 4)));
  const share = shareOfFresh(last);
  const percent = (value: number): string => `${(100 * value).toFixed(2)} %`;
  const test = points.filter(({ role }) => role === 'test nominal');
  const unseen =
    test.length === 0
      ? ''
      : `, and ${percent(shareOfFresh(test))} of those of the benign test traces`;
  // Benign traces that came after training say it more plainly than the end of its curve does.
  const advice =
    Math.max(share, shareOfFresh(test)) < littleNews
      ? 'more training traces would bring little'
      : 'more training traces would help';
  return `Of the sequences of the last ${last.length} training traces ${percent(share)} were new${unseen}: ${advice}.`;
}

function shareOfFresh(points: readonly NoveltyPoint[]): number {
  let fresh = 0;
  let distinct = 0;
  for (const point of points) {
    fresh += point.fresh;
    distinct += point.distinct;
  }
  return distinct === 0 ? 0 : fresh / distinct;
}

function toCsv(points: readonly NoveltyPoint[]): string {
  const quote = (name: string): string =>
    /[",\r\n]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name;
  const rows = points.map(
    ({ name, role, fresh, distinct, total }) =>
      `${quote(name)},${role},${fresh},${distinct},${distinct === 0 ? 0 : fresh / distinct},${total}\r\n`,
  );
  return `trace,role,new,distinct,share,total\r\n${rows.join('')}`;
}
