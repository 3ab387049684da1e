import { basename, dirname, join, resolve } from 'node:path';
import { statusOf } from '../../base/files/exists.ts';
import { isSampleFolder } from '../../trace/sample.ts';

/** Where the samples of a root lie, and the images that they ran. */
export interface Layout {
  readonly samples: string;
  readonly binDirs: readonly string[];
}

/**
 * Finds samples and images as `record` and `import` lay them out: `ROOT/traces/SAMPLE` and `ROOT/bin`, or
 * `SAMPLE` and `bin` beside it.
 *
 * @param path  the root, its `traces`, any other folder of samples, or one sample
 * @param asked  folders of images that were named; they count instead of those found
 */
export function layoutOf(path: string, asked: readonly string[]): Layout {
  const root = resolve(path);
  const traces = join(root, 'traces');
  const samples = isFolder(traces) ? traces : root;
  if (asked.length > 0) return { samples, binDirs: asked.map((dir) => resolve(dir)) };
  const isInside = isSampleFolder(root) || isTraces(dirname(root));
  const folder = isInside ? dirname(root) : samples;
  const images = join(isTraces(folder) ? dirname(folder) : folder, 'bin');
  return { samples, binDirs: isFolder(images) ? [images] : [] };
}

function isTraces(folder: string): boolean {
  return basename(folder) === 'traces';
}

function isFolder(path: string): boolean {
  return statusOf(path)?.isDirectory() === true;
}
