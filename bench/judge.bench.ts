/**
 * What judging a run costs beside decoding it, and learning beside reading: one thread, warm, by processor
 * time. Each round decodes, follows calls (evidence), follows histories (events) and judges in turn, so that a
 * noisy neighbour disturbs all alike; figures are medians, and ratios of figures of one round. The first rounds,
 * in which V8 compiles, are not counted.
 *
 * node bench/judge.bench.ts [--runs N] [--rounds N] [--before TREE] [FOLDER...]
 *
 * FOLDER as in ../shared/data/field (`traces`, `bin`, `split.json`): N runs of `train` are learned from, the
 * first of `test` is judged. A folder with `py` and `py-noretc` (pt-bench): the first is learned from, the
 * second judged. `--before`: sources of 0.1.0, whose collector of evidence is measured on the same blocks.
 */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { Evaluator, identityOf } from '../src/commands/samples/evaluating/evaluate.ts';
import { followTrace } from '../src/commands/samples/evaluating/follow.ts';
import { ImageNotes } from '../src/commands/samples/evaluating/image-notes.ts';
import { openSample } from '../src/commands/samples/source.ts';
import { EventsReader } from '../src/commands/training/events/events-reader.ts';
import { HistoryTraining } from '../src/commands/training/history-training.ts';
import { ImageCodeCache, ProcessCode } from '../src/evidence/code/process-code.ts';
import { EvidenceCollector } from '../src/evidence/collector.ts';
import type { BlockSink } from '../src/flow/blocks.ts';
import { CodeCache } from '../src/flow/code-cache.ts';
import { ImageStore } from '../src/image/image-store.ts';
import { silentContext } from '../src/model/first-layer.ts';
import { defaultFilter, filterTable } from '../src/sequences/filter.ts';
import { RunFollower } from '../src/sequences/histories/follower.ts';
import { readSample, type Sample } from '../src/trace/sample.ts';
import { readSplit } from './field/recorder.ts';
import { median, processorTime, tell, watchMachine } from './figures.ts';

const { values, positionals } = parseArgs({
  options: {
    runs: { type: 'string', default: '12' },
    rounds: { type: 'string', default: '7' },
    before: { type: 'string' },
  },
  allowPositionals: true,
});
watchMachine();
const runs = Number(values.runs);
const rounds = Number(values.rounds);
const shared = '../shared/data';
const folders =
  positionals.length > 0
    ? positionals
    : ['pdftotext', 'field/lua5.4', 'field/xmllint', 'pt-bench'].map((name) => join(shared, name));
const filter = filterTable(defaultFilter);
const warmUp = 6;

interface Corpus {
  readonly name: string;
  readonly train: readonly Sample[];
  readonly test: Sample;
  readonly binDirs: readonly string[];
}

async function corpusAt(folder: string): Promise<Corpus> {
  const name = basename(folder);
  if (existsSync(join(folder, 'py-noretc'))) {
    const [train, test] = ['py', 'py-noretc'].map((run) => join(folder, run));
    return {
      name: `${name}/py-noretc`,
      train: [await readSample(join(train!, 'trace'))],
      test: await readSample(join(test!, 'trace')),
      binDirs: [join(train!, 'bin'), join(test!, 'bin')],
    };
  }
  const split = await readSplit(folder);
  const read = (run: string): Promise<Sample> => readSample(join(folder, 'traces', run));
  const train: Sample[] = [];
  for (const run of split.train.slice(0, runs)) train.push(await read(run));
  return { name, train, test: await read(split.test[0]), binDirs: [join(folder, 'bin')] };
}

/** Learns, and prints what it cost. */
async function learn({ name, train, binDirs }: Corpus) {
  const setup = { binDirs, rawImages: false, preprocessed: false, filter };
  const reader = new EventsReader({ ...setup, process: undefined, timeout: undefined });
  const training = new HistoryTraining();
  let reading = 0;
  let counting = 0;
  for (const sample of train) {
    const started = processorTime();
    const read = await reader.read(sample);
    if ('reason' in read) throw new Error(`${sample.name}: ${read.reason}`);
    const isRead = processorTime();
    training.add({ ...read, sample: identityOf(sample, 'training') });
    reading += isRead - started;
    counting += processorTime() - isRead;
  }
  const started = processorTime();
  const { trained, summary, leftOut } = training.finish();
  for (const _ of leftOut());
  const fitting = processorTime() - started;
  reader.dispose();
  const each = (seconds: number): string => `${((1000 * seconds) / train.length).toFixed(0)} ms`;
  console.log(
    `${name}: learned from ${train.length} runs, ${(summary.blocks / train.length / 1e6).toFixed(1)} M blocks and ` +
      `${(summary.distinctWindows / train.length / 1e3).toFixed(1)} k events each, ${((summary.contexts ?? 0) / 1e6).toFixed(2)} M contexts; ` +
      `a run: reading ${each(reading)}, counting ${each(counting)}, weights and left-out judging ${each(fitting)}`,
  );
  return trained;
}

interface OldCollector {
  readonly push: BlockSink;
}

/** The collector of 0.1.0, made for a block stream. */
async function oldCollector(): Promise<((stream: object) => OldCollector) | undefined> {
  if (values.before === undefined) return undefined;
  const path = new URL(`file://${values.before}/src/flow/evidence-collector.ts`).href;
  const { EvidenceCollector: Old } = await import(path);
  return (stream) => new Old(stream);
}

async function measure(corpus: Corpus): Promise<void> {
  const trained = await learn(corpus);
  const images = new ImageStore([...corpus.binDirs]);
  const codeCache = new CodeCache();
  const traces = { images, codeCache, preprocessed: false };
  const imageCode = new ImageCodeCache();
  const old = await oldCollector();
  const evaluator = new Evaluator(trained, {
    ...{ windowLength: 0, filter, traces, notes: new ImageNotes(false) },
  });
  let blocks = 0;
  let transfers = 0;
  let events = 0;
  type Step = 'decode' | 'evidence' | 'events' | 'judge' | 'before';
  const read = async (step: Step): Promise<void> => {
    const run = new RunFollower();
    const opened = await openSample(corpus.test, traces);
    blocks = 0;
    for (const trace of opened) {
      const { source, space } = trace;
      let sink: BlockSink = () => {};
      if (step === 'before' && old !== undefined) {
        const collector = old({ blocks: source.blocks, marks: source.marks });
        sink = (batch) => collector.push(batch);
      } else if (step !== 'decode') {
        const code = space === undefined ? undefined : new ProcessCode(space, imageCode);
        const known = space === undefined || code === undefined ? {} : { space, code };
        const evidence = new EvidenceCollector(source, { ...known, isAlone: opened.length === 1 });
        if (step === 'events') followTrace(run, trace, evidence.follower, filter, code);
        sink = (batch) => evidence.push(batch);
      }
      blocks += (await source.run(sink)).blocks;
    }
    if (step !== 'events') return;
    const found = run.finish();
    transfers = found.transfers;
    events = found.length;
  };
  const steps: readonly Step[] = [
    'decode',
    'evidence',
    'events',
    'judge',
    ...(old === undefined ? [] : (['before'] as const)),
  ];
  const times: Record<Step, number[]> = {
    decode: [],
    evidence: [],
    events: [],
    judge: [],
    before: [],
  };
  const first: Partial<Record<Step, number>> = {};
  for (let round = 0; round < warmUp + rounds; round++) {
    for (const step of steps) {
      const started = processorTime();
      if (step === 'judge')
        await evaluator.evaluate({ sample: corpus.test, role: 'test' }, silentContext);
      else await read(step);
      const took = processorTime() - started;
      if (round === 0) first[step] = took;
      if (round >= warmUp) times[step].push(took);
    }
  }
  codeCache.dispose();
  console.log(
    `  judged: ${(blocks / 1e6).toFixed(1)} M blocks, ${(transfers / 1e3).toFixed(0)} k transfers, ${(events / 1e3).toFixed(1)} k events; median of ${rounds}`,
  );
  tell({
    ...{ name: `${corpus.name}, a run judged`, value: 1000 * median(times.judge), unit: 'ms' },
    peer: { name: 'decoding it', value: 1000 * median(times.decode) },
    goal: { most: 1.6 },
  });
  for (const step of steps) {
    const ratios = times[step].map((took, i) => took / times.decode[i]!);
    const name = {
      decode: 'decoding',
      evidence: '+ calls and evidence',
      events: '+ events',
      judge: 'judging (all)',
      before: 'decoding + evidence as 0.1.0',
    }[step];
    console.log(
      `  ${name.padEnd(30)} ${(1000 * median(times[step])).toFixed(0).padStart(6)} ms   ${median(ratios).toFixed(2).padStart(5)} x decoding   the first ${(1000 * (first[step] ?? 0)).toFixed(0)} ms`,
    );
  }
}

for (const folder of folders) {
  if (existsSync(folder)) await measure(await corpusAt(folder));
  else console.log(`${folder}: absent`);
}
console.log(`peak memory ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MB`);
