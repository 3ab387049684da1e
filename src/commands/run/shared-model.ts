import { createHash } from 'node:crypto';
import { basename, join } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { listFolder, makeWorkFolder, removeQuietly } from '../../base/files/folder.ts';
import { readWholeFile } from '../../base/files/read.ts';
import { writeFileAtomic } from '../../base/files/write.ts';
import { openStore } from '../../likeness/store/open-store.ts';
import type { Collection, SampleStore } from '../../likeness/store/sample-store.ts';
import type { RunFolder } from './folder.ts';

/** Bytes of a file that are one value in the store. */
const partBytes = 512 * 1024;
/** Larger models are not taken from a store: what it says is not trusted. */
const mostParts = 8192;

/** Name of the value that lists the files; it is written last. */
const listName = 'files';

interface SharedFile {
  /** Relative to the run's folder. */
  readonly name: string;
  readonly parts: number;
  readonly sha256: string;
}

/**
 * Copies what a run has learned (counts, weights, vocabulary) to a store, under the name of the run's
 * folder, so that learners on other machines can use it.
 *
 * @param place  `redis://` or `rediss://`
 * @throws UserError when the store cannot be used
 */
export async function shareModel(place: string, folder: RunFolder): Promise<void> {
  const store = await openStore(place, collectionOf(basename(folder.root)));
  try {
    const files: SharedFile[] = [];
    for (const name of await modelFiles(folder)) {
      const bytes = await readWholeFile(join(folder.root, name));
      const parts = new Map<string, Uint8Array>();
      for (let at = 0; at === 0 || at < bytes.length; at += partBytes) {
        parts.set(`${name}#${parts.size}`, bytes.subarray(at, at + partBytes));
      }
      await store.put(parts, new Map());
      files.push({ name, parts: parts.size, sha256: hashOf(bytes) });
    }
    await store.put(new Map([[listName, Buffer.from(JSON.stringify(files))]]), new Map());
  } finally {
    await store.close();
  }
}

/**
 * Fetches what a run has learned from a store into a folder of its own, hands it to `use` and takes the
 * folder away again.
 *
 * @throws UserError `model-not-stored`, `stored-model-damaged`, and what `use` throws
 */
export async function withSharedModel<T>(
  place: string,
  name: string,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await makeWorkFolder('wayward-model-');
  try {
    const store = await openStore(place, collectionOf(name));
    try {
      await fetchFiles(store, name, folder);
    } finally {
      await store.close();
    }
    return await use(folder);
  } finally {
    await removeQuietly(folder);
  }
}

async function fetchFiles(store: SampleStore, name: string, folder: string): Promise<void> {
  const { samples } = await store.readAll();
  const list = samples.get(listName);
  if (list === undefined) {
    throw new UserError('model-not-stored', `holds no model "${name}"`, {
      category: 'input',
      path: store.place,
    });
  }
  for (const file of filesIn(list, store.place)) {
    const parts = Array.from({ length: file.parts }, (_, i) => samples.get(`${file.name}#${i}`));
    const bytes = Buffer.concat(parts.filter((part) => part !== undefined));
    if (parts.includes(undefined) || hashOf(bytes) !== file.sha256) {
      throw damaged(store.place, `${file.name} of "${name}" is not whole`);
    }
    await writeFileAtomic(join(folder, file.name), bytes);
  }
}

/** A store is written by others: what it lists is checked, above all where it would be written. */
function filesIn(list: Uint8Array, place: string): readonly SharedFile[] {
  let files: unknown;
  try {
    files = JSON.parse(Buffer.from(list).toString('utf8'));
  } catch {
    throw damaged(place, 'its list of files is no JSON');
  }
  if (!Array.isArray(files)) throw damaged(place, 'its list of files is none');
  for (const file of files as Partial<SharedFile>[]) {
    const { name, parts, sha256 } = file ?? {};
    const isName = typeof name === 'string' && /^(?:model\/)?[a-z][\w-]*(?:\.[\w-]+)*$/.test(name);
    const isCount = Number.isInteger(parts) && parts !== undefined && parts > 0;
    if (!isName || !isCount || parts > mostParts || typeof sha256 !== 'string') {
      throw damaged(place, 'its list of files names what no model has');
    }
  }
  return files as readonly SharedFile[];
}

function damaged(place: string, why: string): UserError {
  return new UserError('stored-model-damaged', why, { category: 'input', path: place });
}

/** Of the run's folder, what using the model takes. */
async function modelFiles(folder: RunFolder): Promise<string[]> {
  const beside = (await listFolder(folder.root)).filter((name) => name.startsWith('vocabulary'));
  const inside = await listFolder(folder.model);
  return [...beside, ...inside.map((name) => `model/${name}`)];
}

function collectionOf(name: string): Collection {
  const id = name.replaceAll(/[^\w.-]/g, '-').replaceAll('_', '-');
  return { id: `model.${id}`, description: `what the run ${name} has learned` };
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
