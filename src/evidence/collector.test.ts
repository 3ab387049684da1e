import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type ExampleBlock,
  exampleBase,
  exampleBatch,
  exampleSpace,
  exampleStream,
} from '../../test/evidence-example.ts';
import type { Mark } from '../flow/mark.ts';
import { Transfer } from '../x86/transfer.ts';
import type { ProcessCode } from './code/process-code.ts';
import { EvidenceCollector, type EvidenceSources } from './collector.ts';
import type { Evidence } from './evidence.ts';
import { TransferProfile } from './profile.ts';

const { call, icall, ijmp, jmp, jcc, ret, syscall } = Transfer;

function collect(
  blocks: readonly ExampleBlock[],
  entries: readonly number[],
  sources: EvidenceSources = {},
  marks: readonly Mark[] = [],
  cut = entries.length,
): readonly Evidence[] {
  const collector = new EvidenceCollector(exampleStream(blocks, marks), {
    space: exampleSpace(blocks),
    ...sources,
  });
  for (let i = 0; i < entries.length; i += cut) {
    collector.push(exampleBatch(entries.slice(i, i + cut), i));
  }
  return collector.evidence;
}

const kinds = (evidence: readonly Evidence[]): string[] => evidence.map((item) => item.kind);

// main: 0 calls f; 1 is after that call, calls g; 2 is after that one.
// f: 3 calls g, 4 returns. g: 5 returns. 6: a gadget.
const program: readonly ExampleBlock[] = [
  { at: 0x00, kind: call },
  { at: 0x04, kind: call },
  { at: 0x08, kind: jmp },
  { at: 0x20, kind: call },
  { at: 0x24, kind: ret },
  { at: 0x40, kind: ret },
  { at: 0x61, kind: ret },
];

describe('shadow stack', () => {
  test('is silent when every return goes to its call', () => {
    expect(collect(program, [0, 3, 5, 4, 1, 5, 2])).toEqual([]);
  });

  test('tells a return that goes elsewhere, with what was expected and what came', () => {
    // The gadget returns to where the hijacked return should have gone: that is not told again.
    expect(collect(program, [0, 3, 5, 6, 4, 1])).toEqual([
      {
        kind: 'return-mismatch',
        position: 2,
        traceOffset: 0,
        expected: exampleBase + 0x24,
        actual: exampleBase + 0x61,
      },
    ]);
  });

  test('tells each return of a chain', () => {
    const evidence = collect(program, [0, 3, 5, 6, 6, 6, 4]);
    expect(evidence.map((item) => item.position)).toEqual([2, 3, 4]);
  });

  test('tells a return that skips a call without a long jump', () => {
    expect(kinds(collect(program, [0, 3, 5, 1]))).toEqual(['return-mismatch']);
  });

  test('takes returns from calls made before the trace', () => {
    expect(collect(program, [5, 4, 1, 5, 2])).toEqual([]);
  });

  test('forgets the calls before a gap', () => {
    const gap: Mark = {
      kind: 'gap',
      reason: 'overflow',
      traceOffset: 7,
      address: undefined,
      bytesLost: 9,
    };
    expect(kinds(collect(program, [0, 3, ~0, 5, 6], {}, [gap]))).toEqual(['gap']);
  });

  test('follows a signal handler and its way back', () => {
    const handler: readonly ExampleBlock[] = [
      ...program,
      { at: 0x80, kind: ret }, // 7: handler, returns to the restorer
      { at: 0x90, kind: syscall }, // 8: sigreturn
    ];
    const marks: Mark[] = [
      { kind: 'async', traceOffset: 1, from: exampleBase + 0x40, to: exampleBase + 0x80 },
    ];
    // Interrupted in g at 0x40: block 5 is cut there and runs whole after sigreturn.
    expect(collect(handler, [0, 3, ~0, 7, 8, 5, 4, 1], {}, marks)).toEqual([]);
  });

  test('takes no call from a block that was interrupted before it', () => {
    const marks: Mark[] = [
      { kind: 'async', traceOffset: 1, from: exampleBase + 0x22, to: exampleBase + 0x80 },
      { kind: 'async', traceOffset: 2, from: exampleBase + 0x82, to: exampleBase + 0x22 },
    ];
    const blocks: readonly ExampleBlock[] = [
      ...program,
      { at: 0x80, kind: jmp },
      { at: 0x22, kind: call, size: 2 },
    ];
    // f is interrupted in the block before its call, and goes on from there.
    expect(collect(blocks, [0, 3, ~0, 7, ~1, 8, 5, 4, 1], {}, marks)).toEqual([]);
  });

  test('follows a signal that came at a system call', () => {
    const blocks: readonly ExampleBlock[] = [
      { at: 0x00, kind: call },
      { at: 0x04, kind: jmp },
      { at: 0x20, kind: syscall },
      { at: 0x24, kind: ret },
      { at: 0x80, kind: ret },
      { at: 0x90, kind: syscall },
    ];
    expect(collect(blocks, [0, 2, 4, 5, 3, 1])).toEqual([]);
  });

  test('follows switches between threads', () => {
    const there = { kind: 'async', traceOffset: 1 } as const;
    const marks: Mark[] = [
      { ...there, from: exampleBase + 0x40, to: exampleBase + 0x24 },
      { ...there, from: exampleBase + 0x04, to: exampleBase + 0x40 },
    ];
    // The other thread returns twice from calls that were made before the trace.
    expect(collect(program, [0, 3, ~0, 4, 5, ~1, 5, 4, 1], {}, marks)).toEqual([]);
  });

  // Programs that call and return at random, in order; any one return then sent elsewhere.
  const walk = fc.array(fc.nat(9), { minLength: 10, maxLength: 200 });
  const blocks: ExampleBlock[] = [];
  for (let f = 0; f < 5; f++) {
    blocks.push({ at: 0x100 * f, kind: call }, { at: 0x100 * f + 4, kind: icall });
    blocks.push({ at: 0x100 * f + 8, kind: ret }, { at: 0x100 * f + 12, kind: jcc });
  }
  function run(choices: readonly number[]): { entries: number[]; returns: number[] } {
    const entries = [0];
    const returns: number[] = [];
    const open: number[] = [];
    for (const choice of choices) {
      const last = entries[entries.length - 1];
      if (last % 4 < 2) {
        open.push(last);
        entries.push(4 * (choice % 5) + (choice % 3));
      } else if (last % 4 === 2) {
        const from = open.pop();
        if (from === undefined) break;
        returns.push(entries.length);
        entries.push(from + 1);
      } else {
        entries.push(last - 1);
      }
    }
    return { entries, returns };
  }

  test('never complains about calls and returns in order, however the stream is cut', () => {
    fc.assert(
      fc.property(walk, fc.integer({ min: 1, max: 50 }), (choices, cut) => {
        expect(collect(blocks, run(choices).entries, {}, [], cut)).toEqual([]);
      }),
      { numRuns: 200, seed: 1 },
    );
  });

  test('always tells one return that was sent elsewhere', () => {
    fc.assert(
      fc.property(walk, fc.nat(), (choices, which) => {
        const { entries, returns } = run(choices);
        if (returns.length === 0) return;
        const at = returns[which % returns.length];
        const gadget = blocks.length;
        const changed = [...entries.slice(0, at), gadget, ...entries.slice(at)];
        const evidence = collect([...blocks, { at: 0x999, kind: ret }], changed);
        expect(evidence[0]).toMatchObject({ kind: 'return-mismatch', position: at - 1 });
      }),
      { numRuns: 200, seed: 2 },
    );
  });
});

/** An imagined image: functions at multiples of 0x100, the first 0x800 are pointed to. */
const code: ProcessCode = {
  functionRange: (address: number) => {
    const start = Math.floor(address / 0x100) * 0x100;
    return { start, end: start + 0x100 };
  },
  isFunctionEntry: (address: number) => address % 0x100 === 0,
  isTaken: (address: number) => address < exampleBase + 0x800,
  isLandingPad: () => false,
  isAmongUnreferenced: () => false,
  isWithoutPointers: () => false,
  isInstructionStart: (address: number) => address % 2 === 0,
  exportedNames: (address: number) => (address < exampleBase + 0xc00 ? ['function'] : []),
  formatAt: () => 'elf',
  isBinderJump: () => false,
  listsAllFunctions: () => false,
  space: { modules: [{ name: 'program', base: exampleBase }], moduleAt: () => 0, missing: [] },
  imageOf: () => undefined,
  place: () => undefined,
  // The one table of the image.
  namesTarget: (_site: number, target: number) => target === exampleBase + 0x344,
} as unknown as ProcessCode;

const none = { at: (): undefined => undefined };

describe('indirect transfers', () => {
  const site = (kind: typeof icall | typeof ijmp): ExampleBlock => ({ at: 0x10, kind });
  const judged = (kind: typeof icall | typeof ijmp, target: number, more = {}) =>
    collect([site(kind), { at: target, kind: jmp }], [0, 1], { code, allowed: none, ...more });

  test.each([
    ['to a function that is pointed to', icall, 0x200, []],
    ['to a function found by name only', icall, 0x900, ['unlikely-target']],
    ['to a function nothing points to', icall, 0xd00, ['address-not-taken']],
    ['into a function', icall, 0x204, ['not-a-function-entry']],
    ['into an instruction', icall, 0x205, ['mid-instruction']],
    ['jump within its function', ijmp, 0x44, []],
    ['jump to a function', ijmp, 0x300, []],
    ['jump into another function', ijmp, 0x304, ['jump-into-function']],
    ['jump through a switch table', ijmp, 0x344, []],
  ] as const)('%s', (_, kind, target, expected) => {
    expect(kinds(judged(kind, target))).toEqual(expected);
  });

  test('into functions of an image to which its loader makes all pointers are none', () => {
    const made = { ...code, isWithoutPointers: () => true } as unknown as ProcessCode;
    for (const kind of [icall, ijmp]) expect(judged(kind, 0x304, { code: made })).toEqual([]);
    expect(kinds(judged(icall, 0x305, { code: made }))).toEqual(['mid-instruction']);
  });

  test('that training has seen are no evidence, whatever they are', () => {
    const profile = new TransferProfile();
    const stream = exampleStream([site(icall), { at: 0x205, kind: jmp }]);
    const training = new EvidenceCollector(stream);
    training.push(exampleBatch([0, 1]));
    profile.add(training.indirectTransfers);
    expect(judged(icall, 0x205, { profile })).toEqual([]);
  });

  test('that are possible but new weigh by what their site did in training', () => {
    const profile = new TransferProfile();
    for (let i = 0; i < 99; i++) {
      const training = new EvidenceCollector(
        exampleStream([site(icall), { at: 0x200, kind: jmp }]),
      );
      training.push(exampleBatch([0, 1, 0, 1]));
      profile.add(training.indirectTransfers);
    }
    const [first, second] = collect(
      [site(icall), { at: 0x300, kind: jmp }, { at: 0x400, kind: jmp }],
      [0, 1, 0, 2],
      { code, allowed: none, profile },
    );
    // Good-Turing with halves: no target was seen once only, so 0.5 / 100.
    expect(first.weight).toBeCloseTo(-Math.log(0.5 / 100) + 0.9, 10);
    expect(second.weight).toBeCloseTo(2 * first.weight!, 10);
  });

  describe('of virtual functions', () => {
    const position = {
      name: 'position' as const,
      count: 2,
      has: (address: number) => [0x200, 0x300].includes(address - exampleBase),
      hasVirtually: (address: number) => address - exampleBase === 0x200,
    };
    const allowed = { at: () => ({ mechanism: 'virtual' as const, classes: [position] }) };
    // call [rax + 0x28]: the sixth position. The last instruction is the whole block.
    const caller: ExampleBlock = {
      at: 0x10,
      kind: icall,
      size: 3,
      lastInstruction: 0,
      code: 'ff5028',
    };
    const train = (target: number): TransferProfile => {
      const profile = new TransferProfile();
      const training = new EvidenceCollector(exampleStream([caller, { at: target, kind: jmp }]));
      training.push(exampleBatch([0, 1]));
      profile.add(training.indirectTransfers);
      return profile;
    };
    const run = (target: number, profile: TransferProfile, known: ProcessCode = code) =>
      collect([caller, { at: target, kind: jmp }], [0, 1], { code: known, allowed, profile });

    test('a new class is no proof', () => {
      expect(kinds(run(0x300, train(0x200)))).toEqual(['unlikely-target']);
    });

    test('a function that no table has there is', () => {
      expect(kinds(run(0x400, train(0x200)))).toEqual(['wrong-slot']);
    });

    test('unless an image is missing, and others may know it by name', () => {
      const space = { ...code.space, missing: ['/lib/plugin.so'] };
      const partly = { ...code, space } as unknown as ProcessCode;
      expect(kinds(run(0x400, train(0x200), partly))).toEqual(['unlikely-target']);
      const unnamed = { ...code, space, exportedNames: () => [] } as unknown as ProcessCode;
      expect(kinds(run(0x400, train(0x200), unnamed))).toEqual(['wrong-slot']);
    });

    test('nor is what a table holds that the program may have filled', () => {
      expect(kinds(run(0x400, train(0x300)))).toEqual(['unlikely-target']);
    });

    test('a site that is no virtual call in training is not judged so', () => {
      expect(kinds(run(0x400, train(0x500)))).toEqual(['unlikely-target']);
    });
  });

  test('an unlikely transfer is told each time it is made, up to a point', () => {
    const often = Array.from({ length: 100 }, () => [0, 1]).flat();
    expect(
      collect([site(icall), { at: 0x900, kind: jmp }], often, { code, allowed: none }).length,
    ).toBe(16);
    const blocks = [site(icall), { at: 0x900, kind: jmp }];
    const evidence = collect(blocks, [0, 1, 0, 1, 0, 1], { code, allowed: none });
    expect(evidence.map((item) => item.position)).toEqual([0, 2, 4]);
  });
});

describe('code outside the images', () => {
  test('is told where it is entered, and counted', () => {
    const stream = exampleStream([
      { at: 0, kind: jmp },
      { at: 0x700000, kind: jmp, module: -1 },
    ]);
    const collector = new EvidenceCollector(stream);
    collector.push(exampleBatch([0, 1, 1, 0, 1]));
    expect(collector.evidence.map((item) => [item.kind, item.position])).toEqual([
      ['outside-images', 0],
      ['outside-images', 3],
    ]);
    expect(collector.blocksOutsideImages).toBe(3);
  });

  test('calls what it likes', () => {
    const blocks: readonly ExampleBlock[] = [
      { at: 0x700000, kind: icall, module: -1 },
      { at: 0x900, kind: jmp },
    ];
    const kinds = collect(blocks, [0, 1], { code, allowed: none }).map(({ kind }) => kind);
    expect(kinds).toEqual(['outside-images']);
  });

  test('any stream at all gives evidence in order, inside the trace', () => {
    const marks: Mark[] = [
      { kind: 'gap', reason: 'no-code', traceOffset: 3, address: 5, bytesLost: 1 },
      { kind: 'async', traceOffset: 4, from: exampleBase + 0x40, to: exampleBase },
      { kind: 'async', traceOffset: 5, from: undefined, to: undefined },
    ];
    const blocks: readonly ExampleBlock[] = [
      ...program,
      { at: 0x70, kind: icall },
      { at: 0x75, kind: ijmp },
      { at: 0x90, kind: syscall },
      { at: 0x700000, kind: jmp, module: -1 },
    ];
    const entry = fc.integer({ min: -marks.length, max: blocks.length - 1 });
    fc.assert(
      fc.property(
        fc.array(entry, { maxLength: 80 }),
        fc.integer({ min: 1, max: 20 }),
        (list, cut) => {
          const evidence = collect(blocks, list, { code, allowed: none }, marks, cut);
          const count = list.filter((value) => value >= 0).length;
          let last = 0;
          for (const { position } of evidence) {
            expect(position).toBeGreaterThanOrEqual(last);
            expect(position).toBeLessThanOrEqual(count);
            last = position;
          }
          const whole = collect(blocks, list, { code, allowed: none }, marks);
          const places = (items: readonly Evidence[]) =>
            items.map((item) => [item.kind, item.position]);
          expect(places(evidence)).toEqual(places(whole));
        },
      ),
      { numRuns: 500, seed: 4 },
    );
  });

  test('millions of bad returns give a bounded list', () => {
    const entries = Array.from({ length: 20_000 }, (_, i) => (i === 0 ? 0 : 6));
    expect(collect(program, entries).length).toBe(4096);
  });
});
