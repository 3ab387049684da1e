import { UserError } from '../../base/errors.ts';
import type { Evaluation } from '../../evaluation/evaluation.ts';
import { evaluationsIn } from '../../evaluation/folder.ts';
import { ImageCodeCache, ProcessCode } from '../../evidence/code/process-code.ts';
import { CodeCache } from '../../flow/code-cache.ts';
import type { AddressSpace } from '../../image/address-space.ts';
import { ImageStore } from '../../image/image-store.ts';
import {
  type FunctionReader,
  readSliceCode,
  type SliceCode,
} from '../../likeness/slices/slice-code.ts';
import type { SampleSlices } from '../../likeness/slices/slice-record.ts';
import {
  countTerms,
  type TermNames,
  type TermOptions,
  type TermPart,
} from '../../likeness/slices/slice-terms.ts';
import { type Slice, slicesByCorrectness, slicesOfPatches } from '../../likeness/slices/slices.ts';
import type { Terms } from '../../likeness/slices/sparse-vector.ts';
import {
  needsRecording,
  partsOfVector,
  type VectorKind,
} from '../../likeness/slices/vector-kinds.ts';
import type { RunContext } from '../../model/first-layer.ts';
import { readRunRecord, runFolder } from '../run/folder.ts';
import { findEvaluations } from '../run/path.ts';
import { findVocabulary } from '../run/vocabulary.ts';
import type { SkippedSample } from '../samples/skipped.ts';
import {
  openSample,
  readingOf,
  readSourceSample,
  type SampleSource,
  type SourceContext,
  sourceOfRun,
} from '../samples/source.ts';

/** How slices are cut and what is counted in them. Slices made differently are not compared. */
export interface SliceRecipe {
  readonly slices:
    | { readonly kind: 'patches'; readonly most: number; readonly leastShare: number }
    | { readonly kind: 'correctness'; readonly window: number; readonly threshold: number };
  readonly vector: VectorKind;
  /** Blocks before and after a slice that count as well. */
  readonly around: number;
  /** `classes`: output classes from here on are left out; `undefined` = none. */
  readonly mostClasses: number | undefined;
}

/** What `cluster` does unless it is told otherwise. */
export const usualRecipe: SliceRecipe = {
  slices: { kind: 'patches', most: 4, leastShare: 0.1 },
  vector: 'behaviour',
  around: 0,
  mostClasses: undefined,
};

export interface SlicedFolder {
  /** Identity of the model that made the evaluations. */
  readonly model: string;
  readonly samples: readonly SampleSlices[];
  readonly names: TermNames;
  /** Evaluations and recordings that could not be read. */
  readonly skipped: readonly SkippedSample[];
}

/**
 * Cuts the anomalous stretches out of evaluated traces and counts what ran in them.
 *
 * @param path  a run's folder, or a folder of evaluations
 * @param isWanted  which traces
 * @param binDirs  where the images are; those of the run when there are none
 * @throws UserError
 */
export async function sliceSamples(
  path: string,
  recipe: SliceRecipe,
  isWanted: (sample: Evaluation['sample']) => boolean,
  binDirs: readonly string[],
  context: RunContext,
): Promise<SlicedFolder> {
  const found = await findEvaluations(path);
  const codeCache = new CodeCache();
  try {
    const slicer = await Slicer.open(found.run, recipe, binDirs, codeCache, context);
    let model: string | undefined;
    for await (const entry of evaluationsIn(found.evaluation)) {
      context.signal?.throwIfAborted();
      if ('skipped' in entry) {
        slicer.leaveOut(entry.path, entry.skipped);
        continue;
      }
      const evaluation = entry.value;
      model ??= evaluation.model;
      if (model !== evaluation.model) {
        throw new UserError(
          'evaluations-mixed',
          'holds evaluations of several models or vocabularies, which cannot be compared',
          { category: 'input', path: found.evaluation },
        );
      }
      if (isWanted(evaluation.sample)) await slicer.add(evaluation);
    }
    if (model === undefined) {
      throw new UserError('no-evaluations', 'holds no evaluation that can be read', {
        category: 'input',
        path: found.evaluation,
      });
    }
    return { model, ...slicer.finish(found.evaluation) };
  } finally {
    codeCache.dispose();
  }
}

/** Cuts and counts the slices of one trace after the other. */
class Slicer {
  readonly #recipe: SliceRecipe;
  readonly #reader: CodeOfSlices;
  readonly #termOptions: TermOptions;
  readonly #context: RunContext;
  readonly #names: TermNames = new Map();
  readonly #samples: SampleSlices[] = [];
  readonly #skipped: SkippedSample[] = [];
  #seen = 0;

  private constructor(
    recipe: SliceRecipe,
    reader: CodeOfSlices,
    termOptions: TermOptions,
    context: RunContext,
  ) {
    this.#recipe = recipe;
    this.#reader = reader;
    this.#termOptions = termOptions;
    this.#context = context;
  }

  /** @param run  folder of the run, which says where recordings and images are */
  static async open(
    run: string | undefined,
    recipe: SliceRecipe,
    binDirs: readonly string[],
    codeCache: CodeCache,
    context: RunContext,
  ): Promise<Slicer> {
    const folder = run === undefined ? undefined : runFolder(run);
    const record = folder === undefined ? undefined : await readRunRecord(folder);
    const known = (record?.options.binDirs as readonly string[] | undefined) ?? [];
    const vocabulary = folder === undefined ? undefined : await findVocabulary(folder);
    const source = sourceOfRun(record?.options);
    const traces: SourceContext = {
      images: new ImageStore(binDirs.length > 0 ? binDirs : known, {
        rawImages: record?.options.rawImages === true,
      }),
      codeCache,
      ...readingOf(source),
    };
    const reader = new CodeOfSlices(source, traces, recipe.around);
    const termOptions: TermOptions = {
      mostClasses: recipe.mostClasses,
      className: (output) => vocabulary?.describeOutput(output) ?? `class ${output}`,
      ...(source.source === 'trace' ? {} : { blockName: (call) => call.function }),
    };
    return new Slicer(recipe, reader, termOptions, context);
  }

  leaveOut(name: string, reason: string): void {
    this.#context.log.log('warning', `left out: ${name}: ${reason}`);
    this.#skipped.push({ name, reason });
  }

  async add(evaluation: Evaluation): Promise<void> {
    this.#seen++;
    const slices = cut(evaluation, this.#recipe);
    let codes: readonly SliceCode[] | undefined;
    if (needsRecording(this.#recipe.vector) && slices.length > 0) {
      try {
        codes = await this.#reader.read(evaluation, slices, this.#context.signal);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        this.leaveOut(evaluation.sample.name, `its recording cannot be read: ${error.message}`);
        return;
      }
    }
    this.#tell(0);
    this.#samples.push(
      countSample(evaluation, slices, codes, this.#recipe, this.#termOptions, this.#names),
    );
  }

  /** @throws UserError when recordings were needed and none could be read */
  finish(path: string): Omit<SlicedFolder, 'model'> {
    this.#tell(this.#seen);
    const [first] = this.#skipped;
    if (this.#samples.length === 0 && first !== undefined && this.#seen > 0) {
      throw new UserError(
        'no-recordings',
        `none of the recordings can be read (${first.name}: ${first.reason}); "--vector classes" needs none`,
        { category: 'input', path },
      );
    }
    return { samples: this.#samples, names: this.#names, skipped: this.#skipped };
  }

  #tell(total: number): void {
    const done = this.#seen;
    this.#context.progress({ step: 'cutting slices', done, total, unit: 'traces' });
  }
}

function countSample(
  evaluation: Evaluation,
  slices: readonly Slice[],
  codes: readonly SliceCode[] | undefined,
  recipe: SliceRecipe,
  options: TermOptions,
  names: TermNames,
): SampleSlices {
  const { name, file, label, family } = evaluation.sample;
  const termsOf = (slice: Slice, i: number): Terms =>
    Object.fromEntries(
      partsOf(recipe).map((part) => [
        part,
        countTerms(part, evaluation, slice, codes?.[i], options, names),
      ]),
    );
  return {
    name,
    file,
    label,
    family,
    slices: slices.map((slice, i) => {
      const { rank, start, end, points } = slice;
      return { rank, start, end, points, terms: termsOf(slice, i) };
    }),
  };
}

/** Functions describe clusters, whatever the vectors are made of. */
function partsOf(recipe: SliceRecipe): readonly TermPart[] {
  const parts = partsOfVector(recipe.vector, undefined).map(([part]) => part);
  const more: TermPart[] = needsRecording(recipe.vector) ? ['functions', 'evidence'] : ['evidence'];
  return [...new Set([...parts, ...more])];
}

function cut(evaluation: Evaluation, { slices }: SliceRecipe): Slice[] {
  return slices.kind === 'patches'
    ? slicesOfPatches(evaluation, slices)
    : slicesByCorrectness(evaluation, slices);
}

/** Reads recordings again for the code of slices. */
class CodeOfSlices {
  readonly #source: SampleSource;
  readonly #traces: SourceContext;
  readonly #around: number;
  readonly #images: ImageCodeCache = new ImageCodeCache();

  constructor(source: SampleSource, traces: SourceContext, around: number) {
    this.#source = source;
    this.#traces = traces;
    this.#around = around;
  }

  async read(
    evaluation: Evaluation,
    slices: readonly Slice[],
    signal: AbortSignal | undefined,
  ): Promise<readonly SliceCode[]> {
    if (evaluation.sample.directory === '') {
      throw new UserError('no-recording', 'the evaluation does not say where it is', {
        category: 'input',
      });
    }
    const sample = await readSourceSample(evaluation.sample.directory, this.#source);
    const threads = await openSample(sample, this.#traces, signal);
    return readSliceCode(
      slices,
      threads.map(({ source, space, callAt }) => ({
        source,
        code: callAt === undefined ? this.#functions(space) : { functionAt: callAt },
      })),
      { around: this.#around, ...(signal === undefined ? {} : { signal }) },
    );
  }

  /** Names by symbol; by start where there is unwind information but no symbol. */
  #functions(space: AddressSpace | undefined): FunctionReader {
    if (space === undefined) return { functionAt: () => undefined };
    const code = new ProcessCode(space, this.#images);
    return {
      functionAt: (address) => {
        const symbol = space.symbolAt(address);
        const start = code.functionRange(address)?.start;
        // A symbol of an earlier function says nothing about this one.
        if (symbol !== undefined && (start === undefined || address - symbol.offset >= start)) {
          return symbol.name;
        }
        const module = space.modules[space.moduleAt(address)];
        if (start === undefined || module === undefined) return undefined;
        return `sub_${(start - module.base).toString(16)}`;
      },
    };
  }
}
