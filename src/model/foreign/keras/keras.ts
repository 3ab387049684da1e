import { UserError } from '../../../base/errors.ts';
import { readWholeFile } from '../../../base/files/read.ts';
import { writeFileAtomic } from '../../../base/files/write.ts';
import { Vocabulary } from '../../../sequences/vocabulary.ts';
import { Lstm, type LstmOptions } from '../../lstm/lstm.ts';
import type { LstmShape } from '../../lstm/shape.ts';
import { describeNetwork } from './description.ts';
import { weightedNames } from './names.ts';
import { type KerasNetwork, parseKerasNetwork } from './network.ts';
import type { KerasOrigin } from './origin.ts';
import { fillParameters, readWeights } from './weights.ts';
import { packWeights } from './write-weights.ts';

/**
 * Model files of Keras 2: the network as `model.to_json()` writes it, the weights as
 * `model.save_weights()` does.
 *
 * What can be read is the ancestor's network, with other sizes, one or both directions, gates
 * `sigmoid` or `hard_sigmoid`. Everything else is refused by name, not approximated.
 *
 * A network means nothing without the vocabulary that its classes come from: ours travels with the
 * weights, in a form that Keras passes over.
 */
export interface LoadedKeras {
  readonly network: Lstm;
  readonly origin: KerasOrigin;
  /** The one that it was trained with, where the files hold it. */
  readonly vocabulary: Vocabulary | undefined;
}

/**
 * @returns the network that a model file describes, without weights
 * @param windowLength  used where the model does not say its input length
 * @throws UserError `not-readable`, `keras-model-damaged`, `keras-network-unknown`
 */
export async function kerasShape(modelPath: string, windowLength: number): Promise<KerasNetwork> {
  return parseKerasNetwork(await readWholeFile(modelPath), modelPath, windowLength);
}

/**
 * @param model  model file, or the shape of a network whose layers have Keras' own names
 * @param windowLength  used where the model file does not say its input length
 * @throws UserError `not-readable`, `keras-model-damaged`, `keras-network-unknown`, `hdf5-damaged`,
 *   `keras-weights-do-not-fit`, `keras-weights-unknown`, `keras-weights-no-numbers`,
 *   `vocabulary-damaged`, `vocabulary-of-another-run`
 */
export async function loadKeras(
  model: string | LstmShape,
  weightsPath: string,
  options: Omit<LstmOptions, 'dropout'>,
  windowLength = 32,
): Promise<LoadedKeras> {
  const described: KerasNetwork =
    typeof model === 'string'
      ? await kerasShape(model, windowLength)
      : { shape: model, dropout: 0, weighted: weightedNames(model), origin: { kind: 'unknown' } };
  const weights = await readWeights(weightsPath, described.weighted);
  const vocabulary =
    weights.vocabulary === undefined
      ? undefined
      : Vocabulary.parse(weights.vocabulary, weightsPath);
  if (vocabulary !== undefined) checkVocabulary(vocabulary, described, weightsPath);
  const { shape, dropout, origin } = described;
  const network = Lstm.create(shape, undefined, { ...options, dropout });
  fillParameters(network, described, weights);
  return { network, origin, vocabulary };
}

/** Files of two runs must not be taken for one network. */
function checkVocabulary(vocabulary: Vocabulary, network: KerasNetwork, path: string): void {
  const { shape, origin } = network;
  const isOther =
    origin.kind === 'wayward' && origin.vocabulary.fingerprint !== vocabulary.fingerprint;
  const fits =
    vocabulary.inputClasses === shape.inputClasses &&
    vocabulary.outputClasses === shape.outputClasses;
  if (!isOther && fits) return;
  throw new UserError(
    'vocabulary-of-another-run',
    isOther
      ? 'holds the vocabulary of another run than the model file names'
      : `holds a vocabulary of ${vocabulary.inputClasses} input and ${vocabulary.outputClasses} output classes, the model has ${shape.inputClasses} and ${shape.outputClasses}`,
    { category: 'input', path },
  );
}

/**
 * Writes `model.to_json()`'s and `model.save_weights()`'s files.
 *
 * @param vocabulary  the one that the network was trained with: without it, nobody can tell later
 *   which block a class is
 * @throws UserError `keras-cannot-hold-prior`, `write-failed`
 */
export async function saveKeras(
  lstm: Lstm,
  modelPath: string,
  weightsPath: string,
  vocabulary: Vocabulary | undefined,
): Promise<void> {
  if (lstm.prior !== undefined) {
    throw new UserError(
      'keras-cannot-hold-prior',
      'this network adds its logits to those of an n-gram model, which Keras files cannot hold: train it without one',
      { category: 'arguments' },
    );
  }
  await writeFileAtomic(weightsPath, await packWeights(lstm, vocabulary?.serialized));
  await writeFileAtomic(modelPath, JSON.stringify(describeNetwork(lstm, vocabulary)));
}
