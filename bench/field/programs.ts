import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { FieldProgram } from './program.ts';
import { machines } from './programs/machines.ts';
import { more } from './programs/more.ts';
import { others } from './programs/others.ts';
import { rarer } from './programs/rarer.ts';
import { scripting } from './programs/scripting.ts';
import { tools } from './programs/tools.ts';

/** All programs, those with the most different makes first. */
export const programs: readonly FieldProgram[] = [
  ...scripting,
  ...more,
  ...machines,
  ...others,
  ...rarer,
  ...tools,
];

/** @returns where the program lies, or `undefined` where its package is not installed */
export function findProgram(program: FieldProgram): string | undefined {
  return program.paths.flatMap(matches)[0];
}

/** @returns the paths that exist, for a path with at most one `*` in each component */
function matches(path: string): string[] {
  let found = ['/'];
  for (const part of path.split('/').filter((text) => text !== '')) {
    const [before, after] = part.split('*');
    const fits = (name: string): boolean =>
      after === undefined
        ? name === part
        : name.startsWith(before) &&
          name.endsWith(after) &&
          name.length >= before.length + after.length;
    found = found.flatMap((folder) =>
      namesIn(folder)
        .filter(fits)
        .map((name) => join(folder, name)),
    );
  }
  return found.sort();
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** @returns the line that installs what is missing, or `undefined` */
export function aptLine(missing: readonly FieldProgram[]): string | undefined {
  const names = [...new Set(missing.map((program) => program.package))].sort();
  return names.length === 0
    ? undefined
    : `apt-get install --no-install-recommends ${names.join(' ')}`;
}
