import { UserError } from '../../base/errors.ts';
import { seal, unseal } from '../../base/files/sealed.ts';

/** `WPROFILE`, then the length of the list of files (u32), the list as JSON, the files; sealed. */
const magic = Buffer.from('WPROFILE', 'latin1');
/** A profile of a million contexts has 60 MB. */
const mostListBytes = 2 ** 20;
/** A profile has a dozen. Each is written when it is opened, however empty it is. */
const mostFiles = 256;

interface Entry {
  readonly name: string;
  readonly bytes: number;
}

/** @param files  by name, with `/` between folders */
export function packFiles(files: ReadonlyMap<string, Uint8Array>): Buffer {
  const list = [...files].map(([name, { length }]): Entry => ({ name, bytes: length }));
  const text = Buffer.from(JSON.stringify(list));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  return seal(magic, length, text, ...files.values());
}

/**
 * @param path  for messages only
 * @returns the files, shared with `bytes`
 * @throws UserError `no-profile`, `file-damaged`
 */
export function unpackFiles(bytes: Buffer, path: string): ReadonlyMap<string, Uint8Array> {
  if (!bytes.subarray(0, magic.length).equals(magic)) {
    throw new UserError('no-profile', 'is no profile of Wayward', { category: 'input', path });
  }
  const content = unseal(bytes, path);
  const damaged = (): UserError =>
    new UserError('file-damaged', 'its list of files contradicts itself', {
      category: 'input',
      path,
    });
  let at = magic.length + 4;
  const listBytes = content.length < at ? 0 : content.readUInt32LE(magic.length);
  if (listBytes > mostListBytes || at + listBytes > content.length) throw damaged();
  const list = parseList(content.toString('utf8', at, at + listBytes));
  if (list === undefined) throw damaged();
  at += listBytes;
  const files = new Map<string, Uint8Array>();
  for (const { name, bytes: length } of list) {
    if (length > content.length - at) throw damaged();
    files.set(name, content.subarray(at, at + length));
    at += length;
  }
  return files;
}

const longestName = 200;
/** Names decide where files are written: none leads out of the folder. */
const safeName = /^(?:[a-z][\w-]*\/)?[a-z][\w-]*(?:\.[\w-]+)*$/;

function parseList(text: string): readonly Entry[] | undefined {
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    return undefined;
  }
  const isEntry = (entry: Partial<Entry> | null): boolean =>
    typeof entry?.name === 'string' &&
    entry.name.length <= longestName &&
    safeName.test(entry.name) &&
    Number.isSafeInteger(entry.bytes) &&
    (entry.bytes ?? -1) >= 0;
  if (!Array.isArray(list) || list.length > mostFiles || !list.every(isEntry)) return undefined;
  const entries = list as readonly Entry[];
  const names = new Set(entries.map(({ name }) => name));
  const isAlone = ({ name }: Entry): boolean =>
    !names.has(name.split('/', 1)[0]) || !name.includes('/');
  return names.size === entries.length && entries.every(isAlone) ? entries : undefined;
}
