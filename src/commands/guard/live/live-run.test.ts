import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type ExampleProfile,
  exampleCorpus,
  learnExamples,
} from '../../../../test/guard/example-profile.ts';
import { silentLogger } from '../../../base/log.ts';
import { Random } from '../../../base/random.ts';
import type { AddressSpace } from '../../../image/address-space.ts';
import { ImageStore } from '../../../image/image-store.ts';
import { buildAddressSpace } from '../../../image/mapped-space.ts';
import { readMemoryMap } from '../../../image/maps/memory-map.ts';
import { NameSources } from '../../../names/name-sources.ts';
import { judge } from '../../judge.ts';
import type { GuardEvent } from '../events.ts';
import { FollowedRun } from '../followed-run.ts';
import { JudgedProcess } from '../judged-process.ts';
import { RunProgress } from '../progress.ts';
import { type AlarmPlace, LiveRun } from './live-run.ts';
import { type OpenedSetup, openSetup } from './open-setup.ts';
import { judgeWhole } from './whole-run.ts';

let learned: ExampleProfile;
let setup: OpenedSetup;
beforeAll(async () => {
  learned = await learnExamples(24);
  setup = await openSetup(learned.profile, 0.05);
}, 120_000);
afterAll(async () => {
  await setup.close();
  learned.remove();
});

test('a profile that is open for guarding leaves no file to remove', async () => {
  const before = process.env.TMPDIR;
  const folder = mkdtempSync(join(tmpdir(), 'wayward-setup-'));
  process.env.TMPDIR = folder;
  try {
    const { close } = await openSetup(learned.profile, 0.05);
    expect(readdirSync(folder)).toEqual([]);
    await close();
  } finally {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
    rmSync(folder, { recursive: true });
  }
});

test('a run that is judged again as a whole has the verdict of its replay; a trace that is gone is named', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'wayward-whole-'));
  const inTurn = async (work: () => void): Promise<void> => work();
  try {
    for (const name of ['nominal-test-000', 'rop-006']) {
      const { trace, space } = await openExample(name);
      writeFileSync(join(folder, 'trace_0'), trace);
      const { outcome } = (await replay(name, 1 << 20)).run;
      const judged = await judgeWhole(setup, space, folder, 1, inTurn);
      const { verdict, pValue, score } = outcome;
      expect(judged, name).toEqual({ verdict, pValue, score });
    }
    const { space } = await openExample('rop-006');
    await expect(judgeWhole(setup, space, folder, 2, inTurn)).rejects.toThrow(
      `${join(folder, 'trace_1')}: cannot be read: there is no such file`,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

const samples = [
  ...['nominal-test-000', 'nominal-test-001', 'malformed-000', 'damaged-train-000'],
  ...['fptr-014', 'jop-022', 'ret2libc-000', 'rop-006', 'shellcode-029'],
];

interface Replayed {
  readonly run: LiveRun;
  readonly alarms: readonly AlarmPlace[];
  readonly blocks: number;
}

async function openExample(
  name: string,
): Promise<{ readonly trace: Buffer; readonly space: AddressSpace }> {
  const folder = join(exampleCorpus, 'traces', name);
  const trace = gunzipSync(readFileSync(join(folder, 'trace_0.gz')));
  const images = new ImageStore([join(exampleCorpus, 'bin')]);
  const space = await buildAddressSpace(await readMemoryMap(join(folder, 'mapping.txt')), images);
  return { trace, space };
}

/** @param cut  most bytes of a piece */
async function replay(name: string, cut: number): Promise<Replayed> {
  const { trace: bytes, space } = await openExample(name);
  const alarms: AlarmPlace[] = [];
  const run = new LiveRun(setup, space, (place) => alarms.push(place));
  const random = new Random(cut);
  for (let at = 0; at < bytes.length; ) {
    const piece = 1 + random.below(cut);
    run.push(0, bytes.subarray(at, at + piece));
    at += piece;
  }
  run.end();
  return { run, alarms, blocks: run.counts.blocks };
}

describe('a run that is judged while it goes on', () => {
  test('has at its end the verdict of judge, however it is cut, and was alarmed if it is anomalous', async () => {
    const paths = samples.map((name) => join(exampleCorpus, 'traces', name));
    const { judged } = await judge(
      { profile: learned.profile, samples: paths, out: learned.folder },
      { log: silentLogger, progress: () => {} },
    );
    expect(judged.map(({ name }) => name)).toEqual(samples);
    const flagged = judged.filter(({ verdict }) => verdict === 'anomalous');
    expect(flagged.length).toBeGreaterThanOrEqual(4);
    expect(flagged.length).toBeLessThan(samples.length);
    for (const whole of judged) {
      for (const cut of [1 << 20, 2000]) {
        const { run, alarms } = await replay(whole.name, cut);
        const { pValue, score } = run.decision;
        expect([whole.name, cut, pValue, score]).toEqual([
          ...[whole.name, cut, whole.pValue, whole.score],
        ]);
        expect(run.inexact.size).toBe(0);
        expect(alarms.length > 0).toBe(whole.verdict === 'anomalous');
      }
    }
  }, 120_000);

  test('goes on behind a stretch that was left out, and says that it was', async () => {
    const { trace, space } = await openExample('nominal-test-000');
    const alarms: AlarmPlace[] = [];
    const run = new LiveRun(setup, space, (place) => alarms.push(place));
    const third = Math.floor(trace.length / 3);
    run.push(0, trace.subarray(0, third));
    const before = run.counts.blocks;
    run.skip();
    run.push(0, trace.subarray(2 * third));
    run.end();
    expect([...run.inexact]).toEqual(['skipped']);
    expect(run.counts.gaps).toBe(1);
    expect(run.counts.blocks).toBeGreaterThan(before);
    expect(alarms).toEqual([]);
  });

  test('raises the alarm at the same place, however it is cut, with what the trace says there', async () => {
    for (const name of ['rop-006']) {
      const places = [];
      for (const cut of [1 << 20, 977]) {
        const { alarms } = await replay(name, cut);
        const [{ position, surprise, decision }] = alarms as [AlarmPlace];
        places.push([position, surprise, decision.pValue]);
      }
      expect(places[1]).toEqual(places[0]);
    }
  });
});

test('with more distinct blocks than are kept is told, once, whoever records it', async () => {
  const { trace, space } = await openExample('nominal-test-000');
  const names = new NameSources();
  const halves = [trace.subarray(0, trace.length / 2), trace.subarray(trace.length / 2)];
  for (const [maxBlocks, expected] of [
    [10, ['followed', 'guarded']],
    [1 << 19, []],
  ] as const) {
    const small = { ...setup, maxBlocks };
    const warnings: string[] = [];
    const who = { pid: 7, program: 'example', evidence: join(learned.folder, 'alarms') };
    const followed = new FollowedRun(small, space, who, names, (event: GuardEvent) => {
      if (event.event === 'warning') warnings.push(`followed: ${event.what}`);
    });
    const { shared: progress } = new RunProgress();
    const context = { setup: small, program: 'example', bitness: 64, names, progress } as const;
    const process = new JudgedProcess(context, (found) => {
      if (found.type === 'warning') warnings.push(`guarded: ${found.what}`);
    });
    process.map(space);
    for (const bytes of halves) {
      await followed.push(0, bytes, {});
      process.follow({ type: 'trace', run: 0, thread: 0, bytes, blocks: 0 });
    }
    const full = warnings.filter((what) => what.includes('more distinct blocks than are kept'));
    expect(full.map((what) => what.split(':')[0]).sort()).toEqual(expected);
  }
});
