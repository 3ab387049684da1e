import { dirname, join, resolve } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { readJsonFile, writeJsonFile } from '../../base/files/json-file.ts';
import { writeFileAtomic } from '../../base/files/write.ts';
import { TransferProfile } from '../../evidence/profile.ts';
import { saveKeras } from '../../model/foreign/keras/keras.ts';
import { vocabularyKey, saveOnnx as writeOnnx } from '../../model/foreign/onnx/export.ts';
import { HistoryModel } from '../../model/histories/model.ts';
import { Lstm } from '../../model/lstm/lstm.ts';
import { Ngram } from '../../model/ngram/ngram.ts';
import { type FilterName, filterNames } from '../../sequences/filter.ts';
import { Vocabulary } from '../../sequences/vocabulary.ts';
import { readLeftOut, writeLeftOut } from '../../verdict/left-out.ts';
import type { Trained } from '../samples/evaluating/evaluate.ts';
import type { LearnOptions } from '../training/options.ts';
import { type RunFolder, runFolder } from './folder.ts';

/** Files of a trained first layer, beside the model's own. */
const profileName = 'transfers.gz';
const contentName = 'trained.json';
/** What training runs did, where a model can be learned anew from it. */
export const runsName = 'training-runs.bin';

/** `trained.json`: which files belong together. */
interface Content {
  readonly schemaVersion: 1;
  readonly filter: readonly FilterName[];
  /** Fingerprint of the vocabulary. */
  readonly vocabulary: string;
}

/** Writes what training has learned into a run's folder. */
export async function saveTrained(
  folder: RunFolder,
  trained: Trained,
  filter: readonly FilterName[],
): Promise<void> {
  const { fingerprint } = trained.vocabulary;
  const content: Content = { schemaVersion: 1, filter, vocabulary: fingerprint };
  await trained.vocabulary.save(`${folder.vocabulary}.json.gz`);
  await trained.profile.save(join(folder.model, profileName));
  await writeJsonFile(join(folder.model, contentName), content);
  await trained.layer.save(folder.model);
  if (trained.leftOut !== undefined) await writeLeftOut(folder.model, trained.leftOut);
  if (trained.runs !== undefined) {
    await writeFileAtomic(join(folder.model, runsName), trained.runs);
  }
}

/**
 * Opens what an earlier run has learned.
 *
 * @param path  the run's folder, or its `model` folder
 * @throws UserError when files are missing, damaged or of different runs
 */
export async function loadTrained(
  path: string,
  options: { readonly workers: number; readonly device: string; readonly seed: number },
): Promise<Trained & { readonly filter: readonly FilterName[] }> {
  const root = path.replace(/\/+$/, '').endsWith('/model') ? dirname(resolve(path)) : resolve(path);
  const folder = runFolder(root);
  const vocabularyPath = `${folder.vocabulary}.json.gz`;
  const vocabulary = await Vocabulary.load(vocabularyPath);
  const content = await readContent(join(folder.model, contentName));
  if (content.vocabulary !== vocabulary.fingerprint) {
    throw new UserError('vocabulary-of-another-run', 'is not what this model was trained with', {
      category: 'input',
      path: vocabularyPath,
    });
  }
  const profile = await TransferProfile.load(join(folder.model, profileName));
  const { model } = await readJsonFile(join(folder.model, 'model.json'));
  const layer =
    model === 'histories'
      ? await HistoryModel.load(folder.model)
      : model === 'ngram'
        ? await Ngram.load(folder.model)
        : await Lstm.load(folder.model, options);
  const { inputClasses, outputClasses } = layer;
  if (inputClasses !== vocabulary.inputClasses || outputClasses !== vocabulary.outputClasses) {
    throw new UserError(
      'vocabulary-mismatch',
      `the model takes ${inputClasses} and gives ${outputClasses} classes, the vocabulary has ${vocabulary.inputClasses} and ${vocabulary.outputClasses}`,
      { category: 'input', path: root },
    );
  }
  const leftOut = await readLeftOut(folder.model);
  return { layer, vocabulary, profile, leftOut, filter: content.filter };
}

async function readContent(path: string): Promise<Content> {
  const { schemaVersion, filter, vocabulary } = await readJsonFile(path);
  const isFilter = (name: unknown): name is FilterName =>
    filterNames.some((known) => known === name);
  if (
    schemaVersion !== 1 ||
    !Array.isArray(filter) ||
    !filter.every(isFilter) ||
    typeof vocabulary !== 'string'
  ) {
    throw new UserError('model-damaged', 'describes no trained model of this version', {
      category: 'input',
      path,
    });
  }
  return { schemaVersion, filter, vocabulary };
}

/** Writes the network for other programs, where that was asked for. */
export async function exportNetwork(trained: Trained, options: LearnOptions): Promise<void> {
  const { saveModel, saveWeights, saveOnnx } = options;
  if (saveModel === undefined && saveOnnx === undefined) return;
  if (!(trained.layer instanceof Lstm)) {
    throw new UserError('not-a-network', 'only an LSTM can be written for Keras or as ONNX', {
      category: 'arguments',
    });
  }
  if (saveModel !== undefined && saveWeights !== undefined) {
    await saveKeras(trained.layer, saveModel, saveWeights, trained.vocabulary);
  }
  if (saveOnnx !== undefined) {
    await writeOnnx(trained.layer, saveOnnx, {
      [vocabularyKey]: trained.vocabulary.serialized,
    });
  }
}
