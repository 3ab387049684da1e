import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PerfDataWriter } from '../../test/perf-data.ts';
import { writeTinyCorpus } from '../../test/tiny-corpus.ts';
import { unpackedProfile } from '../../test/unpacked-profile.ts';
import { UserError } from '../base/errors.ts';
import { sealJson } from '../base/files/sealed.ts';
import { silentLogger } from '../base/log.ts';
import { PtEncoder } from '../pt/encoder.ts';
import { classify, defaultJudging } from './classify.ts';
import { type JudgedSample, type JudgeResult, judge } from './judge.ts';
import { type LearnResult, learn } from './learn.ts';
import { packFiles } from './profile/archive.ts';
import { openLocal } from './tasks/open-scheduler.ts';
import { watch } from './watch.ts';

const nominal = writeTinyCorpus(24, 0);
const mixed = writeTinyCorpus(3, 3);
const out = mkdtempSync(join(tmpdir(), 'wayward-judge-'));
afterAll(() => {
  for (const folder of [nominal, mixed, out]) rmSync(folder, { recursive: true, force: true });
});

const warnings: string[] = [];
const context = {
  log: {
    log: (level: string, message: string) => {
      if (level === 'warning') warnings.push(message);
    },
  },
  progress: () => {},
};
const quiet = { log: silentLogger, progress: () => {} };

let learned: LearnResult;
beforeAll(async () => {
  learned = await learn({ root: nominal, preprocessed: true, workers: 1, out }, quiet);
});

function judging(changed: Partial<Parameters<typeof judge>[0]> = {}): Promise<JudgeResult> {
  warnings.length = 0;
  const request = { profile: learned.folder.root, samples: [mixed], preprocessed: true, out };
  return judge({ ...request, ...changed }, context);
}

/** What `perf record` writes of a program that takes 600 branches. */
function loopRecording(program: string): Buffer {
  const parts: Uint8Array[] = [];
  const encoder = new PtEncoder((bytes) => void parts.push(bytes), {
    bitness: 64,
    compressReturns: true,
  });
  encoder.enable(0x1000);
  for (let i = 0; i < 600; i++) encoder.branch(i % 3 > 0);
  encoder.disable();
  encoder.finish();
  const trace = Buffer.concat(parts);
  const when = { pid: 7, tid: 7, time: 5000n, cpu: 0 };
  const writer = new PerfDataWriter();
  writer.comm(7, 7, 'loop', when, true);
  writer.mmap2(7, 0x1000, 0x1000, 0, program, when);
  writer.aux(0, trace.length, 0, when);
  writer.auxtrace(0, 7, -1, 0, trace);
  return writer.finish();
}

/** Bare code, which is taken from a folder of images only, never from where a recording says that it lies. */
function loopProgram(name: string): { readonly program: string; readonly binDirs: string[] } {
  const images = join(out, 'images');
  mkdirSync(images, { recursive: true });
  const program = join(images, name);
  writeFileSync(program, Buffer.from([0x74, 0xfe, 0xc3]));
  return { program, binDirs: [images] };
}

const flagged = ({ judged }: JudgeResult): readonly string[] =>
  judged.filter(({ verdict }) => verdict === 'anomalous').map(({ name }) => name);

describe('judge', () => {
  test('needs nothing but nominal runs to have been learned, and tells each sample', async () => {
    expect(learned.sets).toEqual({ train: 24, calibrate: 0, testNominal: 0, testAnomalous: 0 });
    const told: JudgedSample[] = [];
    const request = { profile: learned.folder.root, samples: [mixed], preprocessed: true, out };
    const result = await judge(request, quiet, (sample) => told.push(sample));
    expect(told).toEqual(result.judged);
    expect(flagged(result)).toEqual(['m000', 'm001', 'm002']);
    for (const { verdict, pValue, place } of result.judged) {
      expect(pValue).toBeGreaterThanOrEqual(1 / 25);
      expect(pValue).toBeLessThanOrEqual(1);
      expect(place === undefined).toBe(verdict === 'nominal');
    }
  });

  test('works from the profile alone, wherever it is', async () => {
    const elsewhere = join(out, 'reader.wayward');
    cpSync(learned.profile ?? '', elsewhere);
    const hidden = `${learned.folder.root}.hidden`;
    cpSync(learned.folder.root, hidden, { recursive: true });
    rmSync(learned.folder.root, { recursive: true });
    try {
      const result = await judging({ profile: elsewhere });
      expect(flagged(result)).toEqual(['m000', 'm001', 'm002']);
      expect(warnings).toEqual([]);
    } finally {
      cpSync(hidden, learned.folder.root, { recursive: true });
    }
  });

  test('leaves a run that classify and report read', async () => {
    const result = await judging();
    const { report } = await classify({ ...defaultJudging, path: result.folder.root }, quiet);
    const verdicts = report.rows
      .filter(({ role }) => role === 'test')
      .map(({ name, verdict, pValue }) => ({ name, verdict, pValue }));
    expect(verdicts).toEqual(
      result.judged.map(({ name, verdict, pValue }) => ({ name, verdict, pValue })),
    );
  });

  test('judges on where one path cannot be read, and names it', async () => {
    const result = await judging({
      samples: [join(mixed, 'b000'), '/nowhere', join(mixed, 'm000')],
    });
    expect(result.judged.map(({ name }) => name)).toEqual(['b000', 'm000']);
    expect(result.skipped).toEqual([
      { name: 'nowhere', reason: expect.stringContaining('there is no such folder') },
    ]);
    await expect(judging({ samples: ['/nowhere'] })).rejects.toMatchObject({ code: 'no-samples' });
  });

  test('keeps samples of one name apart', async () => {
    const result = await judging({ samples: [join(mixed, 'b000'), join(mixed, 'b000')] });
    expect(result.judged.map(({ name }) => name)).toEqual(['b000', 'b000-2']);
  });

  test('says the same in several processes', async () => {
    const alone = await judging();
    const together = await judging({ jobs: 2 });
    expect(together.judged).toEqual(alone.judged);
    expect(together.skipped).toEqual([]);
  });

  test('takes of a folder of profiles that of the program, and says which samples have none', async () => {
    const folder = mkdtempSync(join(out, 'profiles-'));
    const files = await unpackedProfile(learned.profile);
    const put = async (name: string, changes: object): Promise<void> => {
      const facts = JSON.parse(Buffer.from(files.get('profile.json') ?? []).toString());
      const { sum: _, ...content } = facts;
      const sealed = Buffer.from(sealJson({ ...content, ...changes }));
      writeFileSync(join(folder, name), packFiles(new Map([...files, ['profile.json', sealed]])));
    };
    await put('other.wayward', { programs: ['other'] });
    await put('tiny.wayward', {});
    const samples = [join(mixed, 'b000'), join(mixed, 'm000')];
    const result = await judging({ profile: folder, samples });
    expect(result.judged.map(({ name, profile }) => [name, profile])).toEqual([
      ['b000', join(folder, 'tiny.wayward')],
      ['m000', join(folder, 'tiny.wayward')],
    ]);
    expect(flagged(result)).toEqual(['m000']);
    expect(result.folders).toEqual([result.folder]);
    await put('again.wayward', {});
    await expect(judging({ profile: folder, samples })).rejects.toMatchObject({
      code: 'nothing-judged',
      message: expect.stringContaining('2 profiles in'),
    });
    rmSync(join(folder, 'tiny.wayward'));
    await put('again.wayward', { programs: ['third'] });
    await expect(judging({ profile: folder, samples })).rejects.toMatchObject({
      code: 'nothing-judged',
      message: expect.stringContaining('tiny ran, and no profile in'),
    });
    await put('calls.wayward', { source: 'strace' });
    await expect(judging({ profile: folder, samples })).rejects.toMatchObject({
      code: 'profiles-of-different-sources',
    });
  });

  test('takes a file of perf record for the samples that are in it', async () => {
    const { program, binDirs } = loopProgram('loop');
    const data = join(out, 'perf.data');
    writeFileSync(data, loopRecording(program));
    const result = await judging({ samples: [data], preprocessed: false, binDirs });
    const [sample] = result.judged;
    const root = join(out, 'recordings', 'perf');
    expect(sample?.directory.startsWith(join(root, 'traces'))).toBe(true);
    expect(existsSync(join(root, 'bin', 'loop'))).toBe(true);
    // None of its code was learned.
    expect(warnings.at(-1)).toContain('100 % of its blocks');
  });

  test('gives no verdict on a run of which no code could be read', async () => {
    const { program, binDirs } = loopProgram('gone');
    const data = join(out, 'gone.data');
    writeFileSync(data, loopRecording(program));
    await judging({ samples: [data], preprocessed: false, binDirs });
    const root = join(out, 'recordings', 'gone');
    const empty = join(out, 'empty');
    mkdirSync(empty);
    const before = readdirSync(join(out, 'runs'));
    const samples = [root];
    await expect(judging({ samples, preprocessed: false, binDirs: [empty] })).rejects.toMatchObject(
      {
        code: 'nothing-judged',
        message: expect.stringContaining('none of its code could be read'),
      },
    );
    expect(readdirSync(join(out, 'runs'))).toEqual(before);
    // Beside others, it leaves nothing that whoever reads the run later takes for a verdict.
    writeFileSync(join(empty, 'loop'), Buffer.from([0x74, 0xfe, 0xc3]));
    const both = [root, join(out, 'recordings', 'perf')];
    const result = await judging({ samples: both, preprocessed: false, binDirs: [empty] });
    expect(result.skipped[0]?.reason).toContain('none of its code could be read');
    const left = readdirSync(result.folder.evaluation).filter((name) => name.endsWith('.eval'));
    expect(left).toHaveLength(1);
  });

  test('gives no verdict on a recording without a trace', async () => {
    const samples = [join(out, 'void'), join(mixed, 'b000')];
    cpSync(join(mixed, 'b000'), samples[0] ?? '', { recursive: true });
    writeFileSync(join(out, 'void', 'trace_parsed.gz'), gzipSync(''));
    const result = await judging({ samples });
    expect(result.judged.map(({ name }) => name)).toEqual(['b000']);
    expect(result.skipped[0]?.reason).toContain('nothing ran in it');
  });

  test('refuses a rate that the runs cannot hold, before anything is written', async () => {
    const elsewhere = join(out, 'none');
    await expect(judging({ fpr: 0.01, out: elsewhere })).rejects.toMatchObject({
      code: 'calibration-too-small',
    });
    expect(existsSync(elsewhere)).toBe(false);
  });
});

test('watch judges by runs that both train and calibrate, as judge does', async () => {
  const stop = new AbortController();
  const watched = new Map<string, unknown>();
  const scheduler = openLocal(1, quiet);
  try {
    await watch(
      {
        ...{ run: learned.folder.root, folder: mixed, binDirs: [], rawImages: false },
        ...{ source: 'trace', process: undefined, preprocessed: true, device: 'cpu' },
        ...{ timeout: undefined, fpr: 0.05, features: 'all', seed: 1, settleSeconds: 0 },
      },
      scheduler,
      { ...quiet, signal: stop.signal },
      (line) => {
        const { name, verdict, pValue } = JSON.parse(line);
        watched.set(name, { verdict, pValue });
        if (watched.size === 6) stop.abort();
      },
    );
  } finally {
    await scheduler.close();
  }
  const { judged } = await judging();
  expect(watched).toEqual(
    new Map(judged.map(({ name, verdict, pValue }) => [name, { verdict, pValue }])),
  );
});

describe('a profile', () => {
  const at = (name: string): string => join(out, name);

  test('that is damaged, of another version, or none is refused', async () => {
    const whole = readFileSync(learned.profile ?? '');
    const flipped = Buffer.from(whole);
    flipped[whole.length >> 1] = (flipped[whole.length >> 1] ?? 0) ^ 4;
    writeFileSync(at('flipped.wayward'), flipped);
    writeFileSync(at('cut.wayward'), whole.subarray(0, 1000));
    writeFileSync(at('text.wayward'), 'hello');
    const files = await unpackedProfile(learned.profile);
    const facts = JSON.parse(Buffer.from(files.get('profile.json') ?? []).toString());
    const { sum: _, ...content } = facts;
    files.set('profile.json', Buffer.from(sealJson({ ...content, schemaVersion: 9 })));
    writeFileSync(at('newer.wayward'), packFiles(files));
    for (const [name, code] of [
      ['flipped.wayward', 'file-damaged'],
      ['cut.wayward', 'file-damaged'],
      ['text.wayward', 'no-profile'],
      ['newer.wayward', 'profile-other-version'],
      ['runs', 'no-profile'],
    ] as const) {
      await expect(judging({ profile: at(name) }), name).rejects.toMatchObject({ code });
    }
    await expect(judging({ profile: at('missing.wayward') })).rejects.toMatchObject({
      code: 'not-readable',
    });
  });

  test('of which a part is damaged is named, and not the folder where it is unpacked', async () => {
    const files = await unpackedProfile(learned.profile);
    expect(files.size).toBeGreaterThan(4);
    const strayed = { profile: at('part.wayward'), samples: [join(mixed, 'm000')] };
    const refused = new Set<string>();
    for (const [name, bytes] of files) {
      for (const part of [Buffer.from('hello'), bytes.subarray(0, bytes.length >> 1)]) {
        writeFileSync(strayed.profile, packFiles(new Map([...files, [name, part]])));
        const error = await judging(strayed).catch((reason: unknown) => reason);
        if (!(error instanceof Error)) continue;
        refused.add(name);
        expect(error, name).toBeInstanceOf(UserError);
        expect(error.message, name).toContain(strayed.profile);
        expect(error.message, name).not.toContain('wayward-profile-');
      }
    }
    // Functions are looked at where images are other builds.
    const read = [...files.keys()].filter((name) => name !== 'model/functions.json');
    expect([...refused].sort()).toEqual(read.sort());
  });
});
