/**
 * Logs of system calls: what judging one costs beyond the start of the program. ADFA-LD's 833 training
 * traces train an n-gram; then every trace there is gets evaluated in this process, one after the other.
 * Processor time, of all threads, counts; the median is of passes over all traces.
 *
 * node bench/calls.bench.ts [FOLDER]   FOLDER keeps the corpus and the model; a temporary one without it
 */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { learn } from '../src/commands/learn.ts';
import { loadTrained } from '../src/commands/run/trained.ts';
import { Evaluator, windowLengthOf } from '../src/commands/samples/evaluating/evaluate.ts';
import { ImageNotes } from '../src/commands/samples/evaluating/image-notes.ts';
import { readingOf, readSourceSample, sourceFilter } from '../src/commands/samples/source.ts';
import { CodeCache } from '../src/flow/code-cache.ts';
import { ImageStore } from '../src/image/image-store.ts';
import { silentContext } from '../src/model/first-layer.ts';
import { tell, watchMachine } from './figures.ts';
import { adfaProtocol, type CallTrace, openAdfa } from './models-data.ts';

watchMachine();
const passes = 3;
const source = {
  source: 'integers',
  process: undefined,
  preprocessed: false,
} as const;

const out = process.argv[2] ?? mkdtempSync(join(tmpdir(), 'wayward-calls-'));
try {
  await measure();
} finally {
  if (process.argv[2] === undefined) rmSync(out, { recursive: true });
}

async function measure(): Promise<void> {
  const corpus = await openAdfa(out);
  if (corpus === undefined) {
    console.log('../shared/data/adfa-ld is not here; nothing is measured');
    return;
  }
  const { training, validation, attack } = corpus.traces;
  const run = await trainedRun(corpus.root, training);
  const trained = await loadTrained(run, { workers: 1, device: 'cpu', seed: 0 });
  const evaluator = new Evaluator(trained, {
    windowLength: windowLengthOf(trained.layer),
    filter: sourceFilter('integers', trained.filter),
    traces: { images: new ImageStore([]), codeCache: new CodeCache(), ...readingOf(source) },
    notes: new ImageNotes(false),
  });
  const all = [...training, ...validation, ...attack];
  const times: number[] = [];
  let calls = 0;
  for (let pass = 0; pass < passes; pass++) {
    calls = 0;
    const before = process.cpuUsage();
    for (const { path } of all) {
      const sample = await readSourceSample(path, source);
      const { trace } = await evaluator.evaluate({ sample, role: 'test' }, silentContext);
      calls += trace.blocks;
    }
    const { user, system } = process.cpuUsage(before);
    times.push((user + system) / 1e6);
  }
  const first = times[0];
  const median = times.toSorted((a, b) => a - b)[passes >> 1];
  const each = (seconds: number): string => ((seconds / all.length) * 1000).toFixed(2);
  console.log(`${all.length} traces, ${calls} calls; processor time`);
  console.log(`  first pass  ${first.toFixed(1)} s, ${each(first)} ms a trace`);
  console.log(`  median      ${median.toFixed(1)} s, ${each(median)} ms a trace`);
  tell({
    ...{ name: 'a log of calls judged', value: (median / all.length) * 1000, unit: 'ms' },
    goal: { most: 3 },
  });
  await trained.layer.dispose();
}

/** @returns folder of a run that learned the training traces */
async function trainedRun(root: string, train: readonly CallTrace[]): Promise<string> {
  const runs = join(out, 'runs');
  const known = existsSync(runs) ? readdirSync(runs)[0] : undefined;
  if (known !== undefined) return join(runs, known);
  const { setsFile, options } = await adfaProtocol(out, 'calls', 'ADFA-LD', root, {
    train,
    nominal: [],
    attacks: [],
  });
  const { folder } = await learn({
    ...options,
    inputSets: setsFile,
    model: 'ngram',
    out,
    skipEval: true,
  });
  return folder.root;
}
