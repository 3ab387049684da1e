import { describe, expect, test } from 'vitest';
import { Random } from '../../base/random.ts';
import {
  type CallTimeline,
  CallTimelineBuilder,
  cutTimeline,
  forEachStack,
} from './call-timeline.ts';
import { renderDrcov } from './drcov.ts';
import { renderFolded } from './folded.ts';
import { renderGecko } from './gecko.ts';
import { renderPerfetto } from './perfetto.ts';
import { renderSpeedscope } from './speedscope.ts';

const frames = ['main', 'a;b', 'evil\u202e\n"name"', 'd'].map((name, i) => ({
  name,
  module: i === 3 ? '' : `lib${i}.so`,
}));

/** Stacks by block, and the timeline of them. */
function randomTimeline(seed: number): { stacks: number[][]; timeline: CallTimeline } {
  const random = new Random(seed);
  const start = random.below(100);
  const builder = new CallTimelineBuilder();
  const stacks: number[][] = [];
  let stack: number[] = [];
  for (let i = 0; i < 200; i++) {
    const step = random.below(4);
    if (step === 0) stack = [...stack, random.below(frames.length)];
    if (step === 1) stack = stack.slice(0, -1);
    if (step === 2 && random.below(10) === 0) stack = [random.below(frames.length), 0, 1];
    stacks.push(stack);
    builder.set(start + i, stack, stack.length);
  }
  const flagged = [
    { name: 'patch 1', start: start + 50, end: start + 60 },
    { name: 'patch 2', start: start + 190, end: start + 300 },
  ];
  const facts = { name: 'run "A"', frames, start, end: start + stacks.length, flagged };
  return { stacks, timeline: builder.finish(facts) };
}

const seeds = Array.from({ length: 20 }, (_, seed) => seed);
const joined = (pieces: Iterable<string>): string => [...pieces].join('');
const shown = ['main', 'a;b', 'evil\\u{202e}\\u{a}"name"', 'd'];

/** What is open at each block, by events that open and close. */
function replay(
  start: number,
  end: number,
  events: readonly { readonly at: number; readonly open?: string; readonly close?: string }[],
): string[][] {
  const result: string[][] = [];
  const open: string[] = [];
  let next = 0;
  for (let at = start; at < end; at++) {
    for (; next < events.length && events[next].at <= at; next++) {
      const event = events[next];
      if (event.open !== undefined) open.push(event.open);
      else {
        // Where a closing names its frame, it is the youngest one.
        expect(event.close ?? open.at(-1)).toBe(open.at(-1));
        open.pop();
      }
    }
    result.push([...open]);
  }
  for (; next < events.length; next++) {
    expect(events[next].at).toBe(end);
    open.pop();
  }
  expect(open).toEqual([]);
  return result;
}

describe('a call timeline', () => {
  test('tells the same stacks as were put in, and so does each cut of it', () => {
    for (const seed of seeds) {
      const { stacks, timeline } = randomTimeline(seed);
      const list = (of: CallTimeline): number[][] => {
        const result: number[][] = [];
        forEachStack(of, (stack, since, until) => {
          for (let at = since; at < until; at++) result[at - of.start] = [...stack];
        });
        return result;
      };
      expect(list(timeline)).toEqual(stacks);
      for (const { start, end, name } of [...timeline.flagged, { name: '', start: 0, end: 1e9 }]) {
        const cut = cutTimeline(timeline, { start, end, name });
        expect(list(cut)).toEqual(
          stacks.slice(Math.max(0, start - timeline.start), end - timeline.start),
        );
      }
    }
  });
});

describe('drcov', () => {
  test('is what DynamoRIO describes: text up to the table of blocks, then records of 8 bytes', () => {
    const modules = [
      { base: 0x400000, end: 0x480000, path: '/bin/a' },
      { base: -0x8000_0000, end: -0x7000_0000, path: '/lib/b\n.so' },
    ];
    const blocks = [
      { module: 0, offset: 0x1000, size: 17 },
      { module: 1, offset: 0x1234567, size: 70_000 },
      { module: 1, offset: 2 ** 32, size: 4 },
      { module: 2, offset: 0, size: 4 },
    ];
    const bytes = Buffer.concat(
      [...renderDrcov({ modules, blocks })].map((p) => Buffer.from(p as string)),
    );
    const head = /^DRCOV VERSION: 2\nDRCOV FLAVOR: drcov\nModule Table: version 2, count (\d+)\n/;
    const text = bytes.toString('latin1');
    expect(head.exec(text)?.[1]).toBe('2');
    const lines = text.split('\n');
    expect(lines[3]).toBe('Columns: id, base, end, entry, path');
    expect(lines[4].split(', ')).toEqual([
      '0',
      '0x0000000000400000',
      '0x0000000000480000',
      '0x0000000000000000',
      '/bin/a',
    ]);
    expect(lines[5].split(', ')).toEqual([
      '1',
      '0xffffffff80000000',
      '0xffffffff90000000',
      '0x0000000000000000',
      '/lib/b\\u{a}.so',
    ]);
    expect(lines[6]).toBe('BB Table: 3 bbs');
    const table = bytes.subarray(bytes.indexOf('bbs\n') + 4);
    expect(table.length).toBe(3 * 8);
    const records = [0, 8, 16].map((at) => [
      table.readUInt32LE(at),
      table.readUInt16LE(at + 4),
      table.readUInt16LE(at + 6),
    ]);
    expect(records).toEqual([
      [0x1000, 17, 0],
      [0x1234567, 0xffff, 1],
      [0x1234567 + 0xffff, 70_000 - 0xffff, 1],
    ]);
  });
});

describe('call timelines', () => {
  test('as trace events: pairs nest, time never falls, flagged stretches have a track', () => {
    for (const seed of seeds) {
      const { stacks, timeline } = randomTimeline(seed);
      const { traceEvents } = JSON.parse(joined(renderPerfetto(timeline, 'Wayward 1'))) as {
        traceEvents: { ph: string; name: string; tid: number; ts: number; dur?: number }[];
      };
      const calls = traceEvents.filter(({ ph }) => ph === 'B' || ph === 'E');
      expect(new Set(calls.map(({ tid }) => tid)).size).toBeLessThanOrEqual(1);
      const events = calls.map(({ ph, ts, name }) => ({
        at: ts,
        [ph === 'B' ? 'open' : 'close']: name,
      }));
      expect(replay(timeline.start, timeline.end, events)).toEqual(
        stacks.map((stack) => stack.map((frame) => shown[frame])),
      );
      const flagged = traceEvents.filter(({ ph }) => ph === 'X');
      expect(flagged.map(({ ts, dur = 0 }) => [ts, ts + dur])).toEqual(
        timeline.flagged.map(({ start, end }) => [start, end]),
      );
    }
  });

  test('for speedscope: balanced, ordered, each closing names its frame, cuts are profiles', () => {
    for (const seed of seeds) {
      const { stacks, timeline } = randomTimeline(seed);
      const file = JSON.parse(joined(renderSpeedscope(timeline, 'wayward@1'))) as {
        $schema: string;
        activeProfileIndex: number;
        shared: { frames: { name: string; file?: string }[] };
        profiles: {
          type: string;
          unit: string;
          startValue: number;
          endValue: number;
          events: { type: string; frame: number; at: number }[];
        }[];
      };
      expect(file.$schema).toBe('https://www.speedscope.app/file-format-schema.json');
      expect(file.shared.frames.map(({ name }) => name)).toEqual(shown);
      expect(file.profiles).toHaveLength(3);
      expect(file.activeProfileIndex).toBe(1);
      for (const { type, unit, startValue, endValue, events } of file.profiles) {
        expect([type, unit]).toEqual(['evented', 'none']);
        const from = startValue - timeline.start;
        expect(
          replay(
            startValue,
            endValue,
            events.map((event) => ({
              at: event.at,
              [event.type === 'O' ? 'open' : 'close']: String(event.frame),
            })),
          ),
        ).toEqual(stacks.slice(from, from + endValue - startValue).map((s) => s.map(String)));
      }
    }
  });

  test('for the Firefox Profiler: each sample leads through its tables to the stack that was open', () => {
    for (const seed of seeds) {
      const { stacks, timeline } = randomTimeline(seed);
      const profile = JSON.parse(joined(renderGecko(timeline, 'Wayward 1'))) as {
        meta: { version: number; interval: number };
        threads: {
          samples: { schema: Record<string, number>; data: number[][] };
          frameTable: { schema: Record<string, number>; data: number[][] };
          stackTable: { schema: Record<string, number>; data: (number | null)[][] };
          markers: { schema: Record<string, number>; data: unknown[][] };
          stringTable: string[];
        }[];
      };
      const [{ samples, frameTable, stackTable, markers, stringTable }] = profile.threads;
      expect(profile.meta.version).toBe(24);
      expect(samples.data).toHaveLength(stacks.length);
      const strings = ['main (in lib0.so)', 'a;b (in lib1.so)', `${shown[2]} (in lib2.so)`, 'd'];
      for (const [index, sample] of samples.data.entries()) {
        const names: string[] = [];
        let stack: number | null = sample[samples.schema.stack];
        while (stack !== null) {
          const entry: (number | null)[] = stackTable.data[stack];
          const frame = frameTable.data[entry[stackTable.schema.frame] ?? -1];
          names.unshift(stringTable[frame[frameTable.schema.location]]);
          const prefix: number | null = entry[stackTable.schema.prefix];
          // Prefixes come first, which readers rely on.
          if (prefix !== null) expect(prefix).toBeLessThan(stack);
          stack = prefix;
        }
        expect(names).toEqual(stacks[index].map((each) => strings[each]));
        expect(sample[samples.schema.time]).toBeCloseTo((timeline.start + index) / 1000, 9);
      }
      expect(markers.data.map((m) => stringTable[m[markers.schema.name] as number])).toEqual([
        'Flagged',
        'Flagged',
      ]);
    }
  });

  test('a long stretch has no more samples than the Firefox Profiler bears', () => {
    const builder = new CallTimelineBuilder();
    builder.set(0, [0], 1);
    const long = builder.finish({ name: '', frames, start: 0, end: 1_000_001, flagged: [] });
    const profile = JSON.parse(joined(renderGecko(long, ''))) as {
      meta: { interval: number };
      threads: { samples: { data: number[][] } }[];
    };
    const { data } = profile.threads[0].samples;
    expect(data.length).toBeLessThanOrEqual(200_000);
    expect(data.length * profile.meta.interval).toBeGreaterThanOrEqual(1000);
  });

  test('as folded stacks: every block counts once, semicolons stand between functions only', () => {
    for (const seed of seeds) {
      const { stacks, timeline } = randomTimeline(seed);
      const expected = new Map<string, number>();
      for (const stack of stacks) {
        const line = stack.map((f) => shown[f].replace(';', ':')).join(';') || '(unknown)';
        expected.set(line, (expected.get(line) ?? 0) + 1);
      }
      const lines = joined(renderFolded(timeline)).trimEnd().split('\n');
      const found = lines.map((line) => /^(.*) (\d+)$/.exec(line)?.slice(1) ?? []);
      expect(new Map(found.map(([stack, count]) => [stack, Number(count)]))).toEqual(expected);
      expect(lines).toHaveLength(expected.size);
    }
  });
});
