/**
 * Held-out loss of the default network over the windows that it is trained with: how much of an epoch is
 * enough? Each row is a training of its own, whose learning rate falls to its end.
 *
 *     node bench/epoch.bench.ts [TRACES, default 20] [SHARE[:BATCH[:RATE]] ..., default 1 0.75 0.5 0.25]
 *
 * Seconds are those of training alone; on a machine that does other work only the windows compare.
 */
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '../src/base/log.ts';
import { Random } from '../src/base/random.ts';
import { ImageNotes } from '../src/commands/samples/evaluating/image-notes.ts';
import { windowsFor } from '../src/commands/training/train.ts';
import { countTrainingWindows } from '../src/commands/training/windows/count-windows.ts';
import { CodeCache } from '../src/flow/code-cache.ts';
import { ImageStore } from '../src/image/image-store.ts';
import { Lstm } from '../src/model/lstm/lstm.ts';
import { defaultShape } from '../src/model/lstm/shape.ts';
import { trainLstm } from '../src/model/lstm/train.ts';
import { NgramTable } from '../src/model/ngram/table.ts';
import { scorePredictions } from '../src/model/score-windows.ts';
import { defaultFilter, filterTable } from '../src/sequences/filter.ts';
import { Vocabulary } from '../src/sequences/vocabulary.ts';
import { readSample } from '../src/trace/sample.ts';
import { watchMachine } from './figures.ts';

const data = join(import.meta.dirname, '../../shared/data/pdftotext');
if (!existsSync(data)) {
  console.log(`skipped: there is no ${data}`);
  process.exit(0);
}
watchMachine();
const trainingSize = Number(process.argv[2] ?? 20);
const trainings = process.argv.length > 3 ? process.argv.slice(3) : ['1', '0.75', '0.5', '0.25'];
const quiet = { log: silentLogger, progress: () => {} };
const spill = await mkdtemp(join(tmpdir(), 'wayward-epoch-'));
const images = new ImageStore([join(data, 'bin')]);
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
  traces: { images, codeCache: new CodeCache(), preprocessed: false },
  notes: new ImageNotes(false),
};
const split: { train: string[]; test: string[] } = JSON.parse(
  readFileSync(join(data, 'split.json'), 'utf8'),
);
const countOf = async (names: readonly string[]): ReturnType<typeof countTrainingWindows> => {
  const samples = names.map((name) => readSample(join(data, 'traces', name)));
  return countTrainingWindows(await Promise.all(samples), options, quiet);
};
const nominal = new Random(1).shuffle([...split.train]);
const corpus = await countOf(nominal.slice(0, trainingSize));
const vocabulary = Vocabulary.learn(corpus.table, corpus.symbolCounts, corpus.windows, {
  kind: 'learned',
});
const windows = windowsFor(vocabulary, corpus);
const heldOut = windowsFor(vocabulary, await countOf(split.test));
await rm(spill, { recursive: true });

console.log(`${trainingSize} traces, ${windows.length} distinct windows`);
console.log('epochs  batch   rate  windows  seconds  held-out loss  mispredicted');
for (const training of trainings) {
  const [epochs, batchSize = 512, learningRate = 0.001] = training.split(':').map(Number);
  const { inputClasses, outputClasses } = vocabulary;
  const prior = NgramTable.fit(windows, outputClasses);
  const settings = {
    device: 'cpu',
    workers: availableParallelism(),
    dropout: 0.5,
    seed: 1,
  } as const;
  const lstm = Lstm.create({ ...defaultShape, inputClasses, outputClasses }, prior, settings);
  const schedule = { kind: 'adam', decay: 0, schedule: 'one-cycle', clipNorm: 1 } as const;
  const report = await trainLstm(
    lstm,
    windows,
    {
      epochs,
      batchSize,
      optimizer: { ...schedule, learningRate },
      weighting: { order: 'drawn', power: 0.5, cap: 0 },
      keepBest: false,
      seed: 1,
      patience: 0,
    },
    quiet,
  );
  const { loss, accuracy } = scorePredictions(heldOut, await lstm.predict(heldOut, quiet));
  await lstm.dispose();
  const trained = report.epochs.reduce((sum, epoch) => sum + epoch.windows, 0);
  const seconds = report.epochs.reduce((sum, epoch) => sum + epoch.seconds, 0);
  console.log(
    [
      String(epochs).padEnd(6),
      String(batchSize).padStart(6),
      String(learningRate).padStart(6),
      String(trained).padStart(8),
      seconds.toFixed(1).padStart(8),
      loss.toFixed(4).padStart(14),
      `${(100 * (1 - accuracy)).toFixed(2)} %`.padStart(13),
    ].join(' '),
  );
}
