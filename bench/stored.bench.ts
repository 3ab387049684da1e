/**
 * Speed of stored traces: decoding a raw trace and writing it to disk, and reading it back.
 *
 * node bench/stored.bench.ts [FOLDER]   FOLDER holds traces as in ../shared/data/pt-bench
 */
import { existsSync, mkdtempSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { streamMaybeGzip } from '../src/base/files.ts';
import { TraceDecoder } from '../src/flow/trace-decoder.ts';
import { ImageStore } from '../src/image/image-store.ts';
import { buildAddressSpace } from '../src/image/mapped-space.ts';
import { readMemoryMap } from '../src/image/memory-map.ts';
import { StoredTrace } from '../src/trace/stored-trace.ts';
import { writeStoredTrace } from '../src/trace/stored-trace-writer.ts';

const root = process.argv[2] ?? '../shared/data/pt-bench';
const work = mkdtempSync(join(tmpdir(), 'wayward-bench-'));
const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1];

for (const name of ['py', 'py-noretc']) {
  const folder = join(root, name);
  if (!existsSync(folder)) continue;
  const map = await readMemoryMap(join(folder, 'trace/mapping.txt'));
  const space = await buildAddressSpace(map, new ImageStore([join(folder, 'bin')]));
  const raw = join(folder, 'trace/trace_0.gz');
  const path = join(work, `${name}.wayward`);
  const writing: number[] = [];
  const reading: number[] = [];
  for (let round = 0; round < 3; round++) {
    let started = performance.now();
    const source = new TraceDecoder({ space, input: streamMaybeGzip(raw) });
    const { blocks } = await writeStoredTrace(path, source);
    writing.push(blocks / (performance.now() - started) / 1000);
    started = performance.now();
    let seen = 0;
    await new StoredTrace(path).run(({ length }) => {
      seen += length;
    });
    reading.push(seen / (performance.now() - started) / 1000);
  }
  console.log(
    `${name}: written ${median(writing).toFixed(1)} M blocks/s with decoding, read ${median(reading).toFixed(1)} M blocks/s, ${statSync(path).size} bytes (raw, compressed: ${statSync(raw).size})`,
  );
}
