/**
 * How well kinds of vectors tell families of attacks apart, and what a store of many slices costs.
 *
 *     npm run bench:cluster [-- families | stability | scale | million]
 *
 * `families`: on the attacks of the bundled examples and, where they are, of `pdftotext`: adjusted
 * Rand index of clusters against the families, and leave-one-out accuracy of the nearest neighbour,
 * both of the worst slice of each trace. Nobody tells the clusters how many families there are. A
 * trace without a slice counts as a cluster of its own and as wrong.
 * `scale`: a store of 100,000 slices made from real ones. `million`: the index of 1,000,000.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '../src/base/log.ts';
import { Random } from '../src/base/random.ts';
import { compareSlices, usualComparison } from '../src/commands/slices/compare.ts';
import { type SliceRecipe, sliceSamples, usualRecipe } from '../src/commands/slices/samples.ts';
import { type ClusterMethod, clusterMethods } from '../src/likeness/clusters/clusters.ts';
import { type FamilyScores, scoreFamilies } from '../src/likeness/clusters/family-scores.ts';
import { NeighbourIndex } from '../src/likeness/slices/neighbour-index.ts';
import {
  decodeSample,
  encodeSample,
  type SampleSlices,
} from '../src/likeness/slices/slice-record.ts';
import type { TermCounts } from '../src/likeness/slices/slice-terms.ts';
import { termParts } from '../src/likeness/slices/slice-terms.ts';
import {
  cosine,
  type SparseVector,
  type Terms,
  Vectorizer,
} from '../src/likeness/slices/sparse-vector.ts';
import {
  partsOfVector,
  type VectorKind,
  type Weighting,
} from '../src/likeness/slices/vector-kinds.ts';
import { FileStore } from '../src/likeness/store/file-store.ts';
import { writeSets } from '../src/trace/sets-file.ts';

const context = { log: silentLogger, progress: () => {} };
const here = import.meta.dirname;
const scratch = await mkdtemp(join(tmpdir(), 'wayward-cluster-'));
const corpora = [
  { name: 'examples', root: join(here, '../examples/corpus') },
  { name: 'pdftotext', root: join(here, '../../shared/data/pdftotext') },
  { name: 'xmllint', root: join(here, '../../shared/data/field/xmllint') },
  { name: 'lua5.4', root: join(here, '../../shared/data/field/lua5.4') },
].filter(({ root }) => existsSync(root));
const wanted = process.argv.slice(2);
const isWanted = (part: string): boolean => wanted.length === 0 || wanted.includes(part);
console.log(`node ${process.version}, ${cpus()[0]?.model}, ${new Date().toISOString()}`);
try {
  const runs = await Promise.all(corpora.map(learnFrom));
  if (isWanted('families')) await families(runs);
  if (isWanted('stability')) await stability(runs);
  if (isWanted('scale')) await scale(runs, 100_000);
  if (isWanted('million')) await million(runs);
} finally {
  await rm(scratch, { recursive: true });
}

interface Run {
  readonly name: string;
  readonly path: string;
}

/** The default first layer of 30 nominal traces, and evaluations of the attacks. */
async function learnFrom({ name, root }: (typeof corpora)[number]): Promise<Run> {
  const split = JSON.parse(readFileSync(join(root, 'split.json'), 'utf8')) as Record<
    'train' | 'attacks',
    string[]
  >;
  const folders = (names: readonly string[]): string[] =>
    names.map((sample) => join(root, 'traces', sample));
  const sets = join(scratch, `${name}.sets`);
  await writeSets(sets, {
    train: folders(split.train.slice(0, 30)),
    calibrate: [],
    testNominal: [],
    testAnomalous: folders(split.attacks),
  });
  const out = join(scratch, name);
  const { status, stderr } = spawnSync(
    process.execPath,
    [
      ...[join(here, '../src/cli/main.ts'), 'learn', join(root, 'traces'), '-i', sets],
      ...['--bin-dir', join(root, 'bin'), '--skip-test', '--out', out],
    ],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(stderr);
  return { name, path: join(out, 'runs', readdirSync(join(out, 'runs'))[0] ?? '') };
}

async function families(runs: readonly Run[]): Promise<void> {
  const patches = { kind: 'patches', most: 4, leastShare: 0.1 } as const;
  const ancestor = { kind: 'correctness', window: 10_000, threshold: 0.1 } as const;
  const rows: { title: string; recipe: SliceRecipe; weighting: Weighting | undefined }[] = [];
  const add = (title: string, recipe: Partial<SliceRecipe>, weighting?: Weighting): void => {
    const whole = {
      slices: patches,
      vector: 'classes',
      around: 0,
      mostClasses: undefined,
    } as const;
    rows.push({ title, recipe: { ...whole, ...recipe }, weighting });
  };
  add("the ancestor's, at its defaults", { slices: ancestor, mostClasses: 1024 });
  add("the ancestor's vector, of patches", { mostClasses: 1024 });
  for (const vector of termParts) {
    for (const weighting of ['presence', 'counts', 'tfidf'] as const) {
      add(`${vector}, ${weighting}`, { vector }, weighting);
    }
  }
  add('functions, tfidf, 8 blocks around', { vector: 'functions', around: 8 }, 'tfidf');
  add('behaviour, counts', { vector: 'behaviour' }, 'counts');
  add('behaviour, presence', { vector: 'behaviour' }, 'presence');
  add('behaviour, tfidf (the default)', { vector: 'behaviour' });
  const head = runs.flatMap(({ name }) => [
    `${name}: 1-NN`,
    'nearest',
    'DBSCAN',
    'average',
    'slices',
  ]);
  console.log(`\n| vector | ${head.join(' | ')} |\n|---|${head.map(() => '--:').join('|')}|`);
  const known = new Map<string, readonly SampleSlices[]>();
  for (const { title, recipe, weighting } of rows) {
    const cells: string[] = [];
    for (const run of runs) {
      const key = run.name + JSON.stringify(recipe);
      const samples =
        known.get(key) ?? (await sliceSamples(run.path, recipe, isAttack, [], context)).samples;
      known.set(key, samples);
      const [linked, dense, average] = clusterMethods.map((method) =>
        scoresOf(samples, recipe.vector, weighting, method),
      );
      cells.push(
        (linked?.nearestAccuracy ?? 0).toFixed(2),
        (linked?.adjustedRand ?? 0).toFixed(2),
        (dense?.adjustedRand ?? 0).toFixed(2),
        (average?.adjustedRand ?? 0).toFixed(2),
        String(samples.reduce((sum, { slices }) => sum + slices.length, 0)),
      );
    }
    console.log(`| ${title} | ${cells.join(' | ')} |`);
  }
}

function isAttack({ label }: { readonly label: string }): boolean {
  return label === 'anomalous';
}

/** Of the worst slice of each trace; without one, a trace is alone and has no neighbour. */
function scoresOf(
  samples: readonly SampleSlices[],
  vector: VectorKind,
  weighting: Weighting | undefined,
  method: ClusterMethod,
): FamilyScores {
  const { slices, neighbours, clustering } = compareSlices(
    samples,
    undefined,
    { ...usualComparison, vector, weighting, clusters: { ...usualComparison.clusters, method } },
    context,
  );
  return scoreFamilies(
    samples.map((sample) => {
      const at = slices.findIndex(({ slice }) => slice === sample.slices[0]);
      return {
        family: sample.family ?? '',
        cluster: clustering?.clusterOf[at] ?? -1,
        nearest: neighbours[at]?.neighbours[0]?.slice.sample.family,
      };
    }),
  );
}

/** How much the figures of the default hang on single traces: 100 times four fifths of them. */
async function stability(runs: readonly Run[]): Promise<void> {
  console.log('\nthe default on 100 random four fifths of the traces: 10 %, median, 90 %');
  for (const run of runs) {
    const { samples } = await sliceSamples(run.path, usualRecipe, isAttack, [], context);
    const random = new Random(1);
    const scores: { rand: number; nearest: number }[] = [];
    for (let i = 0; i < 100; i++) {
      const some = random.shuffle([...samples]).slice(0, Math.round(0.8 * samples.length));
      const { adjustedRand, nearestAccuracy } = scoresOf(some, 'behaviour', undefined, 'nearest');
      scores.push({ rand: adjustedRand, nearest: nearestAccuracy });
    }
    const at = (values: readonly number[]): string => {
      const sorted = [...values].sort((a, b) => a - b);
      return [10, 50, 90].map((i) => (sorted[i] ?? 0).toFixed(2)).join(', ');
    };
    console.log(
      `${run.name}: adjusted Rand index ${at(scores.map(({ rand }) => rand))}; 1-NN ${at(scores.map(({ nearest }) => nearest))}`,
    );
  }
}

/** Real slices of all evaluated traces, the faint ones too, to make many from. */
async function realSlices(runs: readonly Run[]): Promise<Terms[]> {
  const recipe: SliceRecipe = {
    slices: { kind: 'patches', most: 8, leastShare: 0 },
    vector: 'behaviour',
    around: 8,
    mostClasses: undefined,
  };
  const all: Terms[] = [];
  for (const run of runs) {
    const { samples } = await sliceSamples(run.path, recipe, () => true, [], context);
    all.push(...samples.flatMap(({ slices }) => slices.map(({ terms }) => terms)));
  }
  return all;
}

/** A real slice that has lost every fifth term and got some of another one, and a few of its own. */
function mixture(real: readonly Terms[], random: Random): Terms {
  const [a, b] = [real[random.below(real.length)], real[random.below(real.length)]];
  const mix = (part: 'functions' | 'evidence' | 'transfers', own: number): TermCounts => {
    const counts = new Map<number, number>();
    const take = (terms: TermCounts | undefined, share: number): void => {
      terms?.ids.forEach((id, i) => {
        if (random.uniform() < share) counts.set(id, terms.counts[i] + random.below(3));
      });
    };
    take(b?.[part], 0.2);
    take(a?.[part], 0.8);
    for (let i = 0; i < own; i++) counts.set(random.below(2 ** 20), 1);
    const ids = Int32Array.from(counts.keys()).sort();
    return { ids, counts: Int32Array.from(ids, (id) => Math.max(1, counts.get(id) ?? 1)) };
  };
  return {
    functions: mix('functions', 2),
    evidence: mix('evidence', 0),
    transfers: mix('transfers', 0),
  };
}

function vectorsOf(terms: readonly Terms[], kind: VectorKind): SparseVector[] {
  const vectorizer = new Vectorizer(partsOfVector(kind, undefined), terms);
  return terms.map((item) => vectorizer.vector(item));
}

function describeSizes(vectors: readonly SparseVector[]): string {
  const sizes = vectors.map(({ ids }) => ids.length).sort((a, b) => a - b);
  const mean = sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
  return `${mean.toFixed(0)} terms on average, at most ${sizes.at(-1)}`;
}

/** Asks for ten neighbours of each, and compares with looking at every vector. */
function ask(
  vectors: readonly SparseVector[],
  queries: readonly SparseVector[],
  checked: number,
): void {
  const building = performance.now();
  const index = new NeighbourIndex(vectors);
  const built = performance.now() - building;
  const times: number[] = [];
  let found = 0;
  queries.forEach((query, i) => {
    const started = performance.now();
    const neighbours = index.nearest(query, 10);
    times.push(performance.now() - started);
    if (i >= checked) return;
    const all = Float64Array.from(vectors, (vector) => cosine(query, vector)).sort();
    const tenth = all[all.length - 10] ?? 0;
    // A neighbour counts when it is no farther than the tenth nearest really is.
    found += neighbours.filter(({ distance }) => 1 - distance >= tenth - 1e-6).length;
  });
  times.sort((a, b) => a - b);
  const at = (share: number): string =>
    (times[Math.min(times.length - 1, Math.floor(share * times.length))] ?? 0).toFixed(1);
  console.log(`index: built in ${(built / 1000).toFixed(1)} s`);
  console.log(
    `query, 10 neighbours: median ${at(0.5)} ms, 95 % ${at(0.95)} ms, worst ${at(1)} ms (${times.length} queries)`,
  );
  console.log(`recall against every vector: ${found / (10 * checked)} (${checked} queries)`);
}

async function scale(runs: readonly Run[], count: number): Promise<void> {
  const real = await realSlices(runs);
  const random = new Random(1);
  const samples = Array.from({ length: count }, (_, i): SampleSlices => {
    const terms = mixture(real, random);
    const slice = { rank: 1, start: 1000 * i, end: 1000 * i + 50, points: 1, terms };
    return {
      name: `sample-${i}`,
      file: `document-${i}.pdf`,
      label: 'anomalous',
      family: undefined,
      slices: [slice],
    };
  });
  console.log(`\n${count} slices from ${real.length} real ones`);
  const names = new Map<number, string>();
  for (const { slices } of samples) {
    for (const id of slices[0]?.terms.functions?.ids ?? []) {
      names.set(id, `libpoppler.so.126.0.0!_ZN6Object4free${id}`);
    }
  }
  const path = join(scratch, 'scale');
  const store = new FileStore(path, { id: 'bench', description: 'bench' });
  const writing = performance.now();
  const records = new Map(samples.map((sample) => [sample.name, encodeSample(sample)]));
  const raw = [...records.values()].reduce((sum, { length }) => sum + length, 0);
  await store.put(records, names);
  const reading = performance.now();
  const held = await store.readAll();
  const decoded = Array.from(held.samples.values(), decodeSample);
  const done = performance.now();
  const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
  console.log(
    `store: ${mb(statSync(path).size)} on disk, ${mb(raw)} of records (as in Redis); written in ${((reading - writing) / 1000).toFixed(1)} s, read in ${((done - reading) / 1000).toFixed(1)} s`,
  );
  const adding = performance.now();
  await store.put(new Map([['one more', records.get('sample-1') ?? new Uint8Array(0)]]), new Map());
  console.log(`one more sample: ${((performance.now() - adding) / 1000).toFixed(1)} s`);
  const vectors = vectorsOf(
    decoded.flatMap(({ slices }) => slices.map(({ terms }) => terms)),
    'behaviour',
  );
  console.log(describeSizes(vectors));
  ask(vectors, vectors.slice(0, 200), 100);
}

async function million(runs: readonly Run[]): Promise<void> {
  const real = await realSlices(runs);
  const random = new Random(2);
  // Presence needs no frequencies, so that vectors can be made one by one.
  const vectorizer = new Vectorizer(partsOfVector('behaviour', undefined), []);
  const vectors = Array.from({ length: 1_000_000 }, () => vectorizer.vector(mixture(real, random)));
  console.log('\n1,000,000 slices, the index alone');
  console.log(describeSizes(vectors));
  ask(vectors, vectors.slice(0, 100), 20);
}
