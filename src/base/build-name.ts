import { existsSync, readdirSync } from 'node:fs';
import { version } from './version.ts';

/**
 * What answers, so that no other build's answers are taken for its own: the files of a build bear hashes of what is in
 * them. Sources have none; who runs those keeps no answers from one change to the next.
 */
export function buildName(): string {
  const built = new URL('../chunks/', import.meta.url);
  const files = existsSync(built) ? readdirSync(built).sort() : [];
  return [version, ...files].join(' ');
}
