import { createHash } from 'node:crypto';
import { lstatSync, readFileSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { buildName } from '../../../base/build-name.ts';
import { mayBeBelieved, removeOldest } from '../../../base/files/cache-folder.ts';
import { makeFolder } from '../../../base/files/folder.ts';
import { writeJsonFile } from '../../../base/files/json-file.ts';
import { unsealJson } from '../../../base/files/sealed.ts';
import { isCount, isRecord } from '../../../base/values.ts';
import type {
  AnswerShelf,
  ClassAnswer,
  CodeFindings,
  FoundAnswers,
  FoundPlace,
  SiteAnswer,
} from '../../../evidence/code/code-findings.ts';
import type { ProcessCode } from '../../../evidence/code/process-code.ts';
import { type TargetSort, targetSorts, transferForms } from '../../../evidence/transfer-code.ts';

/** Of one set of images; a program that makes code has more, and is asked about anew. */
const mostAnswers = 1 << 15;
/** Sets of images that are kept. */
const mostFiles = 64;
/** Sets of one run; a program that loads libraries for ever has more, and of those it begins with there are few. */
const mostSets = 8;
const nameForm = /^transfers-[0-9a-f]{32}\.json$/;

/** One set of images of this process. */
interface Opened {
  readonly path: string;
  readonly findings: CodeFindings;
  /** Answers that the file holds. */
  readonly known: number;
}

/**
 * Keeps in a folder what was found out of the code of images, for the next run of the same ones: it takes the most part
 * of a second, in which the program waits. A file holds answers on one set of images, known by all their bytes, and by
 * what answered; who may write there may change them, as with the plugin that lies beside.
 */
export class KeptAnswers implements AnswerShelf {
  readonly #folder: string;
  readonly #opened: Opened[] = [];

  /** @param folder  need not exist */
  constructor(folder: string) {
    this.#folder = folder;
  }

  open(findings: CodeFindings, process: ProcessCode): void {
    if (this.#opened.length >= mostSets) return;
    const path = join(this.#folder, `transfers-${imagesIn(process)}.json`);
    const answers = read(path, process.space.modules.length);
    if (answers !== undefined) findings.take(answers);
    this.#opened.push({ path, findings, known: findings.size });
  }

  /** Writes what was found out since. A folder that cannot be written to costs the next run its time. */
  async keep(): Promise<void> {
    for (const [i, opened] of this.#opened.entries()) {
      const { path, findings, known } = opened;
      const { size } = findings;
      if (size === known || size > mostAnswers) continue;
      this.#opened[i] = { ...opened, known: size };
      try {
        await makeFolder(dirname(path));
        await writeJsonFile(path, findings.answers);
        await chmod(path, 0o600);
        removeOldest(this.#folder, nameForm, mostFiles, mostFiles);
      } catch {
        return;
      }
    }
  }
}

/** Hash of all that answers depend on. */
function imagesIn({ space }: ProcessCode): string {
  const hash = createHash('sha256').update(buildName());
  for (const [module, { name, base }] of space.modules.entries()) {
    hash.update(`\n${JSON.stringify(name)}`);
    for (const section of space.sections) {
      if (section.module !== module) continue;
      const { start, end, isExecutable, bits, imageOffset, bytes } = section;
      hash.update(` ${start - base} ${end - base} ${isExecutable} ${bits} ${imageOffset}\n`);
      hash.update(bytes);
    }
  }
  return hash.digest('hex').slice(0, 32);
}

/** @returns `undefined` where there is no such file, or none that may be believed */
function read(path: string, modules: number): FoundAnswers | undefined {
  try {
    if (!mayBeBelieved(lstatSync(path))) return undefined;
    return parse(unsealJson(readFileSync(path, 'utf8'), path), modules);
  } catch {
    return undefined;
  }
}

function parse(
  { sites, classes, explained }: Readonly<Record<string, unknown>>,
  modules: number,
): FoundAnswers | undefined {
  const isPlace = (value: unknown): value is FoundPlace =>
    Array.isArray(value) &&
    value.length === 2 &&
    (value[0] === -1 ? Number.isSafeInteger(value[1]) : isCount(value[1])) &&
    (value[0] === -1 || isCount(value[0], modules - 1));
  const isSite = (value: unknown): value is FoundAnswers['sites'][number] =>
    Array.isArray(value) && value.length === 2 && isPlace(value[0]) && isSiteAnswer(value[1]);
  const isPair = (value: unknown): value is [FoundPlace, FoundPlace, unknown] =>
    Array.isArray(value) && value.length === 3 && isPlace(value[0]) && isPlace(value[1]);
  const isClass = (value: unknown): value is FoundAnswers['classes'][number] =>
    isPair(value) && isClassAnswer(value[2]);
  const isExplained = (value: unknown): value is FoundAnswers['explained'][number] =>
    isPair(value) && typeof value[2] === 'boolean';
  const isList = <T>(list: unknown, is: (value: unknown) => value is T): list is T[] =>
    Array.isArray(list) && list.every(is);
  if (!isList(sites, isSite) || !isList(classes, isClass)) return undefined;
  return isList(explained, isExplained) ? { sites, classes, explained } : undefined;
}

function isSiteAnswer(value: unknown): value is SiteAnswer | null {
  if (value === null) return true;
  return (
    isRecord(value) &&
    typeof value.mayExplain === 'boolean' &&
    transferForms.some((form) => form === value.mechanism)
  );
}

function isClassAnswer(value: unknown): value is ClassAnswer {
  if (value === null) return true;
  return (
    isRecord(value) &&
    targetSorts.some((sort: TargetSort) => sort === value.name) &&
    typeof value.count === 'number' &&
    value.count >= 0
  );
}
