import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { silentLogger } from '../base/log.ts';
import { listBlocks, type TraceBlock } from './blocks.ts';
import { type ExportOptions, exportSample } from './export.ts';

const corpus = fileURLToPath(new URL('../../examples/corpus', import.meta.url));
const context = { log: silentLogger, progress: (): void => {} };
const sample = join(corpus, 'traces', 'damaged-train-000');
const other = join(corpus, 'traces', 'damaged-train-001');
const source = { sample, binDirs: [join(corpus, 'bin')], rawImages: false, preprocessed: false };
const optionsFor = (more: Partial<ExportOptions>): ExportOptions => ({
  ...source,
  format: 'drcov',
  out: join(mkdtempSync(join(tmpdir(), 'wayward-')), 'out'),
  around: 100,
  without: [],
  ...more,
});

async function blocksOf(directory: string): Promise<TraceBlock[]> {
  const blocks: TraceBlock[] = [];
  const options = { ...source, sample: directory, hash: false, hottest: 0 };
  await listBlocks(options, context, (line) => {
    if (!('mark' in line)) blocks.push(line);
    return true;
  });
  return blocks;
}

/** Reads the module table and the records: addresses of the blocks. */
function readDrcov(path: string): Set<number> {
  const bytes = readFileSync(path);
  const bases = [...bytes.toString('latin1').matchAll(/^\d+, 0x([0-9a-f]{16}), /gm)].map((match) =>
    Number.parseInt(match[1], 16),
  );
  const table = bytes.subarray(bytes.indexOf(' bbs\n') + 5);
  const addresses = new Set<number>();
  for (let at = 0; at < table.length; at += 8) {
    addresses.add(bases[table.readUInt16LE(at + 6)] + table.readUInt32LE(at));
  }
  return addresses;
}

const addressesOf = (blocks: readonly TraceBlock[]): Set<number> =>
  new Set(blocks.map(({ address }) => Number.parseInt(address, 16)));

describe('export', () => {
  test('drcov lists each block that inspect lists, or those of a stretch, or what another run lacks', async () => {
    const blocks = await blocksOf(sample);
    const whole = optionsFor({});
    const result = await exportSample(whole, context);
    expect(readDrcov(whole.out)).toEqual(addressesOf(blocks));
    expect(result.blocks).toBe(blocks.length);
    const cut = optionsFor({ blocks: { start: 1000, end: 1500 } });
    expect((await exportSample(cut, context)).blocks).toBe(500);
    expect(readDrcov(cut.out)).toEqual(addressesOf(blocks.slice(1000, 1500)));
    const rest = optionsFor({ without: [other] });
    await exportSample(rest, context);
    const others = addressesOf(await blocksOf(other));
    const expected = new Set([...addressesOf(blocks)].filter((address) => !others.has(address)));
    expect(expected.size).toBeGreaterThan(0);
    expect(readDrcov(rest.out)).toEqual(expected);
  });

  test('the youngest function of a timeline is the one that inspect names', async () => {
    const blocks = await blocksOf(sample);
    const stretch = { start: 5000, end: 21_000 };
    const options = optionsFor({ format: 'speedscope', blocks: stretch });
    await exportSample(options, context);
    const { shared, profiles } = JSON.parse(readFileSync(options.out, 'utf8')) as {
      shared: { frames: { name: string }[] };
      profiles: { events: { type: string; frame: number; at: number }[] }[];
    };
    const open: number[] = [];
    let next = 0;
    let named = 0;
    let deepest = 0;
    const [{ events }] = profiles;
    for (let at = stretch.start; at < stretch.end; at++) {
      for (; events[next].at <= at; next++) {
        if (events[next].type === 'O') open.push(events[next].frame);
        else expect(open.pop()).toBe(events[next].frame);
      }
      deepest = Math.max(deepest, open.length);
      const name = /!(.*?)(?:\+0x[0-9a-f]+)?$/.exec(blocks[at].place)?.[1];
      if (name === undefined) continue;
      named++;
      expect(shared.frames[open.at(-1) ?? -1]?.name).toBe(name);
    }
    expect(named).toBeGreaterThan(1000);
    expect(deepest).toBeGreaterThan(4);
  });

  test('a stretch in which nothing ran is refused', async () => {
    const options = optionsFor({ blocks: { start: 1e9, end: 2e9 } });
    await expect(exportSample(options, context)).rejects.toMatchObject({
      code: 'nothing-to-export',
    });
  });
});
