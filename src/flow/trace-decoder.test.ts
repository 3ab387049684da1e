import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { codeBase as base, codeSpace } from '../../test/code-space.ts';
import { Random } from '../base/random.ts';
import type { AddressSpace } from '../image/address-space.ts';
import { ImageStore } from '../image/image-store.ts';
import { buildAddressSpace } from '../image/mapped-space.ts';
import { readMemoryMap } from '../image/maps/memory-map.ts';
import { Transfer } from '../x86/transfer.ts';
import { CodeCache } from './code-cache.ts';
import { Fingerprint } from './fingerprint.ts';
import type { Mark } from './mark.ts';
import { TraceDecoder } from './trace-decoder.ts';

const data = '../shared/data';
const psb = Array.from({ length: 16 }, (_, i) => (i % 2 ? 0x82 : 0x02));
const psbend = [0x02, 0x23];

/** IP packet with 48 bits, sign-extended. */
const ip = (opcode: number, address: number): number[] => [
  opcode | (3 << 5),
  ...[0, 8, 16, 24].map((shift) => (address >>> shift) & 255),
  Math.floor(address / 2 ** 32) & 255,
  Math.floor(address / 2 ** 40) & 255,
];
const pge = (address: number): number[] => ip(0x11, address);
const tip = (address: number): number[] => ip(0x0d, address);
const fup = (address: number): number[] => ip(0x1d, address);
const pgd = [0x01];
/** Outcomes, oldest first, as a short TNT packet. */
const tnt = (outcomes: string): number => {
  let bits = 1;
  for (const outcome of outcomes) bits = bits * 2 + (outcome === 'T' ? 1 : 0);
  return bits << 1;
};

interface Decoded {
  /** Offsets of the blocks' starts, or `gap reason`, `async`. */
  readonly flow: (number | string)[];
  readonly marks: readonly Mark[];
  readonly blocks: number;
}

async function decode(
  space: AddressSpace,
  input: Uint8Array | AsyncIterable<Uint8Array>,
): Promise<Decoded> {
  const decoder = new TraceDecoder({ space, input });
  const flow: (number | string)[] = [];
  const summary = await decoder.run(({ entries, length }) => {
    for (const entry of entries.subarray(0, length)) {
      if (entry >= 0) flow.push(decoder.blocks.offset[entry]);
      else {
        const mark = decoder.marks[~entry];
        flow.push(mark.kind === 'gap' ? `gap ${mark.reason}` : 'async');
      }
    }
  });
  return { flow, marks: decoder.marks, blocks: summary.blocks };
}

const trace = (...parts: (number | number[])[]): Uint8Array => Uint8Array.from(parts.flat());

describe('packets and small programs', () => {
  // 0: jz +2 (4)   2: jmp -4 (0)   4: call 10   9: hlt-like ret   10: jnz 13   12: ret   13: call rax
  const code = [
    0x74, 0x02, 0xeb, 0xfc, 0xe8, 0x01, 0, 0, 0, 0xc3, 0x75, 0x01, 0xc3, 0xff, 0xd0, 0xc3,
  ];
  const space = codeSpace(code);
  const start = [...psb, ...psbend, ...pge(base)];

  test('conditional branches follow TNT bits, oldest first', async () => {
    const { flow } = await decode(space, trace(start, tnt('NNT')));
    expect(flow).toEqual([0, 2, 0, 2, 0]);
  });

  test('a compressed return goes back to its call', async () => {
    const { flow } = await decode(space, trace(start, tnt('TNT'), tip(base)));
    // 0 jz taken -> 4 call -> 10 jnz not taken -> 12 ret (bit taken) -> 9 ret by TIP.
    expect(flow).toEqual([0, 4, 10, 12, 9]);
  });

  test('an uncompressed return takes a TIP', async () => {
    const { flow } = await decode(
      space,
      trace(start, tnt('TN'), tip(base + 9), tip(base), tnt('N')),
    );
    expect(flow).toEqual([0, 4, 10, 12, 9, 0]);
  });

  test('bits that follow an indirect call wait for its TIP', async () => {
    const { flow } = await decode(space, trace(start, tnt('TTN'), tip(base), tnt('N')));
    expect(flow).toEqual([0, 4, 10, 13, 0, 2, 0]);
  });

  test('a compressed return with the bit not taken is a mismatch', async () => {
    const { flow } = await decode(space, trace(start, tnt('TNN')));
    expect(flow).toEqual([0, 4, 10, 'gap mismatch']);
  });

  test('a compressed return without a call is a mismatch', async () => {
    const { flow } = await decode(space, trace(psb, psbend, pge(base + 9), tnt('T')));
    expect(flow).toEqual([9, 'gap mismatch']);
  });

  test('flow is known again after the next PSB', async () => {
    const { flow, marks } = await decode(
      space,
      trace(start, tnt('TNN'), tnt('TT'), psb, fup(base), psbend, tnt('N')),
    );
    expect(flow).toEqual([0, 4, 10, 'gap mismatch', 0]);
    expect(marks[0]).toMatchObject({ kind: 'gap', traceOffset: 25, bytesLost: 2 + 16 + 7 });
  });

  test('a PSB+ that execution cannot reach shows that packets are missing', async () => {
    const { flow, marks } = await decode(
      space,
      trace(start, psb, fup(base + 10), psbend, tnt('N'), tip(base)),
    );
    // Nothing leads from 0 to 10 without an outcome.
    expect(flow).toEqual(['gap mismatch', 10, 12]);
    expect(marks[0]).toMatchObject({ kind: 'gap', traceOffset: 41, bytesLost: 7 });
  });

  test('a PSB+ further down a direct path confirms it', async () => {
    const { flow } = await decode(
      space,
      trace(start, tnt('T'), psb, fup(base + 10), psbend, tnt('N'), tip(base)),
    );
    expect(flow).toEqual([0, 4, 10, 12]);
  });

  test('an event that CFE tells has the FUP and the TIP of an interruption', async () => {
    const cfe = [0x02, 0x13, 0x01, 0x20];
    const { flow } = await decode(
      space,
      trace(start, tnt('T'), cfe, fup(base + 10), tip(base + 2), tnt('N')),
    );
    // 10 is interrupted before its first instruction; 2 is jmp, 0 is jz.
    expect(flow).toEqual([0, 4, 'async', 2, 0]);
  });

  test('code in no image is a gap with its address', async () => {
    const { flow, marks } = await decode(space, trace(start, tnt('TT'), tip(0x700000), tnt('T')));
    expect(flow).toEqual([0, 4, 10, 13, 'gap no-code']);
    expect(marks[0]).toMatchObject({ address: 0x700000 });
  });

  test('OVF loses the call stack and resumes at a FUP', async () => {
    const { flow } = await decode(
      space,
      trace(start, tnt('TN'), [0x02, 0xf3], fup(base + 10), tnt('N'), tnt('T')),
    );
    expect(flow).toEqual([0, 4, 10, 'gap overflow', 10, 12, 'gap mismatch']);
  });

  test('an interruption inside a block that resumes there does not repeat the block', async () => {
    const long = codeSpace([0x90, 0x90, 0x90, 0x74, 0xfb, 0xc3]);
    const { flow } = await decode(
      long,
      trace(start, tnt('T'), fup(base + 2), pgd, pge(base + 2), tnt('N')),
    );
    expect(flow).toEqual([0, 0]);
  });

  test('an interruption that goes elsewhere is an asynchronous transfer', async () => {
    const long = codeSpace([0x90, 0x90, 0x90, 0x74, 0xfb, 0xc3]);
    const { flow, marks } = await decode(
      long,
      trace(start, fup(base + 1), tip(base + 3), tnt('N')),
    );
    expect(flow).toEqual([0, 'async', 3]);
    expect(marks[0]).toMatchObject({ kind: 'async', from: base + 1, to: base + 3 });
  });

  test('TIP.PGD without IP binds to the next system call', async () => {
    const sys = codeSpace([0xeb, 0x00, 0x0f, 0x05, 0x74, 0xfe]);
    const { flow } = await decode(sys, trace(start, pgd, pge(base + 4), tnt('T')));
    expect(flow).toEqual([0, 2, 4]);
  });

  test('a long TNT packet is its bits', async () => {
    // 12 outcomes under a stop bit at bit 12; jz not taken, jmp back, 12 times.
    const long = [0x02, 0xa3, 0x00, 0x10, 0, 0, 0, 0];
    const { flow } = await decode(space, trace(start, long));
    expect(flow.filter((offset) => offset === 0).length).toBe(12);
    expect(flow.length).toBe(23);
  });

  test('bytes before the first PSB are a gap', async () => {
    const { flow } = await decode(space, trace([0xd9, 1, 2, 3], start, tnt('N')));
    expect(flow).toEqual(['gap not-synchronized', 0]);
  });

  test('batches begin at PSBs, so that their offsets point into the trace', async () => {
    const again = [...psb, ...fup(base), ...psbend];
    const decoder = new TraceDecoder({ space, input: trace(start, tnt('NN'), again, tnt('NNN')) });
    const offsets: [offset: number, blocks: number][] = [];
    await decoder.run(({ traceOffset, length }) => offsets.push([traceOffset, length]));
    expect(offsets).toEqual([
      [0, 3],
      [start.length + 1, 6],
    ]);
  });

  test('a packet cut off at the end is a gap', async () => {
    const { flow } = await decode(space, trace(start, tnt('N'), [0x19, 1, 2]));
    expect(flow).toEqual([0, 'gap truncated']);
  });
});

describe('any bytes', () => {
  const random = new Random(7);
  const code = Array.from({ length: 4096 }, () => random.below(256));
  const space = codeSpace(code);
  /** Something that looks like a trace, with damage. */
  const hostile = fc
    .array(
      fc.oneof(
        { weight: 6, arbitrary: fc.integer({ min: 2, max: 127 }).map((key) => [key << 1]) },
        { weight: 3, arbitrary: fc.nat(4095).map((offset) => tip(base + offset)) },
        { weight: 1, arbitrary: fc.nat(4095).map((offset) => fup(base + offset)) },
        {
          weight: 1,
          arbitrary: fc.nat(4095).map((offset) => [...psb, ...fup(base + offset), ...psbend]),
        },
        { weight: 1, arbitrary: fc.nat(4095).map((offset) => pge(base + offset)) },
        {
          weight: 1,
          arbitrary: fc.constantFrom(pgd, [0x02, 0xf3], [0x99, 0x01], [0x99, 0x02], [0x00]),
        },
        { weight: 1, arbitrary: fc.uint8Array({ maxLength: 12 }).map((bytes) => [...bytes]) },
      ),
      { maxLength: 200 },
    )
    .map((parts) => Uint8Array.from([...psb, ...psbend, ...parts.flat()]));

  test('end in blocks and named losses', async () => {
    await fc.assert(
      fc.asyncProperty(hostile, async (bytes) => {
        const { flow } = await decode(space, bytes);
        expect(
          flow.every((entry) => typeof entry === 'number' || /^(gap [a-z-]+|async)$/.test(entry)),
        ).toBe(true);
      }),
      { numRuns: 500, seed: 1 },
    );
  });

  test('decode alike however they are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        hostile,
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
        async (bytes, sizes) => {
          async function* cut(): AsyncGenerator<Uint8Array> {
            for (let at = 0, i = 0; at < bytes.length; i++) {
              const size = sizes[i % sizes.length];
              yield bytes.slice(at, at + size);
              at += size;
            }
          }
          expect(await decode(space, cut())).toEqual(await decode(space, bytes));
        },
      ),
      { numRuns: 300, seed: 2 },
    );
  });

  test('zeros and endless PSBs end', async () => {
    expect((await decode(space, new Uint8Array(1 << 20))).flow).toEqual(['gap not-synchronized']);
    const many = Uint8Array.from({ length: 1 << 20 }, (_, i) => psb[i % 16]);
    expect((await decode(space, many)).flow).toEqual([]);
  });
});

describe.skipIf(!existsSync(`${data}/pt-bench`))('large traces of python', () => {
  test.each(['py', 'py-noretc'])(
    '%s has the fingerprint that the recorder computed',
    async (name) => {
      const folder = `${data}/pt-bench/${name}`;
      const space = await buildAddressSpace(
        await readMemoryMap(`${folder}/trace/mapping.txt`),
        new ImageStore([`${folder}/bin`]),
      );
      const input = gunzipSync(readFileSync(`${folder}/trace/trace_0.gz`));
      const decoder = new TraceDecoder({ space, input });
      const fingerprint = new Fingerprint(decoder.blocks);
      const summary = await decoder.run((batch) => fingerprint.add(batch));
      const expected = readFileSync(`${folder}/expected.txt`, 'utf8');
      expect(summary.gaps).toBe(0);
      expect(expected).toContain(`decision_hash=${fingerprint.value}`);
      expect(expected).toContain(`insns=${fingerprint.instructions} `);
    },
  );
});

describe.skipIf(!existsSync(`${data}/pdftotext`))('traces of pdftotext', () => {
  test('have the blocks that the recorder counted', async () => {
    const root = `${data}/pdftotext`;
    const images = new ImageStore([`${root}/bin`]);
    const codeCache = new CodeCache();
    const names = [
      'nom005',
      'nom098',
      'ctl_bytefuzz_1',
      'atk_fptr_2_m3',
      'atk_rop_ret_n5',
      'atk_ret2libc_7',
    ];
    for (const name of names) {
      const map = await readMemoryMap(`${root}/traces/${name}/mapping.txt`);
      const space = await buildAddressSpace(map, images);
      const input = gunzipSync(readFileSync(`${root}/traces/${name}/trace_0.gz`));
      const decoder = new TraceDecoder({ space, input, codeCache });
      const { blocks, gaps } = await decoder.run(() => {});
      const truth = JSON.parse(readFileSync(`${root}/truth/${name}.json`, 'utf8')) as {
        blocks: number;
      };
      expect([name, blocks, gaps]).toEqual([name, truth.blocks, 0]);
    }
    codeCache.dispose();
  });
});

describe.skipIf(!existsSync(`${data}/hardware-pt`))('traces of real processors', () => {
  const names = existsSync(`${data}/hardware-pt`) ? readdirSync(`${data}/hardware-pt`) : [];

  test.each(names.filter((name) => name.startsWith('arcus')))(
    '%s has the transfers that libipt found',
    async (name) => {
      const { ours, direct, instructions, gaps } = await transfersOf(name);
      expect(gaps).toBe(0);
      const theirs = libiptBlocks(name);
      // Libipt runs a block on through direct jumps, so those are left out on both sides.
      const transfers = theirs.transfers.filter((address) => !direct.has(address));
      expect(ours.length).toBeGreaterThan(1000);
      expect(transfers).toEqual(ours);
      // At the end of a trace libipt walks on as far as direct transfers carry.
      expect(theirs.instructions - instructions).toBeGreaterThanOrEqual(0);
      expect(theirs.instructions - instructions).toBeLessThan(200);
    },
  );

  test.each(names.filter((name) => name.startsWith('libxdc')))(
    '%s has the transfers that libipt of 2018 found',
    async (name) => {
      // Captured by a hypervisor; today's libipt errs on what it leaves out, that of 2018 does not.
      const { ours, gaps } = await transfersOf(name);
      expect(gaps).toBe(0);
      expect(ours.length).toBeGreaterThan(10_000);
      const theirs = transfersOf2018(name);
      // It does not understand how avscript32 begins, and starts at the second PSB.
      const missed = name.endsWith('avscript32') ? 2746 : 0;
      expect(ours.slice(missed)).toEqual(theirs);
    },
  );

  interface Transfers {
    /** Address of each transfer instruction that ran, direct jumps and calls left out. */
    readonly ours: number[];
    /** Addresses of direct jumps and calls. */
    readonly direct: ReadonlySet<number>;
    readonly instructions: number;
    readonly gaps: number;
  }

  async function transfersOf(name: string): Promise<Transfers> {
    const folder = `${data}/hardware-pt/${name}`;
    const map = await readMemoryMap(`${folder}/mapping.txt`);
    const space = await buildAddressSpace(map, new ImageStore([`${folder}/img`]));
    const decoder = new TraceDecoder({ space, input: readFileSync(`${folder}/trace_0`) });
    const ours: number[] = [];
    const direct = new Set<number>();
    let count = 0;
    const { gaps } = await decoder.run(({ entries, length }) => {
      const { offset, module, modules, lastInstruction, kind, instructions } = decoder.blocks;
      for (const block of entries.subarray(0, length)) {
        if (block < 0) continue;
        count += instructions[block];
        const address = modules[module[block]].base + offset[block] + lastInstruction[block];
        if (kind[block] === Transfer.jmp || kind[block] === Transfer.call) direct.add(address);
        else ours.push(address);
      }
    });
    return { ours, direct, instructions: count, gaps };
  }

  /** `[block] start last-instruction   text`. Blocks run on through direct jumps here, too. */
  function transfersOf2018(name: string): number[] {
    const text = gunzipSync(readFileSync(`${data}/hardware-pt/${name}/oracle-ptxed-2018.txt.gz`));
    const rows = [...text.toString().matchAll(/^\[block\] \w+ (\w+) +(.*)/gm)];
    return rows
      .filter(([, , text]) => /^(bnd )?(j|call|ret|loop|sys|int |iret)/.test(text ?? ''))
      .filter(([, , text]) => !/^(bnd )?(jmp|call) 0x/.test(text ?? ''))
      .map((row) => Number.parseInt(row[1] ?? '', 16));
  }

  /** `[block] start last-instruction instructions class mode`; class 1 ends in no transfer. */
  function libiptBlocks(name: string): { transfers: number[]; instructions: number } {
    const text = gunzipSync(
      readFileSync(`${data}/hardware-pt/${name}/oracle-libipt-blocks.txt.gz`),
    );
    const rows = [...text.toString().matchAll(/^\[block\] \w+ (\w+) (\d+) (\d+)/gm)];
    return {
      transfers: rows
        .filter((row) => row[3] !== '1')
        .map((row) => Number.parseInt(row[1] ?? '', 16)),
      instructions: rows.reduce((sum, row) => sum + Number(row[2]), 0),
    };
  }
});
