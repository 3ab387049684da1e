import { requirePackage } from '../../../base/optional-package.ts';

type Hdf5Library = typeof import('h5wasm').default;
export type Hdf5File = InstanceType<Hdf5Library['File']>;
type Memory = Awaited<Hdf5Library['ready']>['FS'];

// The library gets files as bytes, in a file system of its own that is nothing but memory. A file may name
// others: links lead to them, values may lie in them. None of them is there, so nobody's weights reach for
// what else is on the disk.

/** Copies of the library that damaged files have brought to an end. */
let ended = 0;
/** The copy in use. */
let library: Promise<Hdf5Library> | undefined;
/** Files that were given to it: each has a name of its own. */
let given = 0;

/**
 * Loaded late, and told to throw what it would print.
 *
 * @throws UserError `package-missing`
 */
function openLibrary(): Promise<Hdf5Library> {
  library ??= loadLibrary();
  return library;
}

async function loadLibrary(): Promise<Hdf5Library> {
  requirePackage('h5wasm', 'a file of weights for Keras');
  const url = import.meta.resolve('h5wasm');
  // Under another name the same code is loaded again, with memory of its own: what it is, no type can say.
  const { default: copy } = (await import(ended === 0 ? url : `${url}?${ended}`)) as {
    default: Hdf5Library;
  };
  const { activate_throwing_error_handler } = await copy.ready;
  activate_throwing_error_handler();
  return copy;
}

/**
 * @param bytes  a whole file
 * @throws UserError `package-missing`, what `read` throws, Error for what is damaged; see `hdf5Reason`
 */
export async function readHdf5<T>(
  bytes: Uint8Array,
  read: (file: Hdf5File, library: Hdf5Library) => T,
): Promise<T> {
  return withFile(bytes, 'r', read);
}

/**
 * @param bytes  a file to be changed; without, a new one is made
 * @returns the bytes of the whole file
 * @throws UserError `package-missing`
 */
export async function writeHdf5(
  write: (file: Hdf5File, library: Hdf5Library) => void,
  bytes?: Uint8Array,
): Promise<Uint8Array> {
  let written = new Uint8Array();
  const mode = bytes === undefined ? 'w' : 'a';
  await withFile(bytes, mode, write, (memory, path) => {
    written = Uint8Array.from(memory.readFile(path));
  });
  return written;
}

/** @param closed  gets the file when it is whole */
async function withFile<T>(
  bytes: Uint8Array | undefined,
  mode: 'r' | 'w' | 'a',
  use: (file: Hdf5File, library: Hdf5Library) => T,
  closed?: (memory: Memory, path: string) => void,
): Promise<T> {
  const copy = await openLibrary();
  const { FS: memory } = await copy.ready;
  const path = `/${++given}.h5`;
  try {
    if (bytes !== undefined) memory.writeFile(path, bytes);
    const file = new copy.File(path, mode);
    let used: T;
    try {
      used = use(file, copy);
    } finally {
      file.close();
    }
    closed?.(memory, path);
    return used;
  } catch (cause) {
    // The library ends itself at some damage, and takes whole files for damaged from then on.
    if (isTrap(cause)) {
      ended++;
      library = undefined;
    }
    throw cause;
  } finally {
    forget(memory, path);
  }
}

/** A trap of WebAssembly, whose class the types of Node lack. */
function isTrap(error: unknown): boolean {
  return error instanceof Error && error.name === 'RuntimeError';
}

/**
 * The library keeps some files open that it could not read, and gave what it remembered of one for the next
 * that was in its place. Its own names leave nothing to mix up, but streams must not run out.
 */
function forget(memory: Memory, path: string): void {
  // The first three are its standard streams.
  const streams: unknown = 'streams' in memory ? memory.streams : [];
  for (const stream of Array.isArray(streams) ? streams.slice(3) : []) {
    if (stream !== null && stream !== undefined) memory.close(stream);
  }
  if (memory.analyzePath(path).exists) memory.unlink(path);
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
