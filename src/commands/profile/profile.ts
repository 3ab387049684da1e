import { stat } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { FileBytes } from '../../base/files/file-bytes.ts';
import {
  listFolder,
  makeFolder,
  makeWorkFolder,
  removeQuietly,
  writeWorkFile,
} from '../../base/files/folder.ts';
import { readJsonFile } from '../../base/files/json-file.ts';
import { readWholeFile } from '../../base/files/read.ts';
import { checkSeal, sealJson, unsealJson } from '../../base/files/sealed.ts';
import { writeFileAtomic } from '../../base/files/write.ts';
import { showValue } from '../../base/text/format.ts';
import { isRecord, isTexts } from '../../base/values.ts';
import { version } from '../../base/version.ts';
import type { TraceFeatures } from '../../verdict/features/features.ts';
import { featuresOfLeftOut, readLeftOut, writeCalibration } from '../../verdict/left-out.ts';
import { type RunFolder, runFolder } from '../run/folder.ts';
import { type SourceName, sourceNames } from '../samples/source.ts';
import { Archive, packFiles } from './archive.ts';
import type { ImageIdentity } from './image-identities.ts';

/** What a profile says of itself. */
export interface ProfileFacts {
  readonly schemaVersion: 1;
  readonly wayward: string;
  /** ISO 8601, UTC. */
  readonly created: string;
  /** Programs whose runs it learned, by the name of their main image; empty for calls. */
  readonly programs: readonly string[];
  readonly source: SourceName;
  /** Blocks in a window; where histories predict, of no meaning. */
  readonly windowLength: number;
  /** Runs that trained, and runs that calibrate. */
  readonly trained: number;
  readonly calibrating: number;
  readonly images: readonly ImageIdentity[];
  /** Runs that were taken in later, oldest first. */
  readonly accepted?: readonly AcceptedRun[];
}

/** A run that somebody found harmless. */
export interface AcceptedRun {
  readonly name: string;
  readonly directory: string;
  /** Year, month and day, as 2026-11-29. */
  readonly date: string;
  readonly reason: string | undefined;
}

/** All that judging needs, in one file: model, vocabulary, calibration, what the images were. */
export interface Profile {
  readonly path: string;
  readonly facts: ProfileFacts;
  /** A folder of its own, laid out as a run's; it goes with `close`. */
  readonly folder: RunFolder;
  readonly calibration: readonly TraceFeatures[];
  close(): Promise<void>;
}

const factsName = 'profile.json';
const vocabularyName = 'vocabulary.json.gz';
/** Where a run keeps its profile. */
export function profileOf(folder: RunFolder): string {
  return join(folder.root, 'profile.wayward');
}

/**
 * Writes the profile of a run whose model is there.
 *
 * @param calibration  traces that set thresholds
 * @throws UserError `write-failed`
 */
export async function writeProfile(
  path: string,
  folder: RunFolder,
  facts: Omit<ProfileFacts, 'schemaVersion' | 'wayward' | 'created' | 'calibrating'>,
  calibration: readonly TraceFeatures[],
): Promise<void> {
  const files = new Map<string, Uint8Array>();
  const whole: ProfileFacts = {
    ...facts,
    schemaVersion: 1,
    wayward: version,
    created: new Date().toISOString(),
    calibrating: calibration.length,
  };
  files.set(factsName, Buffer.from(sealJson(whole)));
  const vocabulary = `${folder.vocabulary}.json.gz`;
  files.set(vocabularyName, await readWholeFile(vocabulary));
  for (const name of await listFolder(folder.model)) {
    // What calibrates stands beside the model only once, with traces that trained nothing.
    if (name === 'left-out.json') continue;
    files.set(`model/${name}`, await readWholeFile(join(folder.model, name)));
  }
  const draft = await makeWorkFolder('wayward-profile-');
  try {
    await writeCalibration(draft, calibration);
    for (const name of await listFolder(draft)) {
      files.set(`evaluation/${name}`, await readWholeFile(join(draft, name)));
    }
  } finally {
    await removeQuietly(draft);
  }
  await writeFileAtomic(path, packFiles(files));
}

/**
 * Opens a profile, or the one of a run.
 *
 * @param path  file, or a run's folder
 * @throws UserError `no-profile`, `not-readable`, `file-damaged`, `profile-other-version`
 */
export async function openProfile(path: string): Promise<Profile> {
  const file = await fileOf(path);
  const root = await makeWorkFolder('wayward-profile-');
  const close = (): Promise<void> => removeQuietly(root);
  const unpacked = { path: file, folder: runFolder(root) };
  try {
    await withBytes(file, (bytes) => unpack(bytes, file, root));
    return await partsOf(unpacked, async ({ evaluation }) => {
      const facts = checkFacts(await readJsonFile(join(root, factsName)), file);
      const leftOut = await readLeftOut(evaluation);
      const calibration = leftOut === undefined ? [] : featuresOfLeftOut(leftOut);
      return { ...unpacked, facts, calibration, close };
    });
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * Reads parts of a profile.
 *
 * @param read  gets the folder where they are unpacked
 * @throws UserError of `read`, which names the profile and the part in it, and not that folder
 */
export async function partsOf<T>(
  { path, folder }: Pick<Profile, 'path' | 'folder'>,
  read: (folder: RunFolder) => Promise<T>,
): Promise<T> {
  try {
    return await read(folder);
  } catch (error) {
    const found = error instanceof UserError ? error : undefined;
    const part = found?.path === undefined ? '..' : relative(folder.root, found.path);
    if (found === undefined || part.startsWith('..')) throw error;
    const what = found.message.slice(`${found.path}: `.length);
    const { code, category, place, cause } = found;
    const facts = { category, path, cause, ...(place === undefined ? {} : { place }) };
    throw new UserError(code, `its part ${part}: ${what}`, facts);
  }
}

/**
 * Reads what a profile says of itself, and nothing else of it.
 *
 * @param path  file, or a run's folder
 * @throws UserError as `openProfile`
 */
export async function readProfileFacts(path: string): Promise<ProfileFacts> {
  const file = await fileOf(path);
  return withBytes(file, async (bytes) => {
    const facts = await (await Archive.open(bytes, file)).read(factsName);
    return checkFacts(unsealJson(facts.toString(), file), file);
  });
}

async function withBytes<T>(path: string, use: (bytes: FileBytes) => Promise<T>): Promise<T> {
  const bytes = await FileBytes.open(path);
  try {
    return await use(bytes);
  } finally {
    await bytes.close();
  }
}

/** @param path  of the profile, for messages only */
async function unpack(bytes: FileBytes, path: string, into: string): Promise<void> {
  const archive = await Archive.open(bytes, path);
  await checkSeal(bytes, path);
  const lacking = [factsName, vocabularyName].find((name) => !archive.names.includes(name));
  if (lacking !== undefined) {
    throw new UserError('file-damaged', `lacks its part ${lacking}`, { category: 'input', path });
  }
  for (const name of archive.names) {
    const to = join(into, name);
    await makeFolder(dirname(to));
    await writeWorkFile(to, archive.piecesOf(name));
  }
}

/** @returns whether a folder is that of a run that left a profile */
export async function hasProfile(path: string): Promise<boolean> {
  return (await stat(profileOf(runFolder(path))).catch(() => undefined)) !== undefined;
}

async function fileOf(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory() !== true) return path;
  if (await hasProfile(path)) return profileOf(runFolder(path));
  throw new UserError(
    'no-profile',
    'holds no profile.wayward: it is no run of learn, or its evaluation was left out or is not finished',
    { category: 'input', path },
  );
}

function checkFacts(found: Readonly<Record<string, unknown>>, path: string): ProfileFacts {
  if (found.schemaVersion !== 1) {
    throw new UserError(
      'profile-other-version',
      `was written by Wayward ${showValue(found.wayward)}, whose profiles this release does not read: learn again`,
      { category: 'input', path },
    );
  }
  const haveTexts = (list: unknown, ...keys: readonly string[]): boolean =>
    Array.isArray(list) &&
    list.every((item: unknown) => isRecord(item) && isTexts(keys.map((key) => item[key])));
  const isWhole =
    isTexts([found.wayward, found.created]) &&
    isTexts(found.programs) &&
    haveTexts(found.images, 'name', 'id') &&
    haveTexts(found.accepted ?? [], 'name', 'directory', 'date') &&
    sourceNames.some((name) => name === found.source) &&
    [found.windowLength, found.trained, found.calibrating].every(Number.isSafeInteger);
  if (!isWhole) {
    throw new UserError('no-profile', 'lacks what a profile says of itself', {
      category: 'input',
      path,
    });
  }
  return found as unknown as ProfileFacts;
}
