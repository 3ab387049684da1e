import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import { UserError } from '../base/errors.ts';
import { silentLogger } from '../base/log.ts';
import type { BlockSource } from '../flow/blocks.ts';
import { CodeCache } from '../flow/code-cache.ts';
import { Fingerprint } from '../flow/fingerprint.ts';
import { ImageStore } from '../image/image-store.ts';
import { readMemoryMap } from '../image/memory-map.ts';
import { openTraces } from '../trace/open-trace.ts';
import { ParsedTrace } from '../trace/parsed-trace.ts';
import { readSample } from '../trace/sample.ts';
import { transferNames } from '../x86/transfer.ts';
import { type PreprocessOptions, preprocess } from './preprocess.ts';

const corpus = fileURLToPath(new URL('../../examples/corpus', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'wayward-'));
const names = readdirSync(join(corpus, 'traces'))
  .filter((_, i) => i % 40 === 0)
  .slice(0, 4);
const options: PreprocessOptions = {
  paths: [root],
  binDirs: [join(corpus, 'bin')],
  rawImages: false,
  format: 'wayward',
  force: false,
  timeout: undefined,
  partial: true,
  workers: 2,
};
const context = { log: silentLogger, progress: (): void => {} };

beforeAll(() => {
  for (const name of names)
    cpSync(join(corpus, 'traces', name), join(root, name), { recursive: true });
});

/** Everything that a consumer sees of a sample's only trace, and the fingerprint. */
async function contents(name: string, preprocessed: boolean) {
  const images = new ImageStore(options.binDirs);
  const codeCache = new CodeCache();
  const sample = await readSample(join(root, name));
  const [{ source, space }] = await openTraces(sample, { images, codeCache, preprocessed });
  const fingerprint = new Fingerprint(source.blocks);
  const batches: unknown[] = [];
  const summary = await source.run((batch) => {
    fingerprint.add(batch);
    batches.push([batch.entries.slice(0, batch.length), batch.traceOffset, batch.time]);
  });
  const { modules } = source.blocks;
  codeCache.dispose();
  return {
    hash: fingerprint.value,
    instructions: fingerprint.instructions,
    batches,
    summary,
    modules: modules.map(({ path, name: short, base }) => [path, short, base]),
    marks: source.marks,
    sections: space?.sections.length,
  };
}

test('stored traces are the raw ones; a second run finds them, and remakes what is missing', async () => {
  const first = await preprocess(options, context);
  expect(first.map(({ outcome }) => outcome)).toEqual(names.map(() => 'stored'));
  for (const name of names) expect(await contents(name, true)).toEqual(await contents(name, false));
  rmSync(join(root, names[0], 'trace_0.wayward'));
  const second = await preprocess(options, context);
  expect(second.map(({ outcome }) => outcome)).toEqual(
    names.map((_, i) => (i === 0 ? 'stored' : 'present')),
  );
  expect(readdirSync(root, { recursive: true }).filter((n) => String(n).endsWith('.part'))).toEqual(
    [],
  );
});

/** Blocks between marks, without the last one before each mark: its transfer went nowhere known. */
async function blocksOf(source: BlockSource): Promise<string[]> {
  const found: string[] = [];
  let last = '';
  await source.run(({ entries, length }) => {
    for (const entry of entries.subarray(0, length)) {
      if (entry < 0) {
        if (found.at(-1) !== 'gap') found.push('gap');
        last = '';
        continue;
      }
      if (last !== '') found.push(last);
      const { module, modules, offset, kind } = source.blocks;
      last = `${modules[module[entry]]?.path ?? ''}+${offset[entry]} ${transferNames[kind[entry]]}`;
    }
  });
  return found;
}

test("the ancestor's format holds the same blocks, with the same transfers", async () => {
  await preprocess({ ...options, format: 'ancestor' }, context);
  for (const name of names) {
    const sample = await readSample(join(root, name));
    const codeCache = new CodeCache();
    const images = new ImageStore(options.binDirs);
    const [raw] = await openTraces(sample, { images, codeCache, preprocessed: false });
    const map = await readMemoryMap(sample.map ?? '');
    const wanted = await blocksOf(raw.source);
    const read = await blocksOf(new ParsedTrace(sample.parsed ?? '', map));
    // The first difference says more than two long lists.
    const at = wanted.findIndex((block, i) => block !== read[i]);
    expect(read.slice(at, at + 3)).toEqual(wanted.slice(at, at + 3));
    expect(read.length).toBe(wanted.length);
    codeCache.dispose();
  }
});

test('a sample that is not done in time is told and leaves nothing', async () => {
  const [result] = await preprocess(
    { ...options, paths: [join(root, names[0])], force: true, timeout: 1e-6 },
    context,
  );
  expect([result.outcome, result.reason]).toEqual([
    'failed',
    expect.stringContaining('was not decoded in'),
  ]);
});

test('a folder without samples is an error', async () => {
  const empty = mkdtempSync(join(tmpdir(), 'wayward-'));
  await expect(preprocess({ ...options, paths: [empty] }, context)).rejects.toThrow(UserError);
});

test('evaluations made from stored traces are those made from raw ones', () => {
  const main = fileURLToPath(new URL('../cli/main.ts', import.meta.url));
  const samples = mkdtempSync(join(tmpdir(), 'wayward-'));
  const nominal = readdirSync(join(corpus, 'traces')).filter((name) =>
    readFileSync(join(corpus, 'traces', name, 'info.txt'), 'utf8').includes('benign'),
  );
  for (const name of nominal.slice(0, 6))
    cpSync(join(corpus, 'traces', name), join(samples, name), { recursive: true });
  const run = (...words: string[]): void => {
    const { status, stderr } = spawnSync(
      process.execPath,
      [main, ...words, '--bin-dir', options.binDirs[0]],
      { encoding: 'utf8' },
    );
    expect([status, status === 0 ? '' : stderr]).toEqual([0, '']);
  };
  const evaluations = (preprocessed: boolean): Record<string, string> => {
    const out = mkdtempSync(join(tmpdir(), 'wayward-'));
    const sets = ['--train-size', '3', '--test-size-benign', '2', '--test-size-malicious', '0'];
    const flags = preprocessed ? ['-p'] : [];
    run('learn', samples, '--model', 'ngram', ...sets, '--out', out, '--eval-dir', out, ...flags);
    return Object.fromEntries(
      readdirSync(out)
        .filter((name) => name.endsWith('.eval'))
        .map((name) => [name, readFileSync(join(out, name)).toString('base64')]),
    );
  };
  const raw = evaluations(false);
  run('preprocess', samples);
  expect(Object.keys(raw)).toHaveLength(3);
  expect(evaluations(true)).toEqual(raw);
}, 30_000);
