import { extname, resolve } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { showCount } from '../../base/text/format.ts';
import type { RunContext } from '../../model/first-layer.ts';
import type { Sample } from '../../trace/sample.ts';
import { inThreads } from '../../workers/ordered-threads.ts';
import { identityOf } from '../samples/evaluating/evaluate.ts';
import type { SkippedSample } from '../samples/skipped.ts';
import {
  type CodeAtHand,
  EventsReader,
  type EventsSetup,
  type SampleEvents,
} from './events/events-reader.ts';
import { HistoryTraining, type TrainedHistories } from './history-training.ts';
import type { TrainingWork } from './train.ts';

/** Fewer samples are read before threads have started. */
const fewSamples = 4;

/** Reads the training traces, and learns from the histories of their transfers. @throws UserError */
export async function trainHistories(
  samples: readonly Sample[],
  { options, reading, context, clock }: TrainingWork,
): Promise<TrainedHistories & { readonly skipped: readonly SkippedSample[] }> {
  clock.start('reading');
  const training = new HistoryTraining();
  const skipped: SkippedSample[] = [];
  const { binDirs, rawImages, preprocessed } = reading.count;
  const setup: EventsSetup = {
    ...{ binDirs, rawImages, preprocessed, filter: reading.count.filter },
    ...{ process: reading.count.calls?.process, timeout: options.timeout },
  };
  await readEvents(samples, setup, options.workers, context, reading.evaluate, (job, message) => {
    const sample = samples[job];
    if ('reason' in message) {
      context.log.log('warning', `left out: ${message.reason}`);
      skipped.push({ name: sample.name, reason: message.reason });
    } else {
      for (const note of message.notes) reading.count.notes.tell(note, context.log);
      training.add({ sample: identityOf(sample, 'training'), ...message });
    }
    context.progress({
      step: 'reading traces',
      done: job + 1,
      total: samples.length,
      unit: 'traces',
      facts: { transfers: training.events },
    });
  });
  if (training.events === 0) {
    throw new UserError(
      'no-windows',
      `the ${samples.length} training traces hold no transfer to predict: ${options.filter.join(', ')}`,
      { category: 'input', path: resolve(options.root) },
    );
  }
  clock.start('training');
  const learned = training.finish(options.mixing);
  const { traces, blocks, windows, contexts = 0, outputClasses } = learned.summary;
  context.log.log(
    'info',
    `${traces} training traces: ${showCount(blocks)} blocks, ${showCount(windows)} transfers, of which ${showCount(training.events)} are told neither by the code nor by what the same run did before; ${showCount(contexts)} contexts, ${showCount(outputClasses)} targets`,
  );
  return { ...learned, skipped };
}

/**
 * @param shared  what is known in this thread of the code
 * @param take  gets the events of each sample, in order
 */
export async function readEvents(
  samples: readonly Sample[],
  setup: EventsSetup,
  threads: number,
  { signal }: Pick<RunContext, 'signal'>,
  shared: CodeAtHand | undefined,
  take: (job: number, message: SampleEvents) => void,
): Promise<void> {
  if (threads > 1 && samples.length >= fewSamples) {
    const entry = new URL(`./events/events-thread${extname(import.meta.url)}`, import.meta.url);
    const messages = inThreads<Sample, SampleEvents>(entry, setup, samples, threads, signal);
    for await (const { job, message } of messages) take(job, message);
    return;
  }
  const reader = new EventsReader(setup, shared);
  try {
    for (const [job, sample] of samples.entries()) {
      signal?.throwIfAborted();
      take(job, await reader.read(sample, signal));
    }
  } finally {
    reader.dispose();
  }
}
