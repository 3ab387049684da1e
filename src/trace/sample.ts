import { lstatSync, readdirSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { mapConcurrently } from '../base/concurrent.ts';
import { failureOf, isAbsent, messageOf, UserError } from '../base/errors.ts';
import { isThere } from '../base/files/exists.ts';
import { foreignName, undecodable } from '../base/files/failure.ts';
import { readJsonFile } from '../base/files/json-file.ts';
import { readWholeFile } from '../base/files/read.ts';
import { type Label, labelOf } from '../base/label.ts';
import { fromLine } from '../base/text/line.ts';
import type { MtcRate } from '../pt/clock.ts';

/** One recording: a folder with a trace, its memory map and its label. */
export interface Sample {
  /** Absolute. */
  readonly directory: string;
  /** Name of the folder. */
  readonly name: string;
  /** Name of the file that the program was given: line 1 of info.txt. */
  readonly file: string;
  readonly label: Label;
  /** Line 3 of info.txt. */
  readonly family: string | undefined;
  /** Raw Intel PT, one file a thread. */
  readonly traces: readonly string[];
  readonly map: string | undefined;
  /** Each trace is one thread's part of what processors ran: `recording.json` says so. */
  readonly sharesProcessor?: boolean;
  /** How MTC packets count, where the recording says so. */
  readonly mtc?: MtcRate | undefined;
  /** The ancestor's `trace_parsed.gz`. */
  readonly parsed: string | undefined;
  /** Our own stored traces (`trace_0.wayward`), one for each raw one; empty unless all are there. */
  readonly stored: readonly string[];
  /** A log of calls instead of a trace: a sandbox report, `strace` output, or numbers. */
  readonly calls?: string;
}

/** A folder that was left out, and why. */
export interface Skipped {
  readonly directory: string;
  readonly reason: string;
}

/** What a command needs of a sample. */
export type Need = 'raw' | 'preprocessed' | 'any';

/**
 * Reads what lies in a sample's folder; opens no trace.
 *
 * @throws UserError `sample-incomplete` naming everything that is missing, `label-unknown`
 */
export async function readSample(directory: string, need: Need = 'any'): Promise<Sample> {
  const root = resolve(directory);
  let names: string[];
  try {
    names = await namesIn(root);
  } catch (cause) {
    const why = whyUnreadable(root, cause);
    throw new UserError('sample-unreadable', `cannot be read: ${why}`, {
      category: 'input',
      path: root,
      cause,
    });
  }
  const find = (name: string): string | undefined => {
    const found = names.includes(`${name}.gz`)
      ? `${name}.gz`
      : names.includes(name)
        ? name
        : undefined;
    return found === undefined ? undefined : join(root, found);
  };
  const traces = names
    .filter((name) => /^trace_\d+(\.gz)?$/.test(name))
    .sort((a, b) => threadOf(a) - threadOf(b))
    .map((name) => join(root, name));
  const ours = names.filter((name) => /^trace_\d+\.wayward$/.test(name));
  const isWhole = traces.every((path) => ours.includes(storedName(path)));
  const stored = (isWhole ? ours : [])
    .sort((a, b) => threadOf(a) - threadOf(b))
    .map((name) => join(root, name));
  const map = find('mapping.txt');
  const parsed = find('trace_parsed');
  const missing: string[] = [];
  if (!names.includes('info.txt')) missing.push('info.txt');
  const isStored = parsed !== undefined || stored.length > 0;
  const hasRaw = traces.length > 0 && map !== undefined;
  if (need === 'preprocessed' ? !isStored : need === 'raw' ? !hasRaw : !hasRaw && !isStored) {
    if (need === 'preprocessed') missing.push('preprocessed trace');
    else if (traces.length === 0) missing.push('trace_0.gz');
    if (need !== 'preprocessed' && map === undefined) missing.push('mapping.txt');
  }
  if (missing.length > 0) {
    const inside = names.some((name) => isSampleFile.test(name)) ? undefined : sampleIn(root);
    const why =
      inside === undefined
        ? `has no ${missing.join(' and no ')}`
        : `is no sample, but holds some: name one of them, as ${join(root, inside)}`;
    throw new UserError('sample-incomplete', why, {
      category: 'input',
      path: root,
    });
  }
  return {
    directory: root,
    name: basename(root),
    ...(await readInfo(join(root, 'info.txt'))),
    traces,
    map,
    ...(names.includes('recording.json') ? await readRecording(join(root, 'recording.json')) : {}),
    parsed,
    stored,
  };
}

/** Names of all that a folder holds but pipes and devices, at which a reader would wait for ever. */
async function namesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const whole: string[] = [];
  for (const entry of entries) {
    const found = entry.isSymbolicLink()
      ? await stat(join(folder, entry.name)).catch(() => undefined)
      : entry;
    // A link to nothing is told when it is read.
    if (found === undefined || found.isFile() || found.isDirectory()) whole.push(entry.name);
  }
  return whole;
}

function whyUnreadable(path: string, cause: unknown): string {
  if (isAbsent(cause)) {
    if (path.includes(undecodable)) return foreignName;
    const isLink = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
    return isLink ? 'it is a link to what is not there' : 'there is no such folder';
  }
  const plain: Readonly<Record<string, string>> = {
    ENOTDIR: 'it is no folder',
    EACCES: 'permission denied',
    ELOOP: 'it is a link to itself',
  };
  return plain[failureOf(cause) ?? ''] ?? messageOf(cause);
}

/** Three lines. */
const mostInfoBytes = 1 << 20;

/** @throws UserError `not-readable`, `too-large`, `label-unknown` */
export async function readInfo(path: string): Promise<Pick<Sample, 'file' | 'label' | 'family'>> {
  const text = (await readWholeFile(path, mostInfoBytes)).toString('utf8');
  const [file = '', word = '', family = ''] = text.split(/\r?\n/).map(fromLine);
  const label = word === '' ? 'unknown' : labelOf(word);
  if (label === undefined) {
    throw new UserError(
      'label-unknown',
      `line 2: the label is "${word.slice(0, 40)}"; it must be benign, malicious or unknown`,
      { category: 'input', path, place: 'line 2' },
    );
  }
  return {
    file,
    label,
    family: family === '' ? undefined : family,
  };
}

/**
 * What `import` says of how a sample came about; only what decoding depends on is read.
 *
 * @throws UserError as `readJsonFile`
 */
export async function readRecording(
  path: string,
): Promise<Pick<Sample, 'sharesProcessor' | 'mtc'>> {
  const { sharesProcessor, mtc } = await readJsonFile(path);
  return { sharesProcessor: sharesProcessor === true, mtc: isMtcRate(mtc) ? mtc : undefined };
}

/** @returns name of the stored trace beside a raw one: `trace_0.wayward` for `trace_0.gz` */
export function storedName(trace: string): string {
  return `${basename(trace).replace(/\.gz$/, '')}.wayward`;
}

/**
 * Reads every folder below `root` as a sample. Folders that lack something are left out, each with
 * its reason; a folder without any file of a sample is none and is passed over.
 *
 * @throws UserError when there is no sample at all
 */
export async function findSamples(
  root: string,
  need: Need = 'any',
): Promise<{ readonly samples: readonly Sample[]; readonly skipped: readonly Skipped[] }> {
  const folder = resolve(root);
  let entries: string[];
  try {
    entries = (await readdir(folder, { withFileTypes: true }))
      .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
      .map(({ name }) => join(folder, name))
      .sort();
  } catch (cause) {
    const why = whyUnreadable(folder, cause);
    throw new UserError('root-unreadable', `cannot be read: ${why}`, {
      category: 'input',
      path: folder,
      cause,
    });
  }
  const samples: Sample[] = [];
  const skipped: Skipped[] = [];
  const looked = await mapConcurrently(entries, foldersAtOnce, (directory) =>
    lookAt(directory, need),
  );
  for (const found of looked) {
    if (found === undefined) continue;
    if ('reason' in found) skipped.push(found);
    else samples.push(found);
  }
  if (samples.length === 0) {
    const first =
      skipped[0] === undefined
        ? ''
        : `; the first of ${skipped.length} incomplete ones: ${skipped[0].reason}`;
    throw new UserError('no-samples', `holds no sample${first}`, {
      category: 'input',
      path: folder,
    });
  }
  return { samples, skipped };
}

/** What waits for a disk waits together. */
const foldersAtOnce = 16;

/** @returns a sample, or why it is none; `undefined` for a folder that is not meant as one */
async function lookAt(directory: string, need: Need): Promise<Sample | Skipped | undefined> {
  try {
    return await readSample(directory, need);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const left = { directory, reason: error.message };
    if (error.code !== 'sample-incomplete') return left;
    const names = await readdir(directory).catch((): string[] => ['info.txt']);
    return names.some((name) => isSampleFile.test(name)) ? left : undefined;
  }
}

/**
 * The samples at `path`: itself when it is a sample's folder, else the folders below it.
 *
 * @throws UserError as `readSample` and `findSamples`
 */
export async function samplesAt(
  path: string,
  need: Need = 'any',
): Promise<{ readonly samples: readonly Sample[]; readonly skipped: readonly Skipped[] }> {
  if (!isSampleFolder(path)) return findSamples(path, need);
  return { samples: [await readSample(path, need)], skipped: [] };
}

/** @returns whether a folder is a sample's own */
export function isSampleFolder(path: string): boolean {
  return isThere(join(path, 'info.txt'));
}

/** @returns whether a folder is a sample's own, or one of them lies in it */
export function holdsSamples(path: string): boolean {
  return isSampleFolder(path) || firstSampleIn(path) !== undefined;
}

/** @returns path of a sample below a folder, or below its `traces` */
function sampleIn(root: string): string | undefined {
  const inside = firstSampleIn(join(root, 'traces'));
  return inside === undefined ? firstSampleIn(root) : join('traces', inside);
}

function firstSampleIn(path: string): string | undefined {
  try {
    return readdirSync(path)
      .sort()
      .find((name) => isSampleFolder(join(path, name)));
  } catch {
    // None that could be read; whoever reads it says why.
    return undefined;
  }
}

/** A folder with one of these is meant as a sample. */
export const isSampleFile: RegExp =
  /^(?:info\.txt|mapping\.txt(?:\.gz)?|trace_(?:\d+|parsed)(?:\.gz)?)$/;

function threadOf(name: string): number {
  return Number(/\d+/.exec(name)?.[0]);
}

function isMtcRate(value: unknown): value is MtcRate {
  const { shift, ratio } = (value ?? {}) as Partial<MtcRate>;
  const isShift = typeof shift === 'number' && Number.isInteger(shift) && shift >= 0 && shift < 16;
  return isShift && typeof ratio === 'number' && ratio > 0 && ratio < 1e6;
}
