import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const src = fileURLToPath(new URL('../src', import.meta.url));

/**
 * Data flows one way. For each folder: the folders it may import from, and, after `types:`, those
 * it may only take types from. A new arrow is a decision: change `docs/architecture.md` with it.
 */
const mayImport: Record<string, { values: string[]; types?: string[] }> = {
  base: { values: [] },
  image: { values: ['base'] },
  x86: { values: ['base'] },
  pt: { values: ['base'] },
  flow: { values: ['pt', 'x86', 'image', 'base'] },
  trace: { values: ['flow', 'pt', 'x86', 'image', 'base'] },
  capture: { values: ['trace', 'flow', 'pt', 'x86', 'image', 'base'] },
  sequences: { values: ['trace', 'flow', 'x86', 'image', 'base'] },
  model: { values: ['sequences', 'base', 'workers'] },
  verdict: { values: ['x86', 'base'], types: ['flow', 'sequences'] },
  report: { values: ['verdict', 'base'] },
  store: { values: ['base'] },
  workers: { values: ['store', 'base'] },
  pipeline: {
    values: [
      'report',
      'verdict',
      'model',
      'sequences',
      'capture',
      'trace',
      'flow',
      'pt',
      'x86',
      'image',
      'store',
      'workers',
      'base',
    ],
  },
};

interface Import {
  readonly file: string;
  readonly from: string;
  readonly to: string;
  readonly isTypeOnly: boolean;
}

function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sourceFiles(path);
    return /\.ts$/.test(entry.name) && !/\.test\.ts$/.test(entry.name) ? [path] : [];
  });
}

function importsOf(file: string): Import[] {
  const text = readFileSync(file, 'utf8');
  const statement =
    /(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'(\.[^']+)'|import\('(\.[^']+)'\)/g;
  return [...text.matchAll(statement)].map((match) => {
    const target = resolve(dirname(file), match[2] ?? match[3] ?? '');
    return {
      file: relative(src, file),
      from: relative(src, file).split('/')[0]!,
      to: relative(src, target).split('/')[0]!,
      isTypeOnly: match[1] !== undefined,
    };
  });
}

describe('layers', () => {
  const imports = sourceFiles(src)
    .filter((file) => relative(src, file).includes('/'))
    .flatMap(importsOf)
    .filter(({ from, to }) => from !== to);

  test('the walk finds imports between folders', () => {
    expect(imports.length).toBeGreaterThan(5);
  });

  test('no arrow runs back', () => {
    const wrong = imports.filter(({ from, to, isTypeOnly }) => {
      if (from === 'cli') return false;
      const rule = mayImport[from];
      if (rule === undefined) return true;
      return !(rule.values.includes(to) || (isTypeOnly && rule.types?.includes(to)));
    });
    expect(wrong.map(({ file, to }) => `${file} imports from ${to}`)).toEqual([]);
  });

  test('every folder is named here and has a README', () => {
    const folders = readdirSync(src, { withFileTypes: true }).filter((e) => e.isDirectory());
    for (const { name } of folders) {
      if (name !== 'cli') expect(Object.keys(mayImport)).toContain(name);
      expect(readdirSync(join(src, name)), `src/${name}`).toContain('README.md');
    }
  });
});
