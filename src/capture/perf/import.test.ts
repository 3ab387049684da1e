import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  controlFlow,
  type PerfDataOptions,
  PerfDataWriter,
  perfTime,
  tscBit,
  type When,
} from '../../../test/perf-data.ts';
import { type Branches, ourBranches, perfBranches } from '../../../test/perf-judge.ts';
import { type Execution, executionsOf, PtProcessor } from '../../../test/pt-machine.ts';
import {
  type Mapping,
  type Process,
  type ScheduleOptions,
  schedule,
} from '../../../test/pt-schedule.ts';
import { elfBuildId } from '../../image/files/build-id.ts';
import { Transfer } from '../../x86/transfer.ts';
import { ImageCollection } from '../image-collection.ts';
import { record } from '../record.ts';
import { PerfImages } from './images.ts';
import { importPerf, type PerfImported, type PerfImportOptions } from './import.ts';
import { importPerfScript } from './script/import.ts';

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
  images: PerfImages = new PerfImages({ binDirs: [], buildIdDir: undefined }),
  importOne: (options: PerfImportOptions) => Promise<PerfImported> = importPerf,
): Promise<{ imported: PerfImported; file: string; root: string }> {
  const root = join(folder, String(count++));
  const file = `${root}.data`;
  await writeFile(file, bytes);
  const imported = await importOne({
    path: file,
    out: root,
    name: 'sample',
    label: 'benign',
    images,
    collection: new ImageCollection(join(root, 'bin')),
  });
  return { imported, file, root };
}

/** Every thread's branches are those that perf finds. @returns what we found */
async function expectAgreement(bytes: Buffer): Promise<Branches[]> {
  const { imported, file, root } = await importBytes(bytes);
  const theirs = await perfBranches(file, join(folder, 'home'));
  const decoded: Branches[] = [];
  for (const { tid, folder: sample } of imported.threads) {
    expect(sample).toBeDefined();
    const ours = await ourBranches(sample ?? '', join(root, 'bin'));
    expect(ours.branches).toEqual(theirs.get(tid)?.branches);
    decoded.push(ours);
  }
  return decoded;
}

const plain: ScheduleOptions = {
  cpus: 2,
  seed: 1,
  stamps: 'tsc',
  compressReturns: true,
  switches: 3,
};

function mapAll(writer: PerfDataWriter, { pid, mappings }: Process, when: When): void {
  for (const { start, end, offset, path, buildId } of mappings) {
    writer.mmap2(pid, start, end - start, offset, path, when, buildId);
  }
}

/** Branches that a thread took, system calls among them. */
function branchCount({ start, end, kind }: Execution): number {
  let count = 0;
  for (let i = 0; i < kind.length; i++) {
    const isLast = i + 1 === kind.length;
    if (kind[i] === Transfer.syscall) count++;
    else if (!isLast && (kind[i] !== Transfer.jcc || start[i + 1] !== end[i])) count++;
  }
  return count;
}

function descending(a: number, b: number): number {
  return b - a;
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

const threadsSource = `
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
typedef int (*op)(int);
static int twice(int x) { return 2 * x; }
static int next(int x) { return x + 1; }
static int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
static op ops[] = {twice, next, fib};
static void *work(void *arg) {
  long id = (long)arg;
  volatile int sum = 0;
  char text[32];
  for (int i = 0; i < 40; i++) {
    sum += ops[(i + id) % 3](i % 9);
    int n = snprintf(text, sizeof text, "%d %ld", sum, id);
    if (write(-1, text, n) < 0) sum++;
    if (i % 3 == id) getppid();
  }
  return 0;
}
int main(void) {
  pthread_t t[3];
  for (long i = 0; i < 3; i++) pthread_create(&t[i], 0, work, (void *)i);
  work((void *)3);
  for (int i = 0; i < 3; i++) pthread_join(t[i], 0);
}
`;

describe.skipIf(!canRecord || !hasPerf)('import of perf.data', () => {
  let threads: Process;
  let single: Process;
  let singleTrace: Buffer;

  beforeAll(async () => {
    const source = join(folder, 'threads.c');
    await writeFile(source, threadsSource);
    execFileSync('cc', ['-O1', '-pthread', '-o', join(folder, 'threads'), source]);
    const processOf = async (command: string, pid: number): Promise<Process> => {
      const comm = basename(command);
      const out = join(folder, 'recorded', comm);
      const binDir = join(folder, 'bin');
      await record({ command, args: [], label: 'benign', name: comm, out, binDir });
      return { pid, comm, mappings: await codeOf(out), threads: await executionsOf(out, binDir) };
    };
    threads = await processOf(join(folder, 'threads'), 4000);
    single = await processOf('/bin/true', 100);
    singleTrace = gunzipSync(await readFile(join(folder, 'recorded/true/trace_0.gz')));
  });

  /** One thread's own buffer, without any time. */
  function perThread(options: PerfDataOptions): Buffer {
    const when: When = { pid: 100, tid: 100, time: 1000n, cpu: 0 };
    const writer = new PerfDataWriter(options);
    writer.comm(100, 100, 'true', when, true);
    mapAll(writer, single, when);
    writer.itraceStart(100, 100, when);
    writer.aux(0, singleTrace.length, 0, { ...when, time: 2000n });
    writer.auxtrace(0, 100, -1, 0, singleTrace);
    writer.exit(100, 100, { ...when, time: 3000n });
    return writer.finish();
  }

  it('agrees with perf on one thread, and reads the same from a pipe', async () => {
    const [thread] = await expectAgreement(perThread({}));
    expect(thread.branches.length).toBeGreaterThan(5000);
    expect(thread.problems).toEqual([]);
    const { imported, root } = await importBytes(perThread({ isPipe: true }));
    const [{ folder: sample }] = imported.threads;
    expect(await ourBranches(sample ?? '', join(root, 'bin'))).toEqual(thread);
  });

  it.each<Partial<ScheduleOptions>>([
    { cpus: 1, switches: 2 },
    { cpus: 1, switches: 3, compressReturns: false },
    { cpus: 3, switches: 3, stamps: 'mtc' },
    { cpus: 2, switches: 2, stamps: 'mtc', compressReturns: false },
    { cpus: 3, switches: 3, isSystemWide: true },
    { cpus: 2, switches: 3, chunkBytes: 333 },
  ])('cuts the trace of processors into threads as perf does: %o', async (options) => {
    const bytes = schedule([threads, single], { ...plain, ...options });
    const decoded = await expectAgreement(bytes);
    expect(decoded.map(({ problems }) => problems)).toEqual([[], [], [], [], []]);
    // Nothing is missing, either.
    const executed = [...threads.threads, ...single.threads].map(branchCount);
    expect(decoded.map(({ branches }) => branches.length).sort(descending)).toEqual(
      executed.sort(descending),
    );
  });

  // Perf would need the kernel's code to follow.
  it.each<Partial<ScheduleOptions>>([
    { compressReturns: false },
    { compressReturns: true, stamps: 'mtc', cpus: 3, isSystemWide: true },
  ])('leaves out the kernel where it was traced, too: %o', async (options) => {
    const kernel = schedule([threads], { ...plain, ...options, tracesKernel: true });
    const { imported, root } = await importBytes(kernel);
    expect(imported.threads).toHaveLength(threads.threads.length);
    for (const { tid, folder: sample } of imported.threads) {
      const { branches, problems } = await ourBranches(sample ?? '', join(root, 'bin'));
      expect(problems).toEqual([]);
      expect(branches).toHaveLength(branchCount(threads.threads[tid - threads.pid]));
    }
  });

  it.each<Partial<ScheduleOptions>>([
    { overflows: 25, stamps: 'mtc' },
    { truncations: 20 },
    { truncations: 20, overflows: 20, switches: 2, cpus: 3 },
  ])('agrees with perf where packets or data were lost: %o', async (options) => {
    const bytes = schedule([threads], { ...plain, compressReturns: false, ...options });
    const decoded = await expectAgreement(bytes);
    const gaps = decoded.flatMap(({ problems }) => problems);
    expect(gaps.length).toBeGreaterThan(3);
    for (const gap of gaps) expect(gap).toMatch(/^overflow/);
  });

  // Perf follows the calls of all threads of a processor, a thread's own trace has its own calls only.
  it('shows a gap and no wrong branch where a return needs calls that were lost', async () => {
    const bytes = schedule([threads], { ...plain, truncations: 20, overflows: 20 });
    const { imported, file, root } = await importBytes(bytes);
    const theirs = await perfBranches(file, join(folder, 'home'));
    for (const { tid, folder: sample } of imported.threads) {
      const { branches, problems } = await ourBranches(sample ?? '', join(root, 'bin'));
      for (const problem of problems) expect(problem).toMatch(/^(overflow|mismatch)/);
      const expected = theirs.get(tid)?.branches ?? [];
      let at = 0;
      for (const branch of branches) at = expected.indexOf(branch, at) + 1 || Number.NaN;
      expect(at).toBeGreaterThanOrEqual(branches.length);
      expect(branches.length / expected.length).toBeGreaterThan(0.3);
    }
  });

  it('joins snapshots that overlap, and shows what is missing between others', async () => {
    const [execution] = threads.threads;
    const processor = new PtProcessor(100_000, 'tsc', false);
    const ends = [0];
    for (let from = 0; from < execution.start.length; from += 70) {
      processor.run(execution, from, Math.min(execution.start.length, from + 70));
      ends.push(processor.total);
      processor.wait(2000);
    }
    const trace = processor.finish();
    const n = trace.length;
    const write = (parts: readonly (readonly [number, number])[]): Buffer => {
      const writer = new PerfDataWriter({ config: controlFlow | tscBit | 0x800, isSnapshot: true });
      const when: When = { pid: 4000, tid: 4000, time: perfTime(1000), cpu: 0 };
      writer.comm(4000, 4000, 'threads', when, true);
      mapAll(writer, threads, when);
      for (const [from, to] of parts) writer.auxtrace(0, 4000, -1, from, trace.subarray(from, to));
      return writer.finish();
    };
    // Tracing pauses while a snapshot is taken, so that they end with a packet.
    const at = (part: number): number => ends[Math.floor(ends.length * part)];
    const [joined] = await expectAgreement(
      write([
        [0, at(0.6)],
        [at(0.35), at(0.8)],
        [at(0.5), at(0.75)],
        [at(0.55), n],
      ]),
    );
    expect(joined.problems).toEqual([]);
    expect(joined.branches.length).toBe(branchCount(execution));
    const [apart] = await expectAgreement(
      write([
        [at(0.1), at(0.5)],
        [at(0.6), n],
      ]),
    );
    expect(apart.problems).toHaveLength(1);
    expect(apart.branches.length).toBeLessThan(0.9 * joined.branches.length);
  });

  it('makes a sample of each program that a process runs', async () => {
    const processor = new PtProcessor(100_000, 'tsc', true);
    const writer = new PerfDataWriter({
      config: controlFlow | tscBit,
      switches: 2,
      isPerCpu: true,
    });
    const when = (ticks: number): When => ({ pid: 100, tid: 100, time: perfTime(ticks), cpu: 0 });
    const run = (process: Process): void => {
      writer.comm(100, 100, process.comm, when(processor.time + 500), true);
      for (const mapping of process.mappings) {
        const { start, end, offset, path } = mapping;
        writer.mmap2(100, start, end - start, offset, path, when(processor.time + 600));
      }
      processor.wait(3000);
      const [execution] = process.threads;
      processor.run(execution, 0, execution.start.length);
    };
    writer.itraceStart(100, 100, when(1000));
    run(threads);
    run(single);
    const trace = processor.finish();
    writer.auxtrace(0, 100, 0, 0, trace);
    const { imported, file, root } = await importBytes(writer.finish());
    expect(imported.threads.map(({ comm }) => comm)).toEqual(['threads', 'true']);
    const ours: string[] = [];
    for (const { folder: sample } of imported.threads) {
      ours.push(...(await ourBranches(sample ?? '', join(root, 'bin'))).branches);
    }
    expect(ours).toEqual((await perfBranches(file, join(folder, 'home'))).get(100)?.branches);
  });

  it('takes images by build id: from the cache, else where they match', async () => {
    const when: When = { pid: 100, tid: 100, time: 1000n, cpu: 0 };
    const cache = join(folder, 'cache');
    const copies = join(folder, 'copies');
    await mkdir(copies);
    const mappings = await Promise.all(
      single.mappings.map(async (mapping) => {
        const buildId = elfBuildId(await readFile(mapping.path)) ?? '';
        expect(buildId).toMatch(/^[0-9a-f]{40}$/);
        return {
          ...mapping,
          buildId,
          path: `/elsewhere/${basename(mapping.path)}`,
          real: mapping.path,
        };
      }),
    );
    const [program, loader, libc] = mappings;
    // One in perf's cache, one in a folder, one there in another version.
    const entry = join(cache, '.build-id', program.buildId.slice(0, 2), program.buildId.slice(2));
    await mkdir(entry, { recursive: true });
    await copyFile(program.real, join(entry, 'elf'));
    await copyFile(loader.real, join(copies, basename(loader.real)));
    await copyFile(program.real, join(copies, basename(libc.real)));
    const writer = new PerfDataWriter({
      buildIds: [{ path: libc.path, buildId: libc.buildId }],
    });
    writer.comm(100, 100, 'true', when, true);
    mapAll(
      writer,
      { ...single, mappings: [program, loader, { ...libc, buildId: undefined }] },
      when,
    );
    writer.auxtrace(0, 100, -1, 0, singleTrace);
    const images = new PerfImages({ binDirs: [copies], buildIdDir: cache });
    const { imported, root } = await importBytes(writer.finish(), images);
    expect(await readdir(join(root, 'bin'))).toEqual([basename(loader.real), 'true'].sort());
    expect(imported.missing).toEqual([
      { path: libc.path, why: expect.stringContaining('is another version (build id') },
    ]);
  });

  it.each([
    ['comm,pid,tid,time,event,ip,addr,flags', true],
    ['tid,event,ip,addr,flags', false],
    ['comm,tid,cpu,time,event,ip,sym,symoff,dso,addr,flags', false],
  ])(
    'makes the same samples of what perf script prints with -F %s',
    async (fields, hasOverflows) => {
      const bytes = schedule([threads], { ...plain, overflows: hasOverflows ? 20 : 0 });
      const file = join(folder, `text-${count}.data`);
      await writeFile(file, bytes);
      const flags = ['--itrace=be', '-F', fields, '--show-mmap-events', '--show-task-events'];
      const text = execFileSync('perf', ['script', '-i', file, ...flags], {
        env: { PATH: process.env.PATH, HOME: join(folder, 'home'), LC_ALL: 'C' },
        stdio: ['ignore', 'pipe', 'ignore'],
        maxBuffer: 1 << 30,
      });
      const theirs = await perfBranches(file, join(folder, 'home'));
      const { imported, root } = await importBytes(text, undefined, importPerfScript);
      expect(imported.threads).toHaveLength(4);
      for (const { tid, folder: sample } of imported.threads) {
        const { branches, problems } = await ourBranches(sample ?? '', join(root, 'bin'));
        expect(branches).toEqual(theirs.get(tid)?.branches);
        const overflows =
          theirs.get(tid)?.problems.filter((line) => line.includes('Overflow')) ?? [];
        expect(problems).toHaveLength(overflows.length);
      }
    },
  );
});

const hardware = new URL('../../../../shared/data/hardware-pt/', import.meta.url).pathname;

describe.skipIf(!hasPerf || !existsSync(hardware))('import of traces of real processors', () => {
  it.each([
    'arcus-hello',
    'arcus-ovf-01-ben',
    'arcus-ovf-01-poc',
    'arcus-ovf-02-ben',
    'arcus-ovf-02-poc',
    'arcus-uaf-01-poc',
  ])('agrees with perf on %s', async (name) => {
    const when: When = { pid: 9, tid: 9, time: 1000n, cpu: 0 };
    const code = await mkdtemp(join(folder, 'code-'));
    const writer = new PerfDataWriter();
    writer.comm(9, 9, name, when, true);
    for (const { start, end, path } of await codeOf(join(hardware, name))) {
      const file = join(code, basename(path));
      await writeFile(file, elfAround(await readFile(join(hardware, name, path))));
      writer.mmap2(9, start, end - start, pageBytes, file, when);
    }
    const trace = await readFile(join(hardware, name, 'trace_0'));
    writer.aux(0, trace.length, 0, when);
    writer.auxtrace(0, 9, -1, 0, trace);
    writer.exit(9, 9, { ...when, time: 2000n });
    const { imported, file, root } = await importBytes(writer.finish());
    const [{ folder: sample }] = imported.threads;
    const { branches, problems } = await ourBranches(sample ?? '', join(root, 'bin'));
    const theirs = (await perfBranches(file, join(folder, 'home'))).get(9);
    // Both attacks die of a return to 0x4141414141, where no block is that could show it.
    const expected = theirs?.branches.filter((branch) => !branch.endsWith('>4141414141'));
    expect(branches).toEqual(expected);
    expect(branches.length).toBeGreaterThan(9000);
    expect([problems, theirs?.problems]).toEqual([[], []]);
  });
});

const pageBytes = 4096;

/** Perf reads code from ELF files only: puts a page of headers before what was in memory. */
function elfAround(code: Buffer): Buffer {
  const head = Buffer.alloc(pageBytes);
  head.write('\x7fELF\x02\x01\x01', 'latin1');
  // Shared object, x86-64, version 1; one program header of 56 bytes at 64.
  head.writeUInt16LE(3, 16);
  head.writeUInt16LE(62, 18);
  head.writeUInt32LE(1, 20);
  head.writeUInt32LE(64, 32);
  for (const [at, value] of [
    [52, 64],
    [54, 56],
    [56, 1],
    [58, 64],
  ]) {
    head.writeUInt16LE(value, at);
  }
  // PT_LOAD, readable and executable: offset, addresses, sizes, alignment.
  head.writeUInt32LE(1, 64);
  head.writeUInt32LE(5, 68);
  for (const at of [72, 80, 88, 112]) head.writeUInt32LE(pageBytes, at);
  for (const at of [96, 104]) head.writeUInt32LE(code.length, at);
  return Buffer.concat([head, code]);
}
