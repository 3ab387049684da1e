import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { readJsonFile, writeJsonFile } from '../../base/files/json-file.ts';
import { bytesOf, type NumberArray, readArrays, writeArrays } from '../array-file.ts';
import type { LearnedLayer } from '../first-layer.ts';
import { MixingNetwork, mixingParameters } from '../mixing/mixing-network.ts';
import { ContextTable } from './context-table.ts';
import { mixtureWeights } from './event-features.ts';
import { mixingShape } from './event-mixing.ts';
import { noveltyCounts } from './novelty.ts';
import { RunContexts } from './run-contexts.ts';
import {
  type EventJudgements,
  type JudgingTables,
  judgeRun,
  type NamedEvents,
} from './run-judge.ts';

const types = 'iiiiiffffiff';
const fileName = 'histories.bin';

/** What the n-gram learns from histories: counts of contexts, and how far each history is to be believed. */
export class HistoryModel implements LearnedLayer {
  readonly name = 'histories';
  readonly inputClasses: number;
  /** Output classes of the vocabulary whose targets it counts; class 0 is none. */
  readonly outputClasses: number;
  readonly tables: JudgingTables;
  /** Made once: there may be a hundred megabytes of tables. */
  #fingerprint: string | undefined;
  /** Of the run that is judged. */
  #contexts: RunContexts | undefined;

  constructor(tables: JudgingTables, inputClasses: number) {
    this.tables = tables;
    this.inputClasses = inputClasses;
    this.outputClasses = tables.places;
  }

  /** Whether a network corrects how histories are weighed. */
  get hasNetwork(): boolean {
    return this.tables.network !== undefined;
  }

  get fingerprint(): string {
    this.#fingerprint ??= this.#hash(arraysOf(this.tables));
    return this.#fingerprint;
  }

  #hash(arrays: readonly NumberArray[]): string {
    const { runs, transfers } = this.tables;
    const hash = createHash('sha256').update(
      `histories ${this.inputClasses} ${this.outputClasses} ${runs} ${transfers}`,
    );
    for (const array of arrays) hash.update(bytesOf(array));
    return hash.digest('hex').slice(0, 16);
  }

  /** @param events  of one run; targets that the vocabulary does not know are numbered behind its classes */
  judge(events: NamedEvents): EventJudgements {
    const { contexts, places } = this.tables;
    this.#contexts ??= new RunContexts(contexts, places);
    return judgeRun(events, this.tables, this.#contexts);
  }

  async save(directory: string): Promise<void> {
    await writeArrays(join(directory, fileName), arraysOf(this.tables));
    const { inputClasses, outputClasses, fingerprint } = this;
    const { runs, transfers } = this.tables;
    await writeJsonFile(join(directory, 'model.json'), {
      ...{ schemaVersion: 5, model: 'histories', inputClasses, outputClasses, runs, transfers },
      fingerprint,
    });
  }

  /** @throws UserError when files are missing or damaged; every index in them is checked */
  static async load(directory: string): Promise<HistoryModel> {
    const path = join(directory, 'model.json');
    const { schemaVersion, model, inputClasses, outputClasses, runs, transfers, fingerprint } =
      await readJsonFile(path);
    const damaged = (problem: string): UserError =>
      new UserError('model-damaged', problem, { category: 'input', path });
    const sizes = { places: outputClasses, runs, transfers } as Sizes;
    const blocks = inputClasses as number;
    const areCounts = [...Object.values(sizes), blocks].every(
      (n) => Number.isSafeInteger(n) && n > 0,
    );
    if (schemaVersion !== 5 || model !== 'histories' || !areCounts) {
      throw damaged('describes no model of histories of this version');
    }
    const found = (await readArrays(join(directory, fileName), types)) as FileArrays;
    const problem = problemOf(found, sizes.places);
    if (problem !== undefined) throw damaged(problem);
    const loaded: HistoryModel = new HistoryModel(tablesOf(found, sizes), blocks);
    // Where no context stands there twice, the tables would be written as they were read.
    const isWhole = loaded.tables.contexts.length === found[1].length;
    loaded.#fingerprint = loaded.#hash(found);
    if (!isWhole || loaded.fingerprint !== fingerprint) {
      throw damaged('the tables are not the ones that the model was saved with');
    }
    return loaded;
  }

  async dispose(): Promise<void> {}
}

type FileArrays = [
  keys: Int32Array,
  level: Int32Array,
  parent: Int32Array,
  starts: Int32Array,
  entries: Int32Array,
  weights: Float32Array,
  /** Parameters; empty where there is no network. */
  network: Float32Array,
  novelty: Float32Array,
  pairs: Float32Array,
  /** Contexts of instructions, ascending, whose scale is not what the model claims; and these scales. */
  scaleAt: Int32Array,
  median: Float32Array,
  excess: Float32Array,
];

/** Integers of an entry: target, runs. */
const entrySize = 2;

function arraysOf({
  contexts,
  weights,
  network,
  novelty,
  pairs,
  scales,
}: JudgingTables): readonly NumberArray[] {
  const { keys, level, parent, starts, entries } = contexts.toArrays();
  const parameters = network?.parameters ?? [];
  const floats = [weights, parameters, novelty, pairs].map((numbers) => Float32Array.from(numbers));
  return [
    ...[keys, level, parent, starts, entries, ...floats],
    Int32Array.from(scales.keys()),
    Float32Array.from(scales.values(), ({ median }) => median),
    Float32Array.from(scales.values(), ({ excess }) => excess),
  ];
}

interface Sizes {
  readonly places: number;
  readonly runs: number;
  readonly transfers: number;
}

function tablesOf(arrays: FileArrays, sizes: Sizes): JudgingTables {
  const [keys, level, parent, starts, entries, weights, network, novelty, pairs, ...scales] =
    arrays;
  const [scaleAt, median, excess] = scales;
  return {
    ...sizes,
    contexts: ContextTable.from({ keys, level, parent, starts, entries }),
    weights: Float64Array.from(weights),
    network:
      network.length === 0 ? undefined : new MixingNetwork(mixingShape, Float64Array.from(network)),
    novelty: Float64Array.from(novelty),
    pairs: Float64Array.from(pairs),
    scales: new Map(
      Array.from(scaleAt, (context, i) => [context, { median: median[i], excess: excess[i] }]),
    ),
  };
}

function problemOf(arrays: FileArrays, places: number): string | undefined {
  const [keys, level, parent, starts, entries, weights, network, novelty, pairs, ...scales] =
    arrays;
  const [scaleAt, median, excess] = scales;
  const n = level.length;
  const sizes: readonly (readonly [number, number])[] = [
    [keys.length, 2 * n],
    [parent.length, n],
    [starts.length, n + 1],
    [entries.length, entrySize * (starts[n] ?? 0)],
    [weights.length, mixtureWeights],
    [novelty.length, noveltyCounts],
    [pairs.length, noveltyCounts],
    [median.length, scaleAt.length],
    [excess.length, scaleAt.length],
  ];
  if (sizes.some(([found, expected]) => found !== expected)) return 'has tables of other sizes';
  if (network.length !== 0 && network.length !== mixingParameters(mixingShape)) {
    return 'has a network of another size';
  }
  if (![weights, network].every((numbers) => numbers.every(isWeight))) {
    return 'has weights that are no numbers';
  }
  if (![novelty, pairs].every((counts) => counts.every((count) => count >= 0))) {
    return 'has counts that are none';
  }
  const isInOrder = scaleAt.every((context, i) => context > (scaleAt[i - 1] ?? -1) && context < n);
  if (!isInOrder) return 'has scales of contexts that there are not';
  const areScales = median.every(
    (nats, i) => nats >= 0 && excess[i] >= 1 && nats + excess[i] < 1e3,
  );
  if (!areScales) return 'has scales that are none';
  return ContextTable.problemOf({ keys, level, parent, starts, entries }, places);
}

/** Whether sums of such weights stay numbers. */
function isWeight(weight: number): boolean {
  return Math.abs(weight) < 1e6;
}
