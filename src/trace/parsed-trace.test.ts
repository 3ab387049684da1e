import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { adler32 } from '../base/bytes/adler32.ts';
import { UserError } from '../base/errors.ts';
import { CodeCache } from '../flow/code-cache.ts';
import { ImageStore } from '../image/image-store.ts';
import { parseMemoryMap } from '../image/maps/memory-map.ts';
import { Transfer } from '../x86/transfer.ts';
import { openTraces } from './open-trace.ts';
import { ParsedTrace } from './parsed-trace.ts';
import { findSamples } from './sample.ts';

const path = '/bin/a';
const { regions } = parseMemoryMap(`1000-9000 r-xp 00000000 00:00 0 ${path}`, 'map');
const file = join(mkdtempSync(join(tmpdir(), 'wayward-')), 'trace_parsed.gz');

/** One record as the ancestor writes it. */
function record(from: bigint, to: bigint, mnemonic: string, text: string): Buffer {
  const body = Buffer.alloc(19 + mnemonic.length + text.length);
  body.writeBigUInt64LE(from, 0);
  body.writeBigUInt64LE(to, 8);
  body[16] = mnemonic.length;
  body[17] = text.length;
  body[18] = text.split(' ').length;
  body.write(mnemonic + text, 19, 'latin1');
  const length = Buffer.alloc(2);
  length.writeUInt16LE(body.length);
  return Buffer.concat([length, body]);
}

const bbid = (offset: number, checksum: number = adler32(path)): bigint =>
  (BigInt(checksum) << 32n) + BigInt(offset);

async function read(records: readonly Buffer[], raw?: Uint8Array) {
  writeFileSync(file, raw ?? gzipSync(Buffer.concat(records)));
  const trace = new ParsedTrace(file, [regions]);
  const flow: (string | number)[] = [];
  const summary = await trace.run(({ entries, length }) => {
    for (const entry of entries.subarray(0, length)) {
      flow.push(entry < 0 ? 'gap' : trace.blocks.offset[entry]);
    }
  });
  return { trace, flow, summary };
}

test('adler32 has the value of RFC 1950 for the example of its authors', () => {
  expect(adler32('Wikipedia')).toBe(0x11e60398);
});

describe("the ancestor's traces", () => {
  test('give their source blocks in order, and the last target', async () => {
    const { flow, trace, summary } = await read([
      record(0n, bbid(0x10), '', ''),
      record(bbid(0x10), bbid(0x20), 'jz', 'jz 0x1020'),
      record(bbid(0x20), bbid(0x30), 'call', 'call rax'),
      record(bbid(0x30), bbid(0x24), 'ret', 'ret '),
    ]);
    expect(flow).toEqual([0x10, 0x20, 0x30, 0x24]);
    expect([...trace.blocks.kind.subarray(0, 4)]).toEqual([
      Transfer.jcc,
      Transfer.icall,
      Transfer.ret,
      Transfer.none,
    ]);
    expect(trace.blocks.modules).toEqual([
      { path, name: 'a', base: 0x1000, checksum: adler32(path) },
    ]);
    expect(summary).toMatchObject({ blocks: 4, gaps: 0 });
  });

  test.each([
    ['jmp', 'jmp short 0x1020', Transfer.jmp],
    ['jmp', 'notrack jmp rax', Transfer.ijmp],
    ['jmp', 'jmp qword ptr [rip+0x10]', Transfer.ijmp],
    ['jmp', 'jmp far ptr [r14]', Transfer.far],
    ['call', 'call r12', Transfer.icall],
    ['ret', 'bnd ret ', Transfer.ret],
    ['jnz', 'jnz 0x1020', Transfer.jcc],
    ['call', 'call 0x7725dc5e', Transfer.call],
  ])('tell transfers by %s, "%s"', async (mnemonic, text, kind) => {
    const { trace } = await read([record(bbid(0x10), bbid(0x20), mnemonic, text)]);
    expect(trace.blocks.kind[0]).toBe(kind);
  });

  test('know modules by checksums that Python 2 took as signed', async () => {
    const signed = Math.abs(adler32(path) | 0);
    const { trace } = await read([record(bbid(0x10, signed), bbid(0x20, signed), 'ret', 'ret ')]);
    expect(trace.blocks.modules[0]?.path).toBe(path);
  });

  test('have a gap where a record does not go on from the one before', async () => {
    const { flow } = await read([
      record(bbid(0x10), bbid(0x20), 'ret', 'ret '),
      record(bbid(0x50), bbid(0x60), 'ret', 'ret '),
    ]);
    expect(flow).toEqual([0x10, 'gap', 0x50, 0x60]);
  });

  test.each([
    ['jmp', 'jmp qword ptr [rip+0x8]', Transfer.ijmp],
    ['jmp', 'jmp 0x77b3f2c0', Transfer.jmp],
    ['jmp', 'jmp eax', Transfer.ijmp],
    ['call', 'call 0x401000', Transfer.call],
    ['call', 'call dword ptr [eax+0x4]', Transfer.icall],
    ['jnbe', 'jnbe 0x401000', Transfer.jcc],
    ['ret_far', 'ret_far ', Transfer.far],
    ['sysenter', 'sysenter ', Transfer.syscall],
  ])('%s: "%s"', async (mnemonic, text, kind) => {
    const { trace } = await read([record(bbid(0x10), bbid(0x20), mnemonic, text)]);
    expect(trace.blocks.kind[0]).toBe(kind);
  });

  test('cut off anywhere are an error that names the place, or an end between two records', async () => {
    const records = [1, 2, 3].map((n) => record(bbid(n), bbid(n + 1), 'ret', 'ret '));
    const whole = Buffer.concat(records);
    for (let length = 1; length < whole.length; length++) {
      const isBetween = length % (whole.length / 3) === 0;
      const result = read([], gzipSync(whole.subarray(0, length)));
      if (isBetween) expect((await result).summary.blocks).toBe(length / (whole.length / 3) + 1);
      else await expect(result).rejects.toThrow(/at byte \d+ of the inflated data/);
    }
    await expect(read([], gzipSync(whole).subarray(0, -9))).rejects.toThrow('cut off or damaged');
  });

  test('any bytes are read or refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        try {
          await read([], gzipSync(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(UserError);
        }
      }),
      { numRuns: 300, seed: 8 },
    );
  });

  test.skipIf(!existsSync('../shared/data/acrobat'))('of Acrobat Reader load whole', async () => {
    const { samples } = await findSamples('../shared/data/acrobat');
    const context = { images: new ImageStore([]), codeCache: new CodeCache(), preprocessed: true };
    const blocks: number[] = [];
    for (const sample of samples) {
      for (const trace of await openTraces(sample, context)) {
        blocks.push((await trace.source.run(() => {})).blocks);
        expect(trace.source.blocks.modules.map(({ name }) => name)).toContain('ntdll.dll');
      }
    }
    expect(blocks).toEqual([755373, 649270]);
  });
});
