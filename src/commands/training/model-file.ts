import { open, stat } from 'node:fs/promises';
import { UserError } from '../../base/errors.ts';

/** What `--use-model` may name. */
export type ModelFile = 'run' | 'keras' | 'onnx';

/** Files of other kinds by how they begin, and what to do with them. */
const others: readonly [start: string, advice: string][] = [
  [
    '\x89HDF',
    'is a weights file of Keras: give it to --use-weights, and the model file of model.to_json() to --use-model',
  ],
  [
    'PK\x03\x04',
    'is an archive (.keras, .pt, .zip): write the network with model.to_json() and model.save_weights(), or as ONNX',
  ],
  ['\x1f\x8b', 'is compressed with gzip: --use-model takes the file itself'],
];

/**
 * Tells what a path is by what lies there, and by its name.
 *
 * @returns `run` for folders, and for names that may stand for a model in a store
 * @throws UserError `model-unknown` for files of another kind
 */
export async function kindOfModel(path: string): Promise<ModelFile> {
  const found = await stat(path).catch(() => undefined);
  if (/\.json$/i.test(path)) return 'keras';
  if (/\.onnx$/i.test(path)) return 'onnx';
  if (found === undefined || found.isDirectory()) return 'run';
  const start = await startOf(path);
  if (/^\s*\{/.test(start)) return 'keras';
  const [, advice] = others.find(([magic]) => start.startsWith(magic)) ?? [];
  throw new UserError(
    'model-unknown',
    advice ??
      'is neither the folder of a run, nor a model file of Keras (.json), nor an ONNX model (.onnx)',
    { category: 'input', path },
  );
}

async function startOf(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    const bytes = Buffer.alloc(64);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
    return bytes.toString('latin1', 0, bytesRead);
  } finally {
    await file.close();
  }
}
