import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { UserError } from '../../base/errors.ts';

/** As a shell would find it. @throws UserError `program-not-found` */
export function findProgram(name: string): string {
  if (name.includes('/')) return name;
  const folders = (process.env.PATH ?? '').split(delimiter);
  const found = folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new UserError('program-not-found', `there is no program "${name}" on the PATH`, {
    category: 'arguments',
  });
}
