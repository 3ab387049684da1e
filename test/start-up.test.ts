import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const main = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url));
const counter = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module';
  const loaded = [];
  registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) });
  process.on('exit', () => process.stderr.write('\\n' + JSON.stringify(loaded)));
`)}`;

/** @returns what a command line loads before it has found out that it has nothing to do */
function loadedBy(...words: readonly string[]): {
  files: string[];
  packages: Set<string>;
  builtins: string[];
} {
  const { stderr } = spawnSync(process.execPath, ['--import', counter, main, ...words], {
    encoding: 'utf8',
  });
  const urls = JSON.parse(stderr.slice(stderr.lastIndexOf('\n') + 1)) as string[];
  return {
    files: urls.filter((url) => /\/src\//.test(url)),
    builtins: urls.filter((url) => url.startsWith('node:')),
    packages: new Set(urls.flatMap((url) => /node_modules\/([\w-]+)/.exec(url)?.[1] ?? [])),
  };
}

// Times depend on the machine; what is loaded does not, and is what they come from.
test.each([['--version'], ['--help'], ['lern'], ['help', 'exit-codes']])(
  '%s loads the frame only',
  (...words) => {
    const { files, packages } = loadedBy(...words);
    expect([...packages]).toEqual([]);
    expect(files.length).toBeLessThanOrEqual(30);
    expect(files.filter((url) => url.includes('/src/commands/'))).toEqual([]);
  },
);

/** Packages that take long to load, and are for those who ask for what needs them. */
const heavy = [
  ...['onnxruntime-node', 'h5wasm', 'bullmq', 'redis', 'resvg', 'libsvm-js'],
  ...['d3-scale', 'fast-png', 'cli-progress', 'gecko-profiler-demangle'],
];

test.each([
  ['inspect', '/nowhere'],
  ['record', '--', '/nowhere'],
  ['learn', '/nowhere'],
  ['judge', '/nowhere', '/nowhere'],
  ['guard', '/nowhere', '--', '/nowhere'],
])('%s loads no package that it may never need', (...words) => {
  const { files, packages, builtins } = loadedBy(...words);
  expect(files.length).toBeGreaterThan(50);
  expect(heavy.filter((name) => packages.has(name))).toEqual([]);
  expect(builtins).toContain('node:fs');
  // With it comes all of `fetch`.
  expect(builtins).not.toContain('node:http');
});
