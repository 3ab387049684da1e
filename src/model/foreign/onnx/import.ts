import { readWholeFile } from '../../../base/files/read.ts';
import { Vocabulary } from '../../../sequences/vocabulary.ts';
import { Lstm, type LstmOptions } from '../../lstm/lstm.ts';
import { readOnnxModel } from '../../onnx/read-model.ts';
import { chainOf } from './chain.ts';
import { compareWithOnnx } from './compare.ts';
import { vocabularyKey } from './export.ts';
import { fillFromOnnx } from './fill.ts';
import { layersOf, shapeOf } from './layers.ts';

/** A network from an ONNX file, and the vocabulary that it was trained with, where the file holds it. */
export interface LoadedOnnx {
  readonly network: Lstm;
  readonly vocabulary: Vocabulary | undefined;
}

/**
 * Loads a network that any tool wrote as ONNX: ours, PyTorch's `torch.onnx.export`, tf2onnx. It has to
 * be the ancestor's: an embedding, LSTMs with ReLU between, a hidden layer with ReLU, an output. Other
 * networks are refused by the first node that is not known. Whether the layers do together what they
 * should is not read from the file but tried: ONNX Runtime runs it beside the network here.
 *
 * @param windowLength  used where the file does not say its input length
 * @throws UserError `not-readable`, `onnx-damaged`, `onnx-network-unknown`, `vocabulary-damaged`
 */
export async function loadOnnx(
  path: string,
  options: Omit<LstmOptions, 'dropout'>,
  windowLength: number,
): Promise<LoadedOnnx> {
  const bytes = await readWholeFile(path);
  const model = readOnnxModel(bytes, path);
  const steps = chainOf(model, path);
  const layers = layersOf(steps, path);
  const shape = shapeOf(layers, model, path, windowLength);
  const network = Lstm.create(shape, undefined, { ...options, dropout: 0 });
  fillFromOnnx(network, layers, path);
  await compareWithOnnx(network, bytes, model, steps.at(-1)?.kind === 'softmax', path);
  const text = model.metadata.get(vocabularyKey);
  const vocabulary =
    text === undefined ? undefined : Vocabulary.parse(new TextEncoder().encode(text), path);
  return { network, vocabulary };
}
