/**
 * What the network adds to the mixture of histories: loss on nominal runs that had no share in training, with and
 * without it, in nats a transfer that the code does not explain, and what it costs.
 *
 * node bench/mixing.bench.ts [--train N] [--role test|calibrate] [FOLDER...]
 *
 * FOLDER as in ../shared/data/field (`traces`, `bin`, `split.json`): the first N runs of `train` are learned from, all
 * of the role judged. Where `split.json` has fewer than 20 of these, 22 of `train` behind the first N are judged beside.
 */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { identityOf } from '../src/commands/samples/evaluating/evaluate.ts';
import { classifyEvents } from '../src/commands/samples/evaluating/evaluate-histories.ts';
import { EventsReader, type ReadRun } from '../src/commands/training/events/events-reader.ts';
import { HistoryTraining } from '../src/commands/training/history-training.ts';
import { HistoryModel } from '../src/model/histories/model.ts';
import {
  type JudgingTables,
  judgeRun,
  type NamedEvents,
} from '../src/model/histories/run-judge.ts';
import { defaultFilter, filterTable } from '../src/sequences/filter.ts';
import { readSample } from '../src/trace/sample.ts';
import { readSplit, type Split } from './field/recorder.ts';
import { processorTime, tell, watchMachine } from './figures.ts';

const { values, positionals } = parseArgs({
  options: {
    train: { type: 'string', default: '45' },
    role: { type: 'string', default: 'test' },
  },
  allowPositionals: true,
});
watchMachine();
const shared = '../shared/data';
const folders =
  positionals.length > 0
    ? positionals
    : ['field/xmllint', 'field/lua5.4', 'pdftotext'].map((name) => join(shared, name));

/** What judging some runs gave, summed. */
interface Judged {
  readonly nats: number;
  readonly wrong: number;
  readonly seconds: number;
}

function judgeAll(runs: readonly NamedEvents[], tables: JudgingTables): Judged {
  const started = processorTime();
  let nats = 0;
  let wrong = 0;
  for (const run of runs) {
    const { probability, predicted } = judgeRun(run, tables);
    for (let event = 0; event < run.length; event++) {
      nats -= Math.log(Math.max(1e-30, probability[event]!));
      if (predicted[event] !== run.target[event]) wrong++;
    }
  }
  return { nats, wrong, seconds: processorTime() - started };
}

async function measure(folder: string): Promise<void> {
  const split = await readSplit(folder);
  const train: readonly string[] = split.train.slice(0, Number(values.train));
  const held = [...(split[values.role as keyof Split] ?? [])];
  if (held.length < 20) held.push(...split.train.slice(train.length, train.length + 22));
  const reader = new EventsReader({
    ...{ binDirs: [join(folder, 'bin')], rawImages: false, preprocessed: false },
    ...{ filter: filterTable(defaultFilter), process: undefined, timeout: undefined },
  });
  const read = async (
    name: string,
  ): Promise<{ sample: ReturnType<typeof identityOf> } & ReadRun> => {
    const sample = await readSample(join(folder, 'traces', name));
    const run = await reader.read(sample);
    if ('reason' in run) throw new Error(`${name}: ${run.reason}`);
    return { ...run, sample: identityOf(sample, 'training') };
  };
  const training = new HistoryTraining();
  for (const name of train) training.add(await read(name));
  const started = processorTime();
  const { trained } = training.finish('network');
  const fitting = processorTime() - started;
  const { layer, vocabulary } = trained;
  if (!(layer instanceof HistoryModel)) throw new Error('histories were learned');
  const runs: NamedEvents[] = [];
  let unexplained = 0;
  for (const name of held) {
    const { events } = await read(name);
    runs.push(classifyEvents(events, vocabulary).events);
    unexplained += events.transfers - events.explained;
  }
  reader.dispose();
  const before = judgeAll(runs, { ...layer.tables, network: undefined });
  const after = judgeAll(runs, layer.tables);
  const each = (nats: number): string => (nats / unexplained).toFixed(5);
  const name = basename(folder);
  console.log(
    `${name}, ${train.length} runs learned, ${runs.length} judged: ${each(before.nats)} -> ${each(after.nats)} nats, ` +
      `${(100 * (1 - after.nats / before.nats)).toFixed(1)} % less; wrong ${before.wrong} -> ${after.wrong} ` +
      `of ${unexplained} transfers; all of fitting ${fitting.toFixed(1)} s, judging a run ` +
      `${((1000 * before.seconds) / runs.length).toFixed(0)} -> ${((1000 * after.seconds) / runs.length).toFixed(0)} ms`,
  );
  tell({
    ...{ name: `${name}, loss with the network`, value: after.nats / unexplained, unit: 'nats' },
    ...{
      peer: { name: 'the mixture alone', value: before.nats / unexplained },
      goal: { most: 0.9 },
    },
  });
}

for (const folder of folders) {
  if (existsSync(join(folder, 'split.json'))) await measure(folder);
  else console.log(`${folder} is not there`);
}
