import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { requirePackage } from './optional-package.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wayward-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** @returns the folder of an installation, with files beside it */
function installed(...files: readonly string[]): string {
  for (const file of files) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), '{}');
  }
  return join(folder, 'lib', 'node_modules', 'wayward');
}

const missing = (root: string): string => {
  try {
    requirePackage('onnxruntime-node', 'a network', root);
  } catch (error) {
    return (error as Error).message;
  }
  return '';
};

test('a package is found beside this one, in it, and above it', () => {
  for (const place of ['lib', 'lib/node_modules/wayward', '.']) {
    const root = installed(join(place, 'node_modules/onnxruntime-node/package.json'));
    expect(missing(root)).toBe('');
    rmSync(join(folder, place, 'node_modules/onnxruntime-node'), { recursive: true });
  }
});

test('a missing one is told with the command that adds it where it will be found', () => {
  expect(missing(installed())).toMatch(
    /^a network needs onnxruntime-node, .* npm install --global --ignore-scripts "onnxruntime-node@\^[\d.]+"$/,
  );
  expect(missing(installed('lib/package.json'))).toContain(`--prefix "${join(folder, 'lib')}"`);
  const checkout = join(folder, 'checkout');
  mkdirSync(checkout);
  expect(missing(checkout)).toContain(`--prefix "${checkout}"`);
});
