import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Random } from '../src/base/random.ts';
import { wayward as inProcess } from './wayward.ts';

const root = mkdtempSync(join(tmpdir(), 'wayward-calls-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function wayward(
  ...words: readonly string[]
): Promise<{ status: number; out: string; log: string }> {
  const { status, stdout, stderr } = await inProcess(words, {}, root);
  return { status, out: stdout, log: stderr };
}

/** What a program that copies files asks of its system. */
function copying(random: Random): string[] {
  const calls = ['execve', 'brk', 'mmap', 'openat', 'fstat'];
  for (let file = 0; file < 2 + random.below(4); file++) {
    calls.push('openat', 'fstat');
    for (let block = 0; block < 1 + random.below(6); block++) calls.push('read', 'write');
    calls.push('read', 'close');
  }
  return [...calls, 'munmap', 'exit_group'];
}

/** A log of these calls, in one format after the other. */
function writeLog(folder: string, calls: readonly string[], format: number): void {
  const put = (name: string, content: string | Uint8Array): void =>
    writeFileSync(join(folder, name), content);
  const report = (process: object, call: (api: string) => object): string =>
    JSON.stringify({ behavior: { processes: [{ ...process, calls: calls.map(call) }] } });
  if (format === 0) {
    put('strace.txt', calls.map((name) => `7 ${name}(0x1, "x") = 0\n`).join(''));
  } else if (format === 1) {
    const cape = { process_id: 7, process_name: 'cp.exe', parent_id: 1 };
    put('report.json.gz', gzipSync(report(cape, (api) => ({ api, thread_id: '1', repeated: 0 }))));
  } else {
    put(
      'report.json',
      report({ pid: 7, process_name: 'cp.exe' }, (api) => ({ api, tid: 1 })),
    );
  }
}

function writeSample(name: string, label: string): string {
  const folder = join(root, 'corpus', name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'info.txt'), `${name}.bin\n${label}\n`);
  return folder;
}

function makeCorpus(): void {
  const random = new Random(3);
  for (let i = 0; i < 60; i++) {
    writeLog(writeSample(`copy-${i}`, 'benign'), copying(random), i % 3);
  }
  for (let i = 0; i < 6; i++) {
    const calls = copying(random);
    calls.splice(12, 0, 'socket', 'connect', 'dup2', 'dup2', 'execve', 'brk', 'read', 'ptrace');
    writeLog(writeSample(`shell-${i}`, 'malicious'), calls, i % 3);
  }
  writeFileSync(join(writeSample('bad-nothing', 'malicious'), 'report.json'), '{"info": {}}');
  writeFileSync(join(writeSample('bad-text', 'malicious'), 'calls.txt'), 'no calls at all');
  writeSample('bad-folder', 'benign');
}

describe.each(['ngram', 'lstm'])('logs of calls in three formats, with %s', (model) => {
  let run = '';
  let said = '';
  beforeAll(async () => {
    rmSync(join(root, 'corpus'), { recursive: true, force: true });
    makeCorpus();
    const { status, out, log } = await wayward(
      ...['learn', 'corpus', '--source', 'api', '--model', model, '-s', '8', '--seed', '2'],
      ...['--train-size', '20', '--test-size-benign', '10', '--test-size-malicious', '8'],
      ...['--units', '8', '--layers', '1', '--dense', '8', '--embedding-output-dimension', '8'],
      ...['--out', model, '-b', '64', '--threads', '1'],
    );
    expect(status, log).toBe(0);
    said = out + log;
    run = join(model, 'runs', readdirSync(join(root, model, 'runs'))[0]);
  }, 60_000);

  test('what cannot be read is named, and the rest is learned in calls', () => {
    expect(said).toContain('bad-nothing/report.json: has no behavior');
    expect(said).toContain('bad-text/calls.txt: is no sandbox report, no strace output');
    expect(said).toContain('bad-folder: has no log of calls');
    expect(said).toMatch(/Learned .* 12 calls, 10 targets/);
  });

  test('verdicts tell nominal from anomalous logs, whatever their formats are', async () => {
    const { status, out, log } = await wayward('classify', run, '--json');
    expect(status, log).toBe(0);
    const { rows, unit } = JSON.parse(out) as {
      unit: string;
      rows: { name: string; role: string; verdict: string; gaps: number }[];
    };
    expect(unit).toBe('call');
    const flagged = rows.filter(({ verdict }) => verdict === 'anomalous').map(({ name }) => name);
    expect(flagged.filter((name) => name.startsWith('shell')).length).toBe(6);
    expect(flagged.length).toBeLessThanOrEqual(7);
    expect(rows.filter(({ role }) => role === 'test').length).toBe(16);
  });

  // The second layer and what follows do not look at which model it was.
  test.skipIf(model === 'lstm')('the page shows calls, and nothing of code', async () => {
    const { status, log } = await wayward('report', run);
    expect(status, log).toBe(0);
    expect(log).not.toContain('warning');
    const page = readFileSync(join(root, run, 'report.html'), 'utf8');
    const trace = /<section id="t1".*?<\/section>/s.exec(page)?.[0] ?? '';
    expect(trace).toContain('shell-');
    expect(trace).toContain('Calls before, inside and after');
    for (const name of ['socket', 'connect', 'dup2']) expect(trace).toContain(`>${name}<`);
    expect(trace.replace(/<[^>]*>/g, ' ')).not.toMatch(/block|instruction|module|code/i);
  });

  test.skipIf(model === 'lstm')('clusters name calls', async () => {
    const { status, out, log } = await wayward('cluster', run);
    expect(status, log).toBe(0);
    expect(out).toMatch(/shared: .*\b(?:socket|connect|dup2|ptrace)\b/);
    expect(out).not.toContain('call/');
  });
});

test('a model of calls and traces of another source do not go together', async () => {
  const { status, log } = await wayward('learn', 'corpus');
  expect(status).toBe(5);
  expect(log).toContain('add --source api');
});
