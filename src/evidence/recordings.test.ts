import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { TraceDecoder } from '../flow/trace-decoder.ts';
import { ImageStore } from '../image/image-store.ts';
import { buildAddressSpace } from '../image/mapped-space.ts';
import { readMemoryMap } from '../image/maps/memory-map.ts';
import { ImageCodeCache, ProcessCode } from './code/process-code.ts';
import { EvidenceCollector } from './collector.ts';
import type { Evidence } from './evidence.ts';

const hardware = '../shared/data/hardware-pt';
const pdftotext = '../shared/data/pdftotext';
const images = new ImageCodeCache();

async function evidenceOf(
  sample: string,
  bin: string,
  store?: ImageStore,
): Promise<readonly Evidence[]> {
  const map = await readMemoryMap(`${sample}/mapping.txt`);
  const space = await buildAddressSpace(map, store ?? new ImageStore([bin]));
  const raw = existsSync(`${sample}/trace_0`)
    ? readFileSync(`${sample}/trace_0`)
    : gunzipSync(readFileSync(`${sample}/trace_0.gz`));
  const source = new TraceDecoder({ space, input: raw });
  const collector = new EvidenceCollector(source, {
    space,
    code: new ProcessCode(space, images),
  });
  await source.run((batch) => collector.push(batch));
  return collector.evidence;
}

/** Recorded on processors: signals, system calls, address filters, a long jump in the linker. */
describe.skipIf(!existsSync(hardware))('recordings of ordinary runs', () => {
  test.each([
    'arcus-cve-2018-12327-ben',
    'arcus-hello',
    'arcus-ovf-01-ben',
    'arcus-ovf-02-ben',
    'libxdc-avscript32',
    'libxdc-foo',
    'libxdc-unzip',
  ])('%s holds no evidence', async (name) => {
    const sample = `${hardware}/${name}`;
    const evidence = await evidenceOf(sample, `${sample}/img`);
    expect(evidence.filter((item) => item.kind !== 'gap')).toEqual([]);
  });
});

/** The trace begins after the call that the overwritten return address belongs to. */
describe.skipIf(!existsSync(hardware))('recordings of runs that were hijacked and crashed', () => {
  test.each(['arcus-ovf-01-poc', 'arcus-ovf-02-poc'])(
    '%s returned to 0x4141414141',
    async (name) => {
      const sample = `${hardware}/${name}`;
      const evidence = await evidenceOf(sample, `${sample}/img`);
      expect(evidence.map(({ kind, actual }) => [kind, actual])).toEqual([
        ['outside-images', 0x4141414141],
      ]);
    },
  );
});

describe.skipIf(!existsSync(pdftotext))('recordings of one program', () => {
  const store = new ImageStore([`${pdftotext}/bin`]);
  const split = existsSync(pdftotext)
    ? JSON.parse(readFileSync(`${pdftotext}/split.json`, 'utf8'))
    : { test: [], controls: [], attacks: [] };
  const read = (name: string): Promise<readonly Evidence[]> =>
    evidenceOf(`${pdftotext}/traces/${name}`, '', store);

  test('every hijacked run holds evidence where it was hijacked', async () => {
    for (const name of split.attacks) {
      const { hijack } = JSON.parse(readFileSync(`${pdftotext}/truth/${name}.json`, 'utf8'));
      const evidence = await read(name);
      // The first transfer of the hijack is made by the block before it.
      expect(evidence[0]?.position, name).toBe(hijack[0][0] - 1);
    }
  });

  test('no nominal run and no odd input holds any', async () => {
    for (const name of [...split.test.slice(0, 4), ...split.controls]) {
      expect(await read(name), name).toEqual([]);
    }
  });
});
