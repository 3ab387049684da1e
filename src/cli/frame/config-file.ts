import { readFileSync } from 'node:fs';
import { messageOf, UserError } from '../../base/errors.ts';
import { statusOf } from '../../base/files/exists.ts';
import { notReadable } from '../../base/files/failure.ts';
import { nearest } from '../../base/options/option.ts';
import { shorten } from '../../base/text/format.ts';
import { isRecord } from '../../base/values.ts';
import type { LoadedCommand } from './command.ts';
import { commonOptions } from './common-options.ts';
import type { Grammar } from './grammar.ts';
import { flagsOf } from './option.ts';

const configFile = 'wayward.config.json';
const mostConfigBytes = 1 << 20;

/**
 * What `wayward.config.json` of the current folder says to one command: keys are options, of all
 * commands that have them, or, below a command's name, of that command alone.
 */
export interface Config {
  readonly values: Readonly<Record<string, unknown>>;
  /** Keys at the top that are no option of this command: they may be one of another. */
  readonly others: readonly string[];
}

/** @param problems  gets what is wrong with the file */
export function readConfig({ entry, options }: Grammar, problems: string[]): Config {
  const config = readDocument(problems);
  const section = config[entry.name] ?? {};
  if (!isRecord(section)) {
    problems.push(`${configFile}: ${entry.name} must hold an object`);
    return { values: {}, others: [] };
  }
  const keys = options.map((option) => flagsOf(option).key);
  for (const key of Object.keys(section)) {
    if (!keys.includes(key)) problems.push(noSuchKey(`${entry.name}.${key}`, key, keys));
  }
  const others = Object.keys(config).filter((key) => key !== entry.name && !keys.includes(key));
  return { values: { ...config, ...section }, others };
}

/** @returns what is wrong with keys that the command which runs does not know */
export function problemsOfOthers(
  others: readonly string[],
  commands: readonly LoadedCommand[],
): string[] {
  const options = commands.flatMap(({ command }) => command.options);
  const known = [
    '$schema',
    ...commands.map(({ name }) => name),
    ...[...options, ...commonOptions].map((option) => flagsOf(option).key),
  ];
  return others
    .filter((key) => !known.includes(key))
    .map((key) => noSuchKey(shorten(key), key, known));
}

function noSuchKey(path: string, key: string, known: readonly string[]): string {
  const near = nearest(key, known);
  return `${configFile}: there is no option ${shorten(path)}${near === undefined ? '' : `; did you mean ${near}?`}`;
}

function readDocument(problems: string[]): Readonly<Record<string, unknown>> {
  let source: string;
  try {
    const found = statusOf(configFile);
    if (found === undefined) return {};
    // Nothing would come of a pipe.
    if (!found.isFile() || found.size > mostConfigBytes) {
      problems.push(`${configFile} is no file, or of more than ${mostConfigBytes >> 20} MB`);
      return {};
    }
    source = readFileSync(configFile, 'utf8');
  } catch (error) {
    const { message } = error instanceof UserError ? error : notReadable(configFile, error);
    problems.push(message);
    return {};
  }
  try {
    const value: unknown = JSON.parse(source.replace(/^\uFEFF/, ''));
    if (isRecord(value)) return value;
    problems.push(`${configFile} must hold one JSON object`);
  } catch (error) {
    problems.push(`${configFile} is no JSON: ${messageOf(error)}`);
  }
  return {};
}
