import { describe, expect, test } from 'vitest';
import { codeBase as base, codeSpace } from '../../test/code-space.ts';
import type { AddressSpace, Section } from '../image/address-space.ts';
import { errataOf, noErrata, parseCpu } from '../pt/errata.ts';
import type { BlockBatch } from './blocks.ts';
import type { Mark } from './mark.ts';
import { TraceDecoder, type TraceDecoderOptions } from './trace-decoder.ts';

/**
 * The rules by which packets belong together, on code of a few bytes.
 *
 * @see Intel SDM vol. 3, "Intel Processor Trace", "Packet Definitions": the tables of each packet say
 *   which others it belongs to
 */

const psb = Array.from({ length: 16 }, (_, i) => (i % 2 ? 0x82 : 0x02));
const psbend = [0x02, 0x23];
const ovf = [0x02, 0xf3];
const pgd = [0x01];

/** IP packet with 48 bits, sign-extended. */
function ip(opcode: number, address: number): number[] {
  const high = Math.floor(address / 2 ** 32);
  const bytes = [0, 8, 16, 24].map((shift) => (address >>> shift) & 255);
  return [opcode | (3 << 5), ...bytes, high & 255, (high >> 8) & 255];
}
const at = (offset: number): number => base + offset;
const tip = (offset: number): number[] => ip(0x0d, at(offset));
const pge = (offset: number): number[] => ip(0x11, at(offset));
const pgdAt = (offset: number): number[] => ip(0x01, at(offset));
const fup = (offset: number): number[] => ip(0x1d, at(offset));
const mode64 = [0x99, 0x01];
const mode32 = [0x99, 0x02];
const tsc = (value: number): number[] => [0x19, value, 0, 0, 0, 0, 0, 0];
/** Outcomes, oldest first, as a short TNT packet. */
function tnt(outcomes: string): number[] {
  let bits = 1;
  for (const outcome of outcomes) bits = bits * 2 + (outcome === 'T' ? 1 : 0);
  return [bits << 1];
}

/** @returns offsets of blocks, `gap REASON`, `async FROM TO` */
async function flowOf(
  code: readonly number[],
  packets: readonly (readonly number[])[],
  options: Partial<TraceDecoderOptions> = {},
): Promise<(number | string)[]> {
  return (await decode(code, packets, options)).flow;
}

async function decode(
  code: readonly number[],
  packets: readonly (readonly number[])[],
  options: Partial<TraceDecoderOptions> = {},
): Promise<{
  flow: (number | string)[];
  crashed: boolean;
  marks: readonly Mark[];
  times: (number | undefined)[];
}> {
  const input = Uint8Array.from([...psb, ...psbend, ...packets.flat()]);
  const decoder = new TraceDecoder({ space: codeSpace(code), input, ...options });
  const flow: (number | string)[] = [];
  const times: (number | undefined)[] = [];
  const offset = (address: number | undefined): string =>
    address === undefined ? '?' : String(address - base);
  const { crashed } = await decoder.run(({ entries, length, time }: BlockBatch) => {
    for (const entry of entries.subarray(0, length)) {
      times.push(time);
      if (entry >= 0) flow.push(decoder.blocks.offset[entry]);
      else {
        const mark = decoder.marks[~entry];
        if (mark.kind === 'gap') flow.push(`gap ${mark.reason}`);
        if (mark.kind === 'async') flow.push(`async ${offset(mark.from)} ${offset(mark.to)}`);
      }
    }
  });
  return { flow, crashed, marks: decoder.marks, times };
}

// 0: nop nop jz 6   4: jmp 0   6: call 12   11: ret   12: jz 15   14: ret   15: call rax   17: ret
const program = [
  0x90, 0x90, 0x74, 0x02, 0xeb, 0xfa, 0xe8, 0x01, 0, 0, 0, 0xc3, 0x74, 0x01, 0xc3, 0xff, 0xd0, 0xc3,
];

describe('a trace that ends', () => {
  const ended = async (...packets: number[][]): Promise<unknown[]> => {
    const { flow, crashed, marks } = await decode(program, packets);
    const last = marks.at(-1);
    return [...flow, crashed, ...(last?.kind === 'async' ? [last.isInCode] : [])];
  };

  test('at an event within known code says so, with TIP.PGD and without', async () => {
    // 0: nop nop jz: the event comes at the second instruction; the block is what ran last.
    for (const pgds of [[pgd], [], [pgdAt(0x900)], [pgd, [0x02, 0x83], [0x59, 1], psb, psbend]]) {
      expect(await ended(pge(0), fup(1), ...pgds)).toEqual([0, 'async 1 ?', true, true]);
    }
    // At the first instruction of a block that direct transfers led to.
    expect(await ended(pge(0), tnt('T'), fup(12), pgd)).toEqual([0, 6, 'async 12 ?', true, true]);
    expect(await ended(pge(0), [0x99, 0x22], fup(1), pgd)).toEqual([0, 'async 1 ?', true, true]);
  });

  test('at an event where no code is has gone there', async () => {
    expect(await ended(pge(17), tip(0x900), fup(0x900), pgd)).toEqual([
      17,
      'async 2304 ?',
      true,
      false,
    ]);
    // 17: ret, the last code there is; before it: 16 is no place to go on from.
    const cut = [0x90, 0x90];
    const { flow, crashed } = await decode(cut, [pge(0), fup(2), pgd]);
    expect([...flow, crashed]).toEqual([0, 'async 2 ?', true]);
  });

  test('otherwise does not: after its last branch, out of a filter, in a gap, or cut off', async () => {
    expect(await ended(pge(15), pgd)).toEqual([15, false]);
    expect(await ended(pge(0), pgdAt(1))).toEqual([false]);
    expect(await ended(pge(0), tnt('N'))).toEqual([0, false]);
    expect(await ended(pge(0), fup(1), pgd, pge(1), tnt('N'))).toEqual([0, false]);
    expect(await ended(pge(0), fup(1), pgd, ovf)).toEqual(['gap overflow', false]);
    expect(await ended(pge(0), fup(1), [0x02])).toEqual(['gap truncated', false]);
    // Bits wait for a TIP: it is missing.
    expect(await ended(pge(0), tnt('TTN'), fup(15))).toEqual([0, 6, 12, false]);
    // A FUP that belongs to another packet is no event.
    expect(await ended(pge(0), [0x02, 0xe2], fup(1))).toEqual([false]);
  });
});

describe('packets that change nothing in the flow', () => {
  test.each<[string, number[]]>([
    ['TraceStop', [0x02, 0x83]],
    ['PIP', [0x02, 0x43, 1, 2, 3, 4, 5, 6]],
    ['VMCS', [0x02, 0xc8, 1, 2, 3, 4, 5]],
    ['CBR', [0x02, 0x03, 0x1c, 0x00]],
    ['TMA', [0x02, 0x73, 1, 2, 0, 4, 0]],
    ['MTC', [0x59, 0x10]],
    ['CYC of three bytes', [0x07, 0x03, 0x04]],
    ['TSC', tsc(1)],
    ['MNT', [0x02, 0xc3, 0x88, 1, 2, 3, 4, 5, 6, 7, 8]],
    ['MWAIT', [0x02, 0xc2, 1, 0, 0, 0, 2, 0, 0, 0]],
    ['PWRE', [0x02, 0x22, 0x80, 0x10]],
    ['PWRX', [0x02, 0xa2, 1, 2, 0, 0, 0]],
    ['EXSTOP', [0x02, 0x62]],
    ['EXSTOP with its FUP', [0x02, 0xe2, ...fup(1)]],
    ['PTW', [0x02, 0x12, 1, 2, 3, 4]],
    ['PTW of 8 bytes with its FUP', [0x02, 0xb2, 1, 2, 3, 4, 5, 6, 7, 8, ...fup(1)]],
    ['CFE', [0x02, 0x13, 0x02, 0x00]],
    ['CFE with its FUP', [0x02, 0x13, 0x81, 0x20, ...fup(1)]],
    ['CFE of a kind that is not known, with its FUP', [0x02, 0x13, 0x9f, 0x20, ...fup(1)]],
    ['MODE.Exec of an interrupt flag, with its FUP', [0x99, 0x05, ...fup(1)]],
    ['EVD', [0x02, 0x53, 0x01, 1, 2, 3, 4, 5, 6, 7, 8]],
    ['MODE.TSX begin with its FUP', [0x99, 0x21, ...fup(1)]],
    ['MODE.TSX commit with its FUP', [0x99, 0x20, ...fup(1)]],
    // Between BBP and BEP, 04 is no TNT packet but item 0, with 8 or 4 bytes.
    ['a PEBS record', [0x02, 0x63, 0x04, 0x04, 1, 2, 3, 4, 5, 6, 7, 8, 0x02, 0x33]],
    ['a PEBS record of short items', [0x02, 0x63, 0x84, 0x0c, 1, 2, 3, 4, 0x02, 0xb3, ...fup(1)]],
    ['TRIG', [0xd9, 0x00, 0x16]],
    ['TRIG with a count', [0xd9, 0x60, 0x16, 0x16, 0x04]],
    ['TRIG with its FUP', [0xd9, 0xc0, 0x01, 0, 0, ...fup(1)]],
  ])('%s', async (_, packet) => {
    const flow = await flowOf(program, [pge(0), packet, tnt('N'), packet, tnt('TN'), tip(11)]);
    expect(flow).toEqual([0, 4, 0, 6, 12, 14]);
  });
});

describe('asynchronous events', () => {
  test('a transaction that aborts is an asynchronous branch', async () => {
    const abort = [0x99, 0x22];
    expect(await flowOf(program, [pge(0), abort, fup(1), tip(12), tnt('N')])).toEqual([
      0,
      'async 1 12',
      12,
    ]);
  });

  test('CFE tells of an interrupt that turns tracing off and returns', async () => {
    const cfe = [0x02, 0x13, 0x01, 0x20];
    expect(await flowOf(program, [pge(0), cfe, fup(1), pgd, pge(1), tnt('N')])).toEqual([0]);
  });

  test('outcomes between FUP and TIP are no compound packet event', async () => {
    expect(await flowOf(program, [pge(0), fup(1), tnt('N'), tip(12)])).toEqual(['gap mismatch']);
  });
});

describe('event trace of returns from interrupts', () => {
  // 0: nop nop iret   4: nop iret
  const returns = [0x90, 0x90, 0x48, 0xcf, 0x90, 0x48, 0xcf];
  const cfeIret = [0x02, 0x13, 0x82, 0x00];

  test('IRET whose TIP.PGD turns tracing off has run', async () => {
    // As libipt has it: the FUP is that of CFE, and TIP.PGD is IRET's own.
    const packets = [pge(0), cfeIret, fup(2), pgd, pge(4), cfeIret, fup(5), pgd];
    expect(await flowOf(returns, packets)).toEqual([0, 4]);
  });

  test('IRET that is traced on has an ordinary TIP, with FUP and without', async () => {
    expect(await flowOf(returns, [pge(0), cfeIret, fup(2), tip(4), cfeIret, fup(5), pgd])).toEqual([
      0, 4,
    ]);
    const noIp = [0x02, 0x13, 0x02, 0x00];
    expect(await flowOf(returns, [pge(0), noIp, tip(4), noIp, pgd])).toEqual([0, 4]);
  });

  test('an interrupt before IRET runs is none of it', async () => {
    const cfe = [0x02, 0x13, 0x01, 0x20];
    expect(await flowOf(returns, [pge(0), cfe, fup(2), tip(4), cfeIret, fup(5), pgd])).toEqual([
      0,
      'async 2 4',
      4,
    ]);
    expect(await flowOf(returns, [pge(0), fup(2), pgd, pge(2), pgd])).toEqual([0]);
  });

  test('UIRET and INT n, too', async () => {
    // 0: uiret   4: int 0x80   6: ret
    const code = [0xf3, 0x0f, 0x01, 0xec, 0xcd, 0x80, 0xc3];
    const uiret = [0x02, 0x13, 0x8d, 0x00];
    expect(
      await flowOf(code, [pge(0), uiret, fup(0), tip(4), fup(4), pgd, pge(6), tip(0)]),
    ).toEqual([0, 4, 6]);
    // Another way back than behind it: a signal handler.
    expect(await flowOf(code, [pge(4), fup(4), pgd, pge(0), uiret, fup(0), tip(6)])).toEqual([
      'async 4 0',
      0,
    ]);
  });
});

describe('transactions', () => {
  const begin = [0x99, 0x21];
  const abort = [0x99, 0x22];

  test('MODE.TSX before TIP.PGE belongs to it alone', async () => {
    for (const mode of [begin, abort, [0x99, 0x20]]) {
      expect(await flowOf(program, [mode, pge(0), fup(1), tip(12), tnt('N')])).toEqual([
        0,
        'async 1 12',
        12,
      ]);
      const later = [pge(15), pgdAt(0x900), mode, pge(12), fup(12), tip(0), tnt('N')];
      expect(await flowOf(program, later)).toEqual([15, 'async ? 12', 'async 12 0', 0]);
    }
  });

  test('MODE.TSX after an overflow has the FUP that says where flow goes on', async () => {
    const packets = [pge(0), ovf, begin, fup(0), fup(1), tip(12), tnt('N')];
    expect(await flowOf(program, packets)).toEqual(['gap overflow', 0, 'async 1 12', 12]);
  });

  test('an abort may turn tracing off', async () => {
    expect(await flowOf(program, [pge(0), abort, fup(1), pgd, pge(12), tnt('N')])).toEqual([
      0,
      'async 1 12',
      12,
    ]);
  });
});

describe('a FUP belongs to the packet right before it, or to none', () => {
  test.each<[string, number[]]>([
    ['EXSTOP', [0x02, 0xe2]],
    ['PTW', [0x02, 0x92, 1, 2, 3, 4]],
    ['BEP', [0x02, 0xb3]],
    ['CFE', [0x02, 0x13, 0x81, 0x20]],
    ['TRIG', [0xd9, 0x80, 0x01]],
    ['MODE.Exec', [0x99, 0x01]],
    ['MODE.TSX', [0x99, 0x21]],
  ])('%s whose FUP is missing takes no later one', async (_, packet) => {
    const later = [fup(0), tip(12), tnt('N')];
    const expected = [0, 4, 'async 0 12', 12];
    expect(await flowOf(program, [pge(0), packet, tnt('N'), ...later])).toEqual(expected);
    expect(await flowOf(program, [pge(0), tnt('N'), packet, psb, psbend, ...later])).toEqual(
      expected,
    );
    expect(await flowOf(program, [pge(17), packet, tip(0), ...later])).toEqual([
      17,
      'async 0 12',
      12,
    ]);
  });
});

describe('PSB+', () => {
  // 48 ff c0: inc rax, or dec eax and inc eax.
  const code = [0x48, 0xff, 0xc0, 0xc3];
  const instructionsOf = async (...packets: number[][]): Promise<number[]> => {
    const input = Uint8Array.from(packets.flat());
    const decoder = new TraceDecoder({ space: codeSpace(code), input });
    const seen: number[] = [];
    await decoder.run(({ entries, length }) => {
      for (const entry of entries.subarray(0, length)) {
        seen.push(entry < 0 ? entry : decoder.blocks.instructions[entry]);
      }
    });
    return seen;
  };

  test('tells the mode behind an address that flow does not lead to, too', async () => {
    // 0: ret. 4: 48 ff c0 in either mode, ret.
    const returns = [0xc3, 0x90, 0x90, 0x90, ...code];
    const modesOf = async (...status: number[][]): Promise<unknown[]> => {
      const packets = [psb, mode64, fup(0), psbend, psb, ...status, psbend, tip(0)];
      const decoder = new TraceDecoder({
        ...{ space: codeSpace(returns), input: Uint8Array.from(packets.flat()) },
      });
      const seen: unknown[] = [];
      await decoder.run(({ entries, length }) => {
        for (const entry of entries.subarray(0, length))
          seen.push(entry < 0 ? decoder.marks[~entry].kind : decoder.blocks.instructions[entry]);
      });
      return seen;
    };
    const before = await modesOf(mode32, fup(4));
    expect(before).toEqual(['gap', 3]);
    expect(await modesOf(fup(4), mode32)).toEqual(before);
    expect(await modesOf(fup(4), mode64)).toEqual(['gap', 2]);
  });

  test('may tell the mode before or after the address', async () => {
    for (const status of [
      [...mode32, ...fup(0)],
      [...fup(0), ...mode32],
    ]) {
      expect(await instructionsOf(psb, status, psbend, tip(0))).toEqual([3]);
      // The same again, while flow is known.
      const repeated = [psb, status, psbend, tip(0), psb, status, psbend, tip(0)];
      expect(await instructionsOf(...repeated)).toEqual([3, 3]);
    }
  });

  test('with another mode than that of the code shows that a packet is missing', async () => {
    for (const status of [
      [...mode64, ...fup(0)],
      [...fup(0), ...mode64],
    ]) {
      const packets = [psb, [...fup(0), ...mode32], psbend, tip(0), psb, status, psbend, tip(0)];
      expect(await instructionsOf(...packets)).toEqual([3, -1, 2]);
    }
  });

  test('ends at a packet of control flow, where PSBEND is missing', async () => {
    const packets = [psb, fup(0), tnt('N'), fup(0), tip(12), tnt('N')];
    expect(await flowOf(program, packets)).toEqual([0, 4, 'async 0 12', 12]);
  });

  test('is found where bytes before it are no packet, or a cut one', async () => {
    const whole = [...psb, ...mode64, ...fup(12), ...psbend, ...tnt('N')];
    const cuts: [number[], string][] = [
      [[0xc9], 'unknown-packet'],
      [[0x02, 0x04], 'unknown-packet'],
      [[0x99, 0xe0], 'unknown-packet'],
      [[0x6d, 0x82], 'mismatch'],
      [[0x02, 0xa3, 0xff], 'mismatch'],
      // These take some of it for their payload, and fit the flow.
      [[0x19, 1, 2, 3, 4], 'unknown-packet'],
      [[0x02, 0x03], 'unknown-packet'],
      [[0x02, 0x53, 1, 2, 3], 'unknown-packet'],
      [psb.slice(0, 10), 'unknown-packet'],
    ];
    for (const [cut, reason] of cuts) {
      const flow = await flowOf(program, [pge(0), cut, whole]);
      expect(flow.slice(-2)).toEqual([`gap ${reason}`, 12]);
    }
  });
});

describe('what is missing is told', () => {
  test('a FUP that only says where something happened must lie on the way', async () => {
    const exstop = [0x02, 0xe2];
    expect(await flowOf(program, [pge(0), exstop, fup(12), tnt('N')])).toEqual(['gap mismatch']);
    expect(await flowOf(program, [pge(0), tnt('T'), exstop, fup(12), tnt('N')])).toEqual([
      0, 6, 12,
    ]);
    const waiting = [pge(0), tnt('TTN'), exstop, fup(15), tip(0)];
    expect(await flowOf(program, waiting)).toEqual([0, 6, 12, 'gap mismatch']);
  });

  test('TIP.PGD while tracing is off: a TIP.PGE is missing', async () => {
    expect(await flowOf(program, [pge(15), pgd, pgd, pge(12), tnt('N')])).toEqual([
      15,
      'gap mismatch',
      12,
    ]);
  });

  test('an event in the middle of an instruction', async () => {
    // 2: jz 6, two bytes.
    expect(await flowOf(program, [pge(0), fup(3), tip(12)])).toEqual(['gap mismatch']);
    expect(await flowOf(program, [pge(0), fup(2), tip(12)])).toEqual([0, 'async 2 12']);
    expect(await flowOf(program, [pge(0), fup(3), pgd, pge(12), tnt('N')])).toEqual([
      'gap mismatch',
      12,
    ]);
    // The end of a run is told wherever it seems to be.
    expect(await flowOf(program, [pge(0), fup(3), pgd])).toEqual([0, 'async 3 ?']);
  });

  test('a FUP whose TIP is missing', async () => {
    expect(await flowOf(program, [pge(0), fup(1), fup(1), tip(12)])).toEqual(['gap mismatch']);
  });

  test('the last TIP led to no code', async () => {
    expect(await flowOf(program, [pge(17), tip(0x900)])).toEqual([17, 'gap no-code']);
    expect(await flowOf(program, [pge(17), tip(12)])).toEqual([17]);
  });
});

describe('modes of compound events', () => {
  test('MODE.Exec between FUP and TIP is the TIP’s', async () => {
    const packets = [pge(0), fup(1), mode32, tip(12), fup(12), pgd, mode64, pge(12), tnt('N')];
    expect(await flowOf(program, packets)).toEqual([0, 'async 1 12', 12]);
  });

  test('an event while outcomes wait for a TIP is a mismatch', async () => {
    // TT: jz taken, then jz taken; N waits for the TIP of call rax.
    const flow = await flowOf(program, [pge(0), tnt('TTN'), fup(15), tip(0)]);
    expect(flow).toEqual([0, 6, 12, 'gap mismatch']);
  });
});

describe('overflow', () => {
  test('with a FUP goes on there', async () => {
    expect(await flowOf(program, [pge(0), ovf, fup(12), tnt('N'), tip(0)])).toEqual([
      'gap overflow',
      12,
      14,
    ]);
  });

  test('without a FUP goes on when tracing is turned on', async () => {
    expect(await flowOf(program, [pge(0), ovf, pge(12), tnt('N'), tip(0)])).toEqual([
      'gap overflow',
      12,
      14,
    ]);
  });

  test('that ends in PSB+ goes on where PSB+ says', async () => {
    const flow = await flowOf(program, [
      pge(0),
      ovf,
      psb,
      mode64,
      fup(12),
      psbend,
      tnt('N'),
      // The next FUP is that of an interrupt, not of the overflow.
      fup(11),
      tip(0),
      tnt('N'),
    ]);
    expect(flow).toEqual(['gap overflow', 12, 'gap mismatch']);
  });

  test('may be followed by TIP.PGD, or by a FUP while tracing is off (APL11, APL12)', async () => {
    expect(await flowOf(program, [pge(0), ovf, pgd, pge(12), tnt('N')])).toEqual([
      'gap overflow',
      12,
    ]);
    expect(await flowOf(program, [pge(0), ovf, fup(4), pge(12), tnt('N')])).toEqual([
      'gap overflow',
      12,
    ]);
  });

  test('starts IP compression anew', async () => {
    // 0x2d: 16 bits, the others from the last IP, which is 0 now.
    const { marks } = await decode(program, [pge(0), ovf, [0x3d, 0x0c, 0x10], tnt('N')]);
    expect(marks[1]).toMatchObject({ kind: 'gap', reason: 'no-code', address: 0x100c });
  });
});

describe('tracing that is turned off', () => {
  test('at a direct jump out of an address filter: TIP.PGD has its target', async () => {
    expect(await flowOf(program, [pge(4), pgdAt(0), pge(12), tnt('N')])).toEqual([
      4,
      'async 0 12',
      12,
    ]);
  });

  test('at a conditional branch out of an address filter', async () => {
    expect(await flowOf(program, [pge(0), pgdAt(6), pge(12), tnt('N')])).toEqual([
      0,
      'async ? 12',
      12,
    ]);
    expect(await flowOf(program, [pge(0), pgdAt(9), pge(12)])).toEqual(['gap mismatch']);
  });

  test('at an indirect branch out of an address filter', async () => {
    expect(await flowOf(program, [pge(15), pgdAt(0x900), pge(17), tip(0)])).toEqual([
      15,
      'async ? 17',
      17,
    ]);
  });

  test('where the filtered range ends inside a block', async () => {
    expect(await flowOf(program, [pge(0), pgdAt(1), pge(1), tnt('N')])).toEqual([0]);
  });

  test('twice, or turned on twice, shows that a packet is missing', async () => {
    expect(await flowOf(program, [pge(0), tnt('T'), pge(12), tnt('N')])).toEqual([
      0,
      'gap mismatch',
      12,
    ]);
    const psbOn = [...psb, ...fup(12), ...psbend];
    expect(await flowOf(program, [pge(15), pgdAt(0x900), psbOn, tnt('N')])).toEqual([
      15,
      'gap mismatch',
      12,
    ]);
  });
});

describe('returns and deferred TIPs', () => {
  test('outcomes after an uncompressed return wait for its TIP', async () => {
    // 6 call 12; 12 jz not taken; 14 ret without compression: TIP 11 comes after the packet of outcomes.
    const flow = await flowOf(program, [pge(6), tnt('N'), tip(11), tip(0), tnt('N')]);
    expect(flow).toEqual([6, 12, 14, 11, 0]);
  });

  test('a TIP in the middle of a long TNT packet takes the rest along', async () => {
    // 0 jz taken, 12 jz taken, 15 call rax -> 0 by TIP, then NT: 0, 4, 0.
    const bits = 0b1_1_1_0_1;
    const long = [0x02, 0xa3, bits, 0, 0, 0, 0, 0];
    const flow = await flowOf(program, [pge(0), long, tip(0), tnt('T')]);
    expect(flow).toEqual([0, 6, 12, 15, 0, 4, 0, 6, 12]);
  });
});

describe('modes', () => {
  // 0: (64) jmp rax-like far return; 48 ff c0 is inc rax in 64-bit code, dec eax + inc eax in 32-bit code.
  const wow = [0xcb, 0x48, 0xff, 0xc0, 0xc3, 0x48, 0xff, 0xc0, 0xcb];

  test('change in the middle of a trace, as in WOW64', async () => {
    const space = codeSpace(wow);
    const packets = [
      [...psb, ...mode64, ...psbend],
      pge(0),
      [...mode32, ...tip(1)],
      tip(5),
      [...mode64, ...tip(1)],
      tip(0),
    ];
    const decoder = new TraceDecoder({ space, input: Uint8Array.from(packets.flat()) });
    const seen: [number, number][] = [];
    await decoder.run(({ entries, length }) => {
      const { offset, instructions } = decoder.blocks;
      for (const block of entries.subarray(0, length)) {
        seen.push([offset[block], instructions[block]]);
      }
    });
    // The same bytes are three instructions in 32-bit code and two in 64-bit code.
    expect(seen).toEqual([
      [0, 1],
      [1, 3],
      [5, 3],
      [1, 2],
    ]);
  });

  test('kernel addresses are negative, and sign-extended in the packets', async () => {
    const kernel = -0x7ef00000;
    const bytes = Uint8Array.from(program);
    const section: Section = {
      start: kernel,
      end: kernel + bytes.length,
      bytes,
      module: 0,
      isExecutable: true,
      image: bytes,
      imageOffset: 0,
    };
    const space: AddressSpace = {
      ...codeSpace(program),
      modules: [{ path: '/k', name: 'k', base: kernel }],
      sections: [section],
      find: (address) => (address >= section.start && address < section.end ? section : undefined),
    };
    const packets = [psb, psbend, ip(0x11, kernel), tnt('NT'), tnt('N'), ip(0x0d, kernel + 11)];
    const decoder = new TraceDecoder({ space, input: Uint8Array.from(packets.flat()) });
    const seen: number[] = [];
    await decoder.run(({ entries, length }) => {
      for (const block of entries.subarray(0, length)) seen.push(decoder.blocks.offset[block]);
    });
    expect(seen).toEqual([0, 4, 0, 6, 12, 14]);
  });
});

describe('time stamps', () => {
  test('are those of batches and marks', async () => {
    const { times, marks } = await decode(
      program,
      [tsc(5), pge(0), tnt('N'), tsc(9), fup(0), tip(12), tnt('N')],
      { isTimed: true },
    );
    // 0 at 5; then 4, the mark and 12 at 9.
    expect(times).toEqual([5, 9, 9, 9]);
    expect(marks[0]).toMatchObject({ kind: 'async', time: 9 });
  });

  test('between TSC packets come from MTC and CYC', async () => {
    const tma = [0x02, 0x73, 0x10, 0, 0, 0, 0];
    const packets = [tsc(100), tma, pge(0), tnt('N'), [0x59, 0x03], tnt('N'), [0x59, 0x04]];
    packets.push(tnt('N'), [0x03 | (31 << 3)], tnt('N'));
    const rate = { shift: 3, ratio: 10 };
    const { times } = await decode(program, packets, { isTimed: true, mtc: rate });
    // 0, 4: 100; then a period of 80 ticks each. The cycles have no pace yet.
    expect(times.slice(0, 4)).toEqual([100, 180, 180, 260]);
    expect(times.at(-1)).toBe(260);
    const without = await decode(
      program,
      packets.filter(([byte]) => byte !== 0x59),
      { isTimed: true },
    );
    expect(new Set(without.times)).toEqual(new Set([100]));
  });
});

describe('bounds', () => {
  test('a signal stops decoding of bytes in memory', async () => {
    const input = Uint8Array.from({ length: 1 << 24 }, (_, i) => psb[i % 16]);
    const abort = new AbortController();
    const decoder = new TraceDecoder({ space: codeSpace(program), input });
    const running = decoder.run(() => {}, { signal: abort.signal });
    setImmediate(() => abort.abort());
    await expect(running).rejects.toThrow('abort');
  });

  test('past the most marks the rest of a trace is one gap', async () => {
    const hop = [...fup(0), ...tip(0)];
    const many = Array.from({ length: 1000 }, () => hop);
    const { flow, marks } = await decode(program, [pge(0), ...many], { maxMarks: 10 });
    expect(flow.length).toBe(12);
    expect(flow.at(-1)).toBe('gap limit');
    const { traceOffset, bytesLost } = marks.at(-1) as { traceOffset: number; bytesLost: number };
    expect(traceOffset + bytesLost).toBe(16 + 2 + 7 + 1000 * 14);
  });

  test('a trace without end keeps its last marks only, and is decoded to its end', () => {
    const decoder = new TraceDecoder({
      ...{ space: codeSpace(program), input: new Uint8Array(0), maxMarks: 20, keptMarks: 16 },
    });
    let transfers = 0;
    let blocks = 0;
    decoder.begin(({ entries, length }) => {
      for (const entry of entries.subarray(0, length)) {
        if (entry >= 0) blocks++;
        else if (decoder.marks[~entry].kind === 'async') transfers++;
      }
    });
    decoder.push(Uint8Array.from([...psb, ...psbend, ...pge(0)]));
    for (let i = 0; i < 1000; i++) {
      decoder.push(Uint8Array.from([...fup(0), ...tip(0)]));
      decoder.handOn();
    }
    decoder.push(Uint8Array.from(tnt('N')));
    expect(decoder.end()).toMatchObject({ gaps: 0, asyncTransfers: 1000 });
    expect([decoder.isFull, transfers, decoder.marks.length]).toEqual([false, 1000, 16]);
    expect(blocks).toBeGreaterThan(0);
  });

  test('past the most blocks, too', async () => {
    const many = Array.from({ length: 100 }, (_, i) => pge(0x1000 + i));
    const { flow } = await decode(program, [pge(0), tnt('N'), ...many], { maxBlocks: 10 });
    expect(flow.at(-1)).toBe('gap limit');
  });

  test('an endless loop claims no block', async () => {
    // jz 2; jmp to itself
    expect(await flowOf([0x74, 0x00, 0xeb, 0xfe], [pge(0), tnt('NN')])).toEqual([0, 'gap endless']);
  });
});

describe('errata', () => {
  test('go by family and model', () => {
    expect(parseCpu('6/61/4')).toEqual({ family: 6, model: 61, stepping: 4 });
    expect(parseCpu('6/158')).toEqual({ family: 6, model: 158, stepping: 0 });
    expect(parseCpu('skylake')).toBeUndefined();
    expect(errataOf({ family: 6, model: 0x3d, stepping: 4 })).toMatchObject({
      bdm64: true,
      bdm70: true,
    });
    expect(errataOf({ family: 6, model: 0x5e, stepping: 3 })).toMatchObject({
      bdm64: false,
      skd007: true,
      skd010: true,
    });
    expect(errataOf({ family: 15, model: 1, stepping: 0 })).toBe(noErrata);
  });

  test('BDM70: a status before TIP.PGE counts for nothing', async () => {
    const status = [...psb, ...mode64, ...fup(12), ...psbend];
    const packets = [pge(0), fup(1), pgd, status, pge(1), tnt('N')];
    expect(await flowOf(program, packets)).toContain('gap mismatch');
    expect(await flowOf(program, packets, { errata: { ...noErrata, bdm70: true } })).toEqual([0]);
  });

  test('BDM64: the branch before an abort has a wrong target', async () => {
    // The return at 17 seems to go to 0; the abort comes from 11, which no direct way leads to.
    const packets = [pge(17), tip(0), [0x99, 0x22], fup(11), tip(12), tnt('N')];
    expect(await flowOf(program, packets)).toEqual([17, 'gap mismatch']);
    expect(await flowOf(program, packets, { errata: { ...noErrata, bdm64: true } })).toEqual([
      17,
      'async 11 12',
      12,
    ]);
  });

  test('SKD007: OVF takes the place of the rest of a CYC', async () => {
    const packets = [pge(0), [0x07, ...ovf], fup(12), tnt('N')];
    expect(await flowOf(program, packets, { errata: { ...noErrata, skd007: true } })).toEqual([
      'gap overflow',
      12,
    ]);
    expect(await flowOf(program, packets)).not.toContain('gap overflow');
  });

  test('SKD010: after OVF, flow goes on at the next whole IP', async () => {
    const packets = [pge(0), ovf, tnt('NT'), [0x2d, 0, 0], tip(12), tnt('N')];
    expect(await flowOf(program, packets, { errata: { ...noErrata, skd010: true } })).toEqual([
      'gap overflow',
      12,
    ]);
  });

  test('SKD022: a VM entry that turns tracing off has ended', async () => {
    const code = [0x90, 0x0f, 0x01, 0xc3, 0x74, 0xfe, 0xc3];
    const packets = [pge(0), fup(1), pgd, pge(4), tnt('N')];
    expect(await flowOf(code, packets)).toEqual([0, 'async 1 4', 4]);
    expect(await flowOf(code, packets, { errata: { ...noErrata, skd022: true } })).toEqual([0, 4]);
  });

  test('SKZ84: a corrupted TMA has one byte more', async () => {
    const packets = [pge(0), [0x02, 0x73, 1, 2, 0xff, 4, 5, 0xff], tnt('N')];
    expect(await flowOf(program, packets, { errata: { ...noErrata, skz84: true } })).toEqual([0]);
  });
});
