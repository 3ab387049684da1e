import { extname, resolve } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { showCount } from '../../base/format.ts';
import type { Evaluation } from '../../evaluation/evaluation.ts';
import type { Proof } from '../../evidence/collector.ts';
import { type IndirectTransfers, TransferProfile } from '../../evidence/profile.ts';
import type { RunContext } from '../../model/first-layer.ts';
import { fitHistories, judgeLeftOut, type LeftOutRun } from '../../model/histories/fit.ts';
import { TrainingCounts } from '../../model/histories/training-counts.ts';
import type { TransferEvents } from '../../sequences/histories/events.ts';
import { outsideImages, SymbolTable } from '../../sequences/symbol-table.ts';
import { Vocabulary } from '../../sequences/vocabulary.ts';
import { hashWindow, WindowCounter } from '../../sequences/window-counter.ts';
import type { Sample } from '../../trace/sample.ts';
import { inThreads } from '../../workers/ordered-threads.ts';
import { Transfer } from '../../x86/transfer.ts';
import type { Trained } from '../samples/evaluate.ts';
import { identityOf, modelIdentity } from '../samples/evaluate.ts';
import { recordEvents } from '../samples/evaluate-histories.ts';
import type { SkippedSample } from '../samples/skipped.ts';
import { EventsReader, type EventsSetup, type SampleEvents } from './events-reader.ts';
import type { TrainingSummary, TrainingWork } from './train.ts';

/** What an evaluation of a training run takes beside its events. */
interface ReadRun {
  readonly sample: Sample;
  readonly proofs: readonly Proof[];
  readonly run: Pick<TransferEvents, 'position' | 'ordinal' | 'transfers' | 'explained' | 'blocks'>;
}

/** Fewer samples are read before threads have started. */
const fewSamples = 4;

/** Reads the training traces, and learns from the histories of their transfers. @throws UserError */
export async function trainHistories(
  samples: readonly Sample[],
  { options, reading, context, clock }: TrainingWork,
): Promise<{
  readonly trained: Trained;
  readonly summary: TrainingSummary;
  readonly skipped: readonly SkippedSample[];
  readonly leftOut: () => Iterable<Evaluation>;
}> {
  clock.start('reading');
  const table = new SymbolTable();
  const counts = new TrainingCounts(table);
  const pairs = new WindowCounter(1);
  const profile = new TransferProfile();
  const read: ReadRun[] = [];
  const skipped: SkippedSample[] = [];
  let ranIn = new Float64Array(4096);
  let blocks = 0;
  let events = 0;
  const tell = (done: number): void =>
    context.progress({
      step: 'reading traces',
      done,
      total: samples.length,
      unit: 'traces',
      facts: { windows: events },
    });
  const { binDirs, rawImages, preprocessed } = reading.count;
  const setup: EventsSetup = {
    ...{ binDirs, rawImages, preprocessed, filter: reading.count.filter },
    ...{ process: reading.count.calls?.process, timeout: options.timeout },
  };
  await readEvents(samples, setup, options.workers, context, (job, message) => {
    const sample = samples[job];
    if ('reason' in message) {
      context.log.log('warning', `left out: ${message.reason}`);
      skipped.push({ name: sample.name, reason: message.reason });
    } else {
      for (const note of message.notes) reading.count.notes.tell(note, context.log);
      const run = message.events;
      for (const list of message.blocks) {
        const modules = list.modules.map((name, i) => table.internModule(name, list.paths[i]));
        const outside = table.internModule(outsideImages, outsideImages);
        if (ranIn.length < table.length + list.offset.length) {
          const longer = new Float64Array(2 * (table.length + list.offset.length));
          longer.set(ranIn);
          ranIn = longer;
        }
        list.offset.forEach((offset, i) => {
          const module = list.module[i] < 0 ? outside : modules[list.module[i]];
          ranIn[table.intern(module, offset)]++;
        });
      }
      counts.add(run);
      addPairs(pairs, table, run);
      profile.add(indirectTransfersOf(run));
      profile.evidence.add(message.proofs.map(({ place }) => place));
      blocks += run.blocks;
      events += run.length;
      const { position, ordinal, transfers, explained } = run;
      read.push({
        sample,
        proofs: message.proofs,
        run: { position, ordinal, transfers, explained, blocks: run.blocks },
      });
    }
    tell(job + 1);
  });
  if (events === 0) {
    throw new UserError(
      'no-windows',
      `the ${samples.length} training traces hold no transfer to predict: ${options.filter.join(', ')}`,
      { category: 'input', path: resolve(options.root) },
    );
  }
  clock.start('training');
  const vocabulary = Vocabulary.learn(table, ranIn, pairs, { kind: 'learned' });
  counts.settle(vocabulary.outputClassesOf(table));
  const layer = fitHistories(counts, vocabulary.inputClasses, vocabulary.outputClasses);
  context.log.log(
    'info',
    `${read.length} training traces: ${showCount(blocks)} blocks, ${showCount(counts.transfers)} transfers, of which ${showCount(events)} are told neither by the code nor by what the same run did before; ${showCount(counts.contexts.contexts)} contexts, ${showCount(vocabulary.outputClasses)} targets`,
  );
  const trained: Trained = { layer, vocabulary, profile };
  return {
    trained,
    skipped,
    summary: {
      traces: read.length,
      blocks,
      windows: counts.transfers,
      distinctWindows: events,
      contexts: counts.contexts.contexts,
      inputClasses: vocabulary.inputClasses,
      outputClasses: vocabulary.outputClasses,
      epochs: [],
    },
    *leftOut() {
      const model = modelIdentity(trained);
      const left = judgeLeftOut(counts, vocabulary.outputClasses);
      for (const { sample, run, proofs } of read) {
        const { events: own, judgements } = left.next().value as LeftOutRun;
        const places = { modules: [], module: new Int32Array(0), offset: new Float64Array(0) };
        yield {
          sample: identityOf(sample, 'training'),
          model,
          modelName: layer.name,
          trace: {
            ...{ blocks: run.blocks, unknownBlocks: 0, gaps: 0, overflows: 0, bytesLost: 0 },
            ...{ blocksOutsideImages: 0, crashed: false },
          },
          ...recordEvents(own, judgements, run, places, vocabulary.outputClasses),
          unknownRuns: new Int32Array(0),
          // Its own evidence is left out of what is usual.
          evidence: proofs
            .filter(({ place }) => !profile.evidence.isUsual(place, true))
            .map(({ told }) => told),
        };
      }
    },
  };
}

/** @param take  gets the events of each sample, in order */
async function readEvents(
  samples: readonly Sample[],
  setup: EventsSetup,
  threads: number,
  { signal }: RunContext,
  take: (job: number, message: SampleEvents) => void,
): Promise<void> {
  if (threads > 1 && samples.length >= fewSamples) {
    const entry = new URL(`./events-thread${extname(import.meta.url)}`, import.meta.url);
    const messages = inThreads<Sample, SampleEvents>(entry, setup, samples, threads, signal);
    for await (const { job, message } of messages) take(job, message);
    return;
  }
  const reader = new EventsReader(setup);
  try {
    for (const [job, sample] of samples.entries()) {
      signal?.throwIfAborted();
      take(job, await reader.read(sample, signal));
    }
  } finally {
    reader.dispose();
  }
}

/** Counts which block went to which, for the vocabulary. */
function addPairs(pairs: WindowCounter, table: SymbolTable, run: TransferEvents): void {
  const { modules, module, offset, length } = run.places;
  const own = modules.map((name) => table.internModule(name, name));
  const symbols = Int32Array.from({ length }, (_, i) => table.intern(own[module[i]], offset[i]));
  const site = new Int32Array(1);
  for (let event = 0; event < run.length; event++) {
    site[0] = symbols[run.site[event]];
    pairs.add(site, 0, hashWindow(site, 0, 1), symbols[run.target[event]]);
  }
}

/** The indirect calls and jumps of a run, as a profile of training takes them. */
function indirectTransfersOf({
  length,
  kind,
  site,
  target,
  into,
  places,
}: TransferEvents): IndirectTransfers {
  const sites: number[] = [];
  const targets: number[] = [];
  const lastInstruction = new Int32Array(places.length);
  for (let event = 0; event < length; event++) {
    if (kind[event] !== Transfer.icall && kind[event] !== Transfer.ijmp) continue;
    lastInstruction[site[event]] = into[event];
    sites.push(site[event]);
    targets.push(target[event]);
  }
  const none = new Int32Array(0);
  const outside = places.modules.indexOf(outsideImages);
  return {
    blocks: {
      length: places.length,
      modules: places.modules.map((name) => ({ path: name, name, base: 0 })),
      module: places.module.map((module) => (module === outside ? -1 : module)),
      offset: places.offset,
      ...{ lastInstruction, size: none, instructions: none, kind: new Uint8Array(0) },
    },
    sites,
    targets,
  };
}
