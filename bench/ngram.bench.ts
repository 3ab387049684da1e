/**
 * The n-gram on `pdftotext`: smoothings and orders beside each other, before and after its confidences
 * are set right, and how fast it predicts.
 *
 *     node bench/ngram.bench.ts [TRAINING TRACES, default 150]
 *
 * Judged on 10 nominal traces and 12 controls that trained nothing. Speed is that of distinct windows
 * on one core, the best of 7 rounds; delivered predictions are those spread over all occurrences.
 */
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '../src/base/log.ts';
import { Random } from '../src/base/random.ts';
import { ImageNotes } from '../src/commands/samples/evaluating/image-notes.ts';
import { calibrateNgram } from '../src/commands/training/calibrate-ngram.ts';
import { windowsFor } from '../src/commands/training/train.ts';
import {
  type CountOptions,
  countTrainingWindows,
} from '../src/commands/training/windows/count-windows.ts';
import { Ngram } from '../src/model/ngram/ngram.ts';
import { scorePredictions } from '../src/model/score-windows.ts';
import { defaultFilter, filterTable } from '../src/sequences/filter.ts';
import { Vocabulary } from '../src/sequences/vocabulary.ts';
import type { WindowSet } from '../src/sequences/windows.ts';
import { readSample, type Sample } from '../src/trace/sample.ts';

const root = join(import.meta.dirname, '../../shared/data/pdftotext');
if (!existsSync(root)) {
  console.log(`skipped: there is no ${root}`);
  process.exit(0);
}
const context = { log: silentLogger, progress: () => {} };
const windowLength = 32;
const count: CountOptions = {
  binDirs: [join(root, 'bin')],
  rawImages: false,
  preprocessed: false,
  windowLength,
  filter: filterTable(defaultFilter),
  threads: availableParallelism(),
  memoryLimit: 2 ** 30,
  mostWindows: Number.MAX_SAFE_INTEGER,
  spillDirectory: join(tmpdir(), `wayward-ngram-${process.pid}`),
  notes: new ImageNotes(false),
};
const split = JSON.parse(readFileSync(join(root, 'split.json'), 'utf8')) as Record<
  'train' | 'test' | 'controls',
  string[]
>;
const samples = (names: readonly string[]): Promise<Sample[]> =>
  Promise.all(names.map((name) => readSample(join(root, 'traces', name))));
const training = await samples(
  new Random(1).shuffle([...split.train]).slice(0, Number(process.argv[2] ?? 150)),
);

console.log(`node ${process.version}, ${cpus()[0].model}, ${new Date().toISOString()}`);
const reading = performance.now();
const corpus = await countTrainingWindows(training, count, context);
const vocabulary = Vocabulary.learn(corpus.table, corpus.symbolCounts, corpus.windows, {
  kind: 'learned',
});
const { inputClasses, outputClasses } = vocabulary;
const windows = windowsFor(vocabulary, corpus);
const read = async (some: readonly Sample[]): Promise<WindowSet> =>
  windowsFor(vocabulary, await countTrainingWindows(some, count, context));
console.log(
  `${training.length} traces read in ${((performance.now() - reading) / 1000).toFixed(1)} s: ${windows.length} distinct windows`,
);
const nominal = await read(await samples(split.test));
const controls = await read(await samples(split.controls));

console.log(
  '\n| smoothing | order | nominal: wrong | loss | controls: wrong | loss | calibration error | set right | fitted in | distinct windows/s | delivered/s |',
);
console.log(`|${' --- |'.repeat(11)}`);
for (const order of [windowLength, 16]) {
  for (const smoothing of ['witten-bell', 'kneser-ney', 'none'] as const) {
    const fitting = performance.now();
    const model = Ngram.fit(windows, inputClasses, outputClasses, { smoothing, order });
    const fitted = performance.now() - fitting;
    const raw = scorePredictions(nominal, await model.predict(nominal, context));
    const calibrated = await calibrateNgram(model, windows, training, read, context);
    const after = scorePredictions(nominal, await calibrated.predict(nominal, context));
    const others = scorePredictions(controls, await calibrated.predict(controls, context));
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 7; round++) {
      const started = performance.now();
      await calibrated.predict(nominal, context);
      best = Math.min(best, performance.now() - started);
    }
    const rate = (n: number): string => `${((n / best) * 1e-3).toFixed(2)} M`;
    const cells = [
      smoothing,
      order,
      `${(100 * (1 - after.accuracy)).toFixed(2)} %`,
      after.loss.toFixed(3),
      `${(100 * (1 - others.accuracy)).toFixed(2)} %`,
      others.loss.toFixed(3),
      raw.calibrationError.toFixed(4),
      after.calibrationError.toFixed(4),
      `${(fitted / 1000).toFixed(1)} s`,
      rate(nominal.length),
      rate(after.occurrences),
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
}
