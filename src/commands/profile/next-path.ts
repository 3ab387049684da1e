import { join, parse } from 'node:path';
import { isThere } from '../../base/files/exists.ts';

/** @returns `reader-2.wayward` for `reader.wayward`, `reader-3.wayward` for that: the next one that is not there */
export function nextPath(path: string): string {
  const { dir, name, ext } = parse(path);
  const [, stem = name, digits = '1'] = /^(.*)-(\d{1,9})$/.exec(name) ?? [];
  for (let number = Number(digits) + 1; ; number++) {
    const next = join(dir, `${stem}-${number}${ext}`);
    if (!isThere(next)) return next;
  }
}
