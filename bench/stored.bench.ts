/**
 * Speed of stored traces: decoding a raw trace and writing it to disk, and reading it back.
 *
 * node bench/stored.bench.ts [FOLDER]   FOLDER holds traces as in ../shared/data/pt-bench
 */
import { existsSync, mkdtempSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { streamMaybeGzip } from '../src/base/files/read.ts';
import { TraceDecoder } from '../src/flow/trace-decoder.ts';
import { ImageStore } from '../src/image/image-store.ts';
import { buildAddressSpace } from '../src/image/mapped-space.ts';
import { readMemoryMap } from '../src/image/maps/memory-map.ts';
import { StoredTrace } from '../src/trace/stored-trace.ts';
import { writeStoredTrace } from '../src/trace/stored-trace-writer.ts';
import { median, tell, watchMachine } from './figures.ts';

watchMachine();
const root = process.argv[2] ?? '../shared/data/pt-bench';
const work = mkdtempSync(join(tmpdir(), 'wayward-bench-'));
/** Wall and processor time, all threads together, in microseconds. */
const now = (): { wall: number; cpu: number } => {
  const { user, system } = process.cpuUsage();
  return { wall: performance.now() * 1000, cpu: user + system };
};

for (const name of ['py', 'py-noretc']) {
  const folder = join(root, name);
  if (!existsSync(folder)) continue;
  const map = await readMemoryMap(join(folder, 'trace/mapping.txt'));
  const space = await buildAddressSpace(map, new ImageStore([join(folder, 'bin')]));
  const raw = join(folder, 'trace/trace_0.gz');
  const path = join(work, `${name}.wayward`);
  const [writing, writingCpu, reading, readingCpu]: number[][] = [[], [], [], []];
  for (let round = 0; round < 3; round++) {
    let start = now();
    const source = new TraceDecoder({ space, input: streamMaybeGzip(raw) });
    const { blocks } = await writeStoredTrace(path, source);
    let end = now();
    writing.push(blocks / (end.wall - start.wall));
    writingCpu.push(blocks / (end.cpu - start.cpu));
    start = now();
    let seen = 0;
    await new StoredTrace(path).run(({ length }) => {
      seen += length;
    });
    end = now();
    reading.push(seen / (end.wall - start.wall));
    readingCpu.push(seen / (end.cpu - start.cpu));
  }
  const unit = 'M blocks/s of a core';
  tell({ name: `${name}, decoded and written`, value: median(writingCpu), unit });
  tell({ name: `${name}, read back`, value: median(readingCpu), unit });
  const speed = (wall: number[], cpu: number[]): string =>
    `${median(wall).toFixed(1)} M blocks/s (${median(cpu).toFixed(1)} a second of a core)`;
  console.log(
    `${name}: written ${speed(writing, writingCpu)} with decoding, read ${speed(reading, readingCpu)}, ${statSync(path).size} bytes (raw, compressed: ${statSync(raw).size})`,
  );
}
