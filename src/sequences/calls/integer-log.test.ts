import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readIntegers } from './integer-log.ts';
import { lostCalls } from './log.ts';

async function* chunksOf(text: string | Uint8Array, size = 1e9): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Calls by number, `?` where some were lost. */
async function read(text: string | Uint8Array, size?: number) {
  const { names, processes, leftOut } = await readIntegers(chunksOf(text, size));
  const threads = processes.flatMap((process) => process.finish());
  const calls = [...(threads[0] ?? [])].map((call) => (call === lostCalls ? '?' : names[call]));
  return { calls, threads: threads.length, notes: leftOut.notes };
}

describe('whitespace-separated numbers', () => {
  test('any white space separates them, and zeros in front mean nothing', async () => {
    const { calls, notes } = await read(' 6 6 063\r\n42\t0\n\n-1\v7\f');
    expect(calls).toEqual([6, 6, 63, 42, 0, -1, 7]);
    expect(notes).toEqual([]);
  });

  test('words that are no number are left out, counted, and break the sequence', async () => {
    const { calls, notes } = await read('# 1 2 x y 3 1.5 4- - 99999999999999999999 5');
    expect(calls).toEqual([1, 2, '?', 3, '?', 5]);
    expect(notes).toEqual(['left out: words that are no number (7, the first at byte 0)']);
  });

  test('a file without a number has no thread', async () => {
    for (const text of ['', ' \n ', 'no numbers here']) {
      expect((await read(text)).threads, text).toBe(0);
    }
  });

  test('how the bytes are cut does not matter', async () => {
    const word = fc.oneof(fc.integer({ min: -9, max: 400 }).map(String), fc.string());
    await fc.assert(
      fc.asyncProperty(fc.array(word), fc.integer({ min: 1, max: 7 }), async (words, size) => {
        const text = words.join(' ');
        expect(await read(text, size)).toEqual(await read(text));
      }),
      { seed: 7, numRuns: 200 },
    );
  });
});
