import { describe, expect, test } from 'vitest';
import {
  type ExampleBlock,
  exampleBase,
  exampleBatch,
  exampleStream,
} from '../../../test/evidence-example.ts';
import { CallFollower } from '../../evidence/follow/call-follower.ts';
import { type TransferCode, unknownCode } from '../../evidence/transfer-code.ts';
import type { Mark } from '../../flow/mark.ts';
import { Transfer } from '../../x86/transfer.ts';
import { defaultFilter, filterTable } from '../filter.ts';
import type { TransferEvents } from './events.ts';
import { RunFollower, TransferFollower } from './follower.ts';
import { historyLevels } from './levels.ts';

const { call, icall, ijmp, jcc, ret } = Transfer;

// 0 calls f, which comes back to 1; 1 calls through a pointer, to 4 or 5, which come back to 2; 2 jumps to 0 or 6.
const blocks: readonly ExampleBlock[] = [
  { at: 0x00, kind: call },
  { at: 0x04, kind: icall },
  { at: 0x08, kind: ijmp },
  { at: 0x40, kind: ret },
  { at: 0x60, kind: ret },
  { at: 0x80, kind: ret },
  { at: 0xa0, kind: jcc },
];
const round = [0, 3, 1, 4, 2];
const other = [0, 3, 1, 5, 2];

function follow(
  entries: readonly number[],
  options: { cut?: number; marks?: readonly Mark[]; code?: TransferCode } = {},
  run = new RunFollower(),
): TransferEvents {
  const stream = exampleStream(blocks, options.marks);
  const calls = new CallFollower(stream);
  const filter = filterTable(defaultFilter);
  const { code = unknownCode } = options;
  calls.watch(new TransferFollower(run, stream.blocks, calls, filter, code));
  const { cut = entries.length } = options;
  for (let i = 0; i < entries.length; i += cut) {
    calls.push(exampleBatch(entries.slice(i, i + cut)));
  }
  return run.finish();
}

/** Lengths of the contexts of an event that are known, by history. */
function knownLengths({ hashes }: TransferEvents, event: number): Record<string, number> {
  const found: Record<string, number> = {};
  historyLevels.forEach(({ history, length }, level) => {
    const at = 2 * (event * historyLevels.length + level);
    if (hashes[at] !== 0 || hashes[at + 1] !== 0) found[history] = length;
  });
  return found;
}

describe('following a run', () => {
  test('lists what the code does not explain, once for each path', () => {
    const events = follow([...round, ...round, ...round, ...round, 0]);
    // Two returns, a call and a jump in each round; returns are explained.
    expect(events.transfers).toBe(16);
    expect(events.explained).toBe(8);
    expect(events.blocks).toBe(21);
    // Paths differ as long as they grow, up to 24 targets.
    expect(events.length).toBe(8);
    const sites = [...events.site].map((place) => events.places.offset[place]);
    expect(sites).toEqual([0x04, 0x08, 0x04, 0x08, 0x04, 0x08, 0x04, 0x08]);
    expect([...events.position.subarray(0, 2)]).toEqual([2, 4]);
    expect([...events.ordinal.subarray(0, 2)]).toEqual([1, 3]);
  });

  test('passes over what the same path led to before, until it leads elsewhere', () => {
    const many = Array.from({ length: 40 }, () => round).flat();
    const events = follow([...many, ...other, ...round, 0]);
    const before = follow([...many, 0]);
    // 24 targets fill the path, and then it is one of two: later rounds repeat.
    expect(before.length).toBe(24 + 2);
    expect(events.transfers - before.transfers).toBe(8);
    const odd = before.length;
    expect(events.target[odd]).not.toBe(events.last[odd]);
    expect(events.last[odd]).toBeGreaterThanOrEqual(0);
    expect(events.repeats[odd]).toBeGreaterThan(20);
  });

  test('does not depend on how the blocks are cut into batches', () => {
    const entries = Array.from({ length: 30 }, (_, i) => (i % 7 === 3 ? other : round)).flat();
    const whole = follow(entries);
    for (const cut of [1, 2, 3, 7, 64]) expect(follow(entries, { cut })).toEqual(whole);
  });

  test('knows nothing of a run before, whose room it uses', () => {
    const entries = Array.from({ length: 300 }, (_, i) => (i % 7 === 3 ? other : round)).flat();
    const run = new RunFollower();
    follow(
      entries.toReversed().map((block) => (block + 3) % blocks.length),
      {},
      run,
    );
    run.begin();
    expect(follow(entries, {}, run)).toEqual(follow(entries));
    expect(run.look()).toEqual(run.finish());
  });

  test('says how much of the past is known: nothing at the start and after a gap', () => {
    const gap: Mark = {
      kind: 'gap',
      reason: 'overflow',
      traceOffset: 0,
      address: undefined,
      bytesLost: 1,
    };
    const events = follow([...round, ...round, -1, 1, 5, 2, 0], { marks: [gap] });
    expect(knownLengths(events, 0)).toEqual({ place: 1, blocks: 1 });
    expect(knownLengths(events, 2)).toMatchObject({ path: 2, site: 1, blocks: 7 });
    // The site's own last targets are of the whole run.
    const { path, ...rest } = knownLengths(events, 3);
    expect(path).toBeUndefined();
    expect(rest).toEqual({ place: 1, site: 2 });
  });

  test('knows no open calls of code that was interrupted', () => {
    const interrupted: Mark = {
      kind: 'async',
      traceOffset: 0,
      from: exampleBase + 0x40,
      to: exampleBase + 0x04,
    };
    const called = follow([0, 1, 4, 2], { marks: [interrupted] });
    expect(knownLengths(called, 0)).toMatchObject({ calls: 1 });
    const signal = follow([0, ~0, 1, 4, 2], { marks: [interrupted] });
    expect(knownLengths(signal, 0)).toEqual({ place: 1, blocks: 1 });
    // The handler's own call is open in what it calls.
    const within = follow([0, ~0, 1, 2, 6], { marks: [interrupted] });
    expect(knownLengths(within, 1)).toMatchObject({ calls: 1 });
  });

  test('believes the code where it says where a transfer goes, and nowhere else', () => {
    const code: TransferCode = {
      ...unknownCode,
      mayExplain: (block) => block === 1,
      explains: (_, to) => to === 4,
    };
    const events = follow([...round, ...round, ...other, ...round, 0], { code });
    expect(events.explained).toBe(8 + 3);
    const sites = [...events.site].map((place) => events.places.offset[place]);
    expect(sites.filter((offset) => offset === 0x04)).toHaveLength(1);
  });

  test('names contexts alike wherever the image lies', () => {
    const entries = [...round, ...other, 0];
    const near = follow(entries);
    const stream = exampleStream(blocks);
    const moved = {
      ...stream.blocks,
      modules: [{ path: 'x', name: 'program', base: 0x7000_0000 }],
    };
    const run = new RunFollower();
    const calls = new CallFollower({ ...stream, blocks: moved });
    const filter = filterTable(defaultFilter);
    calls.watch(new TransferFollower(run, moved, calls, filter, unknownCode));
    calls.push(exampleBatch(entries));
    expect(run.finish().hashes).toEqual(near.hashes);
  });

  test('tells blocks that training never ran', () => {
    const stream = exampleStream(blocks);
    const run = new RunFollower();
    const isKnown = (_: string, offset: number): boolean => offset < 0x40;
    const calls = new CallFollower(stream);
    const filter = filterTable(defaultFilter);
    calls.watch(new TransferFollower(run, stream.blocks, calls, filter, unknownCode, isKnown));
    for (const entry of [0, 3, 1, 4, 2, 6, 6]) calls.push(exampleBatch([entry]));
    expect(run.unknownBlocks).toBe(4);
    expect(run.unknownRuns).toEqual([1, 1, 3, 1, 5, 2]);
  });
});
