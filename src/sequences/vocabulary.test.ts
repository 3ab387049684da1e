import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { adler32 } from '../base/bytes/adler32.ts';
import { classifyWindows } from './classify-windows.ts';
import { SymbolTable } from './symbol-table.ts';
import { Vocabulary, type VocabularyOptions } from './vocabulary.ts';
import { WindowCounter } from './window-counter.ts';

const folder = mkdtempSync(join(tmpdir(), 'wayward-'));

/** Symbols 0..5 at offsets 0, 16, ...; symbol 5 never ran. */
function corpus(): { table: SymbolTable; counts: Float64Array; counter: WindowCounter } {
  const table = new SymbolTable();
  const module = table.internModule('libc.so.6', '/lib/libc.so.6');
  for (let i = 0; i < 6; i++) table.intern(module, i * 16);
  const counter = new WindowCounter(2);
  const add = (a: number, b: number, target: number, weight: number): void => {
    counter.add(Int32Array.of(a, b), 0, a * 31 + b, target, weight);
  };
  add(0, 1, 2, 100);
  add(0, 1, 3, 5);
  add(4, 1, 3, 200);
  return { table, counts: Float64Array.of(50, 300, 100, 205, 60, 0), counter };
}

function learn(options: Partial<VocabularyOptions> = {}): Vocabulary {
  const { table, counts, counter } = corpus();
  return Vocabulary.learn(table, counts, counter, { kind: 'learned', ...options });
}

describe('a learned vocabulary', () => {
  test('ranks blocks and targets by frequency; 0 is the unknown class', () => {
    const vocabulary = learn();
    const { table } = corpus();
    expect([...vocabulary.inputClassesOf(table)]).toEqual([5, 1, 3, 2, 4, 0]);
    expect([...vocabulary.outputClassesOf(table)]).toEqual([0, 0, 2, 1, 0, 0]);
    expect([vocabulary.inputClasses, vocabulary.outputClasses, vocabulary.blocks]).toEqual([
      6, 3, 5,
    ]);
    expect(vocabulary.describeOutput(1)).toBe('libc.so.6+0x30');
    expect(vocabulary.describeOutput(0)).toBe('a block that training never saw');
  });

  test('makes tables in which known blocks come first', () => {
    const vocabulary = learn();
    const table = vocabulary.makeTable();
    expect(table.find('libc.so.6', 16)).toBe(0);
    expect(table.intern(table.internModule('libc.so.6', ''), 999)).toBe(vocabulary.blocks);
  });

  test('knows the transfers that training saw', () => {
    const vocabulary = learn();
    const symbol = (offset: number): number => vocabulary.makeTable().find('libc.so.6', offset);
    expect(vocabulary.hasTransfer(symbol(16), symbol(32))).toBe(true);
    expect(vocabulary.hasTransfer(symbol(32), symbol(16))).toBe(false);
    expect(vocabulary.hasTransfer(symbol(16), 1_000_000)).toBe(false);
  });

  test('keeps the most frequent classes where their number is limited', () => {
    const vocabulary = learn({ maxInputClasses: 3, maxOutputClasses: 2 });
    const { table } = corpus();
    expect([...vocabulary.inputClassesOf(table)]).toEqual([0, 1, 0, 2, 0, 0]);
    expect([...vocabulary.outputClassesOf(table)]).toEqual([0, 0, 0, 1, 0, 0]);
  });
});

test('windows that the vocabulary cannot tell apart become one', () => {
  const { table, counter } = corpus();
  const vocabulary = learn({ maxInputClasses: 3 });
  const inputs = vocabulary.inputClassesOf(table);
  const { windows, indexOf } = classifyWindows(counter, inputs, vocabulary.outputClassesOf(table));
  expect(windows.length).toBe(2);
  expect([...indexOf]).toEqual([0, 1, 1]);
  expect([...windows.counts]).toEqual([100, 205]);
});

test('hash classes are BBID mod N', () => {
  const vocabulary = learn({ kind: 'hash', maxInputClasses: 1000, maxOutputClasses: 1024 });
  const { table } = corpus();
  const bbid = (BigInt(adler32('/lib/libc.so.6')) << 32n) + 48n;
  expect(vocabulary.inputClassesOf(table)[3]).toBe(Number(bbid % 1000n));
  expect(vocabulary.outputClassesOf(table)[3]).toBe(48);
});

test('hash classes of preprocessed traces come from the ids that the files hold', () => {
  // Upper half above 2^31, so that the checksums of Python 2 and 3 differ.
  const path = 'C:\\Program Files\\Reader\\AcroRd32.dll';
  const unsigned = adler32(path);
  const absolute = Math.abs(unsigned | 0);
  expect(absolute).not.toBe(unsigned);
  for (const checksum of [unsigned, absolute]) {
    const vocabulary = learn({ kind: 'hash', maxInputClasses: 1000, maxOutputClasses: 777 });
    const table = vocabulary.makeTable();
    const before = table.length;
    const module = table.internModule('acrord32.dll', path, checksum);
    const bbids = [0x10, 0x7fffffff, 0xfffffff0].map((offset) => {
      table.intern(module, offset);
      return (BigInt(checksum) << 32n) + BigInt(offset);
    });
    const classes = (n: bigint): number[] => bbids.map((bbid) => Number(bbid % n));
    expect([...vocabulary.inputClassesOf(table).subarray(before)]).toEqual(classes(1000n));
    expect([...vocabulary.outputClassesOf(table).subarray(before)]).toEqual(classes(777n));
  }
  // A module that the vocabulary knows by its path, from a trace that brings its own id.
  const vocabulary = learn({ kind: 'hash', maxInputClasses: 1000 });
  const table = vocabulary.makeTable();
  table.internModule('libc.so.6', '/lib/libc.so.6', 0x1234);
  const [first] = vocabulary.inputClassesOf(table);
  expect(first).toBe(Number(((0x1234n << 32n) + BigInt(table.offset[0] ?? 0)) % 1000n));
});

describe('a vocabulary file', () => {
  test('is read as it was written', async () => {
    const path = join(folder, 'v.json.gz');
    const vocabulary = learn();
    await vocabulary.save(path);
    const loaded = await Vocabulary.load(path);
    expect(loaded.fingerprint).toBe(vocabulary.fingerprint);
    expect([...loaded.outputClassesOf(corpus().table)]).toEqual([0, 0, 2, 1, 0, 0]);
  });

  test.each([
    ['schemaVersion', 2, 'has schema version 2, not 1'],
    ['kind', 'other', 'has no known kind'],
    ['modules', [1], 'has no list of modules'],
    ['module', [0, 0, 0, 0, 9], 'has bad module numbers'],
    ['target', [77, 1], 'names a block that it does not have'],
    ['to', [0], 'has half a transfer'],
    ['offset', ['a'], 'has a list that is missing or holds other things than whole numbers'],
    ['outputClasses', 9, 'has more output classes than targets'],
  ])('with a bad %s is refused', async (key, value, message) => {
    const path = join(folder, 'v.json.gz');
    await learn().save(path);
    const content = JSON.parse(gunzipSync(readFileSync(path)).toString()) as Record<
      string,
      unknown
    >;
    writeFileSync(path, gzipSync(JSON.stringify({ ...content, [key]: value })));
    await expect(Vocabulary.load(path)).rejects.toThrow(`${path}: ${message}`);
  });

  test('that is cut off is refused', async () => {
    const path = join(folder, 'cut.json.gz');
    await learn().save(path);
    writeFileSync(path, readFileSync(path).subarray(0, 40));
    await expect(Vocabulary.load(path)).rejects.toThrow('cut off or damaged');
  });
});
