import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
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
import { hasRedisServer, type RedisServer, startRedisServer } from '../../test/redis-server.ts';
import { writeTinyCorpus } from '../../test/tiny-corpus.ts';
import { type Ended, wayward } from '../../test/wayward.ts';
import { learn } from './learn.ts';

const main = fileURLToPath(new URL('../cli/main.ts', import.meta.url));
const out = mkdtempSync(join(tmpdir(), 'wayward-at-queue-'));
const nominal = writeTinyCorpus(20, 0);
const mixed = writeTinyCorpus(8, 4);
const names = readdirSync(mixed).sort();
// What has a trace that is none is told at a queue as it is here.
writeFileSync(join(mixed, 'b003', 'trace_parsed.gz'), 'no trace');

const started: ChildProcess[] = [];
afterAll(() => {
  for (const child of started) child.kill('SIGKILL');
  for (const folder of [nominal, mixed, out]) rmSync(folder, { recursive: true, force: true });
});

/** Starts a command line of its own. What it is killed in the middle of must not lie in the common folder. */
function start(words: readonly string[], into?: string): ChildProcess {
  const command = into === undefined ? 'exec "$@"' : `exec "$@" >> '${into}'`;
  const line = ['-c', command, 'sh', process.execPath, main, ...words];
  const child = spawn('sh', line, { stdio: 'ignore', env: { ...process.env, TMPDIR: out } });
  started.push(child);
  return child;
}

interface Told {
  readonly name: string;
  readonly verdict: string | null;
  readonly pValue?: number | undefined;
  readonly error?: string;
}

describe.skipIf(!hasRedisServer)('at a queue', () => {
  let server: RedisServer;
  let profile = '';
  let here: readonly Told[];
  beforeAll(async () => {
    const learned = await learn({ root: nominal, preprocessed: true, workers: 1, out });
    profile = learned.profile ?? '';
    server = await startRedisServer();
    here = judgedIn(await judge('-j', '1'));
    expect(here).toHaveLength(names.length - 1);
  });
  afterAll(async () => server?.stop());

  const judge = (...words: string[]): Promise<Ended> =>
    wayward(['judge', profile, mixed, '-p', '--json', '--out', out, ...words]);
  const judgedIn = ({ stdout }: Ended): readonly Told[] =>
    (JSON.parse(stdout) as { samples: Told[] }).samples.map(({ name, verdict, pValue }) => ({
      ...{ name, verdict, pValue },
    }));
  const work = (): ChildProcess => {
    const roots = [mixed, out].flatMap((root) => ['--root', root]);
    return start(['worker', '--queue', server.url, '--processes', '1', '--lease', '1', ...roots]);
  };
  const linesIn = (path: string): Told[] =>
    (existsSync(path) ? readFileSync(path, 'utf8') : '')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Told);
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await new Promise((done) => setTimeout(done, 20));
  };

  test('judge says what it says here, and in the same order', async () => {
    const worker = work();
    const { status, stdout, stderr } = await judge('--queue', server.url);
    expect(status).toBe(0);
    expect(judgedIn({ status, stdout, stderr })).toEqual(here);
    const { skipped } = JSON.parse(stdout) as { skipped: { name: string; reason: string }[] };
    expect(skipped).toEqual([{ name: 'b003', reason: expect.stringContaining('b003') }]);
    expect(stderr).toContain('if this is stopped, judge again');
    worker.kill('SIGTERM');
    expect((await once(worker, 'exit'))[0]).toBe(0);
  }, 120_000);

  test('judge --watch judges each sample once, though worker and submitter are killed', async () => {
    const folder = join(out, 'incoming');
    for (const name of names.slice(0, 8)) {
      cpSync(join(mixed, name), join(folder, name), { recursive: true });
    }
    const shown = join(out, 'shown.ndjson');
    const watched = ['judge', profile, '--watch', folder, '-p', '--json', '--settle', '0.1'];
    const watch = (...more: string[]): ChildProcess =>
      start([...watched, '--queue', server.url, '--out', out, ...more], shown);
    const killed = work();
    const first = watch();
    await until(() => linesIn(shown).length >= 2);
    killed.kill('SIGKILL');
    first.kill('SIGKILL');
    await once(first, 'exit');
    for (const name of names.slice(8)) {
      cpSync(join(mixed, name), join(folder, name), { recursive: true });
    }
    work();
    const second = watch('--once');
    expect((await once(second, 'exit'))[0]).toBe(0);
    const lines = linesIn(shown);
    expect(lines.map(({ name }) => name).sort()).toEqual(names);
    const whole = lines.filter(({ verdict }) => verdict !== null);
    expect(
      whole
        .map(({ name, verdict, pValue }) => ({ name, verdict, pValue }))
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
    ).toEqual([...here].sort((a, b) => (a.name < b.name ? -1 : 1)));
    expect(lines.filter(({ verdict }) => verdict === null)).toMatchObject([
      { name: 'b003', error: expect.stringContaining('b003') },
    ]);
  }, 120_000);
});
