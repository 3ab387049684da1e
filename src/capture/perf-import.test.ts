import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PerfDataWriter, type When } from '../../test/perf-data.ts';
import { ourBranches, perfBranches } from '../../test/perf-judge.ts';
import { ImageCollection } from './image-collection.ts';
import { PerfImages } from './perf-images.ts';
import { importPerf, type PerfImported } from './perf-import.ts';
import { record } from './record.ts';

const canRecord = existsSync('/usr/bin/qemu-x86_64') && existsSync('/usr/bin/cc');
const hasPerf = existsSync('/usr/bin/perf');
let folder = '';
let count = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wayward-perf-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function importBytes(
  bytes: Buffer,
): Promise<{ imported: PerfImported; file: string; root: string }> {
  const root = join(folder, String(count++));
  const file = `${root}.data`;
  await writeFile(file, bytes);
  const imported = await importPerf({
    path: file,
    out: root,
    name: 'sample',
    label: 'benign',
    images: new PerfImages({ binDirs: [], buildIdDir: undefined }),
    collection: new ImageCollection(join(root, 'bin')),
  });
  return { imported, file, root };
}

/** Every thread's branches are those that perf finds. @returns how many there are */
async function expectAgreement(bytes: Buffer): Promise<number[]> {
  const { imported, file, root } = await importBytes(bytes);
  const theirs = await perfBranches(file, join(folder, 'home'));
  const counts: number[] = [];
  for (const { tid, folder: sample } of imported.threads) {
    expect(sample).toBeDefined();
    const ours = await ourBranches(sample ?? '', join(root, 'bin'));
    expect(ours.branches).toEqual(theirs.get(tid)?.branches);
    counts.push(ours.branches.length);
  }
  return counts;
}

interface Mapping {
  readonly start: number;
  readonly end: number;
  readonly offset: number;
  readonly path: string;
}

async function codeOf(sample: string): Promise<Mapping[]> {
  const text = await readFile(join(sample, 'mapping.txt'), 'utf8');
  return [...text.matchAll(/^(\w+)-(\w+) ..x. (\w+) \S+ \S+ (\/.*)$/gm)].map(
    ([, start = '', end = '', offset = '', path = '']) => ({
      start: Number.parseInt(start, 16),
      end: Number.parseInt(end, 16),
      offset: Number.parseInt(offset, 16),
      path,
    }),
  );
}

describe.skipIf(!canRecord || !hasPerf)('import of perf.data', () => {
  it.each([true, false])('agrees with perf on one thread, return compression %s', async (on) => {
    const sample = join(folder, `true-${on}`);
    await record({
      command: '/bin/true',
      args: [],
      label: 'benign',
      name: 'true',
      out: sample,
      compressReturns: on,
    });
    const trace = gunzipSync(await readFile(join(sample, 'trace_0.gz')));
    const when: When = { pid: 100, tid: 100, time: 1000n, cpu: 0 };
    const writer = new PerfDataWriter({ config: on ? 1 : 0x801 });
    writer.comm(100, 100, 'true', when, true);
    for (const { start, end, offset, path } of await codeOf(sample)) {
      writer.mmap2(100, start, end - start, offset, path, when);
    }
    writer.itraceStart(100, 100, when);
    writer.aux(0, trace.length, 0, { ...when, time: 2000n });
    writer.auxtrace(0, 100, -1, 0, trace);
    writer.exit(100, 100, { ...when, time: 3000n });
    const [branches] = await expectAgreement(writer.finish());
    expect(branches).toBeGreaterThan(5000);
  });
});
