import { requirePackage } from '../../../base/optional-package.ts';

/**
 * Loaded late, and told to throw what it would print.
 *
 * @throws UserError `package-missing`
 */
export async function openHdf5Library(): Promise<typeof import('h5wasm/node').default> {
  requirePackage('h5wasm', 'a file of weights for Keras');
  const { default: h5wasm } = await import('h5wasm/node');
  const { activate_throwing_error_handler } = await h5wasm.ready;
  activate_throwing_error_handler();
  return h5wasm;
}

/** `\x89HDF`. */
export const hdf5Magic = 0x46444889;

/** Dataset in the root of a weights file; Keras reads the groups that `layer_names` lists only. */
export const vocabularyDataset = 'wayward_vocabulary';
