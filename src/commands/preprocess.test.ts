import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { wayward } from '../../test/wayward.ts';
import { UserError } from '../base/errors.ts';
import { silentLogger } from '../base/log.ts';
import type { BlockSource } from '../flow/blocks.ts';
import { CodeCache } from '../flow/code-cache.ts';
import { Fingerprint } from '../flow/fingerprint.ts';
import { ImageStore } from '../image/image-store.ts';
import { readMemoryMap } from '../image/maps/memory-map.ts';
import { openTraces } from '../trace/open-trace.ts';
import { ParsedTrace } from '../trace/parsed-trace.ts';
import { isSampleFolder, readSample } from '../trace/sample.ts';
import { transferNames } from '../x86/transfer.ts';
import { type PreprocessOptions, preprocess } from './preprocess.ts';
import { Decoding, preprocessSample } from './samples/preprocess.ts';

const corpus = fileURLToPath(new URL('../../examples/corpus', import.meta.url));
const main = fileURLToPath(new URL('../cli/main.ts', import.meta.url));
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
    const { regions } = await readMemoryMap(sample.map ?? '');
    const wanted = await blocksOf(raw.source);
    const read = await blocksOf(new ParsedTrace(sample.parsed ?? '', [regions]));
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

/** A fresh copy of one sample. @returns its folder */
function copied(name = names[0]): string {
  const folder = join(mkdtempSync(join(tmpdir(), 'wayward-')), name);
  cpSync(join(corpus, 'traces', name), folder, { recursive: true });
  return folder;
}

/** Of one sample here, without the cost of a process; of a root with processes. */
async function outcomes(folder: string, more: Partial<PreprocessOptions> = {}): Promise<string[]> {
  const all = { ...options, workers: 1, paths: [folder], ...more };
  if (!isSampleFolder(folder)) return (await preprocess(all, context)).map((r) => r.outcome);
  const decoding = new Decoding(all);
  const { outcome } = await preprocessSample(await readSample(folder, 'raw'), all, decoding);
  decoding.dispose();
  return [outcome];
}

const readStored = async (folder: string): Promise<number> => {
  const codeCache = new CodeCache();
  const traces = { images: new ImageStore([]), codeCache, preprocessed: true };
  const [{ source }] = await openTraces(await readSample(folder), traces);
  return (await source.run(() => {})).blocks;
};

describe('a stored trace is made again', () => {
  test('when the raw one changed, and no one reads it before', async () => {
    const folder = copied();
    expect(await outcomes(folder)).toEqual(['stored']);
    const blocks = await readStored(folder);
    const raw = join(folder, 'trace_0.gz');
    const bytes = gunzipSync(readFileSync(raw));
    // The same trace, packed otherwise, is the same.
    writeFileSync(raw, gzipSync(bytes, { level: 1 }));
    expect(await outcomes(folder)).toEqual(['present']);
    writeFileSync(raw, gzipSync(bytes.subarray(0, bytes.length >> 1)));
    await expect(readStored(folder)).rejects.toThrow(
      /trace_0\.gz or its memory map changed after trace_0\.wayward was made/,
    );
    expect(await outcomes(folder)).toEqual(['stored']);
    expect(await readStored(folder)).toBeLessThan(blocks);
  });

  test('when the memory map changed', async () => {
    const folder = copied();
    expect(await outcomes(folder)).toEqual(['stored']);
    appendFileSync(join(folder, 'mapping.txt'), '7ffff0000000-7ffff0001000 r--p 0 00:00 0\n');
    await expect(readStored(folder)).rejects.toThrow(/memory map changed/);
    expect(await outcomes(folder)).toEqual(['stored']);
  });

  test('when images that were missing are at hand', async () => {
    const folder = copied();
    const warnings: string[] = [];
    const log = { log: (_: string, text: string): void => void warnings.push(text) };
    await preprocess({ ...options, paths: [folder], binDirs: [] }, { ...context, log });
    expect(warnings).toContainEqual(expect.stringMatching(/^no --bin-dir holds .*\/tpic: code/));
    const without = await readStored(folder);
    expect(await outcomes(folder, { binDirs: [] })).toEqual(['present']);
    expect(await outcomes(folder)).toEqual(['stored']);
    expect(await readStored(folder)).toBeGreaterThan(without);
  });

  test('when it was cut off', async () => {
    const folder = copied();
    expect(await outcomes(folder)).toEqual(['stored']);
    const path = join(folder, 'trace_0.wayward');
    truncateSync(path, statSync(path).size - 9);
    expect(await outcomes(folder)).toEqual(['stored']);
    expect(await readStored(folder)).toBeGreaterThan(0);
  });
});

test.each(['wayward', 'ancestor'] as const)(
  'without partial ones no sample with gaps is stored as %s, and an older one goes',
  async (format) => {
    const folder = copied();
    const cut = { binDirs: [], format };
    expect(await outcomes(folder, cut)).toEqual(['stored']);
    const kept = readdirSync(folder);
    expect(await outcomes(folder, { ...cut, force: true, partial: false })).toEqual(['partial']);
    expect(kept.length).toBe(readdirSync(folder).length + 1);
    expect(await outcomes(folder, { format, partial: false })).toEqual(['stored']);
  },
);

test('an interrupt leaves nothing half-written', async () => {
  const folder = join(mkdtempSync(join(tmpdir(), 'wayward-')));
  for (const name of names)
    cpSync(join(corpus, 'traces', name), join(folder, name), { recursive: true });
  const stop = new AbortController();
  const progress = (): void => stop.abort(new Error('interrupted'));
  await expect(
    preprocess({ ...options, paths: [folder] }, { ...context, progress, signal: stop.signal }),
  ).rejects.toThrow('interrupted');
  const left = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  expect(left.filter((name) => name.endsWith('.part'))).toEqual([]);
  expect(await outcomes(folder)).toHaveLength(names.length);
});

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test('killed in the middle of a root, it leaves whole files only and goes on', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'wayward-'));
  const order = ['a', 'b', 'c', 'd'];
  for (const [i, name] of order.entries())
    cpSync(join(corpus, 'traces', names[i] ?? ''), join(folder, name), { recursive: true });
  // One that takes long enough to be met while it is written.
  const long = join(folder, 'c', 'trace_0.gz');
  const bytes = gunzipSync(readFileSync(long));
  const times = Math.ceil((24 << 20) / bytes.length);
  writeFileSync(long, gzipSync(Buffer.concat(Array(times).fill(bytes)), { level: 1 }));
  const list = (end: string): string[] =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith(end));
  const words = ['preprocess', folder, '--bin-dir', options.binDirs[0] ?? '', '--threads', '1'];
  const child = spawn(process.execPath, [main, ...words], { stdio: 'ignore' });
  await vi.waitUntil(() => list('.part').some((name) => name.startsWith('c')), {
    timeout: 20_000,
    interval: 2,
  });
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(list('.wayward').sort()).toEqual(['a/trace_0.wayward', 'b/trace_0.wayward']);
  const [part = ''] = list('.part');
  // Its process ends by itself when the one that started it is gone.
  const pid = Number(/-(\d+)-/.exec(part)?.[1]);
  await vi.waitUntil(() => !isRunning(pid), { timeout: 10_000 });
  for (const name of ['a', 'b']) expect(await readStored(join(folder, name))).toBeGreaterThan(0);
  expect(await outcomes(folder)).toEqual(['present', 'present', 'stored', 'stored']);
  expect(list('.part')).toEqual([]);
}, 60_000);

test("the older tools' form takes the images' folder as second argument", async () => {
  const folder = copied();
  const words = ['preprocess', folder, options.binDirs[0] ?? '', '--json'];
  const { status, stdout } = await wayward(words);
  expect(status).toBe(0);
  expect(JSON.parse(stdout).samples).toEqual([
    expect.objectContaining({ outcome: 'stored', name: names[0], gaps: 0 }),
  ]);
});

test('a folder without samples is an error', async () => {
  const empty = mkdtempSync(join(tmpdir(), 'wayward-'));
  await expect(preprocess({ ...options, paths: [empty] }, context)).rejects.toThrow(UserError);
});

test('evaluations made from stored traces are those made from raw ones', async () => {
  const samples = mkdtempSync(join(tmpdir(), 'wayward-'));
  const nominal = readdirSync(join(corpus, 'traces')).filter((name) =>
    readFileSync(join(corpus, 'traces', name, 'info.txt'), 'utf8').includes('benign'),
  );
  for (const name of nominal.slice(0, 5))
    cpSync(join(corpus, 'traces', name), join(samples, name), { recursive: true });
  const run = async (...words: string[]): Promise<void> => {
    const { status, stderr } = await wayward([...words, '--bin-dir', options.binDirs[0] ?? '']);
    expect([status, status === 0 ? '' : stderr]).toEqual([0, '']);
  };
  const evaluations = async (preprocessed: boolean): Promise<Record<string, string>> => {
    const out = mkdtempSync(join(tmpdir(), 'wayward-'));
    const sets = ['--train-size', '3', '--test-size-benign', '1', '--test-size-malicious', '0'];
    const flags = preprocessed ? ['-p'] : [];
    const places = ['--out', out, '--eval-dir', out];
    await run('learn', samples, '--model', 'ngram', ...sets, ...places, ...flags);
    return Object.fromEntries(
      readdirSync(out)
        .filter((name) => name.endsWith('.eval'))
        .map((name) => [name, readFileSync(join(out, name)).toString('base64')]),
    );
  };
  const raw = await evaluations(false);
  await run('preprocess', samples);
  expect(Object.keys(raw)).toHaveLength(2);
  expect(await evaluations(true)).toEqual(raw);
}, 60_000);
