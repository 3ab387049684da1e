import { describe, expect, test } from 'vitest';
import { ArrivalLog } from '../../../test/arrival-log.ts';
import {
  type ExampleBlock,
  exampleBatch,
  exampleSpace,
  exampleStream,
} from '../../../test/evidence-example.ts';
import { Random } from '../../base/random.ts';
import { Transfer } from '../../x86/transfer.ts';
import { Arrival, type ArrivalKind } from './arrival.ts';
import { CallFollower } from './call-follower.ts';
import { type KnownCode, StackCode } from './stack-code.ts';

/** Functions at multiples of 0x100, each of which somebody may begin a stack in. */
const known: KnownCode = {
  functionRange: (address) => {
    const start = Math.floor(address / 0x100) * 0x100;
    return { start, end: start + 0x100 };
  },
  isFunctionEntry: (address) => address % 0x100 === 0,
  isTaken: (address) => address % 0x100 === 0,
  isLandingPad: () => false,
};

/** The whole of a process with one thread. */
class WholeProcess extends StackCode {
  override isEntryPoint(): boolean {
    return true;
  }
}

const functions = 4;
const callsEach = 3;
/** Each function makes three calls, one block after the other, and returns. */
const blocks: ExampleBlock[] = [];
for (let f = 0; f < functions; f++) {
  for (let i = 0; i < callsEach; i++) {
    blocks.push({ at: 0x100 * f + 4 * i, kind: Transfer.icall });
  }
  blocks.push({ at: 0x100 * f + 4 * callsEach, kind: Transfer.ret });
}
const own = (f: number, i: number): number => f * (callsEach + 1) + i;
const add = (block: ExampleBlock): number => blocks.push(block) - 1;
const leaf = add({ at: 0x800, kind: Transfer.ret });
// Every coroutine waits behind the one call in `change`: call switch; ret.
const change = add({ at: 0x900, kind: Transfer.call });
const changed = add({ at: 0x904, kind: Transfer.ret });
// mov rsp, [rsi]; ret
const switchStack = add({ at: 0xa00, kind: Transfer.ret, size: 8, code: '488b26c3' });
// What a coroutine begins with, and does for ever: call; jmp back.
const begin = add({ at: 0xb00, kind: Transfer.icall });
const again = add({ at: 0xb04, kind: Transfer.jmp });
const nowhere = add({ at: 0xc08, kind: Transfer.jmp });

/** A run of coroutines that call each other's functions, at random, and enter each other from anywhere. */
function randomRun(
  random: Random,
  coroutines: number,
  length: number,
  switchesOneIn = 4,
): number[] {
  const entries: number[] = [];
  function* call(f: number, depth: number): Generator<void> {
    for (let i = 0; i < callsEach; i++) {
      entries.push(own(f, i));
      const what = random.below(switchesOneIn);
      if (what === 0) {
        entries.push(change, switchStack);
        yield;
        entries.push(changed);
      } else if (what === 1 || depth > 5) entries.push(leaf);
      else yield* call(random.below(functions), depth + 1);
    }
    entries.push(own(f, callsEach));
  }
  function* live(): Generator<void> {
    for (;;) {
      entries.push(begin);
      yield* call(random.below(functions), 0);
      entries.push(again);
    }
  }
  const all = Array.from({ length: coroutines }, live);
  let current = 0;
  while (entries.length < length) {
    all[current].next();
    current = (current + 1 + random.below(coroutines - 1)) % coroutines;
  }
  return entries;
}

function follow(entries: readonly number[]): readonly ArrivalKind[] {
  const stack = new WholeProcess(exampleSpace(blocks));
  const stream = exampleStream(blocks);
  const follower = new CallFollower(stream, { stack, known, isAlone: true });
  const { arrivals } = new ArrivalLog(follower, stream.blocks);
  follower.push(exampleBatch([...entries]));
  return arrivals;
}

describe.each([2, 3, 5])('%i coroutines that all wait behind one call', (coroutines) => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])('are told apart by their returns, seed %i', (seed) => {
    const entries = randomRun(new Random(seed), coroutines, 4000);
    const arrivals = follow(entries);
    expect(entries.filter((_, index) => arrivals[index] === Arrival.mismatch)).toEqual([]);
  });

  test('a return to nowhere is a mismatch wherever it is made', () => {
    const random = new Random(coroutines);
    const returns = (block: number): boolean => blocks[block].kind === Transfer.ret;
    for (let i = 0; i < 20; i++) {
      const entries = randomRun(random, coroutines, 500);
      const at = entries.findLastIndex((block) => returns(block) && block !== switchStack);
      expect(follow([...entries.slice(0, at + 1), nowhere])[at + 1]).toBe(Arrival.mismatch);
    }
  });
});
