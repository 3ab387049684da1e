import { constants, writeSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { isAbsent, UserError } from '../../base/errors.ts';
import { guardWrite } from '../../base/files/failure.ts';
import { describeHolder, releaseLock, takeLock } from '../../base/files/lock-file.ts';
import { readWholeFile } from '../../base/files/read.ts';
import { sealJson, unsealJson } from '../../base/files/sealed.ts';

/** Names of the files in a watch's folder. */
const verdictsName = 'verdicts.ndjson';
const printedName = 'printed.txt';
const lockName = 'lock';

/** What each line has beside what is told of the sample. */
export interface JournalLine {
  /** 1, 2, 3, ... */
  readonly number: number;
  /** Name of the sample's folder. */
  readonly name: string;
}

/**
 * Verdicts of a watched folder, one JSON object a line, each sample once. A line is on the disk
 * before anybody sees it; a second file says up to which number they were shown, so that a restart
 * shows what a kill kept back.
 */
export class VerdictJournal {
  readonly #folder: string;
  readonly #file: FileHandle;
  readonly #printed: FileHandle;
  readonly #names: Set<string>;
  /** Lines that nobody has seen, oldest first. */
  readonly unseen: readonly string[];

  private constructor(
    folder: string,
    file: FileHandle,
    printed: FileHandle,
    lines: readonly string[],
    shown: number,
  ) {
    this.#folder = folder;
    this.#file = file;
    this.#printed = printed;
    this.#names = new Set(lines.map((line) => (JSON.parse(line) as JournalLine).name));
    this.unseen = lines.slice(shown);
  }

  /**
   * @param last  the line that was shown last, when that can be looked up
   * @throws UserError `watched-already`, `not-readable`, `file-damaged`, `journal-damaged`
   */
  static async open(folder: string, last?: string): Promise<VerdictJournal> {
    await lock(folder);
    try {
      const path = join(folder, verdictsName);
      const text = await readWholeFile(path).then(String, (error: unknown) => {
        if (!isAbsent(error)) throw error;
        return '';
      });
      // What a kill cut off was seen by nobody.
      const whole = text.slice(0, text.lastIndexOf('\n') + 1);
      const lines = whole.split('\n').slice(0, -1);
      for (const [index, line] of lines.entries()) checkLine(line, index, path);
      const file = await guardWrite(path, () => open(path, 'a'));
      await guardWrite(path, () => file.truncate(Buffer.byteLength(whole)));
      const shown = join(folder, printedName);
      const printed = await guardWrite(shown, () =>
        open(shown, constants.O_RDWR | constants.O_CREAT),
      );
      const noted = shownIn(await guardWrite(shown, () => printed.readFile('utf8')), shown);
      const seen = last === undefined ? 0 : lines.lastIndexOf(last) + 1;
      return new VerdictJournal(folder, file, printed, lines, Math.max(noted, seen));
    } catch (error) {
      await unlock(folder);
      throw error;
    }
  }

  get names(): ReadonlySet<string> {
    return this.#names;
  }

  /** @returns the line as it was written; it is on the disk */
  async add(name: string, facts: Readonly<Record<string, unknown>>): Promise<string> {
    const line = sealJson({ number: this.#names.size + 1, name, ...facts });
    await guardWrite(join(this.#folder, verdictsName), async () => {
      await this.#file.appendFile(`${line}\n`);
      await this.#file.datasync();
    });
    this.#names.add(name);
    return line;
  }

  /** Notes that a line was shown. At once: a kill in between shows it again. */
  markShown(line: string): void {
    const { number } = JSON.parse(line) as JournalLine;
    // As long each time, so that one write replaces what is there.
    writeSync(this.#printed.fd, sealJson({ shown: String(number).padStart(16, '0') }), 0);
  }

  async close(): Promise<void> {
    await this.#file.close();
    await this.#printed.close();
    await unlock(this.#folder);
  }
}

/** @throws UserError `file-damaged` */
function shownIn(text: string, path: string): number {
  return text === '' ? 0 : Number(unsealJson(text, path).shown) || 0;
}

/** @throws UserError `file-damaged`, `journal-damaged` */
function checkLine(line: string, index: number, path: string): void {
  const { number, name } = unsealJson(line, path, `line ${index + 1}`);
  if (number === index + 1 && typeof name === 'string') return;
  throw new UserError('journal-damaged', `line ${index + 1}: is no verdict of this journal`, {
    category: 'input',
    path,
    place: `line ${index + 1}`,
  });
}

/** Two that watch the same folder for the same run would both tell of its samples. */
async function lock(folder: string): Promise<void> {
  await takeLock(
    join(folder, lockName),
    0,
    (holder) =>
      new UserError(
        'watched-already',
        `${describeHolder(holder)} watches for this run already; if it is another program, remove the file lock`,
        { category: 'arguments', path: folder },
      ),
  );
}

async function unlock(folder: string): Promise<void> {
  await releaseLock(join(folder, lockName));
}
