/**
 * Speed of `import` on a perf.data file around a trace, and of its parts: reading the records, cutting
 * the trace. Seconds of a core. Beside it, what compressing the trace alone takes.
 *
 *     node bench/import.bench.ts [MB] [SAMPLE BIN_DIR]   the first training trace of `pdftotext` without them
 */
import { createWriteStream, existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { readMaybeGzip } from '../src/base/files/read.ts';
import { ImageCollection } from '../src/capture/image-collection.ts';
import { PerfImages } from '../src/capture/perf/images.ts';
import { importPerf } from '../src/capture/perf/import.ts';
import { PieceCutter } from '../src/capture/perf/pieces.ts';
import { PerfRecording } from '../src/capture/perf/recording.ts';
import { PerfFile } from '../src/capture/perf/records/file.ts';
import { readSample } from '../src/trace/sample.ts';
import { PerfDataWriter, type When } from '../test/perf-data.ts';
import { tell, watchMachine } from './figures.ts';

const corpus = '../shared/data/pdftotext';
const [megabytes = '200', directory = firstSample(), binDir = join(corpus, 'bin')] =
  process.argv.slice(2);
watchMachine();
const work = await mkdtemp(join(tmpdir(), 'wayward-bench-'));
const chunk = 1 << 20;
const speeds = new Map<string, number>();

const measure = async (what: string, bytes: number, run: () => unknown): Promise<void> => {
  const before = process.cpuUsage();
  await run();
  const { user, system } = process.cpuUsage(before);
  const seconds = (user + system) / 1e6;
  const speed = bytes / 1e6 / seconds;
  speeds.set(what, speed);
  const rate = speed.toFixed(0);
  console.log(`${what.padEnd(24)} ${seconds.toFixed(2).padStart(7)} s ${rate.padStart(6)} MB/s`);
};

try {
  const sample = await readSample(directory);
  const trace = await readMaybeGzip(sample.traces[0]);
  const map = await readFile(sample.map ?? '', 'utf8');
  const writer = new PerfDataWriter();
  const when: When = { pid: 9, tid: 9, time: 1000n, cpu: 0 };
  writer.comm(9, 9, 'bench', when, true);
  for (const row of map.matchAll(/^(\w+)-(\w+) ..x. (\w+) \S+ \S+ (\/.*)$/gm)) {
    const [start, end, offset] = row.slice(1, 4).map((digits) => Number.parseInt(digits, 16));
    writer.mmap2(9, start, end - start, offset, row[4], when);
  }
  let total = 0;
  while (total < Number(megabytes) * 1e6) {
    for (let at = 0; at < trace.length; at += chunk) {
      const part = trace.subarray(at, at + chunk);
      writer.auxtrace(0, 9, -1, total, part);
      total += part.length;
    }
  }
  const path = join(work, 'bench.data');
  await writeFile(path, writer.finish());

  await measure('records', total, async () => {
    const file = await PerfFile.open(path);
    await PerfRecording.read(file);
    await file.close();
  });
  await measure('cutting', total, () => {
    const cutter = new PieceCutter({ advance: () => false, owner: 0 }, undefined);
    for (let done = 0; done < total; done += trace.length) {
      for (let at = 0; at < trace.length; at += chunk) cutter.add(trace.subarray(at, at + chunk));
    }
    cutter.finish();
  });
  await measure('gzip', total, async () => {
    const parts = Array.from({ length: Math.ceil(total / trace.length) }, () => trace);
    const target = createWriteStream(join(work, 'plain.gz'));
    await pipeline(Readable.from(parts), createGzip(), target);
  });
  await measure('import', total, () =>
    importPerf({
      path,
      out: join(work, 'traces'),
      name: 'bench',
      label: 'benign',
      images: new PerfImages({ binDirs: [binDir], buildIdDir: undefined }),
      collection: new ImageCollection(join(work, 'bin')),
    }),
  );
  const [ours = 0, gzip = 0] = ['import', 'gzip'].map((what) => speeds.get(what));
  const peer = { name: 'gzip alone', value: gzip };
  tell({ name: 'import of perf.data', value: ours, unit: 'MB/s of a core', peer });
  console.log(
    `peak memory ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MB, the file's bytes included`,
  );
} finally {
  await rm(work, { recursive: true, force: true });
}

function firstSample(): string {
  const split = join(corpus, 'split.json');
  if (!existsSync(split)) {
    console.log(`${corpus} is not here; nothing is measured`);
    process.exit();
  }
  const { train } = JSON.parse(readFileSync(split, 'utf8')) as {
    readonly train: readonly string[];
  };
  return join(corpus, 'traces', train[0] ?? '');
}
