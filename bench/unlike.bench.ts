/**
 * Whether an attack among the runs that a profile is learned from is named.
 *
 *     node bench/unlike.bench.ts [CORPUS, default xmllint] [ATTACKS OF EACH FAMILY, default 1]
 *
 * Learns from the 45 training runs of a field corpus with one attack among them, taken for harmless, for each
 * attack anew, and says the attack's rank among the 46 by how unlike the others it is, and whether it stands out.
 * The first line is the corpus without an attack. Attacks are those that took effect; `data` makes no illegal transfer.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { identityOf } from '../src/commands/samples/evaluating/evaluate.ts';
import { EventsReader } from '../src/commands/training/events/events-reader.ts';
import {
  type TrainingRun,
  TrainingRunPacker,
  unpackTrainingRuns,
} from '../src/commands/training/events/training-runs.ts';
import { HistoryTraining } from '../src/commands/training/history-training.ts';
import { TrainingCounts } from '../src/model/histories/training-counts.ts';
import { defaultFilter, filterTable } from '../src/sequences/filter.ts';
import { SymbolTable } from '../src/sequences/symbol-table.ts';
import { readSample } from '../src/trace/sample.ts';
import { featuresOfLeftOut, leftOutOf } from '../src/verdict/left-out.ts';
import { rankUnlike } from '../src/verdict/unlike.ts';
import { readSplit } from './field/recorder.ts';

const [corpus = 'xmllint', each = '1'] = process.argv.slice(2);
const root = join(import.meta.dirname, '../../shared/data/field', corpus);
if (!existsSync(root)) {
  console.log(`skipped: there is no ${root}`);
  process.exit(0);
}
const split = await readSplit(root);
const reader = new EventsReader({
  ...{ binDirs: [join(root, 'bin')], rawImages: false, preprocessed: false },
  ...{ filter: filterTable(defaultFilter), process: undefined, timeout: undefined },
});

async function runOf(name: string): Promise<TrainingRun> {
  const sample = await readSample(join(root, 'traces', name));
  const read = await reader.read(sample);
  if ('reason' in read) throw new Error(read.reason);
  const { events, blocks, proofs } = read;
  return {
    sample: { ...identityOf(sample, 'training'), label: 'nominal' },
    events,
    blocks,
    proofs,
  };
}

const counts = new TrainingCounts(new SymbolTable());
const packer = new TrainingRunPacker(counts.contexts);
for (const name of split.train) {
  const run = await runOf(name);
  packer.add(run, counts.add(run.events));
}
const packed = Buffer.from(packer.finish() ?? []);

function tell(hidden: TrainingRun | undefined): void {
  const training = new HistoryTraining();
  for (const run of unpackTrainingRuns(packed, corpus)) training.add(run);
  if (hidden !== undefined) training.add(hidden);
  const { leftOut } = training.finish();
  const features = featuresOfLeftOut(leftOutOf('bench', leftOut()));
  const order = rankUnlike(features);
  const rank = order.findIndex(({ index }) => features[index]?.sample.name === hidden?.sample.name);
  const out = order.filter(({ standsOut }) => standsOut).length;
  const scores = order.slice(0, 3).map(({ score }) => score.toFixed(1));
  const own = hidden === undefined ? 'no attack' : `${hidden.sample.name}: rank ${rank + 1}`;
  console.log(`${own}; ${out} stand out; largest scores ${scores.join(', ')}`);
}

tell(undefined);
const taken = new Map<string, number>();
for (const name of split.attacks) {
  const family = name.replace(/^a-/, '').replace(/-\d+\D*$/, '');
  const count = taken.get(family) ?? 0;
  if (count >= Number(each)) continue;
  taken.set(family, count + 1);
  tell(await runOf(name));
}
reader.dispose();
