import { mostTextBytes, readWholeFile } from './read.ts';
import { sealJson, unsealJson } from './sealed.ts';
import { writeFileAtomic } from './write.ts';

/** Writes a JSON object with its checksum, for people to read, too. @throws UserError `write-failed` */
export async function writeJsonFile(path: string, value: object): Promise<void> {
  await writeFileAtomic(path, `${sealJson(value, 2)}\n`);
}

/**
 * Reads what `writeJsonFile` wrote; its members are not checked.
 *
 * @throws UserError `not-readable`, `too-large`, `file-damaged`
 */
export async function readJsonFile(path: string): Promise<Record<string, unknown>> {
  return unsealJson((await readWholeFile(path, mostTextBytes)).toString('utf8'), path);
}
