/**
 * How well verdicts tell hijacked runs of `pdftotext` from nominal ones and from harmless oddities.
 *
 *     node bench/detection.bench.ts [TRAINING TRACES, default 150] [FOLDER FOR THE EVALUATIONS]
 *
 * The n-gram model is the first layer; calibration traces are those that did not train it. Prints a
 * table of scores (area under the curve with 95 % intervals, against held-out nominal traces, and
 * with the benign controls counted as nominal), what is flagged at a false-positive rate of 0.01,
 * how often the best-ranked patch overlaps the true hijack, what random splits do to the
 * calibration, and how long verdicts take.
 */

import { existsSync, readFileSync } from 'node:fs';
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '../src/base/log.ts';
import { Random } from '../src/base/random.ts';
import type { Evaluation } from '../src/evaluation/evaluation.ts';
import { writeEvaluation } from '../src/evaluation/file.ts';
import { ImageCodeCache, ProcessCode } from '../src/evidence/code/process-code.ts';
import { EvidenceCollector } from '../src/evidence/collector.ts';
import { TransferProfile } from '../src/evidence/profile.ts';
import { CodeCache } from '../src/flow/code-cache.ts';
import { ImageStore } from '../src/image/image-store.ts';
import { Ngram } from '../src/model/ngram/ngram.ts';
import { classifyWindows } from '../src/sequences/classify-windows.ts';
import { defaultFilter, filterTable } from '../src/sequences/filter.ts';
import { SymbolTable } from '../src/sequences/symbol-table.ts';
import { TraceWindower } from '../src/sequences/trace-windower.ts';
import { Vocabulary } from '../src/sequences/vocabulary.ts';
import { WindowCounter } from '../src/sequences/window-counter.ts';
import { openTraces, type TraceContext } from '../src/trace/open-trace.ts';
import { readSample, type Sample } from '../src/trace/sample.ts';
import { classifyNominal } from '../src/verdict/classify-nominal.ts';
import { computeFeatures, feature, type TraceFeatures } from '../src/verdict/features/features.ts';
import { featuresToStore, readTraceFeatures } from '../src/verdict/features/stored-features.ts';
import { classifyLabelled } from '../src/verdict/labelled/classify-labelled.ts';
import { findPatches } from '../src/verdict/patches.ts';
import { rankingQuality } from '../src/verdict/statistics/ranking.ts';
import { suspicion } from '../src/verdict/suspicion.ts';

const root = join(import.meta.dirname, '../../shared/data/pdftotext');
if (!existsSync(root)) {
  console.log(`skipped: there is no ${root}`);
  process.exit(0);
}
const windowLength = 32;
const filter = filterTable(defaultFilter);
const context: TraceContext = {
  images: new ImageStore([join(root, 'bin')]),
  codeCache: new CodeCache(),
  preprocessed: false,
};
const codeImages = new ImageCodeCache();
const split = JSON.parse(readFileSync(join(root, 'split.json'), 'utf8')) as Record<
  'train' | 'test' | 'controls' | 'attacks',
  string[]
>;
const nominal = new Random(1).shuffle([...split.train]);
const trainingSize = Number(process.argv[2] ?? 150);
const training = nominal.slice(0, trainingSize);
const calibration = nominal.slice(trainingSize);

const started = performance.now();
const seconds = (since: number): string => `${((performance.now() - since) / 1000).toFixed(1)} s`;
console.log(`node ${process.version}, ${cpus()[0].model}, ${new Date().toISOString()}`);

// Training: windows, vocabulary, n-gram, and the profile of indirect transfers.
const table = new SymbolTable();
const counter = new WindowCounter(windowLength);
const profile = new TransferProfile();
let symbolCounts: Float64Array<ArrayBuffer> = new Float64Array(1024);
for (const name of training) {
  const { source } = await open(await sampleOf(name));
  const { blocks, marks } = source;
  const windower = new TraceWindower({ counter, table, blocks, marks, filter, record: false });
  const collector = new EvidenceCollector(source);
  await source.run((batch) => {
    windower.add(batch);
    collector.push(batch);
  });
  symbolCounts = windower.addSymbolCounts(symbolCounts, table);
  profile.add(collector.indirectTransfers);
}
const vocabulary = Vocabulary.learn(table, symbolCounts, counter, { kind: 'learned' });
const { windows } = classifyWindows(
  counter,
  vocabulary.inputClassesOf(table),
  vocabulary.outputClassesOf(table),
);
const model = Ngram.fit(windows, vocabulary.inputClasses, vocabulary.outputClasses);
console.log(`training: ${training.length} traces, ${windows.length} windows, ${seconds(started)}`);

// Evaluation of everything else.
const evaluating = performance.now();
const folder = process.argv[3] ?? (await mkdtemp(join(tmpdir(), 'wayward-detection-')));
const traces: TraceFeatures[] = [];
const overlaps: { readonly name: string; readonly all: boolean; readonly first: boolean }[] = [];
const roles = [
  ...calibration.map((name) => [name, 'calibration'] as const),
  ...[...split.test, ...split.controls, ...split.attacks].map((name) => [name, 'test'] as const),
];
for (const [name, role] of roles) {
  const evaluation = await evaluate(await sampleOf(name), role);
  await writeEvaluation(folder, evaluation, featuresToStore(evaluation));
  traces.push(computeFeatures(evaluation));
  const truth = truthOf(name);
  if (truth.hijack.length === 0) continue;
  const hits = (withEvidence: boolean): boolean => {
    const [best] = findPatches(evaluation, { most: 1, withEvidence });
    return truth.hijack.some(([first, last]) => best.start <= last && best.end > first);
  };
  overlaps.push({ name, all: hits(true), first: hits(false) });
}
console.log(`evaluation: ${traces.length} traces, ${seconds(evaluating)}\n`);

const named = (names: readonly string[]): TraceFeatures[] =>
  traces.filter((trace) => names.includes(trace.sample.name));
const held = named(split.test);
const controls = named(split.controls);
const attacks = named(split.attacks);
const calibrated = named(calibration);
const families = [...new Set(attacks.map((trace) => trace.sample.family ?? ''))].sort();

const wide = 30;
const head = ['vs nominal', '+ controls', '95 %', '+ calibration', ...families];
console.log(`${'trace score'.padEnd(wide)}${head.map((text) => text.padStart(14)).join('')}`);
const simple = [
  'mispredictionRate',
  'wrongConfidence',
  'nll',
  'worst-nll-5',
  'worst-wrong-10',
  'worst-nll-50',
  'worst-nll-1000',
  'worst-unseen-50',
  'crowded-surprise-4',
  'crowded-unseen-4',
  'evidence-return-mismatch',
  'hint-weight',
] as const;
for (const name of simple) printRow(name, (trace) => feature(trace, name));
printRow('first layer alone', (trace) => suspicion(trace, false).score);
printRow('all', (trace) => suspicion(trace, true).score);

for (const features of ['first-layer', 'all']) {
  const verdicts = classifyNominal(traces, { fpr: 0.01, features, seed: 1 });
  const flagged = (names: readonly string[]): string[] =>
    verdicts.verdicts
      .filter((verdict) => verdict.isFlagged && names.includes(verdict.sample.name))
      .map((verdict) => verdict.sample.name);
  const share = (names: readonly string[]): string => `${flagged(names).length} of ${names.length}`;
  console.log(
    `\n${features} at a false-positive rate of 0.01 (${calibration.length} calibration traces; at most ${verdicts.bound.upper.toFixed(3)} with 95 % confidence):`,
  );
  console.log(
    `flagged ${share(split.test)} held-out nominal, ${share(split.controls)} controls, ${share(split.attacks)} attacks; ${verdicts.shift.verdict}`,
  );
  console.log(`controls flagged: ${flagged(split.controls).join(', ') || 'none'}`);
  const caught = overlaps.filter(({ name }) => flagged(split.attacks).includes(name));
  const right = caught.filter((item) => (features === 'all' ? item.all : item.first));
  console.log(
    `best-ranked patch overlaps the hijack in ${right.length} of ${caught.length} flagged attacks`,
  );
}

const svm = await classifyLabelled(traces, {
  features: 'classic',
  cost: 1,
  force: false,
  folds: 5,
  seed: 1,
});
console.log(
  `\nlinear SVM on the two classic features: recall ${svm.crossValidation?.recall.rate.toFixed(2)}, false positives ${svm.crossValidation?.falsePositives.rate.toFixed(2)} in cross-validation (${svm.fitted.recall.rate.toFixed(2)}, ${svm.fitted.falsePositives.rate.toFixed(2)} fitted)`,
);

// Calibration over random splits of all nominal traces that did not train.
const pool = [...calibrated, ...held];
console.log(`\ncalibration over 200 random splits of ${pool.length} nominal traces, 2 to 1:`);
for (const features of ['all', 'first-layer', 'classic']) {
  const cells = [0.02, 0.05, 0.1].map((fpr) => {
    const random = new Random(7);
    const shuffled = [...pool];
    let flagged = 0;
    let judged = 0;
    for (let i = 0; i < 200; i++) {
      random.shuffle(shuffled);
      const kept = Math.floor((2 * pool.length) / 3);
      const split = shuffled.map((trace, index) => ({
        ...trace,
        sample: { ...trace.sample, role: index < kept ? 'calibration' : 'test' } as const,
      }));
      const { falsePositives } = classifyNominal(split, { fpr, features, seed: 1 }).heldOut;
      flagged += falsePositives.count;
      judged += falsePositives.total;
    }
    return `${(flagged / judged).toFixed(4)} at ${fpr}`;
  });
  console.log(`${features.padEnd(wide)}achieved ${cells.join(', ')}`);
}

// Verdicts on 300 evaluation files.
const files = (await readdir(folder)).sort();
const copies = await mkdtemp(join(tmpdir(), 'wayward-300-'));
for (let i = 0; i < 300; i++) {
  const from = files[i % files.length];
  await cp(join(folder, from), join(copies, from.replace('.eval', `-${i}.eval`)));
}
const classifying = performance.now();
const { evaluations } = await readTraceFeatures(copies);
classifyNominal(evaluations, { fpr: 0.01, features: 'all', seed: 1 });
console.log(`\nreading and judging ${evaluations.length} evaluations: ${seconds(classifying)}`);
await rm(copies, { recursive: true });
if (process.argv[3] === undefined) await rm(folder, { recursive: true });
console.log(`whole run: ${seconds(started)}`);

function printRow(name: string, scoreOf: (trace: TraceFeatures) => number): void {
  const scores = (list: readonly TraceFeatures[]): number[] => list.map(scoreOf);
  const anomalous = scores(attacks);
  const benign = scores([...held, ...controls]);
  const together = rankingQuality(benign, anomalous);
  const cells = [
    rankingQuality(scores(held), anomalous).auc.toFixed(3),
    together.auc.toFixed(3),
    `${together.interval.low.toFixed(2)}-${together.interval.high.toFixed(2)}`,
    rankingQuality([...benign, ...scores(calibrated)], anomalous).auc.toFixed(3),
    ...families.map((family) => {
      const members = attacks.filter((trace) => trace.sample.family === family);
      return rankingQuality(benign, scores(members)).auc.toFixed(3);
    }),
  ];
  console.log(`${name.padEnd(wide)}${cells.map((text) => text.padStart(14)).join('')}`);
}

function sampleOf(name: string): Promise<Sample> {
  return readSample(join(root, 'traces', name));
}

async function open(sample: Sample): Promise<Awaited<ReturnType<typeof openTraces>>[number]> {
  return (await openTraces(sample, context))[0];
}

async function evaluate(sample: Sample, role: 'calibration' | 'test'): Promise<Evaluation> {
  const { source, space } = await open(sample);
  const table = vocabulary.makeTable();
  const counter = new WindowCounter(windowLength);
  const { blocks, marks } = source;
  const windower = new TraceWindower({
    counter,
    table,
    blocks,
    marks,
    filter,
    record: true,
    knownSymbols: vocabulary.blocks,
  });
  const sources =
    space === undefined
      ? {}
      : {
          space,
          code: new ProcessCode(space, codeImages),
        };
  const collector = new EvidenceCollector(source, { ...sources, profile });
  const summary = await source.run((batch) => {
    windower.add(batch);
    collector.push(batch);
  });
  const found = windower.finish();
  const { windows, indexOf } = classifyWindows(
    counter,
    vocabulary.inputClassesOf(table),
    vocabulary.outputClassesOf(table),
  );
  const predictions = await model.predict(windows, { log: silentLogger, progress: () => {} });
  const unseenTransfer = new Uint8Array(windows.length);
  for (let i = 0; i < counter.length; i++) {
    const from = counter.symbols[i * windowLength + windowLength - 1];
    if (!vocabulary.hasTransfer(from, counter.targets[i])) unseenTransfer[indexOf[i]] = 1;
  }
  const { name, directory, file, label, family } = sample;
  return {
    sample: { name, directory, file, label, family, role },
    model: `${vocabulary.fingerprint}-${model.fingerprint}`,
    modelName: model.name,
    trace: {
      blocks: found.blocks,
      unknownBlocks: found.unknownBlocks,
      gaps: summary.gaps,
      overflows: summary.overflows,
      bytesLost: summary.bytesLost,
      blocksOutsideImages: collector.blocksOutsideImages,
      crashed: summary.crashed,
    },
    predictions: {
      length: windows.length,
      predicted: predictions.predicted,
      confidence: predictions.confidence,
      actual: windows.targets,
      actualProbability: predictions.targetProbability,
      unseenTransfer,
    },
    occurrences: found.occurrences.map((index) => indexOf[index]),
    positions: found.positions,
    unknownRuns: found.unknownRuns,
    evidence: collector.evidence,
  };
}

/** Ground truth: hijacks as first and last block. */
function truthOf(name: string): { readonly hijack: readonly (readonly [number, number])[] } {
  return JSON.parse(readFileSync(join(root, 'truth', `${name}.json`), 'utf8'));
}
