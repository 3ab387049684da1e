import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isAbsent, messageOf, UserError } from '../base/errors.ts';
import { makeFolder } from '../base/files/folder.ts';
import { readWholeFile } from '../base/files/read.ts';
import { sealJson, unsealJson } from '../base/files/sealed.ts';
import { type Outcome, outcomeOf } from './job.ts';

/**
 * Outcomes that were collected, one JSON object a line: `{"name", "outcome", "sum"}`. What is in it has
 * been seen by whoever comes back after a kill, and is not done again; a line that is damaged is.
 */
export class OutcomeJournal {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #outcomes: Map<string, Outcome>;

  private constructor(path: string, file: FileHandle, outcomes: Map<string, Outcome>) {
    this.#path = path;
    this.#file = file;
    this.#outcomes = outcomes;
  }

  /** Opens a journal, or begins one. @throws UserError `write-failed`, `not-readable` */
  static async open(path: string): Promise<OutcomeJournal> {
    const outcomes = new Map<string, Outcome>();
    try {
      await makeFolder(dirname(path));
      const text = await readWholeFile(path).then(String, (error: unknown) => {
        if (!isAbsent(error)) throw error;
        return '';
      });
      const whole = text.slice(0, text.lastIndexOf('\n') + 1);
      for (const line of whole.split('\n')) {
        const entry = parse(line, path);
        if (entry !== undefined) outcomes.set(entry.name, entry.outcome);
      }
      const file = await open(path, 'a');
      // A line that a kill cut off would spoil the next one.
      if (whole.length < text.length) await file.truncate(Buffer.byteLength(whole));
      return new OutcomeJournal(path, file, outcomes);
    } catch (cause) {
      throw cause instanceof UserError ? cause : failed(path, cause);
    }
  }

  get(name: string): Outcome | undefined {
    return this.#outcomes.get(name);
  }

  get size(): number {
    return this.#outcomes.size;
  }

  /** Adds outcomes; they are on the disk when this returns. @throws UserError `write-failed` */
  async add(entries: readonly (readonly [name: string, outcome: Outcome])[]): Promise<void> {
    if (entries.length === 0) return;
    try {
      const lines = entries.map(([name, outcome]) => `${sealJson({ name, outcome })}\n`);
      await this.#file.appendFile(lines.join(''));
      await this.#file.datasync();
    } catch (cause) {
      throw failed(this.#path, cause);
    }
    for (const [name, outcome] of entries) this.#outcomes.set(name, outcome);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

function parse(
  line: string,
  path: string,
): { readonly name: string; readonly outcome: Outcome } | undefined {
  try {
    const { name, outcome: value } = unsealJson(line, path);
    const outcome = outcomeOf(value);
    return typeof name === 'string' && outcome !== undefined ? { name, outcome } : undefined;
  } catch {
    return undefined;
  }
}

function failed(path: string, cause: unknown): UserError {
  return new UserError('write-failed', `cannot be written: ${messageOf(cause)}`, {
    category: 'runtime',
    path,
    cause,
  });
}
