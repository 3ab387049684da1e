import { realpathSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { messageOf, UserError } from '../base/errors.ts';
import { isThere } from '../base/files/exists.ts';
import { mostTextBytes, readWholeFile } from '../base/files/read.ts';
import { writeFileAtomic } from '../base/files/write.ts';
import { fromLine, toLine } from '../base/text/line.ts';

/** Which sample serves for what; absolute folders. */
export interface Sets {
  readonly train: readonly string[];
  readonly calibrate: readonly string[];
  readonly testNominal: readonly string[];
  readonly testAnomalous: readonly string[];
}

/** Headers of the ancestor's file; `b_calibrate` is ours and only written when it is not empty. */
const headers = {
  b_train: 'train',
  b_calibrate: 'calibrate',
  b_test: 'testNominal',
  m_test: 'testAnomalous',
} as const satisfies Record<string, keyof Sets>;

/**
 * Reads a sets file. Entries are absolute, or relative to the file's folder; a name that could be
 * misread stands as a JSON string. Those outside of `root`
 * or without a folder are left out, as the ancestor does, and listed.
 *
 * @throws UserError naming the line
 */
export async function readSets(
  path: string,
  root: string,
): Promise<{
  readonly sets: Sets;
  readonly skipped: readonly { entry: string; reason: string }[];
}> {
  const text = (await readWholeFile(path, mostTextBytes)).toString('utf8');
  const lists: Record<keyof Sets, string[]> = {
    train: [],
    calibrate: [],
    testNominal: [],
    testAnomalous: [],
  };
  const skipped: { entry: string; reason: string }[] = [];
  const setOf = new Map<string, string>();
  const folder = resolve(root);
  const real = realOf(folder);
  /** The same place may have several names: the root, or a folder above it, may be a link. */
  const inRoot = (named: string): string | undefined => {
    if (isBelow(named, folder)) return named;
    const found = realOf(named);
    return isBelow(found, real) ? join(folder, relative(real, found)) : undefined;
  };
  let current: keyof typeof headers | undefined;
  text.split(/\r?\n/).forEach((raw, index) => {
    const line = raw.trim();
    if (line === '') return;
    const fail = (cause: string): UserError => {
      const place = `line ${index + 1}`;
      return new UserError('sets-damaged', `${place}: ${cause}`, {
        category: 'input',
        path,
        place,
      });
    };
    const header = /^\[(.*)\]$/.exec(line)?.[1];
    if (header !== undefined) {
      if (!Object.hasOwn(headers, header))
        throw fail(
          `[${header}] is none of ${Object.keys(headers)
            .map((h) => `[${h}]`)
            .join(', ')}`,
        );
      current = header as keyof typeof headers;
      return;
    }
    if (current === undefined) throw fail('an entry before the first header');
    const named = resolve(dirname(path), fromLine(line));
    const entry = inRoot(named);
    if (entry === undefined) {
      skipped.push({ entry: named, reason: `lies outside of ${root}` });
      return;
    }
    const reason = whyMissing(entry);
    if (reason !== undefined) {
      skipped.push({ entry, reason });
    } else if (setOf.has(entry)) {
      if (setOf.get(entry) !== current) throw fail(`${line} is in [${setOf.get(entry)}] already`);
    } else {
      setOf.set(entry, current);
      lists[headers[current]].push(entry);
    }
  });
  return { sets: lists, skipped };
}

/** @returns why an entry is left out; `undefined` when it is there */
function whyMissing(entry: string): string | undefined {
  try {
    return isThere(entry) ? undefined : 'is not there';
  } catch (cause) {
    return messageOf(cause).replace(`${entry}: `, '');
  }
}

function isBelow(path: string, folder: string): boolean {
  const below = relative(folder, path);
  return below !== '..' && !below.startsWith(`..${sep}`);
}

/** @returns the path without links; as it is, when it leads nowhere */
function realOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

export async function writeSets(path: string, sets: Sets): Promise<void> {
  const parts = Object.entries(headers)
    .filter(([, key]) => key !== 'calibrate' || sets.calibrate.length > 0)
    .map(
      ([header, key]) => `[${header}]\n${sets[key].map((entry) => `${toLine(entry)}\n`).join('')}`,
    );
  await writeFileAtomic(path, parts.join('\n'));
}
