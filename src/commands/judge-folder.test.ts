import { type ChildProcess, spawn } from 'node:child_process';
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
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeTinyCorpus } from '../../test/tiny-corpus.ts';
import { silentLogger } from '../base/log.ts';
import { classify, defaultJudging } from './classify.ts';
import { homeOf, judgeFolder } from './judge-folder.ts';
import { learn } from './learn.ts';

const main = fileURLToPath(new URL('../cli/main.ts', import.meta.url));
const nominal = writeTinyCorpus(20, 0);
const mixed = writeTinyCorpus(4, 2);
const out = mkdtempSync(join(tmpdir(), 'wayward-folder-'));
const quiet = { log: silentLogger, progress: () => {} };
const started: ChildProcess[] = [];
afterAll(() => {
  for (const child of started) child.kill('SIGKILL');
  for (const folder of [nominal, mixed, out]) rmSync(folder, { recursive: true, force: true });
});

let profile: string;
beforeAll(async () => {
  const learned = await learn({ root: nominal, preprocessed: true, workers: 1, out }, quiet);
  profile = learned.profile ?? '';
});

const names = readdirSync(mixed);
const put = (folder: string, name: string): void =>
  cpSync(join(mixed, name), join(folder, name), { recursive: true });

function incoming(name: string, samples: readonly string[]): string {
  const folder = join(out, name);
  mkdirSync(folder);
  for (const sample of samples) put(folder, sample);
  return folder;
}

const requestFor = (folder: string) => ({
  ...{ profile, folder, out, preprocessed: true, once: true, settleSeconds: 0.1, jobs: 2 },
});

interface Line {
  readonly number: number;
  readonly name: string;
  readonly verdict: string | null;
  readonly page?: string;
  readonly place?: string;
}

async function linesOf(folder: string, signal?: AbortSignal): Promise<Line[]> {
  const lines: Line[] = [];
  const context = { ...quiet, ...(signal === undefined ? {} : { signal }) };
  await judgeFolder(requestFor(folder), context, (line) => lines.push(JSON.parse(line)));
  return lines;
}

describe('judge --watch', () => {
  test('judges what is there once, gives alarms pages, and goes on where it ended', async () => {
    const folder = incoming('first', names.slice(0, 5));
    const lines = await linesOf(folder);
    expect(lines.map(({ name }) => name).sort()).toEqual(names.slice(0, 5));
    for (const { name, verdict, page, place } of lines) {
      const isAttack = name.startsWith('m');
      expect([name, verdict]).toEqual([name, isAttack ? 'anomalous' : 'nominal']);
      expect([page === undefined, place === undefined]).toEqual([!isAttack, !isAttack]);
      if (page !== undefined) expect(readFileSync(page, 'utf8')).toContain(name);
    }
    expect(await linesOf(folder)).toEqual([]);
    put(folder, 'm001');
    // What is no sample has no verdict, and does not keep it from ending.
    mkdirSync(join(folder, 'empty'));
    expect(await linesOf(folder)).toMatchObject([{ number: 6, name: 'm001' }]);
    const home = homeOf(requestFor(folder)).root;
    const { report } = await classify({ ...defaultJudging, path: home }, quiet);
    expect(report.rows.filter(({ role }) => role === 'test')).toHaveLength(6);
  });

  test('ends when nothing came for a while', async () => {
    const folder = incoming('idle', names.slice(0, 1));
    const lines: string[] = [];
    const request = { ...requestFor(folder), once: false, idleSeconds: 0.4 };
    const { judged } = await judgeFolder(request, quiet, (line) => lines.push(line));
    expect([judged, lines.length]).toEqual([1, 1]);
  });

  test('that is stopped at any moment judges each sample once', async () => {
    const folder = incoming('stopped', names);
    const seen: Line[] = [];
    // Stopped before anything was done, while some are under way, and with lines written.
    for (const wait of [0, 300, 900, 1500]) {
      const stop = new AbortController();
      const timer = setTimeout(() => stop.abort(), wait);
      seen.push(...(await linesOf(folder, stop.signal).catch(() => [])));
      clearTimeout(timer);
    }
    seen.push(...(await linesOf(folder)));
    expect(seen.map(({ name }) => name).sort()).toEqual(names);
    expect(seen.every(({ verdict }) => verdict !== null)).toBe(true);
  });

  test('that is killed at any moment shows each sample once', { tags: 'slow' }, async () => {
    const folder = incoming('killed', names);
    const shown = join(out, 'killed.ndjson');
    writeFileSync(shown, '');
    const words = [
      'judge',
      profile,
      '--watch',
      folder,
      '--once',
      '--settle',
      '0.1',
      '-p',
      '--json',
    ];
    const run = async (wait: number | undefined): Promise<number | null> => {
      const command = `exec "$@" >> ${shown} 2>> ${shown}.log`;
      const line = ['-c', command, 'sh', process.execPath, main, ...words, '--out', out];
      // What is killed cannot remove its temporary folder.
      const env = { ...process.env, TMPDIR: out };
      const child = spawn('sh', line, { stdio: 'ignore', env });
      started.push(child);
      const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
      const timer = wait === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), wait);
      const code = await ended;
      clearTimeout(timer);
      return code;
    };
    const count = (): number => readFileSync(shown, 'utf8').split('\n').length - 1;
    // As soon as a line is there it is killed, so that each start gets a little further.
    for (let kills = 0; kills < 3; kills++) {
      const before = count();
      const watchdog = setInterval(() => {
        if (count() > before) started.at(-1)?.kill('SIGKILL');
      }, 5);
      await run(20_000);
      clearInterval(watchdog);
    }
    expect(await run(undefined)).toBe(0);
    const lines = readFileSync(shown, 'utf8').split('\n').slice(0, -1);
    const told = lines.map((line) => JSON.parse(line) as Line);
    expect(told.map(({ name }) => name).sort()).toEqual(names);
    expect(told.map(({ number }) => number)).toEqual(told.map((_, i) => i + 1));
    for (const { page } of told) if (page !== undefined) expect(existsSync(page)).toBe(true);
  });
});
