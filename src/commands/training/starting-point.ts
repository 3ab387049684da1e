import { existsSync } from 'node:fs';
import { UserError } from '../../base/errors.ts';
import { TransferProfile } from '../../evidence/profile.ts';
import { kerasShape, loadKeras } from '../../model/foreign/keras.ts';
import type { Lstm } from '../../model/lstm/lstm.ts';
import { defaultShape, type LstmShape } from '../../model/lstm/shape.ts';
import type { FilterName } from '../../sequences/filter.ts';
import { SymbolTable } from '../../sequences/symbol-table.ts';
import { defaultHashClasses, Vocabulary } from '../../sequences/vocabulary.ts';
import { WindowCounter } from '../../sequences/window-counter.ts';
import { withSharedModel } from '../run/shared-model.ts';
import { loadTrained } from '../run/trained.ts';
import type { Trained } from '../samples/evaluate.ts';
import type { LearnOptions } from './options.ts';

/** What a run starts from. */
export type StartingPoint =
  /** A network or n-gram of its own. */
  | { readonly kind: 'nothing' }
  /** A Keras model without weights: it is trained. */
  | { readonly kind: 'shape'; readonly shape: LstmShape; readonly dropout: number }
  /** A Keras model with weights. */
  | { readonly kind: 'network'; readonly network: Lstm }
  /** All that an earlier run has learned. */
  | {
      readonly kind: 'run';
      readonly trained: Trained;
      readonly filter: readonly FilterName[];
    };

/** @throws UserError */
export async function openStartingPoint(options: LearnOptions): Promise<StartingPoint> {
  const { useModel, useWeights, device, workers, seed, windowLength, skipTrain } = options;
  if (useModel !== undefined && !isKeras(useModel)) {
    if (useWeights !== undefined) {
      throw new UserError(
        'weights-of-a-run',
        'a run has its own weights: leave --use-weights out',
        {
          category: 'arguments',
        },
      );
    }
    const engine = { device, workers, seed };
    const { store } = options;
    const { filter, ...trained } =
      store === undefined || existsSync(useModel)
        ? await loadTrained(useModel, engine)
        : await withSharedModel(store, useModel, (folder) => loadTrained(folder, engine));
    const { isOfCalls } = trained.vocabulary;
    if (isOfCalls !== (options.source !== 'trace')) {
      await trained.layer.dispose();
      const problem = isOfCalls
        ? 'has learned calls: add --source api'
        : 'has learned Intel PT traces, not calls';
      throw new UserError('other-source', problem, { category: 'arguments', path: useModel });
    }
    return { kind: 'run', trained, filter };
  }
  if (useWeights !== undefined) {
    const model = useModel ?? ancestorsShape(options);
    const network = await loadKeras(model, useWeights, { device, workers, seed }, windowLength);
    return { kind: 'network', network };
  }
  if (skipTrain) {
    throw new UserError(
      'no-model',
      '--skip-train needs something trained: --use-model with the folder of a run, or --use-weights',
      { category: 'arguments' },
    );
  }
  if (useModel === undefined) return { kind: 'nothing' };
  return { kind: 'shape', ...(await kerasShape(useModel, windowLength)) };
}

/** Classes that a network of Keras knows: the ancestor's, `BBID mod N`. */
export function kerasClasses({
  inputClasses,
  outputClasses,
}: Pick<LstmShape, 'inputClasses' | 'outputClasses'>): Pick<
  LearnOptions,
  'vocabulary' | 'maxInputClasses' | 'maxOutputClasses'
> {
  return { vocabulary: 'hash', maxInputClasses: inputClasses, maxOutputClasses: outputClasses };
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
      return start.trained.layer.windowLength;
  }
}

/** A network with nothing beside it: no block and no transfer is known. */
export function untrained(network: Lstm): Trained {
  const vocabulary = Vocabulary.learn(
    new SymbolTable(),
    new Float64Array(0),
    new WindowCounter(network.windowLength),
    {
      kind: 'hash',
      maxInputClasses: network.inputClasses,
      maxOutputClasses: network.outputClasses,
    },
  );
  return { layer: network, vocabulary, profile: new TransferProfile() };
}

function isKeras(path: string): boolean {
  return path.endsWith('.json');
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
