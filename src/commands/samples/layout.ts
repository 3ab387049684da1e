import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

/** Where the samples of a root lie, and the images that they ran. */
export interface Layout {
  readonly samples: string;
  readonly binDirs: readonly string[];
}

/**
 * Finds samples and images as `record --input-dir` and `import` lay them out: `ROOT/traces` and
 * `ROOT/bin`. A path inside `traces` is told the `bin` beside it.
 *
 * @param path  the root, its `traces`, or one sample in there
 * @param asked  folders of images that were named; they count instead of those found
 */
export function layoutOf(path: string, asked: readonly string[]): Layout {
  const root = resolve(path);
  const traces = join(root, 'traces');
  const isRoot = isFolder(traces);
  const samples = isRoot ? traces : root;
  if (asked.length > 0) return { samples, binDirs: asked.map((dir) => resolve(dir)) };
  const homes = isRoot
    ? [root]
    : [root, dirname(root)].filter((dir) => basename(dir) === 'traces').map((dir) => dirname(dir));
  const binDirs = homes.map((home) => join(home, 'bin')).filter(isFolder);
  return { samples, binDirs };
}

function isFolder(path: string): boolean {
  return existsSync(path) && statSync(path).isDirectory();
}
