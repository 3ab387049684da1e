/**
 * All first layers beside each other, on `pdftotext` and on ADFA-LD: how well they tell anomalous
 * traces from nominal ones, in what time and memory.
 *
 *     npm run bench:models -- [--quick] [--data adfa-ld|pdftotext] [--out FOLDER]
 *
 * Every run of `learn` is a process of its own, and what it leaves in the folder (by default one of
 * the system's for temporary files) is not made again: an interrupted comparison goes on where it was.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Random } from '../src/base/random.ts';
import type { LearnRequest } from '../src/commands/training/options.ts';
import type { FeatureName } from '../src/verdict/features/feature-table.ts';
import { feature, type TraceFeatures } from '../src/verdict/features/features.ts';
import { readTraceFeatures } from '../src/verdict/features/stored-features.ts';
import { rankingQuality, rocCurve } from '../src/verdict/statistics/ranking.ts';
import { suspicion } from '../src/verdict/suspicion.ts';
import {
  adfaProtocol,
  openAdfa,
  type Protocol,
  pdftotextProtocol,
  unseenShares,
} from './models-data.ts';
import type { RunResult } from './models-run.ts';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    data: { type: 'string' },
    out: { type: 'string' },
  },
});
const { quick } = flags;
const isWanted = (name: string): boolean => (flags.data ?? name) === name;
const out = resolve(flags.out ?? join(tmpdir(), `wayward-models${quick ? '-quick' : ''}`));
await mkdir(out, { recursive: true });
console.log(`node ${process.version}, ${cpus()[0].model}, ${new Date().toISOString()}; in ${out}`);

interface Layer {
  readonly name: string;
  readonly options: LearnRequest;
}

const rote: Layer = {
  name: 'rote (exact windows)',
  options: { model: 'ngram', smoothing: 'none' },
};
const wittenBell: Layer = { name: 'n-gram, Witten-Bell', options: { model: 'ngram' } };
const kneserNey: Layer = {
  name: 'n-gram, Kneser-Ney',
  options: { model: 'ngram', smoothing: 'kneser-ney' },
};

/** A network that two cores train within minutes. */
function lstm(name: string, options: LearnRequest, units: number, rate: number): Layer {
  return {
    name,
    options: {
      model: 'lstm',
      network: { embedding: 32, units, layers: 1, dense: 64, bidirectional: false },
      dropout: 0.1,
      batchSize: 512,
      optimizer: { learningRate: rate },
      ...options,
    },
  };
}

/** Mean negative log-likelihood of a trace; what the rote model draws has none, so its errors count. */
const likelihood = (trace: TraceFeatures, layer: Layer): number =>
  feature(trace, layer === rote ? 'mispredictionRate' : 'nll');
/** What the second layer makes of the first layer alone. */
const firstLayerScore = (trace: TraceFeatures): number => suspicion(trace, false).score;

const adfa = isWanted('adfa-ld') ? await openAdfa(out) : undefined;
if (adfa === undefined) console.log('\nADFA-LD: left out');
else {
  const { root, traces } = adfa;
  const random = new Random(1);
  const some = <T>(list: readonly T[]): T[] =>
    random.shuffle([...list]).slice(0, Math.ceil(list.length / (quick ? 8 : 1)));
  const training = some(traces.training);
  const validation = some(traces.validation);
  const attack = some(traces.attack);
  const few = (share: number): number => (quick ? Math.ceil(share / 8) : share);
  const whole = { train: training, nominal: validation, attacks: attack };
  const everyOccurrence = { order: 'drawn', power: 1, cap: 0 } as const;
  const layers = (epochs: number): [Layer, Layer] => [
    lstm('LSTM alone', { prior: 'none', epochs, weighting: everyOccurrence }, 64, 0.004),
    lstm(
      'LSTM on Kneser-Ney',
      { smoothing: 'kneser-ney', epochs: few(2), weighting: everyOccurrence },
      64,
      0.002,
    ),
  ];
  await compare(
    await adfaProtocol(out, 'adfa-833', `ADFA-LD, ${training.length} training traces`, root, whole),
    [rote, wittenBell, kneserNey, ...layers(few(10))],
    likelihood,
    [3, 10].map((length) => ({
      name: `unseen runs of ${length} calls (STIDE)`,
      scores: unseenShares(training, [...validation, ...attack], length),
      paths: [...validation, ...attack].map(({ path }) => path),
    })),
  );
  // The protocol of Landauer et al.: one percent of all nominal traces train, all others are judged.
  const nominal = new Random(1).shuffle([...training, ...validation]);
  const count = Math.round(nominal.length / 100);
  const onePercent = {
    train: nominal.slice(0, count),
    nominal: nominal.slice(count),
    attacks: attack,
  };
  const judged = [...onePercent.nominal, ...attack];
  await compare(
    await adfaProtocol(
      out,
      'adfa-1-percent',
      `ADFA-LD, 1 % of the nominal traces (${count}) train`,
      root,
      onePercent,
    ),
    [rote, wittenBell, kneserNey, ...layers(few(40))],
    likelihood,
    [3, 10].map((length) => ({
      name: `unseen runs of ${length} calls (STIDE)`,
      scores: unseenShares(onePercent.train, judged, length),
      paths: judged.map(({ path }) => path),
    })),
  );
}

const pdftotext = isWanted('pdftotext')
  ? await pdftotextProtocol(out, quick ? 20 : 60, quick ? 10 : 60)
  : undefined;
if (pdftotext === undefined) console.log('\npdftotext: left out');
else {
  await compare(
    pdftotext,
    [rote, wittenBell, kneserNey, lstm('LSTM on the n-gram', { epochs: 1 }, 32, 0.002)],
    firstLayerScore,
    [],
  );
}

/** Scores that need no first layer. */
interface Baseline {
  readonly name: string;
  readonly scores: readonly number[];
  readonly paths: readonly string[];
}

async function compare(
  protocol: Protocol,
  layers: readonly Layer[],
  scoreOf: (trace: TraceFeatures, layer: Layer) => number,
  baselines: readonly Baseline[],
): Promise<void> {
  const { duplicates, sets, title } = protocol;
  const anomalous = new Set(sets.testAnomalous);
  const benign = sets.testNominal.length + sets.calibrate.length;
  console.log(`\n## ${title}; ${benign} other nominal and ${anomalous.size} anomalous traces\n`);
  const tables: { name: string; scores: Map<string, number>; costs?: string[] }[] = [];
  for (const { name, scores, paths } of baselines) {
    tables.push({ name, scores: new Map(paths.map((path, i) => [path, scores[i]])) });
  }
  for (const layer of layers) {
    const run = learnOnce(protocol, layer);
    const { evaluations } = await readTraceFeatures(run.evaluation);
    const scores = new Map(
      evaluations.map((trace) => [trace.sample.directory, scoreOf(trace, layer)]),
    );
    const nominal = evaluations.filter(({ sample }) => !anomalous.has(sample.directory));
    tables.push({ name: layer.name, scores, costs: costCells(run, nominal) });
  }
  const ngram = tables.find(({ name }) => name === kneserNey.name)?.scores;
  const network = tables.find(({ name }) => name.startsWith('LSTM'))?.scores;
  if (ngram !== undefined && network !== undefined) {
    const { name } = tables.find(({ scores }) => scores === network) ?? {};
    tables.push({ name: `sum of ${name} and Kneser-Ney`, scores: sumOf(ngram, network) });
  }
  const header = ['AUC', '95 %', 'TPR at 1 %', '5 %', '10 % FPR', 'best F1'];
  if (duplicates.size > 0) header.push(`AUC without ${duplicates.size} duplicates`, 'best F1');
  const costs = ['wrong', 'loss', 'training', 'evaluation', 'memory'];
  console.log(`| first layer | ${[...header, ...costs].join(' | ')} |`);
  console.log(`|${' --- |'.repeat(header.length + costs.length + 1)}`);
  for (const { name, scores, costs: cost } of tables) {
    const all = split(scores, anomalous, new Set());
    const cells = qualityCells(all);
    if (duplicates.size > 0) {
      const { auc } = rankingQuality(...split(scores, anomalous, duplicates));
      cells.push(auc.toFixed(3), bestF1(split(scores, anomalous, duplicates)).toFixed(3));
    }
    console.log(`| ${[name, ...cells, ...(cost ?? costs.map(() => ''))].join(' | ')} |`);
  }
}

type Split = readonly [nominal: number[], anomalous: number[]];

function split(
  scores: ReadonlyMap<string, number>,
  anomalous: ReadonlySet<string>,
  without: ReadonlySet<string>,
): Split {
  const kept = [...scores].filter(([path]) => !without.has(path));
  const of = (isAnomalous: boolean): number[] =>
    kept.filter(([path]) => anomalous.has(path) === isAnomalous).map(([, score]) => score);
  return [of(false), of(true)];
}

/** Both scores are in nats for each transfer, so that their sum needs no scale from the data. */
function sumOf(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>) {
  return new Map([...a].map(([path, score]) => [path, score + (b.get(path) ?? Number.NaN)]));
}

function qualityCells(scores: Split): string[] {
  const { auc, interval } = rankingQuality(...scores);
  const curve = rocCurve(...scores);
  const atMost = (rate: number): string => {
    const reached = curve.filter(({ falsePositiveRate }) => falsePositiveRate <= rate);
    return Math.max(...reached.map((point) => point.truePositiveRate)).toFixed(3);
  };
  return [
    auc.toFixed(3),
    `${interval.low.toFixed(2)}-${interval.high.toFixed(2)}`,
    ...[0.01, 0.05, 0.1].map(atMost),
    bestF1(scores).toFixed(3),
  ];
}

/** The largest F1 of any threshold: what the labels of all traces would allow. */
function bestF1(scores: Split): number {
  const [nominal, anomalous] = scores;
  let best = 0;
  for (const { falsePositiveRate, truePositiveRate } of rocCurve(...scores)) {
    const hits = truePositiveRate * anomalous.length;
    const flagged = hits + falsePositiveRate * nominal.length;
    best = Math.max(best, (2 * hits) / (flagged + anomalous.length));
  }
  return best;
}

/** How nominal traces were predicted, by transfer, and what that took. */
function costCells({ seconds, memory }: RunResult, nominal: readonly TraceFeatures[]): string[] {
  const weigh = (of: (trace: TraceFeatures) => number): number =>
    nominal.reduce((sum, trace) => sum + feature(trace, 'transfers') * of(trace), 0);
  const mean = (name: FeatureName): number =>
    weigh((trace) => feature(trace, name)) / weigh(() => 1);
  return [
    `${(100 * mean('mispredictionRate')).toFixed(2)} %`,
    mean('nll').toFixed(3),
    `${seconds.training.toFixed(1)} s`,
    `${seconds.evaluation.toFixed(1)} s`,
    `${Math.round(memory / 2 ** 20)} MB`,
  ];
}

/** Runs `learn` unless the folder holds its result. */
function learnOnce(protocol: Protocol, layer: Layer): RunResult {
  const name = `${protocol.name}-${layer.name.replace(/[^a-zA-Z0-9]+/g, '-')}`;
  const resultPath = join(out, `${name}.json`);
  if (!existsSync(resultPath)) {
    const options: LearnRequest = {
      skipTest: true,
      ...protocol.options,
      ...layer.options,
      inputSets: protocol.setsFile,
      out: join(out, name),
      evaluationDir: join(out, name, 'evaluation'),
    };
    const optionsPath = join(out, `${name}.options.json`);
    writeFileSync(optionsPath, JSON.stringify(options));
    const script = join(import.meta.dirname, 'models-run.ts');
    const { status } = spawnSync(process.execPath, [script, optionsPath, resultPath], {
      stdio: 'inherit',
    });
    if (status !== 0) process.exit(status ?? 1);
  }
  return JSON.parse(readFileSync(resultPath, 'utf8')) as RunResult;
}
