import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { hasTool } from './compiled.ts';
import { undescribed, violations } from './json-schema.ts';
import { publishedSchema } from './published-schema.ts';
import { writeTinyCorpus } from './tiny-corpus.ts';
import { wayward } from './wayward.ts';

const corpus = fileURLToPath(new URL('../examples/corpus', import.meta.url));
const sample = join(corpus, 'traces', 'damaged-train-000');
const images = ['--bin-dir', join(corpus, 'bin')];
const out = mkdtempSync(join(tmpdir(), 'wayward-documents-'));
const nominal = writeTinyCorpus(24, 0);
const mixed = writeTinyCorpus(3, 3);
/** Schemas that a document was held to. */
const used = new Set<string>(['report']);

afterAll(() => {
  for (const folder of [out, nominal, mixed]) rmSync(folder, { recursive: true, force: true });
});

async function run(...[command = '', ...rest]: readonly string[]): Promise<string> {
  const { stdout, stderr } = await wayward([command, '--json', ...rest]);
  expect(stdout, stderr).not.toBe('');
  return stdout;
}

/** Runs a command and holds the document that it prints to its schema, in both directions. */
async function documentOf(name: string, ...words: string[]): Promise<Record<string, unknown>> {
  const document = JSON.parse(await run(...words)) as Record<string, unknown>;
  hold(name, document);
  return document;
}

function hold(name: string, document: unknown): void {
  const schema = publishedSchema(name);
  expect(violations(schema, document), name).toEqual([]);
  expect(undescribed(schema, document), name).toEqual([]);
  used.add(name);
}

async function holdLines(name: string, ...words: string[]): Promise<void> {
  const lines = (await run(...words)).trim().split('\n');
  expect(lines.length).toBeGreaterThan(1);
  for (const line of lines) hold(name, JSON.parse(line));
}

test('what learn, judge, classify, report, cluster and accept print is what their schemas say', async () => {
  const learned = await documentOf('learn', 'learn', nominal, '-p', '--out', out);
  const folder = String(learned.folder);
  const judged = await documentOf('judge', 'judge', folder, mixed, '-p', '--out', out);
  const samples = judged.samples as { verdict: string; detail: { patches: unknown[] } | null }[];
  expect(samples).toHaveLength(6);
  for (const { verdict, detail } of samples) {
    if (verdict === 'nominal') expect(detail).toBeNull();
    else expect(detail?.patches.length).toBeGreaterThan(0);
  }
  await documentOf('report', 'classify', String(judged.run));
  await documentOf('report-page', 'report', folder, '-o', join(out, 'page.html'));
  const only = ['--only', 'm000', '-o', join(out, 'alarm.html')];
  const page = await documentOf('report-page', 'report', String(judged.run), ...only);
  expect(page.verdict).toBe('anomalous');
  await documentOf('cluster', 'cluster', '--train', String(judged.run), '--vector', 'classes');
  const accepted = join(out, 'accepted.wayward');
  await documentOf(
    'accept',
    'accept',
    String(learned.profile),
    join(mixed, 'b000'),
    '-p',
    '-o',
    accepted,
  );
}, 300_000);

test('what inspect and export print is what their schemas say', async () => {
  await documentOf('inspect', 'inspect', sample, ...images, '--hash');
  const few = ['--limit', '50'];
  await holdLines('inspect-block', 'inspect', sample, ...images, '--blocks', ...few);
  await holdLines('inspect-transfer', 'inspect', sample, ...images, '--transfers', ...few);
  await holdLines('inspect-packet', 'inspect', sample, '--packets', ...few);
  const file = join(out, 'folded');
  await documentOf('export', 'export', sample, ...images, '--format', 'folded', '--out', file);
}, 60_000);

test('what preprocess, sets, stats, novelty and doctor print is what their schemas say', async () => {
  const root = join(out, 'copied');
  mkdirSync(root);
  cpSync(sample, join(root, 'one'), { recursive: true });
  await documentOf('preprocess', 'preprocess', root, ...images);
  const sets = join(out, 'sets.txt');
  const sizes = ['--train-size', '2', '--test-size-benign', '1', '--test-size-malicious', '1'];
  cpSync(join(mixed, 'b000'), join(mixed, 'b000-again'), { recursive: true });
  const made = await documentOf('sets', 'sets', 'make', mixed, sets, '-p', ...sizes);
  expect(made.duplicates).toHaveLength(1);
  await documentOf('sets', 'sets', 'show', sets);
  await documentOf('sets', 'sets', 'check', sets, '-p');
  await documentOf('stats', 'stats', mixed, '-p');
  await documentOf('novelty', 'novelty', sets, '-p');
  await documentOf('doctor', 'doctor');
}, 60_000);

test.skipIf(!hasTool('qemu-x86_64'))(
  'what record prints is what its schemas say',
  async () => {
    await documentOf('record', 'record', '--out', join(out, 'recorded'), '--', '/bin/true');
    const inputs = join(out, 'inputs');
    mkdirSync(inputs);
    for (const name of ['a', 'b']) writeFileSync(join(inputs, name), name);
    const words = ['--input-dir', inputs, '--out', join(out, 'many'), '--', '/bin/cat', '{}'];
    await documentOf('record-inputs', 'record', ...words);
  },
  60_000,
);

test('what demo prints is what its schema says', async () => {
  const split = JSON.parse(readFileSync(join(corpus, 'split.json'), 'utf8')) as Split;
  const few = join(out, 'few');
  mkdirSync(few);
  for (const part of ['traces', 'bin']) symlinkSync(join(corpus, part), join(few, part));
  const less = {
    ...split,
    test: split.test.slice(0, 1),
    controls: [],
    attacks: split.attacks.slice(0, 1),
  };
  writeFileSync(join(few, 'split.json'), JSON.stringify(less));
  const sizes = ['--train-size', '2', '--calibration-size', '2', '--fpr', '0.4'];
  await documentOf('demo', 'demo', '--corpus', few, '--model', 'ngram', '--out', out, ...sizes);
}, 300_000);

interface Split {
  readonly test: readonly string[];
  readonly attacks: readonly string[];
}

test('every schema is held to a document here, or says who does', () => {
  const elsewhere: Record<string, string> = {
    import: 'src/commands/import.test.ts',
    error: 'src/cli/frame/failure.test.ts',
    'guard-event': 'src/commands/guard.test.ts',
    'wayward.config': 'src/cli/manual/config-schema.test.ts',
    ...(used.has('record') ? {} : { record: 'skipped', 'record-inputs': 'skipped' }),
  };
  const published = readdirSync(new URL('../docs/schemas', import.meta.url))
    .map((name) => name.replace('.schema.json', ''))
    .filter((name) => !(name in elsewhere));
  expect(published.sort()).toEqual([...used].sort());
});
