import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { hasOpenssl, hasRedisServer, startRedisServer } from '../../../test/redis-server.ts';
import { silentLogger } from '../../base/log.ts';
import { preprocess } from '../preprocess.ts';

const corpus = fileURLToPath(new URL('../../../examples/corpus', import.meta.url));
const main = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
const base = mkdtempSync(join(tmpdir(), 'wayward-'));
const binDirs = [join(corpus, 'bin')];
const started: ChildProcess[] = [];
afterAll(() => {
  for (const child of started) child.kill('SIGKILL');
});

function copySamples(to: string, count: number): string {
  const names = readdirSync(join(corpus, 'traces')).slice(0, count);
  for (const name of names) {
    cpSync(join(corpus, 'traces', name), join(base, to, name), { recursive: true });
  }
  return join(base, to);
}

const storedIn = (folder: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder).map((name) => {
      const file = join(folder, name, 'trace_0.wayward');
      return [name, existsSync(file) ? readFileSync(file, 'base64') : ''];
    }),
  );

interface Running {
  readonly child: ChildProcess;
  readonly said: () => string;
  readonly ended: Promise<number | null>;
}

function start(words: readonly string[], env: NodeJS.ProcessEnv): Running {
  const child = spawn(process.execPath, [main, ...words], { env: { ...process.env, ...env } });
  started.push(child);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (bytes: Buffer) => {
      said += bytes.toString();
    });
  }
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { child, said: () => said, ended };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}

describe.skipIf(!hasRedisServer || !hasOpenssl)('preprocess through a queue', () => {
  test('with TLS and a password writes what it writes here, though worker, server and submitter die', async () => {
    const count = 20;
    const [local, queued] = [copySamples('local', count), copySamples('queued', count)];
    const how = { rawImages: false, format: 'wayward', force: false, partial: true } as const;
    const context = { log: silentLogger, progress: (): void => {} };
    await preprocess({ ...how, paths: [local], binDirs, timeout: undefined, workers: 2 }, context);
    const server = await startRedisServer({ password: 'pa55word', tls: true });
    const env = { WAYWARD_QUEUE: server.url, NODE_EXTRA_CA_CERTS: server.authority };
    const words = ['worker', '--root', base, '--root', corpus, '--processes', '1', '--lease', '1'];
    const work = (...more: readonly string[]): Running => start([...words, ...more], env);
    const submit = (...more: readonly string[]): Running =>
      start(['preprocess', ...more, '--json', '--out', base], env);
    const done = (): number => Object.values(storedIn(queued)).filter((text) => text !== '').length;
    const everybody: Running[] = [];
    try {
      const first = submit(queued, '--bin-dir', binDirs[0]);
      const [killed, staying] = [work(), work('--port', '0')];
      everybody.push(first, killed, staying);
      await until(() => done() >= 3);
      killed.child.kill('SIGKILL');
      first.child.kill('SIGKILL');
      await server.kill();
      await server.restart();
      const run = join(base, 'runs', readdirSync(join(base, 'runs'))[0]);
      const second = submit('--attach', run);
      everybody.push(second);
      expect([await second.ended, second.child.exitCode === 0 ? '' : second.said()]).toEqual([
        0,
        '',
      ]);
      const told = second.said();
      const { samples } = JSON.parse(told.slice(told.indexOf('{'))) as {
        samples: { name: string; outcome: string }[];
      };
      expect(samples.map(({ name }) => name)).toEqual(readdirSync(queued).sort());
      // A kill between the file and the answer leaves the file to be found.
      for (const { outcome } of samples) expect(['stored', 'present']).toContain(outcome);
      expect(storedIn(queued)).toEqual(storedIn(local));
      const address = /http:\/\/127\.0\.0\.1:\d+/.exec(staying.said())?.[0];
      const metrics = await (await fetch(`${address}/metrics`)).text();
      expect(metrics).toMatch(/wayward_jobs_total\{task="preprocess",end="done"\} [1-9]/);
      expect((await fetch(`${address}/healthz`)).status).toBe(200);
      expect((await fetch(`${address}/`, { method: 'POST' })).status).toBe(405);
      staying.child.kill('SIGTERM');
      expect(await staying.ended).toBe(0);
      for (const { said } of everybody) expect(said()).not.toContain('pa55word');
      expect(readFileSync(join(run, 'queue.json'), 'utf8')).not.toContain('pa55word');
    } finally {
      await server.stop();
    }
  }, 90_000);
});
