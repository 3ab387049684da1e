import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { appendAll } from '../base/append.ts';
import { Damage } from '../base/bytes/byte-reader.ts';
import { UserError } from '../base/errors.ts';
import type { Evaluation } from '../evaluation/evaluation.ts';
import { decodeSample, encodeSample, type SampleSlices } from '../likeness/slices/slice-record.ts';
import type { TermNames } from '../likeness/slices/slice-terms.ts';
import { FileStore } from '../likeness/store/file-store.ts';
import { collectionsIn, openStore, type StoreOptions } from '../likeness/store/open-store.ts';
import { putSurely } from '../likeness/store/put-surely.ts';
import type { Collection, SampleStore, StoredSamples } from '../likeness/store/sample-store.ts';
import type { RunContext } from '../model/first-layer.ts';
import { classify, defaultJudging } from './classify.ts';
import { findEvaluations } from './run/path.ts';
import type { SkippedSample } from './samples/skipped.ts';
import {
  type CompareOptions,
  type Comparison,
  compareSlices,
  listSlices,
} from './slices/compare.ts';
import { type SlicedFolder, type SliceRecipe, sliceSamples } from './slices/samples.ts';

export interface ClusterRequest extends Omit<CompareOptions, 'vector'> {
  /** Folders whose slices are compared with: a run's, or of evaluations. */
  readonly train: readonly string[];
  /** Folders whose slices are looked up. */
  readonly query: readonly string[];
  /** Folders that are only put into the store, and names of samples to take out of it. */
  readonly add: readonly string[];
  readonly remove: readonly string[];
  /** A file, or `redis://`, `rediss://`; `undefined` = a file in the first training folder's run, made anew. */
  readonly store: string | undefined;
  readonly redis: Omit<StoreOptions, 'warn' | 'wasReached'>;
  readonly recipe: SliceRecipe;
  /** Traces of the folders that count. */
  readonly traces: 'anomalous' | 'flagged' | 'all';
  readonly binDirs: readonly string[];
}

export interface ClusterResult extends Comparison {
  readonly collection: Collection;
  /** Where the slices are kept. */
  readonly place: string;
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly names: TermNames;
  /** Evaluations, recordings and records that could not be read. */
  readonly skipped: readonly SkippedSample[];
}

/**
 * Compares anomalous stretches of traces: keeps them in a store, finds for each the ones most like
 * it, and groups them.
 *
 * @throws UserError
 */
export async function cluster(
  request: ClusterRequest,
  context: RunContext,
): Promise<ClusterResult> {
  const { train, query, add, remove } = request;
  const skipped: SkippedSample[] = [];
  const read = async (paths: readonly string[]): Promise<readonly SlicedFolder[]> => {
    const folders: SlicedFolder[] = [];
    for (const path of paths) {
      const isWanted = await choose(path, request, context);
      const folder = await sliceSamples(path, request.recipe, isWanted, request.binDirs, context);
      appendAll(skipped, folder.skipped);
      folders.push(folder);
      if (request.traces === 'anomalous' && folder.samples.length === 0) {
        const why =
          'none of its traces is labelled malicious; --traces flagged takes what was flagged';
        context.log.log('warning', `${path}: ${why}`);
      }
    }
    return folders;
  };
  // A store that cannot be used is told before recordings are read, not after.
  if (request.store !== undefined) await collectionsIn(request.store, request.redis);
  const kept = await read([...train, ...add]);
  const queried = await read(query);
  const collection = await findCollection(request, [...kept, ...queried]);
  const store = await openFor(request, collection, context);
  const records = bySample(kept, context);
  const asked = query.length === 0 ? undefined : [...bySample(queried, context).values()];
  let removed: readonly string[] = [];
  let held: StoredSamples;
  try {
    await keep(store, request, records, mergeNames(kept), context);
    if (remove.length > 0) {
      removed = await store.remove(remove);
      const strangers = remove.filter((name) => !removed.includes(name));
      if (strangers.length > 0) {
        context.log.log('warning', `not in the store: ${strangers.join(', ')}`);
      }
    }
    held = await store.readAll();
  } finally {
    await store.close();
  }
  const samples = decodeAll(held, store.place, skipped, context);
  if (samples.length === 0 && query.length > 0) await refuseEmpty(request, collection);
  return {
    collection,
    place: store.place,
    added: [...records.keys()],
    removed,
    // Who only adds or removes wants to be done soon, however much is in the store.
    ...(train.length + query.length === 0 && add.length + remove.length > 0
      ? listSlices(samples)
      : compareSlices(samples, asked, { ...request, vector: request.recipe.vector }, context)),
    names: new Map([...mergeNames(queried), ...held.names]),
    skipped,
  };
}

/** Puts samples into the store and makes sure that they are there. */
async function keep(
  store: SampleStore,
  request: ClusterRequest,
  samples: ReadonlyMap<string, SampleSlices>,
  names: TermNames,
  context: RunContext,
): Promise<void> {
  if (samples.size === 0) return;
  const records = new Map(Array.from(samples, ([name, sample]) => [name, encodeSample(sample)]));
  if (request.store === undefined && store instanceof FileStore) {
    await store.replace(records, names);
    return;
  }
  await putSurely(store, records, names, (message) => context.log.log('warning', message));
}

async function choose(
  path: string,
  { traces }: ClusterRequest,
  context: RunContext,
): Promise<(sample: Evaluation['sample']) => boolean> {
  if (traces === 'all') return () => true;
  if (traces === 'anomalous') return ({ label }) => label === 'anomalous';
  const { report } = await classify({ path, ...defaultJudging }, context);
  const flagged = new Set(
    report.rows.flatMap((row) =>
      row.role === 'test' && row.verdict === 'anomalous' ? [row.name] : [],
    ),
  );
  return ({ name }) => flagged.has(name);
}

/** The collection of the folders' model; without folders the only one that the store has. */
async function findCollection(
  request: ClusterRequest,
  folders: readonly SlicedFolder[],
): Promise<Collection> {
  const [first] = folders;
  if (first !== undefined) {
    const other = folders.find(({ model }) => model !== first.model);
    if (other !== undefined) {
      throw new UserError(
        'models-mixed',
        `the folders were evaluated by different models or vocabularies (${first.model}, ${other.model}); their slices cannot be compared`,
        { category: 'input' },
      );
    }
    return collectionOf(first.model, request.recipe);
  }
  if (request.store === undefined) {
    throw new UserError(
      'nothing-to-compare',
      'there is nothing to compare: give a run to read, or a store (--store)',
      { category: 'arguments' },
    );
  }
  const all = await collectionsIn(request.store, request.redis);
  const { id } = collectionOf('', request.recipe);
  const fitting = all.filter((collection) => collection.id.endsWith(id));
  if (fitting.length === 1) return fitting[0];
  const list = all.map(({ description }) => `\n  ${description}`).join('');
  throw new UserError(
    'collection-unclear',
    fitting.length > 1
      ? `holds slices of ${fitting.length} models; a folder (-q) says which one is meant:${list}`
      : all.length === 0
        ? 'holds no slices'
        : `holds no slices that were made like this, but:${list}`,
    {
      category: 'input',
      path: (await openStore(request.store, { id: '', description: '' })).place,
    },
  );
}

/** What slices of a model that were made in one way are kept under. */
export function collectionOf(model: string, recipe: SliceRecipe): Collection {
  const { slices, vector, around, mostClasses } = recipe;
  const text =
    (slices.kind === 'patches'
      ? `patches (at most ${slices.most}, least share ${slices.leastShare})`
      : `correctness below ${slices.threshold} over ${slices.window}`) +
    `, ${vector}${around > 0 ? `, ${around} blocks around` : ''}` +
    (mostClasses === undefined ? '' : `, classes below ${mostClasses}`);
  const digest = createHash('sha256').update(text).digest('hex').slice(0, 8);
  return {
    id: `${model.replace(/[^A-Za-z0-9]/g, '').slice(0, 32)}-${digest}`,
    description: `model ${model}, ${text}`,
  };
}

async function openFor(
  request: ClusterRequest,
  collection: Collection,
  context: RunContext,
): Promise<SampleStore> {
  const [first] = request.train;
  if (request.store === undefined && first !== undefined) {
    const { run, evaluation } = await findEvaluations(first);
    return new FileStore(join(run ?? evaluation, 'slices.wayward'), collection);
  }
  if (request.store === undefined) {
    throw new UserError(
      'nothing-to-compare',
      'there is nothing to compare with: give a run to read, or a store (--store)',
      { category: 'arguments' },
    );
  }
  const warn = (message: string): void => context.log.log('warning', message);
  return openStore(request.store, collection, { ...request.redis, wasReached: true, warn });
}

/** Says what the store holds instead of what was asked for. */
async function refuseEmpty(request: ClusterRequest, collection: Collection): Promise<never> {
  const all = request.store === undefined ? [] : await collectionsIn(request.store, request.redis);
  const others = all.filter(({ id }) => id !== collection.id);
  const list = others.map(({ description }) => `\n  ${description}`).join('');
  throw new UserError(
    'store-empty',
    others.length === 0
      ? 'the store holds no slices to compare with; -t or --add puts some in'
      : `the store holds no slices of ${collection.description}, but others, which cannot be compared with these:${list}`,
    { category: 'input' },
  );
}

/** Later samples replace earlier ones of the same name, as they do in a store. */
function bySample(
  folders: readonly SlicedFolder[],
  context: RunContext,
): ReadonlyMap<string, SampleSlices> {
  const all = new Map<string, SampleSlices>();
  for (const { samples } of folders) {
    for (const sample of samples) {
      if (all.has(sample.name)) {
        context.log.log(
          'warning',
          `there are two samples named ${sample.name}; the later one counts`,
        );
      }
      all.set(sample.name, sample);
    }
  }
  return all;
}

function mergeNames(folders: readonly SlicedFolder[]): TermNames {
  return new Map(folders.flatMap(({ names }) => [...names]));
}

/** In order of their names, so that results do not depend on the order in a store. */
function decodeAll(
  held: StoredSamples,
  place: string,
  skipped: SkippedSample[],
  context: RunContext,
): SampleSlices[] {
  const samples: SampleSlices[] = [];
  for (const [name, bytes] of held.samples) {
    try {
      const sample = decodeSample(bytes);
      if (sample.name !== name) throw new Damage('is that of another sample');
      samples.push(sample);
    } catch (error) {
      if (!(error instanceof Damage)) throw error;
      const reason = `its record in ${place} ${error.message}`;
      context.log.log('warning', `left out: ${name}: ${reason}`);
      skipped.push({ name, reason });
    }
  }
  return samples.sort((a, b) => (a.name < b.name ? -1 : 1));
}
