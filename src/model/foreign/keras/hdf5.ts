import { requirePackage } from '../../../base/optional-package.ts';

type Hdf5Library = typeof import('h5wasm/node').default;

/** Copies of the library that damaged files have brought to an end. */
let ended = 0;

/**
 * Loaded late, and told to throw what it would print.
 *
 * @throws UserError `package-missing`
 */
export async function openHdf5Library(): Promise<Hdf5Library> {
  requirePackage('h5wasm', 'a file of weights for Keras');
  const url = import.meta.resolve('h5wasm/node');
  // Under another name the same code is loaded again, with memory of its own: what it is, no type can say.
  const { default: h5wasm } = (await import(ended === 0 ? url : `${url}?${ended}`)) as {
    default: Hdf5Library;
  };
  const { activate_throwing_error_handler } = await h5wasm.ready;
  activate_throwing_error_handler();
  return h5wasm;
}

/**
 * The library ends itself at some damage, and takes whole files for damaged from then on.
 *
 * @param cause  what it threw; the next file gets another copy of it where that was its end
 */
export function noteHdf5Failure(cause: unknown): void {
  // A trap of WebAssembly, whose class the types of Node lack.
  if (cause instanceof Error && cause.name === 'RuntimeError') ended++;
}

/** @returns the reason in what the library throws: the innermost of its calls that says one */
export function hdf5Reason(message: string): string {
  const reasons = [...message.matchAll(/^\s+#\d+: .*\(\): (.+)$/gm)];
  return reasons.at(-1)?.[1] ?? message.split('\n', 1)[0];
}

/** `\x89HDF`. */
export const hdf5Magic = 0x46444889;

/** Dataset in the root of a weights file; Keras reads the groups that `layer_names` lists only. */
export const vocabularyDataset = 'wayward_vocabulary';
