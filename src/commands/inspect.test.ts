import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { silentLogger } from '../base/log.ts';
import { ImageCodeCache, ProcessCode } from '../evidence/code/process-code.ts';
import { EvidenceCollector } from '../evidence/collector.ts';
import { CodeCache } from '../flow/code-cache.ts';
import { ImageStore } from '../image/image-store.ts';
import { openTraces } from '../trace/open-trace.ts';
import { readSample } from '../trace/sample.ts';
import { listBlocks, type TraceLine } from './blocks.ts';
import { type InspectOptions, inspect, listPackets } from './inspect.ts';
import { Decoding, preprocessSample } from './samples/preprocess.ts';

const corpus = fileURLToPath(new URL('../../examples/corpus', import.meta.url));
const context = { log: silentLogger, progress: (): void => {} };
const optionsFor = (sample: string): InspectOptions => ({
  sample,
  binDirs: [join(corpus, 'bin')],
  rawImages: false,
  preprocessed: false,
  hash: false,
  hottest: 10,
});

interface Truth {
  readonly label: string;
  readonly family?: string;
  readonly blocks: number;
  /** Ranges of block indices, and the blocks reached through a corrupted pointer. */
  readonly hijack: readonly (readonly [number, number])[];
  readonly transfers: readonly number[];
}

/** The recorder's own notes on the hijacked runs: it saw the processor, not the trace. */
const attacks = readdirSync(join(corpus, 'truth')).flatMap((file) => {
  const truth = JSON.parse(readFileSync(join(corpus, 'truth', file), 'utf8')) as Truth;
  return truth.label === 'attack' ? [{ name: file.replace('.json', ''), truth }] : [];
});

describe('the indices that are shown', () => {
  test('are those of the labels: a corrupted pointer led to each block that they name', async () => {
    expect(attacks).toHaveLength(35);
    const indirect = new Set(['ret', 'icall', 'ijmp']);
    // Every third holds all families.
    for (const { name, truth } of attacks.filter((_, i) => i % 3 === 0)) {
      const lines: TraceLine[] = [];
      await listBlocks(optionsFor(join(corpus, 'traces', name)), context, (line) => {
        lines.push(line);
        return true;
      });
      const blocks = lines.flatMap((line) => ('mark' in line ? [] : [line]));
      // Injected code lies in no image: there the trace has a gap, at the label's own index.
      const gap = lines.find((line) => 'mark' in line);
      if (gap === undefined) expect(blocks.length, name).toBe(truth.blocks);
      else
        expect([truth.family, truth.transfers], name).toEqual([
          'shellcode',
          expect.arrayContaining([gap.index]),
        ]);
      expect(truth.transfers.length).toBeGreaterThan(0);
      for (const index of truth.transfers) {
        if (gap !== undefined && index > gap.index) break;
        expect(indirect, `${name} ${index}`).toContain(blocks[index - 1]?.transfer);
        if (index !== gap?.index) expect(blocks[index]?.index).toBe(index);
      }
      expect(truth.transfers).toContain(truth.hijack[0]?.[0]);
    }
  });

  test('are those of the evidence that reports list', async () => {
    const images = new ImageStore([join(corpus, 'bin')]);
    const codeCache = new CodeCache();
    const imageCode = new ImageCodeCache();
    for (const { name, truth } of attacks) {
      const sample = await readSample(join(corpus, 'traces', name));
      const [trace] = await openTraces(sample, { images, codeCache, preprocessed: false });
      const { source, space } = trace;
      if (space === undefined) throw new Error('raw traces have their images');
      const collector = new EvidenceCollector(source, {
        space,
        code: new ProcessCode(space, imageCode),
      });
      await source.run((batch) => collector.push(batch));
      const first = collector.evidence.find(({ kind }) => kind !== 'gap');
      // The block before the first corrupted transfer's target makes that transfer.
      if (first !== undefined) expect(truth.transfers, name).toContain(first.position + 1);
      else expect(truth.family, name).toBe('fptr');
    }
    codeCache.dispose();
  });
});

describe('traces that hold nothing', () => {
  const bytes = 8 << 20;
  const psb = Buffer.from('0282'.repeat(8), 'hex');
  const folderOf = (content: Uint8Array): string => {
    const folder = mkdtempSync(join(tmpdir(), 'wayward-'));
    writeFileSync(join(folder, 'info.txt'), 'a\nbenign\n');
    const [name = ''] = readdirSync(join(corpus, 'traces'));
    copyFileSync(join(corpus, 'traces', name, 'mapping.txt'), join(folder, 'mapping.txt'));
    writeFileSync(join(folder, 'trace_0.gz'), gzipSync(content, { level: 1 }));
    return folder;
  };

  test.each([
    ['zeros', Buffer.alloc(bytes), 1, bytes],
    ['PSBs', Buffer.alloc(bytes, psb), 0, 0],
    ['nothing', Buffer.alloc(0), 0, 0],
    ['a PSB, then zeros', Buffer.concat([psb, Buffer.alloc(bytes)]), 0, 0],
    ['a PSB, then no packets', Buffer.concat([psb, Buffer.alloc(bytes, 0x05)]), 1, bytes],
  ])('of %s are read to the end and say so', async (_, content, gaps, lost) => {
    const folder = folderOf(content);
    const [report] = await inspect(optionsFor(folder), context);
    expect(report?.summary).toMatchObject({
      traceBytes: content.length,
      blocks: 0,
      gaps,
      bytesLost: lost,
    });
    const decoding = new Decoding(optionsFor(folder));
    const stored = await preprocessSample(
      await readSample(folder),
      { ...optionsFor(folder), format: 'wayward', force: false, timeout: undefined, partial: true },
      decoding,
    );
    decoding.dispose();
    expect(stored).toMatchObject({ outcome: 'stored', blocks: 0, gaps });
    const [again] = await inspect({ ...optionsFor(folder), preprocessed: true }, context);
    expect(again?.summary).toEqual(report?.summary);
  });

  test('list their packets, each byte in one of them', async () => {
    const content = Buffer.concat([Buffer.from([1, 2, 3]), psb, Buffer.alloc(1000), psb]);
    const listed: [string, number][] = [];
    let end = 0;
    await listPackets(folderOf(content), ({ offset, length, name }) => {
      expect(offset).toBe(end);
      end += length;
      if (listed.at(-1)?.[0] === name) listed[listed.length - 1] = [name, length];
      else listed.push([name, length]);
      return true;
    });
    expect(end).toBe(content.length);
    expect(listed.map(([name]) => name)).toEqual(['skipped', 'PSB', 'PAD', 'PSB']);
  });
});

const hardware = fileURLToPath(new URL('../../../shared/data/hardware-pt', import.meta.url));

/** Each recording has the counts of libipt's packet dumper beside it. */
describe.skipIf(!existsSync(hardware))('packets of recorded traces', () => {
  test.each(existsSync(hardware) ? readdirSync(hardware) : [])(
    '%s: as many as libipt lists',
    async (name) => {
      const folder = join(hardware, name);
      const counts: Record<string, number> = {};
      await listPackets(folder, ({ name: packet, fields }) => {
        const kind =
          packet === 'MODE'
            ? `mode.${fields.startsWith('Exec') ? 'exec' : 'tsx'}`
            : packet.toLowerCase();
        if (kind !== 'pad') counts[kind] = (counts[kind] ?? 0) + 1;
        return true;
      });
      const listed = readFileSync(join(folder, 'packets.txt'), 'utf8').trim().split('\n');
      const theirs = listed.map((line): [string, number] => {
        const [count = '', kind = ''] = line.trim().split(/\s+/);
        return [kind.replace(/^tnt\.\d+$/, 'tnt'), Number(count)];
      });
      expect(counts).toEqual(Object.fromEntries(theirs));
    },
  );
});

test('a block is listed with its place and the instruction that ends it', async () => {
  const [{ name = '', truth } = { truth: undefined }] = attacks.filter(
    ({ truth: { family } }) => family === 'fptr',
  );
  const at = truth?.transfers[0] ?? 0;
  const blocks: TraceLine[] = [];
  await listBlocks(optionsFor(join(corpus, 'traces', name)), context, (line) => {
    if (line.index === at - 1 || line.index === at) blocks.push(line);
    return line.index < at;
  });
  expect(blocks).toEqual([
    {
      thread: 0,
      index: at - 1,
      address: expect.stringMatching(/^0x[0-9a-f]+$/),
      place: expect.stringMatching(/^tpic!\w+\+0x[0-9a-f]+$/),
      transfer: 'icall',
      instruction: expect.stringMatching(/^call /),
    },
    expect.objectContaining({ index: at, instruction: expect.any(String) }),
  ]);
});
