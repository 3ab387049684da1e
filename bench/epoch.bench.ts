/**
 * Held-out loss of the default network over the windows that it is trained with: how much of an epoch is
 * enough? Each row is a training of its own, whose learning rate falls to its end.
 *
 *     node bench/epoch.bench.ts [TRACES, default 20] [SHARE[:BATCH[:RATE]] ..., default 1 0.75 0.5 0.25]
 *
 * Seconds are those of training alone; on a machine that does other work only the windows compare.
 */
import { silentContext } from '../src/model/first-layer.ts';
import { scorePredictions } from '../src/model/score-windows.ts';
import { watchMachine } from './figures.ts';
import { readNetworkCorpus, trainNetwork } from './network-corpus.ts';

watchMachine();
const trainingSize = Number(process.argv[2] ?? 20);
const trainings = process.argv.length > 3 ? process.argv.slice(3) : ['1', '0.75', '0.5', '0.25'];
const corpus = await readNetworkCorpus(trainingSize);
console.log(`${trainingSize} traces, ${corpus.windows.length} distinct windows`);
console.log('epochs  batch   rate  windows  seconds  held-out loss  mispredicted');
for (const training of trainings) {
  const [epochs, batchSize = 512, learningRate = 0.001] = training.split(':').map(Number);
  const { lstm, report } = await trainNetwork(corpus, { epochs, batchSize, learningRate });
  const { heldOut } = corpus;
  const { loss, accuracy } = scorePredictions(heldOut, await lstm.predict(heldOut, silentContext));
  await lstm.dispose();
  const sum = (of: 'windows' | 'seconds'): number =>
    report.epochs.reduce((total, epoch) => total + epoch[of], 0);
  console.log(
    [
      String(epochs).padEnd(6),
      String(batchSize).padStart(6),
      String(learningRate).padStart(6),
      String(sum('windows')).padStart(8),
      sum('seconds').toFixed(1).padStart(8),
      loss.toFixed(4).padStart(14),
      `${(100 * (1 - accuracy)).toFixed(2)} %`.padStart(13),
    ].join(' '),
  );
}
