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

import { Evaluator } from '../src/commands/samples/evaluating/evaluate.ts';
import { type FirstLayer, silentContext } from '../src/model/first-layer.ts';
import type { Weighting } from '../src/model/lstm/window-order.ts';
import { Ngram } from '../src/model/ngram/ngram.ts';
import { scorePredictions } from '../src/model/score-windows.ts';
import { classifyNominal } from '../src/verdict/classify-nominal.ts';
import { computeFeatures, feature, type TraceFeatures } from '../src/verdict/features/features.ts';
import { rankingQuality } from '../src/verdict/statistics/ranking.ts';
import { suspicion } from '../src/verdict/suspicion.ts';
import { readNetworkCorpus, trainNetwork } from './network-corpus.ts';

const trainingSize = Number(process.argv[3] ?? 40);
const units = Number(process.argv[4] ?? 128);
const epochs = Number(process.argv[5] ?? 1);
const network = await readNetworkCorpus(trainingSize, process.argv[2]);
const { split, nominal, samplesOf, options, corpus, vocabulary, windows, heldOut } = network;
const calibration = await samplesOf(nominal.slice(trainingSize, trainingSize + 60));
const unseen = await samplesOf([...split.test, ...split.controls, ...split.attacks]);
const { inputClasses, outputClasses } = vocabulary;
console.log(
  `${trainingSize} traces, ${windows.length} distinct windows, ${inputClasses} input and ${outputClasses} output classes`,
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
    await row(`${withPrior ? 'ngram+' : 'alone'} ${name}`, async () => {
      const choices = { epochs, units, weighting, withPrior };
      return (await trainNetwork(network, choices)).lstm;
    });
  }
}

async function row(name: string, make: () => Promise<FirstLayer>): Promise<void> {
  const started = performance.now();
  const layer = await make();
  const seconds = (performance.now() - started) / 1000;
  const score = scorePredictions(heldOut, await layer.predict(heldOut, silentContext));
  const features: TraceFeatures[] = [];
  const tasks = [
    ...calibration.map((sample) => ({ sample, role: 'calibration' as const })),
    ...unseen.map((sample) => ({ sample, role: 'test' as const })),
  ];
  const evaluator = new Evaluator({ layer, vocabulary, profile: corpus.profile }, options);
  for (const task of tasks)
    features.push(computeFeatures(await evaluator.evaluate(task, silentContext)));
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
