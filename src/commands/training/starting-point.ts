import { UserError } from '../../base/errors.ts';
import { isThere } from '../../base/files/exists.ts';
import { TransferProfile } from '../../evidence/profile.ts';
import { kerasShape, loadKeras } from '../../model/foreign/keras/keras.ts';
import { loadOnnx } from '../../model/foreign/onnx/import.ts';
import type { Lstm } from '../../model/lstm/lstm.ts';
import { defaultShape, type LstmShape } from '../../model/lstm/shape.ts';
import type { FilterName } from '../../sequences/filter.ts';
import { SymbolTable } from '../../sequences/symbol-table.ts';
import { defaultHashClasses, Vocabulary } from '../../sequences/vocabulary.ts';
import { WindowCounter } from '../../sequences/window-counter.ts';
import { withSharedModel } from '../run/shared-model.ts';
import { loadTrained } from '../run/trained.ts';
import { windowLengthOf as lengthOf, type Trained } from '../samples/evaluating/evaluate.ts';
import { kindOfModel } from './model-file.ts';
import type { LearnOptions } from './options.ts';

/** What a run starts from. */
export type StartingPoint =
  /** A network or n-gram of its own. */
  | { readonly kind: 'nothing' }
  /** A Keras model without weights: it is trained. */
  | {
      readonly kind: 'shape';
      readonly shape: LstmShape;
      readonly dropout: number;
      readonly vocabulary: 'learned' | 'hash';
    }
  /** A network with weights, and the vocabulary that came with them; without it, the ancestor's. */
  | {
      readonly kind: 'network';
      readonly network: Lstm;
      readonly vocabulary: Vocabulary | undefined;
    }
  /** All that an earlier run has learned. */
  | {
      readonly kind: 'run';
      readonly trained: Trained;
      readonly filter: readonly FilterName[];
    };

/**
 * @param hasModel  the run that is resumed has its model already: it was stopped in its evaluation
 * @throws UserError
 */
export async function openStartingPoint(
  options: LearnOptions,
  hasModel: boolean,
): Promise<StartingPoint> {
  const useModel = hasModel ? options.resume : options.useModel;
  const useWeights = hasModel ? undefined : options.useWeights;
  const kind = useModel === undefined ? undefined : await kindOfModel(useModel);
  if (useModel !== undefined && (kind === 'run' || kind === 'onnx')) {
    if (useWeights !== undefined) {
      throw new UserError(
        'weights-of-a-run',
        `${kind === 'run' ? 'a run' : 'an ONNX model'} has its own weights: leave --use-weights out`,
        { category: 'arguments' },
      );
    }
    return kind === 'run' ? openRun(useModel, options) : openOnnx(useModel, options);
  }
  if (useWeights !== undefined) return openKeras(useModel, useWeights, options);
  if (options.skipTrain) {
    throw new UserError(
      'no-model',
      '--skip-train needs something trained: --use-model with the folder of a run or an ONNX model, or --use-weights',
      { category: 'arguments' },
    );
  }
  if (useModel === undefined) return { kind: 'nothing' };
  const { shape, dropout, origin } = await kerasShape(useModel, options.windowLength);
  const known = origin.kind === 'wayward' ? origin.vocabulary.kind : 'hash';
  return { kind: 'shape', shape, dropout, vocabulary: options.vocabulary ?? known };
}

type Loaded<Kind> = Extract<StartingPoint, { kind: Kind }>;

async function openRun(path: string, options: LearnOptions): Promise<Loaded<'run'>> {
  const { store } = options;
  const { filter, ...trained } =
    store === undefined || isThere(path)
      ? await loadTrained(path, options)
      : await withSharedModel(store, path, (folder) => loadTrained(folder, options));
  try {
    checkSource(trained.vocabulary, options, path);
  } catch (error) {
    await trained.layer.dispose();
    throw error;
  }
  return { kind: 'run', trained, filter };
}

async function openKeras(
  useModel: string | undefined,
  weights: string,
  options: LearnOptions,
): Promise<Loaded<'network'>> {
  const { network, origin, vocabulary } = await loadKeras(
    useModel ?? ancestorsShape(options),
    weights,
    options,
    options.windowLength,
  );
  // Sizes that were given by flags, without a model file, are the ancestor's.
  const isOfFlags = useModel === undefined && origin.kind === 'unknown';
  const isOfAncestor =
    origin.kind === 'keras' || (origin.kind === 'wayward' && origin.vocabulary.kind === 'hash');
  return withVocabulary(network, vocabulary, isOfFlags || isOfAncestor, weights, options);
}

async function openOnnx(path: string, options: LearnOptions): Promise<Loaded<'network'>> {
  const { network, vocabulary } = await loadOnnx(path, options, options.windowLength);
  return withVocabulary(network, vocabulary, false, path, options);
}

/**
 * A loaded network with the classes that it knows. Nothing is guessed where the files do not tell:
 * classes of another kind would make every prediction a matter of luck, without a word.
 *
 * @param isOfAncestor  the files say that the classes are `BBID mod N`
 * @throws UserError `vocabulary-missing`, `other-source`
 */
function withVocabulary(
  network: Lstm,
  vocabulary: Vocabulary | undefined,
  isOfAncestor: boolean,
  path: string,
  options: LearnOptions,
): Loaded<'network'> {
  const { vocabulary: asked } = options;
  if (vocabulary !== undefined && asked !== 'hash') {
    checkSource(vocabulary, options, path);
    return { kind: 'network', network, vocabulary };
  }
  if (asked === 'hash' || (asked === undefined && isOfAncestor)) {
    return { kind: 'network', network, vocabulary: undefined };
  }
  throw new UserError(
    'vocabulary-missing',
    'does not hold the vocabulary that the network was trained with, so nobody knows which block a class stands for: ' +
      'give the file as it was saved, or, if its classes are the older tools’ "BBID mod N", add --vocabulary hash',
    { category: 'input', path },
  );
}

/** @throws UserError when a model of calls is to read traces, or the other way round */
function checkSource({ isOfCalls }: Vocabulary, { source }: LearnOptions, path: string): void {
  if (isOfCalls === (source !== 'trace')) return;
  const problem = isOfCalls
    ? 'has learned calls: add --source api'
    : 'has learned Intel PT traces, not calls';
  throw new UserError('other-source', problem, { category: 'arguments', path });
}

/** Classes for a network whose sizes are given. */
export function classesFor(
  vocabulary: 'learned' | 'hash',
  { inputClasses, outputClasses }: Pick<LstmShape, 'inputClasses' | 'outputClasses'>,
): Pick<LearnOptions, 'vocabulary' | 'maxInputClasses' | 'maxOutputClasses'> {
  return { vocabulary, maxInputClasses: inputClasses, maxOutputClasses: outputClasses };
}

/** @returns blocks in a window, where the starting point decides that */
export function windowLengthOf(start: StartingPoint): number | undefined {
  switch (start.kind) {
    case 'nothing':
      return undefined;
    case 'shape':
      return start.shape.windowLength;
    case 'network':
      return start.network.windowLength;
    case 'run':
      return lengthOf(start.trained.layer);
  }
}

/** A network without training traces: where it brings no vocabulary, no block and no transfer is known. */
export function untrained(network: Lstm, vocabulary: Vocabulary | undefined): Trained {
  return {
    layer: network,
    vocabulary: vocabulary ?? emptyVocabulary(network),
    profile: new TransferProfile(),
  };
}

function emptyVocabulary({ windowLength, inputClasses, outputClasses }: Lstm): Vocabulary {
  return Vocabulary.learn(new SymbolTable(), new Float64Array(0), new WindowCounter(windowLength), {
    kind: 'hash',
    maxInputClasses: inputClasses,
    maxOutputClasses: outputClasses,
  });
}

/** The network that the ancestor makes from its flags. */
function ancestorsShape(options: LearnOptions): LstmShape {
  const inputClasses = options.maxInputClasses ?? defaultHashClasses;
  return {
    ...defaultShape,
    ...options.network,
    windowLength: options.windowLength,
    inputClasses,
    outputClasses: options.maxOutputClasses ?? inputClasses,
  };
}
