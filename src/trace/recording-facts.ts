import { join } from 'node:path';
import { readJsonFile } from '../base/files/json-file.ts';

/** Longer ones are no command that somebody reads. */
const mostWords = 500;

/** How a sample came about, as far as its recorder said. */
export interface RecordingFacts {
  /** `perf`, `perf script` or `qemu`, with its version where that is known. */
  readonly recorder: string | undefined;
  /** What the recorder was asked: of perf its own command, else the program's with its arguments. */
  readonly commandLine: string | undefined;
  /** How the program ended: `exit code 1`, `killed by SIGSEGV`. */
  readonly end: string | undefined;
}

const unknown: RecordingFacts = { recorder: undefined, commandLine: undefined, end: undefined };

/**
 * Reads `recording.json` of a sample's folder.
 *
 * @returns only what it says in the form that is expected: it is shown, and decides nothing
 */
export async function readRecordingFacts(directory: string): Promise<RecordingFacts> {
  const record = await readJsonFile(join(directory, 'recording.json')).catch(() => undefined);
  if (record === undefined) return unknown;
  const textOf = (value: unknown): string | undefined =>
    typeof value === 'string' && value !== '' ? value : undefined;
  const tool = textOf(record.tool);
  const version = textOf(record.perfVersion) ?? textOf(record.toolVersion);
  const { commandLine, exitCode } = record;
  const signal = textOf(record.killedBy);
  return {
    recorder: tool === undefined || version === undefined ? tool : `${tool} ${version}`,
    commandLine: Array.isArray(commandLine) ? asTyped(commandLine) : textOf(commandLine),
    end:
      signal === undefined
        ? typeof exitCode === 'number'
          ? `exit code ${exitCode}`
          : undefined
        : `killed by ${signal}`,
  };
}

/** @returns words as a shell takes them; `undefined` where they are none */
function asTyped(words: readonly unknown[]): string | undefined {
  const isText = (word: unknown): word is string => typeof word === 'string';
  const isCommand = words.length > 0 && words.length < mostWords && words.every(isText);
  return isCommand ? words.map(quoted).join(' ') : undefined;
}

function quoted(word: string): string {
  return /^[\w@%+=:,./{}-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
