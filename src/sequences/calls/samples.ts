import type { Dirent } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { isAbsent, messageOf, UserError } from '../../base/errors.ts';
import { readInfo, type Sample, type Skipped } from '../../trace/sample.ts';

/** Names that a log of calls has in a sample's folder, each also with `.gz`; the first one counts. */
const logNames = ['report.json', 'strace.txt', 'strace.log', 'calls.txt'];

/** Words in the name of a folder that say what the logs below it are; the first line that fits counts. */
const labelWords = [
  [/^(?:attacks?|malicious|malware|anomal(?:y|ies|ous))$/i, 'anomalous'],
  [/^(?:train(?:ing)?|valid(?:ation)?|normal|benign|nominal)$/i, 'nominal'],
] as const;

/**
 * Finds the logs of calls below `root`. A log lies in a sample's folder (`info.txt` beside
 * `report.json`, `strace.txt`, `strace.log` or `calls.txt`), or is a file of its own in folders
 * whose names may tell its label, as in ADFA-LD (`Training_Data_Master`, `Attack_Data_Master`, ...);
 * `root` may be one of those folders, or any that holds nothing but files.
 *
 * @throws UserError when there is none at all
 */
export async function findCallSamples(
  root: string,
): Promise<{ readonly samples: readonly Sample[]; readonly skipped: readonly Skipped[] }> {
  const folder = resolve(root);
  const samples: Sample[] = [];
  const skipped: Skipped[] = [];
  const leavingOut = async (path: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      skipped.push({ directory: path, reason: error.message });
    }
  };
  /** Links can lead in circles. */
  const visited = new Set<string>();
  const visit = async (directory: string): Promise<void> => {
    const real = await realpath(directory).catch(() => directory);
    if (visited.has(real)) return;
    visited.add(real);
    const entries = await list(directory);
    if (entries.some(({ name }) => name === 'info.txt')) {
      samples.push(await readCallSample(directory));
      return;
    }
    const files: string[] = [];
    const folders: string[] = [];
    for (const { name } of entries.filter((entry) => !entry.name.startsWith('.'))) {
      const path = join(directory, name);
      await leavingOut(path, async () => {
        const isFile = await checkFile(path);
        (isFile ? files : folders).push(path);
      });
    }
    // What lies beside the folders of the logs is a README or the like.
    const isNoted = directory === folder && labelOf(basename(folder)) === undefined;
    if (!isNoted || folders.length === 0) {
      for (const path of files) samples.push(loneSample(path, dirname(folder)));
    }
    for (const path of folders) await leavingOut(path, () => visit(path));
  };
  await visit(folder);
  if (samples.length === 0) {
    const first =
      skipped[0] === undefined
        ? ': files beside folders are taken for notes'
        : `; the first of ${skipped.length} left out: ${skipped[0].reason}`;
    throw new UserError('no-samples', `holds no log of calls${first}`, {
      category: 'input',
      path: folder,
    });
  }
  return { samples: withUniqueNames(samples, folder), skipped };
}

/**
 * Reads a sample's folder that holds a log of calls, or takes a file of its own for one.
 *
 * @throws UserError `sample-unreadable`, `sample-incomplete`, `label-unknown`
 */
export async function readCallSample(path: string): Promise<Sample> {
  const root = resolve(path);
  if (await checkFile(root)) return loneSample(root, sep);
  const names = new Set((await list(root)).map(({ name }) => name));
  const log = logNames.flatMap((name) => [`${name}.gz`, name]).find((name) => names.has(name));
  if (!names.has('info.txt') || log === undefined) {
    const missing = [
      ...(names.has('info.txt') ? [] : ['info.txt']),
      ...(log === undefined ? [`log of calls (${logNames.join(', ')})`] : []),
    ];
    throw new UserError('sample-incomplete', `has no ${missing.join(' and no ')}`, {
      category: 'input',
      path: root,
    });
  }
  const info = await readInfo(join(root, 'info.txt'));
  return {
    directory: root,
    name: basename(root),
    ...info,
    ...noTrace,
    calls: join(root, log),
  };
}

const noTrace = { traces: [], map: undefined, parsed: undefined, stored: [] };

/** @param root  folder whose folders count for the label; where none tells it, it is unknown */
function loneSample(path: string, root: string): Sample {
  const folders = relative(root, dirname(path)).split(sep).reverse();
  const label = folders.map(labelOf).find((found) => found !== undefined) ?? 'unknown';
  return {
    directory: path,
    name: basename(path).replace(/(?:\.[a-z]{1,6}){1,2}$/i, ''),
    file: basename(path),
    label,
    family: familyOf(folders[0] ?? ''),
    ...noTrace,
    calls: path,
  };
}

function labelOf(folder: string): Sample['label'] | undefined {
  const words = folder.split(/[^a-z]+/i);
  return labelWords.find(([pattern]) => words.some((word) => pattern.test(word)))?.[1];
}

/** ADFA-LD: logs in `Attack_Data_Master/Adduser_1` are of the family `Adduser`. */
function familyOf(folder: string): string | undefined {
  return labelOf(folder) === undefined ? folder.replace(/_\d+$/, '') : undefined;
}

/** Evaluations are named by samples: two of one name would overwrite each other. */
function withUniqueNames(samples: readonly Sample[], root: string): Sample[] {
  const uses = new Map<string, number>();
  for (const { name } of samples) uses.set(name, (uses.get(name) ?? 0) + 1);
  return samples.map((sample) =>
    uses.get(sample.name) === 1
      ? sample
      : { ...sample, name: relative(root, sample.directory).replaceAll(sep, '-') },
  );
}

/** @returns whether it is a file, not a folder */
async function checkFile(path: string): Promise<boolean> {
  try {
    return !(await stat(path)).isDirectory();
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

async function list(directory: string): Promise<Dirent[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (cause) {
    throw unreadable(directory, cause);
  }
}

function unreadable(path: string, cause: unknown): UserError {
  const isMissing = isAbsent(cause);
  const why = isMissing ? 'there is no such file or folder' : messageOf(cause);
  return new UserError('sample-unreadable', `cannot be read: ${why}`, {
    category: 'input',
    path,
    cause,
  });
}
