/**
 * How should training weigh a window that occurred a million times? Trains the default network on
 * `pdftotext` with one weighting after the other and judges each by what it is for: mispredictions on
 * unseen nominal traces, and how well the second layer then tells hijacked runs from harmless ones.
 *
 *     node bench/weighting.bench.ts [TRACES] [TRAINING TRACES, default 40] [UNITS, default 128] [EPOCHS, default 1]
 *
 * TRACES is a folder of samples; stored ones (`preprocess`) are read faster. Every row makes as many
 * steps. Areas under the ROC curve are those of the second
 * layer with the first layer's features only, as evidence alone separates these attacks, and of the
 * mean negative log-likelihood of the worst 5 and 50 transfers in a row.
 */

import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '../src/base/log.ts';
import { Random } from '../src/base/random.ts';
import { Evaluator } from '../src/commands/samples/evaluating/evaluate.ts';
import { ImageNotes } from '../src/commands/samples/evaluating/image-notes.ts';
import { windowsFor } from '../src/commands/training/train.ts';
import { countTrainingWindows } from '../src/commands/training/windows/count-windows.ts';
import { CodeCache } from '../src/flow/code-cache.ts';
import { ImageStore } from '../src/image/image-store.ts';
import type { FirstLayer } from '../src/model/first-layer.ts';
import { Lstm } from '../src/model/lstm/lstm.ts';
import { defaultShape } from '../src/model/lstm/shape.ts';
import { trainLstm } from '../src/model/lstm/train.ts';
import type { Weighting } from '../src/model/lstm/window-order.ts';
import { Ngram } from '../src/model/ngram/ngram.ts';
import { NgramTable } from '../src/model/ngram/table.ts';
import { scorePredictions } from '../src/model/score-windows.ts';
import { defaultFilter, filterTable } from '../src/sequences/filter.ts';
import { Vocabulary } from '../src/sequences/vocabulary.ts';
import { readSample, type Sample } from '../src/trace/sample.ts';
import { classifyNominal } from '../src/verdict/classify-nominal.ts';
import { computeFeatures, feature, type TraceFeatures } from '../src/verdict/features/features.ts';
import { rankingQuality } from '../src/verdict/statistics/ranking.ts';
import { suspicion } from '../src/verdict/suspicion.ts';

const data = join(import.meta.dirname, '../../shared/data/pdftotext');
if (!existsSync(data)) {
  console.log(`skipped: there is no ${data}`);
  process.exit(0);
}
const traces = process.argv[2] ?? join(data, 'traces');
const trainingSize = Number(process.argv[3] ?? 40);
const units = Number(process.argv[4] ?? 128);
const epochs = Number(process.argv[5] ?? 1);
const quiet = { log: silentLogger, progress: () => {} };
const spill = await mkdtemp(join(tmpdir(), 'wayward-weighting-'));
const options = {
  binDirs: [join(data, 'bin')],
  rawImages: false,
  preprocessed: false,
  threads: availableParallelism(),
  memoryLimit: 2 ** 28,
  mostWindows: Number.MAX_SAFE_INTEGER,
  spillDirectory: join(spill, 'windows'),
  windowLength: 32,
  filter: filterTable(defaultFilter),
  traces: {
    images: new ImageStore([join(data, 'bin')]),
    codeCache: new CodeCache(),
    preprocessed: false,
  },
  notes: new ImageNotes(false),
};
const split = JSON.parse(readFileSync(join(data, 'split.json'), 'utf8')) as Record<
  'train' | 'test' | 'controls' | 'attacks',
  string[]
>;
const nominal = new Random(1).shuffle([...split.train]);
const samplesOf = (names: readonly string[]): Promise<Sample[]> =>
  Promise.all(names.map((name) => readSample(join(traces, name))));
const training = await samplesOf(nominal.slice(0, trainingSize));
const calibration = await samplesOf(nominal.slice(trainingSize, trainingSize + 60));
const unseen = await samplesOf([...split.test, ...split.controls, ...split.attacks]);

const corpus = await countTrainingWindows(training, options, quiet);
const vocabulary = Vocabulary.learn(corpus.table, corpus.symbolCounts, corpus.windows, {
  kind: 'learned',
});
const windows = windowsFor(vocabulary, corpus);
const { inputClasses, outputClasses } = vocabulary;
const heldOut = windowsFor(
  vocabulary,
  await countTrainingWindows(await samplesOf(split.test), options, quiet),
);
console.log(
  `${training.length} traces, ${windows.length} distinct windows, ${inputClasses} input and ${outputClasses} output classes`,
);
console.log(
  `${'weighting'.padEnd(38)} mispredicted    loss | AUC: default, worst 5, worst 50 (with controls) | flagged at 5 % | seconds`,
);

const rows: readonly [string, Weighting][] = [
  ['every occurrence (power 1)', { order: 'drawn', power: 1, cap: 0 }],
  ['power 0.75', { order: 'drawn', power: 0.75, cap: 0 }],
  ['power 0.5', { order: 'drawn', power: 0.5, cap: 0 }],
  ['capped at 16', { order: 'drawn', power: 1, cap: 16 }],
  ['every distinct window (power 0)', { order: 'drawn', power: 0, cap: 0 }],
  ['power 0.5, each once an epoch', { order: 'shuffled', power: 0.5, cap: 0 }],
];

await row('n-gram alone', async () => Ngram.fit(windows, inputClasses, outputClasses));
for (const withPrior of [true, false]) {
  for (const [name, weighting] of rows) {
    await row(`${withPrior ? 'ngram+' : 'alone'} ${name}`, () => trained(weighting, withPrior));
  }
}
await rm(spill, { recursive: true });

async function trained(weighting: Weighting, withPrior: boolean): Promise<Lstm> {
  const sizes = { embedding: units, units, dense: units, inputClasses, outputClasses };
  const shape = { ...defaultShape, ...sizes };
  const prior = withPrior ? NgramTable.fit(windows, outputClasses) : undefined;
  const lstm = Lstm.create(shape, prior, {
    device: 'cpu',
    workers: availableParallelism(),
    dropout: 0.5,
    seed: 1,
  });
  await trainLstm(
    lstm,
    windows,
    {
      epochs,
      batchSize: 512,
      optimizer: {
        kind: 'adam',
        learningRate: 0.001,
        decay: 0,
        schedule: 'one-cycle',
        clipNorm: 1,
      },
      weighting,
      keepBest: false,
      seed: 1,
      patience: 0,
    },
    quiet,
  );
  return lstm;
}

async function row(name: string, make: () => Promise<FirstLayer>): Promise<void> {
  const started = performance.now();
  const layer = await make();
  const seconds = (performance.now() - started) / 1000;
  const score = scorePredictions(heldOut, await layer.predict(heldOut, quiet));
  const features: TraceFeatures[] = [];
  const tasks = [
    ...calibration.map((sample) => ({ sample, role: 'calibration' as const })),
    ...unseen.map((sample) => ({ sample, role: 'test' as const })),
  ];
  const evaluator = new Evaluator({ layer, vocabulary, profile: corpus.profile }, options);
  for (const task of tasks) features.push(computeFeatures(await evaluator.evaluate(task, quiet)));
  await layer.dispose();
  const area = (score: (trace: TraceFeatures) => number, benign: readonly string[]): string => {
    const scores = (names: readonly string[]): number[] =>
      features.filter((trace) => names.includes(trace.sample.name)).map(score);
    return rankingQuality(scores(benign), scores(split.attacks)).auc.toFixed(3);
  };
  const benign = [...split.test, ...split.controls];
  const areas = [
    (trace: TraceFeatures) => suspicion(trace, false).score,
    (trace: TraceFeatures) => feature(trace, 'worst-nll-5'),
    (trace: TraceFeatures) => feature(trace, 'worst-nll-50'),
  ].map((score) => `${area(score, split.test)} (${area(score, benign)})`);
  const verdicts = classifyNominal(features, { fpr: 0.05, features: 'first-layer', seed: 1 });
  const flagged = (names: readonly string[]): number =>
    verdicts.verdicts.filter((verdict) => verdict.isFlagged && names.includes(verdict.sample.name))
      .length;
  console.log(
    [
      name.padEnd(38),
      `${(100 * (1 - score.accuracy)).toFixed(2)} %`.padStart(7),
      score.loss.toFixed(3),
      '|',
      areas.join(', '),
      '|',
      `${flagged(split.attacks)} of ${split.attacks.length} attacks, ${flagged(benign)} of ${benign.length} benign`,
      '|',
      seconds.toFixed(0),
    ].join(' '),
  );
}
