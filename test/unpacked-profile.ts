import { readFileSync } from 'node:fs';
import type { Bytes } from '../src/base/files/file-bytes.ts';
import { checkSeal } from '../src/base/files/sealed.ts';
import { Archive } from '../src/commands/profile/archive.ts';

/** @returns bytes in memory, to be read as a file is */
export function bytesIn(memory: Uint8Array): Bytes {
  return {
    length: memory.length,
    read: async (start, length) => memory.subarray(start, start + length),
  };
}

/** @returns the files in an archive of profiles, by name; @throws UserError as opening a profile does */
export async function unpacked(packed: Uint8Array, path = ''): Promise<Map<string, Buffer>> {
  const archive = await Archive.open(bytesIn(packed), path);
  await checkSeal(bytesIn(packed), path);
  const files = new Map<string, Buffer>();
  for (const name of archive.names) files.set(name, await archive.read(name));
  return files;
}

export function unpackedProfile(path = ''): Promise<Map<string, Buffer>> {
  return unpacked(readFileSync(path), path);
}
