import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasRedisServer, startRedisServer } from '../../test/redis-server.ts';
import { VerdictJournal } from './run/verdict-journal.ts';
import { SampleWatcher } from './samples/watcher.ts';

const corpus = fileURLToPath(new URL('../../examples/corpus', import.meta.url));
const main = fileURLToPath(new URL('../cli/main.ts', import.meta.url));
const base = mkdtempSync(join(tmpdir(), 'wayward-'));
const names = readdirSync(join(corpus, 'traces'));
const isBenign = (name: string): boolean =>
  readFileSync(join(corpus, 'traces', name, 'info.txt'), 'utf8').includes('benign');
const copy = (name: string, to: string): void =>
  cpSync(join(corpus, 'traces', name), to, { recursive: true });
const started: ChildProcess[] = [];
afterAll(() => {
  for (const child of started) child.kill('SIGKILL');
});

interface Line {
  readonly sum: string;
  readonly number: number;
  readonly name: string;
  readonly verdict: string | null;
  readonly error?: string;
}

function linesIn(path: string): Line[] {
  if (!existsSync(path)) return [];
  const text = readFileSync(path, 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);
}

describe('a sample is complete', () => {
  const source = { source: 'trace', process: undefined, preprocessed: false } as const;

  test('when all of it is there and has not changed for a while; partial names do not count', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'wayward-'));
    copy(names[0], join(folder, 'whole'));
    copy(names[0], join(folder, '.hidden'));
    copy(names[0], join(folder, 'half.part'));
    mkdirSync(join(folder, 'growing'));
    const put = (name: string): void =>
      cpSync(join(corpus, 'traces', names[0], name), join(folder, 'growing', name));
    const watcher = new SampleWatcher(folder, source, 2, ['known']);
    copy(names[0], join(folder, 'known'));
    const look = async (seconds: number): Promise<string[]> =>
      (await watcher.look(seconds * 1000)).map((path) => path.slice(folder.length + 1));
    expect(await look(0)).toEqual([]);
    put('info.txt');
    expect(await look(1.9)).toEqual([]);
    expect(await look(2)).toEqual(['whole']);
    const files = readdirSync(join(corpus, 'traces', names[0]));
    for (const name of files.filter((file) => file !== 'trace_0.gz')) put(name);
    expect(await look(4)).toEqual([]);
    // Nothing changes, but it is no sample yet.
    expect(await look(7)).toEqual([]);
    put('trace_0.gz');
    expect(await look(8)).toEqual([]);
    appendFileSync(join(folder, 'growing', 'trace_0.gz'), 'x');
    expect(await look(9.5)).toEqual([]);
    expect(await look(11)).toEqual([]);
    renameSync(join(folder, 'half.part'), join(folder, 'half'));
    expect(await look(11.5)).toEqual(['growing']);
    expect(await look(13.5)).toEqual(['half']);
    expect(await look(20)).toEqual([]);
  });

  test('and a folder that is not there is an error', async () => {
    const watcher = new SampleWatcher(join(base, 'absent'), source, 1, []);
    await expect(watcher.look()).rejects.toThrow('cannot be read');
  });
});

describe('the journal', () => {
  test('keeps each line once and shows what a kill kept back', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'wayward-'));
    const first = await VerdictJournal.open(folder);
    first.markShown(await first.add('a', { verdict: 'nominal' }));
    const line = await first.add('b', { verdict: 'nominal' });
    await first.close();
    const path = join(folder, 'verdicts.ndjson');
    appendFileSync(path, '{"number":3,"na');
    const second = await VerdictJournal.open(folder, 'of another folder');
    expect(second.unseen).toEqual([line]);
    expect([...second.names]).toEqual(['a', 'b']);
    const last = await second.add('c', {});
    await second.close();
    expect(linesIn(path).map(({ number, name }) => [number, name])).toEqual([
      [1, 'a'],
      [2, 'b'],
      [3, 'c'],
    ]);
    // It was shown, as whoever looks it up can tell.
    const third = await VerdictJournal.open(folder, last);
    expect(third.unseen).toEqual([]);
    await third.close();
  });

  test('is not shared, and another file is not taken for one', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'wayward-'));
    const other = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)']);
    started.push(other);
    const { stdout } = spawnSync('hostname', { encoding: 'utf8' });
    writeFileSync(join(folder, 'lock'), `${stdout.trim()} ${other.pid}\n`);
    await expect(VerdictJournal.open(folder)).rejects.toThrow('watches for this run already');
    other.kill('SIGKILL');
    await new Promise((resolve) => other.once('exit', resolve));
    writeFileSync(join(folder, 'verdicts.ndjson'), '{"number":2,"name":"x"}\n');
    await expect(VerdictJournal.open(folder)).rejects.toThrow('line 1');
    truncateSync(join(folder, 'verdicts.ndjson'));
    await (await VerdictJournal.open(folder)).close();
  });
});

describe('classify --watch', () => {
  let run: string;
  const shown = (name: string): string => join(base, `${name}.out`);

  beforeAll(() => {
    const learn = spawnSync(
      process.execPath,
      [
        ...[main, 'learn', join(corpus, 'traces'), '--bin-dir', join(corpus, 'bin')],
        ...['--model', 'ngram', '--train-size', '8', '--calibration-size', '20'],
        ...['--test-size-benign', '0', '--test-size-malicious', '0', '--out', base, '--json'],
      ],
      { encoding: 'utf8' },
    );
    expect([learn.status, learn.status === 0 ? '' : learn.stderr]).toEqual([0, '']);
    run = (JSON.parse(learn.stdout) as { folder: string }).folder;
  }, 60_000);

  function startWatch(folder: string, out: string, ...words: readonly string[]): ChildProcess {
    const line = [main, 'classify', run, '--watch', folder, '--settle', '0.2', '--threads', '2'];
    // Standard output goes to the end of a file, as with ">>" in a shell.
    const command = `exec "$@" >> ${out} 2>> ${out}.log`;
    const words2 = ['-c', command, 'sh', process.execPath, ...line, ...words];
    // What is killed cannot remove its temporary folder.
    const env = { ...process.env, TMPDIR: base };
    const child = spawn('sh', words2, { stdio: 'ignore', detached: true, env });
    started.push(child);
    return child;
  }

  async function until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
    const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
    child.kill(signal);
    return exited;
  }

  const arrivals = [
    ...names.filter((name) => name.startsWith('shellcode')).slice(0, 4),
    ...names.filter(isBenign).slice(40, 43),
  ];

  async function watched(name: string, ...words: readonly string[]): Promise<Line[]> {
    const folder = join(base, name);
    mkdirSync(folder);
    const out = shown(name);
    let child = startWatch(folder, out, ...words);
    for (const [index, sample] of arrivals.entries()) {
      copy(sample, join(folder, `${sample}.part`));
      renameSync(join(folder, `${sample}.part`), join(folder, sample));
      if (index !== 4) continue;
      await until(() => linesIn(out).length >= 2);
      await end(child, 'SIGKILL');
      child = startWatch(folder, out, ...words);
    }
    // One that is no trace at all has a line, too.
    mkdirSync(join(folder, 'broken.part'));
    for (const file of readdirSync(join(folder, arrivals[0]))) {
      const text = file === 'info.txt' ? 'x\nbenign\n' : 'no trace';
      writeFileSync(join(folder, 'broken.part', file), text);
    }
    renameSync(join(folder, 'broken.part'), join(folder, 'broken'));
    await until(() => linesIn(out).length > arrivals.length);
    expect(await end(child, 'SIGTERM')).toBe(0);
    const home = readdirSync(join(run, 'watch')).find((entry) => entry.startsWith(`${name}-`));
    expect(readFileSync(join(run, 'watch', home ?? '', 'verdicts.ndjson'), 'utf8')).toBe(
      readFileSync(out, 'utf8'),
    );
    return linesIn(out);
  }

  const essence = (lines: readonly Line[], folder: string): unknown[] =>
    lines
      .map(({ number, sum, ...rest }) => JSON.stringify(rest).replaceAll(join(base, folder), ''))
      .sort();

  let local: Line[];

  test('has one line for each sample, over kills', async () => {
    local = await watched('incoming');
    expect(local.map(({ number }) => number)).toEqual(local.map((_, i) => i + 1));
    expect(local.map(({ name }) => name).sort()).toEqual([...arrivals, 'broken'].sort());
    for (const { name, verdict } of local) {
      if (name === 'broken') continue;
      expect([name, verdict]).toEqual([name, isBenign(name) ? 'nominal' : 'anomalous']);
    }
    expect(local.find(({ name }) => name === 'broken')).toMatchObject({
      verdict: null,
      error: expect.stringContaining('mapping.txt'),
    });
  }, 90_000);

  test.skipIf(!hasRedisServer)(
    'says the same when workers at a queue do it, each kept to its folders',
    async () => {
      const server = await startRedisServer();
      const work = (...roots: readonly string[]): ChildProcess => {
        const words = roots.flatMap((root) => ['--root', root]);
        const worker = spawn(
          process.execPath,
          [main, 'worker', '--queue', server.url, '--processes', '2', ...words],
          { stdio: 'ignore', env: { ...process.env, TMPDIR: base } },
        );
        started.push(worker);
        return worker;
      };
      const worker = work(base, corpus);
      try {
        const queued = await watched('queued', '--queue', server.url);
        expect(essence(queued, 'queued')).toEqual(essence(local, 'incoming'));
        const folder = join(base, 'queued');
        // A trace that is a link to a file outside is no business of this worker's.
        const [name] = arrivals;
        const elsewhere = mkdtempSync(join(tmpdir(), 'wayward-'));
        copy(name, join(folder, 'linked.part'));
        renameSync(join(folder, 'linked.part', 'trace_0.gz'), join(elsewhere, 'trace_0.gz'));
        symlinkSync(join(elsewhere, 'trace_0.gz'), join(folder, 'linked.part', 'trace_0.gz'));
        renameSync(join(folder, 'linked.part'), join(folder, 'linked'));
        const again = startWatch(folder, shown('queued'), '--queue', server.url);
        await until(() => linesIn(shown('queued')).length > arrivals.length + 1);
        expect(linesIn(shown('queued')).at(-1)).toMatchObject({
          name: 'linked',
          error: expect.stringContaining('lies outside the folders'),
        });
        expect(await end(again, 'SIGTERM')).toBe(0);
        expect(await end(worker, 'SIGTERM')).toBe(0);
      } finally {
        worker.kill('SIGKILL');
        await server.stop();
      }
    },
    90_000,
  );
});
