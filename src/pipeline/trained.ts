import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { UserError } from '../base/errors.ts';
import { writeFileAtomic } from '../base/files.ts';
import { TransferProfile } from '../flow/evidence-profile.ts';
import type { FirstLayer } from '../model/first-layer.ts';
import { saveKeras } from '../model/keras.ts';
import { Lstm } from '../model/lstm.ts';
import { Ngram } from '../model/ngram.ts';
import { saveOnnx as writeOnnx } from '../model/onnx-export.ts';
import type { FilterName } from '../sequences/filter.ts';
import { Vocabulary } from '../sequences/vocabulary.ts';
import type { Trained } from './evaluate.ts';
import type { LearnOptions } from './learn-options.ts';
import { type RunFolder, runFolder } from './run-folder.ts';

/** Files of a trained first layer, beside the model's own. */
const profileName = 'transfers.gz';
const filterName = 'filter.json';

/** Writes what training has learned into a run's folder. */
export async function saveTrained(
  folder: RunFolder,
  trained: Trained,
  filter: readonly FilterName[],
): Promise<void> {
  await trained.vocabulary.save(`${folder.vocabulary}.json.gz`);
  await trained.profile.save(join(folder.model, profileName));
  await writeFileAtomic(join(folder.model, filterName), `${JSON.stringify(filter)}\n`);
  await trained.layer.save(folder.model);
}

/** Opens what an earlier run has learned. @param path  the run's folder, or its `model` folder */
export async function loadTrained(
  path: string,
  options: { readonly workers: number; readonly device: string; readonly seed: number },
): Promise<Trained & { readonly filter: readonly FilterName[] }> {
  const root = path.replace(/\/+$/, '').endsWith('/model') ? dirname(resolve(path)) : resolve(path);
  const folder = runFolder(root);
  const vocabulary = await Vocabulary.load(`${folder.vocabulary}.json.gz`);
  const profile = await TransferProfile.load(join(folder.model, profileName));
  const filter = JSON.parse(await readFile(join(folder.model, filterName), 'utf8')) as FilterName[];
  const record = JSON.parse(await readFile(join(folder.model, 'model.json'), 'utf8')) as {
    model?: string;
  };
  const layer: FirstLayer =
    record.model === 'ngram'
      ? await Ngram.load(folder.model)
      : await Lstm.load(folder.model, options);
  if (
    layer.inputClasses !== vocabulary.inputClasses ||
    layer.outputClasses !== vocabulary.outputClasses
  ) {
    throw new UserError(
      'vocabulary-mismatch',
      `the model takes ${layer.inputClasses} and gives ${layer.outputClasses} classes, the vocabulary has ${vocabulary.inputClasses} and ${vocabulary.outputClasses}`,
      { category: 'input', path: root },
    );
  }
  return { layer, vocabulary, profile, filter };
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
    await saveKeras(trained.layer, saveModel, saveWeights);
  }
  if (saveOnnx !== undefined) {
    await writeOnnx(trained.layer, saveOnnx, {
      'wayward.vocabulary': trained.vocabulary.serialized,
    });
  }
}
