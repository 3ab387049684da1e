import { cpSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { CodeCache } from '../flow/code-cache.ts';
import { ImageStore } from '../image/image-store.ts';
import { parseMemoryMaps } from '../image/maps/memory-map.ts';
import { chooseProcess } from './choose-process.ts';
import { openTraces } from './open-trace.ts';
import { readSample } from './sample.ts';
import { writeStoredTrace } from './stored-trace-writer.ts';

const header = 'Pid Process Base InLoad InInit InMem MappedPath\n';
const row = (pid: number, name: string, base: string): string =>
  `${pid} ${name} ${base} True True True \\x\\${name}\n`;
const maps = parseMemoryMaps(
  header +
    row(4, 'smss.exe', '0x00010000') +
    row(10, 'reader.exe', '0x00400000') +
    row(11, 'reader.exe', '0x00500000') +
    row(12, 'averylongname.', '0x00600000'),
  'map',
);

describe('chooseProcess', () => {
  const choose = async (wanted: string | undefined, program = '', points: number[] = []) => {
    const score = async (map: (typeof maps)[number]): Promise<number> =>
      points[maps.indexOf(map)] ?? 0;
    const { map, note } = await chooseProcess(maps, 'map', { wanted, program }, score);
    return [map.process.pid, note?.replace('map holds the maps of 4 processes: taking ', '')];
  };

  test.each([
    ['11', '', [], 11, '11 reader.exe, as was asked for'],
    ['SMSS.exe', '', [], 4, '4 smss.exe, as was asked for'],
    ['reader.exe', '', [9, 1, 2, 0], 11, '11 reader.exe, whose code the trace runs'],
    [
      undefined,
      'C:\\tools\\smss.exe',
      [],
      4,
      '4 smss.exe, which has the name of the recorded program',
    ],
    [
      undefined,
      'averylongname.exe',
      [],
      12,
      '12 averylongname., which has the name of the recorded program',
    ],
    [undefined, 'reader.exe', [9, 3, 2, 0], 10, '10 reader.exe, whose code the trace runs'],
    [undefined, 'a.pdf', [1, 3, 2, 7], 12, '12 averylongname., whose code the trace runs'],
    [undefined, 'a.pdf', [], 4, '4 smss.exe, the first, since the trace runs code of none of them'],
  ])('asked for %s, program %s, scores %j: %i', async (wanted, program, points, pid, note) => {
    expect(await choose(wanted, program, points)).toEqual([pid, note]);
  });

  test('names those that are there when it is asked for another', async () => {
    await expect(choose('99')).rejects.toThrow(
      'map: no process 99 is in it; there are 4 smss.exe, 10 reader.exe, 11 reader.exe, 12 averylongname.',
    );
  });
});

test('of several maps, the one whose code a trace runs is taken, raw and stored', async () => {
  const corpus = fileURLToPath(new URL('../../examples/corpus', import.meta.url));
  const [name = ''] = readdirSync(join(corpus, 'traces'));
  const folder = join(mkdtempSync(join(tmpdir(), 'wayward-')), name);
  cpSync(join(corpus, 'traces', name), folder, { recursive: true });
  const own = readFileSync(join(folder, 'mapping.txt'), 'utf8');
  const lines = own.trim().split('\n');
  // The same files elsewhere; files that are not there; and the right ones.
  const moved = lines.map((line) =>
    line.replace(/^([0-9a-f]+)-([0-9a-f]+)/, (_, a, b) => `1${a}-1${b}`),
  );
  const other = '1000-2000 r-xp 00000000 00:00 0 /usr/bin/other';
  const parts = [moved.join('\n'), other, own];
  writeFileSync(
    join(folder, 'mapping.txt'),
    parts.map((text, i) => `==> /proc/${100 + i}/maps <==\n${text}\n`).join('\n'),
  );
  const codeCache = new CodeCache();
  const context = { images: new ImageStore([join(corpus, 'bin')]), codeCache };
  const [raw] = await openTraces(await readSample(folder), { ...context, preprocessed: false });
  expect(raw?.notes?.[0]).toMatch(/3 processes: taking 102 \S+, whose code the trace runs/);
  const summary = await writeStoredTrace(join(folder, 'trace_0.wayward'), raw.source);
  expect(summary.gaps).toBe(0);
  const [stored] = await openTraces(await readSample(folder), { ...context, preprocessed: true });
  expect(stored?.notes).toEqual(raw?.notes);
  const wrong = { ...context, preprocessed: false, process: '100' };
  const [asked] = await openTraces(await readSample(folder), wrong);
  expect((await asked.source.run(() => {})).gaps).toBeGreaterThan(0);
  codeCache.dispose();
});
