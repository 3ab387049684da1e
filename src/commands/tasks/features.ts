import { join } from 'node:path';
import { type FolderEntry, listEvaluations } from '../../evaluation/folder.ts';
import type { TraceFeatures } from '../../verdict/features/features.ts';
import { readFeaturesOf } from '../../verdict/features/stored-features.ts';
import type { Job } from '../../workers/job.ts';
import { outcomesOf, type Scheduler } from '../../workers/scheduler.ts';
import { fileName, flag, listOf, path, record } from '../../workers/schema.ts';
import { defineTask, type Task } from './task.ts';

interface Options {
  readonly directory: string;
  /** Evaluation files. */
  readonly names: readonly string[];
  /** Compute features though the files hold them. */
  readonly anew: boolean;
}

/** Files of one job: 1.5 kB of features each go back. */
const filesAtOnce = 16;

/** A `FolderEntry<TraceFeatures>` as plain data. */
type Entry =
  | { readonly skipped: string }
  | {
      readonly sample: TraceFeatures['sample'];
      readonly model: string;
      /** Doubles, little-endian, in base64: JSON has no NaN. */
      readonly values: string;
    };

/** Reads the features of some evaluations. */
export const featuresTask: Task<readonly Entry[]> = defineTask<Options, readonly Entry[]>({
  read: record({ directory: path, names: listOf(fileName, 256), anew: flag }),
  folders: ({ directory, names }) => ({
    read: [],
    files: names.map((name) => join(directory, name)),
    write: [],
  }),
  run: async ({ directory, names, anew }) => {
    const entries: Entry[] = [];
    for (const name of names) entries.push(encode(await readFeaturesOf(directory, name, anew)));
    return entries;
  },
});

function encode(entry: FolderEntry<TraceFeatures>): Entry {
  if ('skipped' in entry) return { skipped: entry.skipped };
  const { sample, model, values } = entry.value;
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return { sample, model, values: bytes.toString('base64') };
}

function decode(path: string, entry: Entry): FolderEntry<TraceFeatures> {
  if ('skipped' in entry) return { path, skipped: entry.skipped };
  const bytes = Uint8Array.from(Buffer.from(entry.values, 'base64'));
  // JSON leaves out what is undefined; here it is there.
  const whole = { ...entry.sample, family: entry.sample.family };
  return {
    path,
    value: { sample: whole, model: entry.model, values: new Float64Array(bytes.buffer) },
  };
}

/** Reads the features of a folder's evaluations elsewhere, in the order of their names. */
export async function featuresElsewhere(
  directory: string,
  anew: boolean,
  scheduler: Scheduler,
  tell: (done: number, total: number) => void,
): Promise<readonly FolderEntry<TraceFeatures>[]> {
  const names = await listEvaluations(directory);
  const groups: string[][] = [];
  for (let from = 0; from < names.length; from += filesAtOnce) {
    groups.push(names.slice(from, from + filesAtOnce));
  }
  const jobs = groups.map(
    (group): Job => ({ task: 'features', options: { directory, names: group, anew } }),
  );
  const found: (readonly FolderEntry<TraceFeatures>[])[] = [];
  let done = 0;
  for await (const [index, outcome] of outcomesOf(scheduler, jobs)) {
    const entries =
      outcome.status === 'done'
        ? featuresTask.resultOf(outcome)
        : groups[index].map(() => ({ skipped: outcome.reason }));
    found[index] = groups[index].map((name, i) => decode(`${directory}/${name}`, entries[i]));
    done += groups[index].length;
    tell(done, names.length);
  }
  return found.flat();
}
