import { appendFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { exampleProcesses } from '../../../test/example-schedule.ts';
import {
  type ExampleProfile,
  exampleCorpus,
  learnExamples,
} from '../../../test/guard/example-profile.ts';
import { PerfDataWriter } from '../../../test/perf-data.ts';
import { pipeOfRecording } from '../../../test/perf-pipe.ts';
import { schedule } from '../../../test/pt-schedule.ts';
import { silentLogger } from '../../base/log.ts';
import { Random } from '../../base/random.ts';
import { guardFollow, guardPerfPipe } from '../guard.ts';
import { type JudgedSample, judge } from '../judge.ts';
import type { GuardEvent, ProcessVerdict } from './events.ts';

let learned: ExampleProfile;
const binDirs = [join(exampleCorpus, 'bin')];
const names = readdirSync(join(exampleCorpus, 'traces'));
const hijacked = names.find((name) => name.startsWith('rop-')) ?? '';
const wholes = new Map<string, JudgedSample>();

beforeAll(async () => {
  learned = await learnExamples(20);
  const samples = ['nominal-test-000', hijacked].map((name) => join(exampleCorpus, 'traces', name));
  const { judged } = await judge(
    { profile: learned.profile, samples, out: learned.folder },
    { log: silentLogger, progress: () => {} },
  );
  for (const each of judged) wholes.set(each.name, each);
}, 120_000);
afterAll(() => learned.remove());

function readExample(name: string): { readonly trace: Buffer; readonly map: string } {
  const folder = join(exampleCorpus, 'traces', name);
  return {
    trace: gunzipSync(readFileSync(join(folder, 'trace_0.gz'))),
    map: readFileSync(join(folder, 'mapping.txt'), 'utf8'),
  };
}

function expectAsWhole(name: string, verdict: ProcessVerdict | undefined): void {
  const whole = wholes.get(name);
  expect(verdict).toMatchObject({ pValue: whole?.pValue, score: whole?.score, judged: 'live' });
  expect(verdict?.verdict).toBe(whole?.verdict);
  expect(verdict?.wasAlarmed).toBe(whole?.verdict === 'anomalous');
}

describe('a sample that grows', () => {
  test.each(['nominal-test-000', hijacked])(
    'is judged as when it is whole: %s',
    async (name) => {
      const { trace, map } = readExample(name);
      const folder = join(learned.folder, 'growing', name);
      mkdirSync(folder, { recursive: true });
      const events: GuardEvent[] = [];
      const followed = guardFollow(
        {
          ...{ profile: learned.profile, fpr: 0.05, binDirs, folder, idle: 1 },
          evidence: join(learned.folder, 'evidence'),
        },
        (event) => events.push(event),
        new AbortController().signal,
      );
      const random = new Random(3);
      writeFileSync(join(folder, 'mapping.txt'), map.slice(0, 100));
      writeFileSync(join(folder, 'mapping.txt'), map);
      for (let at = 0; at < trace.length; ) {
        const piece = 1 + random.below(trace.length / 8);
        appendFileSync(join(folder, 'trace_0'), trace.subarray(at, at + piece));
        at += piece;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      expectAsWhole(name, await followed);
      expect(events.map(({ event }) => event)[0]).toBe('process');
    },
    60_000,
  );

  test('that is compressed is refused, as it cannot be read while it grows', async () => {
    const folder = join(learned.folder, 'growing', 'packed');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'mapping.txt'), readExample(hijacked).map);
    writeFileSync(join(folder, 'trace_0.gz'), '');
    const request = { profile: learned.profile, fpr: 0.05, binDirs, folder, idle: 1 };
    await expect(
      guardFollow({ ...request, evidence: learned.folder }, () => {}, new AbortController().signal),
    ).rejects.toMatchObject({ code: 'trace-compressed' });
  });
});

/** What perf would have written of an example, in rounds. */
function perfPipeOf(name: string): Buffer {
  const { trace, map } = readExample(name);
  const writer = new PerfDataWriter({ isPipe: true, config: 0x2001 });
  const when = { pid: 10, tid: 10, time: 1000n, cpu: 0 };
  writer.comm(10, 10, 'example', when, true);
  for (const line of map.split('\n')) {
    const [, start = '', end = '', perms = '', offset = '', path = ''] =
      /^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) \S+ \d+\s*(.*)$/.exec(line) ?? [];
    if (perms[2] !== 'x') continue;
    const from = Number.parseInt(start, 16);
    writer.mmap2(
      10,
      from,
      Number.parseInt(end, 16) - from,
      Number.parseInt(offset, 16),
      path,
      when,
    );
  }
  const size = Math.ceil(trace.length / 5 / 8) * 8;
  for (let at = 0; at < trace.length; at += size) {
    // perf fills up with zeros, which are packets that say nothing.
    writer.auxtrace(0, 10, 0xffffffff, at, trace.subarray(at, at + size));
    writer.record(68, 0, Buffer.alloc(0));
  }
  return writer.finish();
}

async function* piecesOf(bytes: Buffer, most: number): AsyncGenerator<Buffer> {
  const random = new Random(most);
  for (let at = 0; at < bytes.length; ) {
    const piece = 1 + random.below(most);
    yield bytes.subarray(at, at + piece);
    at += piece;
  }
}

async function guardPipe(
  input: AsyncIterable<Buffer>,
): Promise<{ verdicts: readonly ProcessVerdict[]; events: readonly GuardEvent[] }> {
  const events: GuardEvent[] = [];
  const evidence = join(learned.folder, 'evidence');
  const request = { profile: learned.profile, fpr: 0.05, evidence, binDirs, input, path: '-' };
  const verdicts = await guardPerfPipe(request, (event) => events.push(event));
  return { verdicts, events };
}

describe("perf's pipe", () => {
  test.each(['nominal-test-000', hijacked])(
    'is judged as the recording: %s',
    async (name) => {
      const pipe = perfPipeOf(name);
      for (const most of [pipe.length, 777]) {
        const { verdicts } = await guardPipe(piecesOf(pipe, most));
        expect(verdicts.length).toBe(1);
        expectAsWhole(name, verdicts[0]);
      }
    },
    60_000,
  );

  test('that is cut off anywhere, or holds any byte, ends in a verdict or a named error', async () => {
    const pipe = perfPipeOf(hijacked);
    const random = new Random(11);
    for (let round = 0; round < 12; round++) {
      const bytes = Buffer.from(pipe.subarray(0, 1 + random.below(pipe.length)));
      if (round % 2 === 0) bytes[random.below(bytes.length)] ^= 1 << random.below(8);
      try {
        await guardPipe(piecesOf(bytes, 5000));
      } catch (error) {
        expect(error).toMatchObject({ name: 'UserError' });
      }
    }
  }, 120_000);

  test('of whole processors is judged by the threads that took turns on them, as the recording', async () => {
    const processes = await exampleProcesses(['nominal-test-000', hijacked, 'nominal-test-001']);
    const file = schedule(processes, {
      ...{ cpus: 2, seed: 4, stamps: 'tsc', compressReturns: true, switches: 3 },
      isSystemWide: true,
    });
    const path = join(learned.folder, 'processors.data');
    writeFileSync(path, file);
    const { judged } = await judge(
      { profile: learned.profile, samples: [path], binDirs, out: learned.folder },
      { log: silentLogger, progress: () => {} },
    );
    expect(judged.map(({ verdict }) => verdict).sort()).toEqual([
      ...['anomalous', 'nominal', 'nominal'],
    ]);
    const { events } = await guardPipe(piecesOf(pipeOfRecording(file, 4, 12), 5000));
    for (const { pid } of processes) {
      const whole = judged.find(({ name }) => name.endsWith(`-${pid}`));
      const live = events.find((event) => event.event === 'process-ended' && event.pid === pid);
      expect(live).toMatchObject({ pValue: whole?.pValue, score: whole?.score, gaps: 0 });
      expect(live).toMatchObject({ wasAlarmed: whole?.verdict === 'anomalous' });
    }
    expect(events.filter(({ event }) => event === 'lost')).toEqual([]);
  }, 60_000);

  test('of whole processors without switches is told, and not judged as if it were one thread', async () => {
    const writer = new PerfDataWriter({ isPipe: true, isPerCpu: true });
    writer.auxtrace(0, -1 >>> 0, 0, 0, readExample(hijacked).trace);
    const { verdicts, events } = await guardPipe(piecesOf(writer.finish(), 5000));
    expect(verdicts).toEqual([]);
    expect(events).toMatchObject([{ event: 'lost' }]);
  });
});
