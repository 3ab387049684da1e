import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const src = fileURLToPath(new URL('../src', import.meta.url));

interface Rule {
  readonly values: readonly string[];
  /** Rooms of which only types are taken. */
  readonly types?: readonly string[];
}

/**
 * Data flows one way. For each *room* (a folder of `src` or one inside it): the rooms that its files
 * may import from. A new arrow is a decision: change `docs/architecture.md` with it. An arrow that
 * nobody uses has to go.
 */
const mayImport: Readonly<Record<string, Rule>> = {
  base: { values: [] },
  'image/files': { values: [] },
  'image/maps': { values: ['base'] },
  image: { values: ['base', 'image/files', 'image/maps'] },
  x86: { values: ['base'] },
  pt: { values: ['base'] },
  flow: { values: ['base', 'x86', 'pt'], types: ['image'] },
  trace: { values: ['base', 'image/maps', 'image', 'x86', 'pt', 'flow'] },
  'evidence/code/tables': { values: ['x86'], types: ['image/files', 'image'] },
  'evidence/code/values': { values: ['x86'], types: ['evidence/code/tables'] },
  'evidence/code': {
    values: ['x86', 'evidence/code/tables', 'evidence/code/values'],
    types: ['base', 'image'],
  },
  'evidence/follow': { values: ['base', 'x86'], types: ['image', 'flow'] },
  evidence: {
    values: ['base', 'image', 'x86', 'evidence/code', 'evidence/follow'],
    types: ['flow'],
  },
  names: { values: ['image/files', 'image'], types: ['base', 'evidence/code'] },
  'capture/qemu': { values: ['base', 'image/files', 'x86', 'pt'] },
  'capture/qemu/log': { values: ['base', 'x86', 'capture/qemu'] },
  'capture/qemu/plugin': { values: ['base', 'x86', 'pt', 'capture/qemu'], types: ['image/files'] },
  'capture/qemu/guarded': { values: ['base', 'capture/qemu', 'capture/qemu/plugin'] },
  capture: {
    values: ['base', 'image/maps', 'capture/qemu', 'capture/qemu/log', 'capture/qemu/plugin'],
  },
  'capture/perf/records': { values: ['base'], types: ['pt'] },
  'capture/perf': {
    values: ['base', 'image/files', 'image/maps', 'pt', 'capture', 'capture/perf/records'],
  },
  'capture/perf/pipe': { values: ['base', 'capture/perf/records', 'capture/perf'] },
  'capture/perf/script': {
    values: [
      'base',
      'image/maps',
      'image',
      'x86',
      'pt',
      'flow',
      'capture',
      'capture/perf/records',
      'capture/perf',
    ],
  },
  'sequences/calls': { values: ['base', 'trace'], types: ['flow'] },
  sequences: { values: ['base', 'x86', 'sequences/calls'], types: ['flow'] },
  'sequences/histories': {
    values: ['base', 'x86', 'evidence/follow', 'evidence', 'sequences'],
    types: ['flow'],
  },
  model: { values: ['base', 'sequences'] },
  'model/mixing': { values: ['base'] },
  'model/histories': {
    values: ['base', 'evidence', 'sequences/histories', 'model', 'model/mixing'],
    types: ['sequences'],
  },
  'model/ngram': { values: ['base', 'sequences', 'model'] },
  'model/onnx': { values: ['base'] },
  'model/lstm': { values: ['base', 'model', 'model/ngram', 'model/onnx'], types: ['sequences'] },
  'model/foreign/keras': { values: ['base', 'sequences', 'model/lstm'] },
  'model/foreign/onnx': { values: ['base', 'sequences', 'model/onnx', 'model/lstm'] },
  evaluation: { values: ['base', 'evidence'] },
  'verdict/statistics': { values: ['base'] },
  'verdict/features': { values: ['base', 'evidence', 'evaluation'] },
  verdict: {
    values: ['base', 'evidence', 'verdict/statistics', 'verdict/features'],
    types: ['flow', 'evaluation'],
  },
  'verdict/labelled': { values: ['base', 'verdict/features', 'verdict'], types: ['evaluation'] },
  'likeness/slices': {
    values: ['base', 'x86', 'evidence', 'verdict'],
    types: ['flow', 'evaluation'],
  },
  'likeness/clusters': { values: ['base'], types: ['likeness/slices'] },
  likeness: { values: [], types: ['flow'] },
  'likeness/store': { values: ['base'] },
  'report/words': { values: ['verdict/features'], types: ['report/data'] },
  'report/data': {
    values: [
      'base',
      'evidence',
      'verdict/statistics',
      'verdict/features',
      'verdict',
      'report/words',
    ],
    types: ['evaluation', 'verdict/labelled', 'likeness/clusters', 'likeness'],
  },
  'report/charts': { values: ['base', 'report/words'], types: ['evaluation', 'report/data'] },
  'report/text': { values: ['report/words', 'report/data'] },
  'report/export': { values: ['report/words'] },
  'report/page': {
    values: ['report/words', 'report/data', 'report/charts'],
    types: ['likeness/clusters'],
  },
  workers: { values: ['base'] },
  'commands/run': {
    values: [
      'base',
      'evidence',
      'sequences',
      'model/histories',
      'model/ngram',
      'model/lstm',
      'model/foreign/keras',
      'model/foreign/onnx',
      'verdict',
      'likeness/store',
      'report/charts',
    ],
    types: ['report/data', 'commands/samples/evaluating', 'commands/training'],
  },
  'commands/samples': {
    values: [
      'base',
      'image/files',
      'image',
      'pt',
      'flow',
      'trace',
      'evidence/code',
      'evidence/follow',
      'names',
      'sequences/calls',
      'sequences',
      'verdict',
      'likeness',
      'report/data',
      'report/charts',
    ],
    types: ['model', 'evaluation', 'verdict/features', 'commands/run'],
  },
  'commands/samples/sets': {
    values: ['base', 'trace', 'commands/samples'],
    types: ['model', 'commands/training'],
  },
  'commands/samples/evaluating': {
    values: [
      'base',
      'image/maps',
      'image',
      'evidence/code',
      'evidence',
      'sequences',
      'sequences/histories',
      'model',
      'model/histories',
      'commands/samples',
    ],
    types: ['flow', 'trace', 'evidence/follow', 'evaluation', 'verdict'],
  },
  'commands/training/windows': {
    values: [
      'base',
      'image',
      'flow',
      'evidence/code',
      'evidence',
      'sequences',
      'workers',
      'commands/samples',
      'commands/samples/evaluating',
    ],
    types: ['trace', 'sequences/calls', 'model'],
  },
  'commands/training/events': {
    values: [
      'base',
      'image',
      'x86',
      'flow',
      'evidence/code',
      'evidence',
      'sequences',
      'sequences/histories',
      'model/histories',
      'likeness',
      'workers',
      'commands/samples',
      'commands/samples/evaluating',
    ],
    types: ['trace', 'evaluation'],
  },
  'commands/training': {
    values: [
      'base',
      'image',
      'x86',
      'flow',
      'trace',
      'evidence/code',
      'evidence',
      'sequences',
      'model',
      'model/histories',
      'model/ngram',
      'model/lstm',
      'model/foreign/keras',
      'model/foreign/onnx',
      'evaluation',
      'workers',
      'commands/run',
      'commands/samples',
      'commands/samples/sets',
      'commands/samples/evaluating',
      'commands/training/windows',
      'commands/training/events',
    ],
    types: ['sequences/histories'],
  },
  'commands/slices': {
    values: [
      'base',
      'image',
      'flow',
      'evidence/code',
      'evaluation',
      'likeness/slices',
      'likeness/clusters',
      'commands/run',
      'commands/samples',
    ],
    types: ['model', 'report/data', 'commands'],
  },
  'commands/tasks': {
    values: [
      'base',
      'image',
      'flow',
      'trace',
      'evaluation',
      'verdict/features',
      'verdict',
      'workers',
      'commands/run',
      'commands/samples',
      'commands/samples/evaluating',
      'commands/training/windows',
    ],
    types: ['model', 'commands/samples/sets', 'commands/training'],
  },
  'commands/profile': {
    values: [
      'base',
      'image/files',
      'image/maps',
      'verdict',
      'commands/run',
      'commands/samples',
      'commands/samples/evaluating',
      'commands/tasks',
    ],
    types: [
      'image',
      'trace',
      'model',
      'verdict/features',
      'commands/samples/sets',
      'commands/training',
    ],
  },
  'commands/judging': {
    values: [
      'base',
      'image',
      'flow',
      'evidence/code',
      'names',
      'evaluation',
      'verdict/features',
      'verdict',
      'report/data',
      'commands/run',
      'commands/samples',
      'commands/samples/evaluating',
      'commands/training/events',
      'commands/tasks',
      'commands/profile',
    ],
    types: ['trace', 'model', 'likeness', 'workers', 'commands/training'],
  },
  'commands/guard/live': {
    values: [
      'base',
      'image',
      'x86',
      'flow',
      'evidence/code',
      'evidence/follow',
      'evidence',
      'names',
      'sequences',
      'sequences/histories',
      'model/histories',
      'verdict/features',
      'verdict',
      'report/words',
      'commands/run',
      'commands/samples/evaluating',
      'commands/profile',
    ],
    types: ['image/files', 'pt'],
  },
  'commands/guard': {
    values: [
      'base',
      'image/maps',
      'image',
      'names',
      'capture/qemu/guarded',
      'capture',
      'capture/perf',
      'capture/perf/pipe',
      'verdict',
      'commands/samples',
      'commands/samples/evaluating',
      'commands/profile',
      'commands/judging',
      'commands/guard/live',
    ],
    types: ['capture/qemu', 'capture/perf/records'],
  },
  commands: {
    values: [
      'base',
      'image',
      'x86',
      'pt',
      'flow',
      'trace',
      'evidence/code',
      'evidence/follow',
      'evidence',
      'names',
      'capture/qemu/plugin',
      'capture/qemu/guarded',
      'capture',
      'capture/perf',
      'capture/perf/script',
      'sequences',
      'model',
      'model/lstm',
      'evaluation',
      'verdict/features',
      'verdict',
      'verdict/labelled',
      'likeness/slices',
      'likeness/store',
      'report/data',
      'report/charts',
      'report/export',
      'report/page',
      'workers',
      'commands/run',
      'commands/samples',
      'commands/samples/sets',
      'commands/samples/evaluating',
      'commands/training/events',
      'commands/training',
      'commands/slices',
      'commands/tasks',
      'commands/profile',
      'commands/judging',
      'commands/guard/live',
      'commands/guard',
    ],
    types: ['likeness'],
  },
  api: {
    values: ['base', 'capture', 'commands/run', 'commands'],
    types: ['model', 'commands/samples', 'commands/training'],
  },
  'cli/frame': { values: ['base'] },
  'cli/manual': { values: ['cli/frame'] },
  'cli/options': {
    values: [
      'base',
      'sequences',
      'workers',
      'commands/samples',
      'commands/training',
      'commands/tasks',
      'cli/frame',
    ],
    types: ['names', 'model', 'commands/run', 'commands/judging', 'commands'],
  },
  'cli/verbs': {
    values: [
      'base',
      'x86',
      'trace',
      'capture',
      'likeness/slices',
      'likeness/clusters',
      'report/words',
      'report/charts',
      'report/text',
      'report/page',
      'workers',
      'commands/run',
      'commands/samples',
      'commands/slices',
      'commands/tasks',
      'commands/guard/live',
      'commands/guard',
      'commands',
      'cli/frame',
      'cli/manual',
      'cli/options',
    ],
    types: ['flow', 'capture/qemu', 'capture/perf', 'model', 'report/data'],
  },
  cli: { values: ['base', 'cli/frame', 'cli/verbs'] },
};

interface Import {
  readonly file: string;
  readonly target: string;
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

/** `base` is one room, however many folders it has: who may use it may use all of it. */
function roomOf(path: string): string {
  const folder = folderOf(path);
  return folder.startsWith('base/') ? 'base' : folder;
}

function folderOf(path: string): string {
  return dirname(path).replaceAll('\\', '/');
}

function importsOf(file: string): Import[] {
  const text = readFileSync(file, 'utf8');
  const statement =
    /(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'(\.[^']+)'|import\('(\.[^']+)'\)/g;
  return [...text.matchAll(statement)].map((match) => {
    const from = relative(src, file);
    const target = relative(src, resolve(dirname(file), match[2] ?? match[3] ?? ''));
    return {
      file: from,
      target,
      from: roomOf(from),
      to: roomOf(target),
      isTypeOnly: match[1] !== undefined,
    };
  });
}

const files = sourceFiles(src);
const folders = [...new Set(files.map((file) => folderOf(relative(src, file))))].filter(
  (folder) => folder !== '.',
);
/** Files and folders at one level, without tests. A folder that reaches it is to be cut by its nouns. */
const mostEntries = 18;
const onePerCommand = ['commands', 'cli/verbs'];
const imports = files.flatMap(importsOf);
/** `index.ts` stands above all rooms. */
const arrows = imports.filter(({ from, to }) => from !== '.' && from !== to);

function isAllowed({ from, to, isTypeOnly }: Import): boolean {
  const rule = mayImport[from];
  if (rule === undefined) return false;
  return rule.values.includes(to) || (isTypeOnly && rule.types?.includes(to) === true);
}

describe('layers', () => {
  test('the walk finds imports between rooms', () => {
    expect(arrows.length).toBeGreaterThan(100);
  });

  test('no arrow runs back', () => {
    const wrong = arrows.filter((arrow) => !isAllowed(arrow));
    expect(wrong.map(({ file, target }) => `${file} imports ${target}`)).toEqual([]);
  });

  test('every arrow of the table is used, as what it says', () => {
    const unused: string[] = [];
    for (const [from, rule] of Object.entries(mayImport)) {
      const ofRoom = arrows.filter((arrow) => arrow.from === from);
      for (const to of rule.values) {
        if (!ofRoom.some((arrow) => arrow.to === to && !arrow.isTypeOnly)) {
          unused.push(`${from} takes no values from ${to}`);
        }
      }
      for (const to of rule.types ?? []) {
        if (!ofRoom.some((arrow) => arrow.to === to)) unused.push(`${from} does not use ${to}`);
      }
    }
    expect(unused).toEqual([]);
  });

  test('values flow one way: no circle of rooms', () => {
    const next = new Map(Object.entries(mayImport).map(([room, { values }]) => [room, values]));
    expect(circles(next)).toEqual([]);
  });

  test('no circle of files, not even of types', () => {
    const next = new Map<string, string[]>();
    for (const { file, target } of imports) {
      next.set(file, [...(next.get(file) ?? []), target]);
    }
    expect(next.size).toBeGreaterThan(100);
    expect(circles(next)).toEqual([]);
  });

  test('a circle is found, and told whole', () => {
    const next = new Map([
      ['a', ['b', 'd']],
      ['b', ['c']],
      ['c', ['a']],
      ['d', ['b']],
    ]);
    expect(circles(next)).toEqual(['a -> b -> c -> a']);
  });

  test('every room is named here', () => {
    const rooms = new Set(files.map((file) => roomOf(relative(src, file))));
    rooms.delete('.');
    expect(Object.keys(mayImport).sort()).toEqual([...rooms].sort());
  });

  test('no folder shows more than a reader can take in', () => {
    const crowded = folders.filter((folder) => {
      const entries = readdirSync(join(src, folder)).filter((name) => !/\.test\.ts$/.test(name));
      return entries.length > (onePerCommand.includes(folder) ? 30 : mostEntries);
    });
    expect(crowded).toEqual([]);
  });

  test('every folder has a README', () => {
    for (const folder of folders) {
      expect(readdirSync(join(src, folder)), `src/${folder}`).toContain('README.md');
    }
  });
});

/** @returns each circle once, as `a -> b -> a` */
function circles(next: ReadonlyMap<string, readonly string[]>): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const walk = (node: string): void => {
    const start = path.indexOf(node);
    if (start >= 0) found.push([...path.slice(start), node].join(' -> '));
    if (start >= 0 || done.has(node)) return;
    path.push(node);
    for (const to of next.get(node) ?? []) walk(to);
    path.pop();
    done.add(node);
  };
  for (const node of next.keys()) walk(node);
  return found;
}
