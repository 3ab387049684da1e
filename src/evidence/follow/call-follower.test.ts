import { describe, expect, test } from 'vitest';
import { ArrivalLog } from '../../../test/arrival-log.ts';
import {
  type ExampleBlock,
  exampleBase,
  exampleBatch,
  exampleSpace,
  exampleStream,
} from '../../../test/evidence-example.ts';
import { Random } from '../../base/random.ts';
import type { Mark } from '../../flow/mark.ts';
import { Transfer } from '../../x86/transfer.ts';
import { Arrival } from './arrival.ts';
import { CallFollower } from './call-follower.ts';
import { type KnownCode, StackCode } from './stack-code.ts';

const { call, icall, ijmp, jcc, jmp, ret, syscall } = Transfer;
const { none, returned, unwound, unknown, mismatch, jumped } = Arrival;

/** Functions at multiples of 0x100; a label at 0x40 of each is taken, landing pads lie at 0x60. */
const known: KnownCode = {
  functionRange: (address) => {
    const start = Math.floor(address / 0x100) * 0x100;
    return { start, end: start + 0x100 };
  },
  isFunctionEntry: (address) => address % 0x100 === 0,
  isTaken: (address) => address % 0x100 === 0x40 || address % 0x100 === 0,
  isLandingPad: (address) => address % 0x100 === 0x60,
};

/** @returns how each entry was reached, and how many calls are open at the end */
function follow(
  blocks: readonly ExampleBlock[],
  entries: readonly number[],
  options: { marks?: readonly Mark[]; known?: KnownCode; cut?: number } = {},
): { arrivals: number[]; depth: number } {
  const stream = exampleStream(blocks, options.marks);
  const follower = new CallFollower(stream, {
    stack: new StackCode(exampleSpace(blocks)),
    known: options.known,
  });
  const { arrivals } = new ArrivalLog(follower, stream.blocks);
  const { cut = entries.length } = options;
  for (let i = 0; i < entries.length; i += cut) {
    follower.push(exampleBatch(entries.slice(i, i + cut)));
  }
  return { arrivals, depth: follower.depth };
}

// mov rsp, r8; jmp rdx
const longJump = '4c89c4ffe2';
// mov rsp, rcx; ret
const loadAndReturn = '4889ccc3';
// mov rsp, [rsi]; ret
const switchStack = '488b26c3';

// main (0x000) calls f, then g. f (0x100) calls g. g (0x200) returns.
const program: readonly ExampleBlock[] = [
  { at: 0x000, kind: call },
  { at: 0x004, kind: call },
  { at: 0x008, kind: jmp },
  { at: 0x100, kind: call },
  { at: 0x104, kind: ret },
  { at: 0x200, kind: ret },
  { at: 0x300, kind: ijmp, size: 8, code: longJump }, // 6
  { at: 0x400, kind: ret, size: 8, code: loadAndReturn }, // 7
  { at: 0x060, kind: jmp }, // 8: landing pad in main
  { at: 0x040, kind: jmp }, // 9: taken label in main
  { at: 0x054, kind: jmp }, // 10: in main, nothing leads there
];

describe('call follower', () => {
  test('takes no jump inside a function that calls itself for the return', () => {
    // f calls itself, and there jumps to the place behind that call: a case of a `switch`, or `pop rdx` before it.
    const path = [0, 3, 11, 4];
    const jumping = (code: string): number[] =>
      follow([...program, { at: 0x120, kind: ijmp, code }], path, { known }).arrivals;
    expect(jumping('ffe2')).toEqual([none, none, none, none]);
    expect(jumping('5affe2')).toEqual([none, none, none, returned]);
    const { arrivals } = follow(
      [...program, { at: 0x120, kind: ijmp, code: 'ffe2' }],
      [...path, 4, 1],
      { known },
    );
    expect(arrivals).toEqual([none, none, none, none, returned, returned]);
  });

  test('explains returns that go back to their calls', () => {
    const { arrivals, depth } = follow(program, [0, 3, 5, 4, 1, 5, 2]);
    expect(arrivals).toEqual([none, none, none, returned, returned, none, returned]);
    expect(depth).toBe(0);
  });

  test('a return that skips a call without setting the stack pointer is a mismatch', () => {
    expect(follow(program, [0, 3, 5, 1]).arrivals.at(-1)).toBe(mismatch);
  });

  test('a long jump goes back to the frames that were open when the call was made', () => {
    // main's first call returns once, then again from two frames deeper.
    const entries = [0, 5, 1, 3, 6, 1, 5, 2];
    const { arrivals, depth } = follow(program, entries);
    expect(arrivals).toEqual([none, none, returned, none, none, unwound, none, returned]);
    expect(depth).toBe(0);
  });

  test('a jump without the stack pointer set leaves no frames', () => {
    const blocks = program.with(6, { at: 0x300, kind: ijmp, size: 8, code: 'ffe2' });
    const { arrivals } = follow(blocks, [0, 5, 1, 3, 6, 1, 5, 4]);
    expect(arrivals.slice(5)).toEqual([none, none, mismatch]);
  });

  test('a jump to an entry of a table leaves no frames, whatever was set', () => {
    // mov rsp,r8; jmp [rdx*8+0x401000]
    const code = '4c89c4ff24d500104000';
    const blocks = program.with(6, { at: 0x300, kind: ijmp, size: 10, code });
    const { arrivals } = follow(blocks, [0, 5, 1, 3, 6, 1, 5, 2]);
    expect(arrivals).toEqual([none, none, returned, none, none, none, none, returned]);
    // Nor does it return: f's call is open, and the case stands right behind it.
    const own = program.with(6, { at: 0x300, kind: ijmp, size: 7, code: 'ff24d500104000' });
    expect(follow(own, [0, 3, 6, 4]).arrivals).toEqual([none, none, none, none]);
    // Nor where the block computes its case from one: movsxd rax,[rdx+rax*4]; add rax,rdx; jmp rax.
    const computed = program.with(6, {
      at: 0x300,
      kind: ijmp,
      size: 9,
      code: '486304824801d0ffe0',
    });
    expect(follow(computed, [0, 3, 6, 4]).arrivals).toEqual([none, none, none, none]);
  });

  test('a long jump into a recursive function may have gone to any of its activations', () => {
    // f: 11 calls what returns twice; 12 branches; 13 calls f again; 14 returns.
    const blocks: readonly ExampleBlock[] = [
      ...program,
      { at: 0x120, kind: call }, // 11
      { at: 0x124, kind: jcc }, // 12
      { at: 0x128, kind: call }, // 13
      { at: 0x130, kind: ret }, // 14
    ];
    // main -> f -> f -> f, then a long jump to the outermost, which returns to main.
    const again = [11, 5, 12, 13];
    const entries = [0, ...again, ...again, 11, 5, 12, 6, 12, 14, 1, 5, 2];
    const bad = follow(blocks, entries, { known }).arrivals.filter((kind) => kind === mismatch);
    expect(bad).toEqual([]);
    // Not to anywhere, though.
    const strayed = entries.with(-3, 10);
    expect(follow(blocks, strayed, { known }).arrivals).toContain(mismatch);
  });

  test('a landing pad of a function with an open frame is reached by unwinding', () => {
    const { arrivals, depth } = follow(program, [0, 3, 7, 8], { known });
    expect(arrivals.at(-1)).toBe(unwound);
    expect(depth).toBe(0);
  });

  test('a label that code takes the address of is, too; any other place is none', () => {
    expect(follow(program, [0, 3, 7, 9], { known }).arrivals.at(-1)).toBe(unwound);
    expect(follow(program, [0, 3, 7, 10], { known }).arrivals.at(-1)).toBe(mismatch);
  });

  test('a landing pad of a function without an open frame is a mismatch', () => {
    const blocks = program.with(8, { at: 0x560, kind: jmp });
    expect(follow(blocks, [0, 3, 7, 8], { known }).arrivals.at(-1)).toBe(mismatch);
  });

  test('call next; pop leaves no frame', () => {
    const blocks: readonly ExampleBlock[] = [
      ...program,
      { at: 0x110, kind: call, size: 5, code: 'e800000000' }, // 11
      { at: 0x115, kind: ret, code: '5b9090c3' }, // 12: pop rbx; ret
    ];
    expect(follow(blocks, [0, 11, 12, 1]).arrivals).toEqual([none, none, none, returned]);
  });

  test('push; ret is a jump, and a retpoline one that drops its call', () => {
    const blocks: readonly ExampleBlock[] = [
      ...program,
      { at: 0x130, kind: ret, code: '50c3' }, // 11: push rax; ret
      { at: 0x140, kind: call }, // 12
      { at: 0x150, kind: ret, size: 8, code: '48890424c3' }, // 13: mov [rsp], rax; ret
    ];
    expect(follow(blocks, [0, 11, 5, 1]).arrivals).toEqual([none, none, jumped, returned]);
    expect(follow(blocks, [0, 12, 13, 5, 1]).arrivals).toEqual([
      none,
      none,
      none,
      jumped,
      returned,
    ]);
  });

  test('a callee that is written to skip what stands behind its call returns', () => {
    // f calls the routine at 0x700, and goes on three bytes behind that call.
    const routine = (kind: typeof ret | typeof ijmp, code: string): readonly ExampleBlock[] => [
      ...program,
      { at: 0x110, kind: call, size: 5, code: 'e8eb050000' }, // 11
      { at: 0x700, kind, size: 6, code }, // 12
      { at: 0x118, kind: ret }, // 13
      { at: 0x240, kind: ret }, // 14
    ];
    const last = (blocks: readonly ExampleBlock[], to: number): number | undefined =>
      follow(blocks, [0, 11, 12, to], { known }).arrivals.at(-1);
    // add qword [rsp],3; ret
    const adding = routine(ret, '4883042403c3');
    const skipped = [none, none, none, returned, returned];
    expect(follow(adding, [0, 11, 12, 13, 1], { known }).arrivals).toEqual(skipped);
    // pop rcx; nop; nop; nop; jmp rcx
    const jumping = routine(ijmp, '59909090ffe1');
    expect(follow(jumping, [0, 11, 12, 13, 1], { known }).arrivals).toEqual(skipped);
    // Not out of the function that called, nor back to before the call.
    expect(last(adding, 14)).toBe(mismatch);
    expect(last(adding, 4)).toBe(mismatch);
    // Nor by a callee that leaves its return address alone.
    expect(last(routine(ret, '9090909090c3'), 13)).toBe(mismatch);
  });

  test('a return to a label whose own function pushes it is a jump', () => {
    const blocks = (code: string): readonly ExampleBlock[] => [
      ...program,
      { at: 0x110, kind: jmp, size: 10, code }, // 11: f goes on to g
      { at: 0x130, kind: ret }, // 12: the label
    ];
    // lea rax,[rip+0x19]; push rax; jmp g. The other one is lea rax,[rip+0x1a].
    const at = [0, 11, 5, 12, 1];
    const { arrivals } = follow(blocks('488d051900000050eb00'), at, { known });
    expect(arrivals).toEqual([none, none, none, jumped, returned]);
    expect(follow(blocks('488d051a00000050eb00'), at, { known }).arrivals[3]).toBe(mismatch);
  });

  test('a return by a jump is a return', () => {
    const blocks: readonly ExampleBlock[] = [...program, { at: 0x130, kind: ijmp, code: '59ffe1' }];
    expect(follow(blocks, [0, 11, 1, 5, 2]).arrivals).toEqual([
      none,
      none,
      returned,
      none,
      returned,
    ]);
  });

  // 11 calls the routine 12, which changes stacks and returns on the other one. 13, 14: a coroutine at
  // 0x500; 15: behind 11.
  const coroutine: readonly ExampleBlock[] = [
    ...program,
    { at: 0x010, kind: call }, // 11
    { at: 0x700, kind: ret, size: 8, code: switchStack }, // 12
    { at: 0x500, kind: call }, // 13
    { at: 0x504, kind: call }, // 14
    { at: 0x014, kind: call }, // 15
    { at: 0x018, kind: ret }, // 16
    { at: 0x508, kind: call }, // 17
  ];

  test('stacks are set aside where flow leaves them, and gone on with', () => {
    // 0 calls (to 11) the routine; the coroutine begins, goes back, is gone on with, goes back.
    const entries = [0, 11, 12, 13, 12, 15, 12, 14, 12, 16, 1];
    const { arrivals, depth } = follow(coroutine, entries, { known });
    expect(arrivals.filter((kind) => kind !== none)).toEqual([
      jumped,
      unwound,
      unwound,
      unwound,
      returned,
    ]);
    // Block 1 ends in a call itself.
    expect(depth).toBe(1);
  });

  test('a switch to where no stack was left is a mismatch', () => {
    expect(follow(coroutine, [0, 11, 12, 10], { known }).arrivals.at(-1)).toBe(mismatch);
  });

  test('an ordinary return to where a stack was left is a mismatch', () => {
    // 5 returns, without a switch, to where the coroutine would go on.
    const entries = [0, 11, 12, 13, 12, 15, 5, 14];
    expect(follow(coroutine, entries, { known }).arrivals.at(-1)).toBe(mismatch);
  });

  test('a signal handler has its own calls, and comes back', () => {
    const blocks: readonly ExampleBlock[] = [
      ...program,
      { at: 0x580, kind: ret }, // 11: handler
      { at: 0x590, kind: syscall }, // 12: tells the kernel
    ];
    const marks: Mark[] = [
      { kind: 'async', traceOffset: 1, from: exampleBase + 0x200, to: exampleBase + 0x580 },
    ];
    const { arrivals } = follow(blocks, [0, 3, ~0, 11, 12, 5, 4, 1], { marks });
    expect(arrivals).toEqual([none, none, none, none, unwound, unwound, returned, returned]);
  });

  test('a return that an interrupt comes right behind is made', () => {
    // f's return to main, before the first instruction there; then main's second call, and its return.
    const at = (to: number | undefined): Mark => ({
      kind: 'async',
      traceOffset: 1,
      from: exampleBase + 0x004,
      to: to === undefined ? undefined : exampleBase + to,
    });
    const { arrivals, depth } = follow(program, [0, 5, ~0, 1, 5, 2], { marks: [at(0x004)] });
    expect(arrivals).toEqual([none, none, none, none, none, returned]);
    expect(depth).toBe(0);
    // It may have gone elsewhere than to its call.
    const seen: unknown[] = [];
    for (const entries of [
      [0, 5, ~0],
      [0, 3, 5, ~0],
    ]) {
      const stream = exampleStream(program, [at(undefined)]);
      const observer = {
        onIndirect: () => false,
        onOutside: () => {},
        onMark: () => {},
        onMismatch: (from: number, to: number, actual: number) => seen.push([from, to, actual]),
      };
      const code = { stack: new StackCode(exampleSpace(program)), known };
      new CallFollower(stream, code, observer).push(exampleBatch(entries));
    }
    expect(seen).toEqual([[5, -1, exampleBase + 0x004]]);
  });

  test('a handler that was hijacked does not go back to the kernel', () => {
    const blocks: readonly ExampleBlock[] = [
      ...program,
      { at: 0x580, kind: ret },
      { at: 0x205, kind: jmp },
    ];
    const marks: Mark[] = [
      { kind: 'async', traceOffset: 1, from: exampleBase + 0x200, to: exampleBase + 0x580 },
    ];
    expect(follow(blocks, [0, 3, ~0, 11, 12], { marks, known }).arrivals.at(-1)).toBe(mismatch);
  });

  test('before the trace and behind gaps nothing is known, and nothing is a mismatch', () => {
    const gap: Mark = {
      kind: 'gap',
      reason: 'overflow',
      traceOffset: 7,
      address: undefined,
      bytesLost: 9,
    };
    expect(follow(program, [5, 4, 1], { known }).arrivals).toEqual([none, unknown, unknown]);
    expect(follow(program, [0, 3, ~0, 5, 4], { known, marks: [gap] }).arrivals.at(-1)).toBe(
      unknown,
    );
  });

  test('code without bytes proves nothing', () => {
    const stream = exampleStream(program);
    const follower = new CallFollower(stream);
    const { arrivals } = new ArrivalLog(follower, stream.blocks);
    follower.push(exampleBatch([0, 3, 5, 1]));
    expect(arrivals[3]).toBe(unwound);
    follower.push(exampleBatch([0, 3, 5, 10]));
    expect(arrivals[4 + 3]).toBe(unknown);
  });

  test('frames that made code may have built prove nothing', () => {
    const blocks: readonly ExampleBlock[] = [
      ...program,
      { at: 0x90_0000, kind: icall, module: -1 }, // 11
    ];
    expect(follow(blocks, [0, 11, 5, 10], { known }).arrivals.at(-1)).toBe(unknown);
    expect(follow(blocks, [0, 3, 5, 11], { known }).arrivals.at(-1)).toBe(mismatch);
  });

  test('recursion deeper than what is kept ends in the unknown', () => {
    const depth = (1 << 20) + 1000;
    const calls = Array.from({ length: depth }, () => 3);
    const returns = Array.from({ length: depth }, () => 4);
    const { arrivals } = follow(program, [...calls, 5, ...returns], { cut: 4096, known });
    expect(arrivals.filter((kind) => kind === mismatch)).toEqual([]);
    expect(arrivals.filter((kind) => kind === returned).length).toBeGreaterThan(1 << 19);
  });

  test('does not depend on how blocks and marks are cut into batches', () => {
    const marks: readonly Mark[] = [
      { kind: 'gap', traceOffset: 0, bytesLost: 9, reason: 'overflow', address: undefined },
      { kind: 'async', traceOffset: 0, from: exampleBase + 0x104, to: exampleBase + 0x104 },
      { kind: 'async', traceOffset: 0, from: exampleBase + 0x008, to: exampleBase + 0x200 },
    ];
    const random = new Random(7);
    for (let round = 0; round < 50; round++) {
      const entries = Array.from({ length: 60 }, () =>
        random.below(9) === 0 ? ~random.below(marks.length) : random.below(program.length),
      );
      const whole = follow(program, entries, { marks, known });
      for (const cut of [1, 2, 3, 7]) {
        expect(follow(program, entries, { marks, known, cut })).toEqual(whole);
      }
    }
  });
});
