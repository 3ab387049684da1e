import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { undescribed, violations } from '../../test/json-schema.ts';
import { PerfDataWriter, type When } from '../../test/perf-data.ts';
import { publishedSchema } from '../../test/published-schema.ts';
import { PtEncoder } from '../pt/encoder.ts';
import { importRecordings } from './import.ts';

const folder = mkdtempSync(join(tmpdir(), 'wayward-import-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Given as a folder of images: bare code, which lies where a recording says, is not taken from there. */
const images = join(folder, 'images');
mkdirSync(images);
const program = join(images, 'loop');
writeFileSync(program, Buffer.from([0x74, 0xfe, 0xc3]));
const when: When = { pid: 7, tid: 7, time: 5000n, cpu: 0 };

/** A recording of `loop`, whose file is at hand. */
function recording(name: string): string {
  const parts: Uint8Array[] = [];
  const sink = (bytes: Uint8Array): void => void parts.push(bytes);
  const encoder = new PtEncoder(sink, { bitness: 64, compressReturns: true });
  encoder.enable(0x1000);
  for (let i = 0; i < 600; i++) encoder.branch(i % 3 > 0);
  encoder.disable();
  encoder.finish();
  const trace = Buffer.concat(parts);
  const writer = new PerfDataWriter();
  writer.comm(7, 7, 'loop', when, true);
  writer.mmap2(7, 0x1000, 0x1000, 0, program, when);
  writer.aux(0, trace.length, 0, when);
  writer.auxtrace(0, 7, -1, 0, trace);
  const path = join(folder, name);
  writeFileSync(path, writer.finish());
  return path;
}

const branches = ` loop  7/7  1.0: PERF_RECORD_MMAP2 7/7: [0x1000(0x1000) @ 0 08:01 1 0]: r-xp ${program}
 loop  7/7  1.0: branches:   jcc   1000 =>   1000
`;

interface Case {
  readonly files: string[];
  readonly isPerfScript?: boolean;
  readonly comm?: string;
}

async function importTo(name: string, options: Case): Promise<string> {
  const root = join(folder, name);
  const label = 'benign' as const;
  await importRecordings({ root, binDirs: [images], label, ...options }).catch(() => {});
  return root;
}

test('an import of which no sample comes leaves nothing behind', async () => {
  const data = recording('a.data');
  const text = join(folder, 'branches.txt');
  writeFileSync(text, branches);
  const damaged = join(folder, 'damaged.txt');
  // The first process is mapped, the second is not: the whole file is refused.
  writeFileSync(damaged, `${branches} x  8/8  1.1: branches:   jmp   2000 =>   2000\n`);
  const none = join(folder, 'none.data');
  const cases: Case[] = [
    { files: [] },
    { files: [none] },
    { files: [program] },
    { files: [data], comm: 'other' },
    { files: [text], isPerfScript: true, comm: 'other' },
    { files: [damaged], isPerfScript: true },
    { files: [damaged, none], isPerfScript: true },
  ];
  for (const [i, options] of cases.entries()) {
    const root = await importTo(`nothing${i}`, options);
    expect(existsSync(root), JSON.stringify(options)).toBe(false);
  }
});

test('without the files that ran there is a sample with gaps, and no folder of images', async () => {
  const text = join(folder, 'elsewhere.txt');
  writeFileSync(text, branches.replaceAll(program, '/nowhere/loop'));
  const root = join(folder, 'elsewhere');
  const options = { root, binDirs: [], label: 'benign' as const, files: [text] };
  const results = await importRecordings({ ...options, isPerfScript: true });
  const [result] = results;
  // As import --json prints it.
  const schema = publishedSchema('import');
  const document = JSON.parse(JSON.stringify({ schemaVersion: 1, results })) as unknown;
  expect(violations(schema, document)).toEqual([]);
  expect(undescribed(schema, document)).toEqual([]);
  expect(result?.imported?.missing.map(({ path }) => path)).toEqual(['/nowhere/loop']);
  expect(readdirSync(root)).toEqual(['traces']);
  expect(readdirSync(join(root, 'traces'))).toHaveLength(1);
});

test('what was there before stays, and images of samples that came about', async () => {
  const data = recording('b.data');
  const root = await importTo('some', { files: [data] });
  expect(readdirSync(join(root, 'traces'))).toHaveLength(1);
  expect(readdirSync(join(root, 'bin'))).toEqual(['loop']);
  // The sample is there already, so no other one is made, and its image stays.
  await importTo('some', { files: [data] });
  await importTo('some', { files: [data], comm: 'other' });
  expect(readdirSync(join(root, 'bin'))).toEqual(['loop']);
  expect(readdirSync(join(root, 'traces'))).toHaveLength(1);
});

test('a recording does not have files copied that are no programs', async () => {
  const secret = join(folder, 'id_ed25519');
  writeFileSync(secret, '-----BEGIN OPENSSH PRIVATE KEY-----\n');
  const text = join(folder, 'curious.txt');
  writeFileSync(text, branches.replaceAll(program, secret));
  const root = join(folder, 'curious');
  const options = { root, binDirs: [], label: 'benign' as const, files: [text] };
  const [result] = await importRecordings({ ...options, isPerfScript: true });
  expect(result?.imported?.missing).toEqual([
    { path: secret, why: 'what is there is no program or library (neither ELF nor PE)' },
  ]);
  expect(readdirSync(root)).toEqual(['traces']);
});
