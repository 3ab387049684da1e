import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  canGuard,
  compileChanges,
  compileSignals,
  harmlessInput,
  learnVictim,
  type Victim,
} from '../../test/guard/victim.ts';
import { type Schema, undescribed, violations } from '../../test/json-schema.ts';
import { silentLogger } from '../base/log.ts';
import type { GuardEvent } from './guard/events.ts';
import { judge } from './judge.ts';

const main = fileURLToPath(new URL('../cli/main.ts', import.meta.url));
let folder = '';
let victim: Victim;

beforeAll(async () => {
  if (!canGuard) return;
  folder = mkdtempSync(join(tmpdir(), 'wayward-guard-'));
  victim = await learnVictim(folder, 20, 5);
}, 300_000);
afterAll(() => {
  // Only a test that failed leaves any; their programs end with them.
  for (const child of running) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

interface Guarded {
  readonly events: readonly GuardEvent[];
  readonly code: number | null;
  readonly output: string;
  readonly evidence: string;
}

let guards = 0;
const running: Set<ChildProcess> = new Set();

const schema = JSON.parse(
  readFileSync(new URL('../../docs/schemas/guard-event.schema.json', import.meta.url), 'utf8'),
) as Schema;
/** What events broke of their schema. */
const broken: string[] = [];

/**
 * Guards the victim as a user does.
 *
 * @param input  what it reads; without an end where `whileItRuns` has something to do
 */
function guardVictim(
  input: string,
  flags: readonly string[] = [],
  whileItRuns?: (event: GuardEvent, guard: number, done: () => void) => void,
): Promise<Guarded> {
  const evidence = join(folder, `evidence-${guards++}`);
  const words = ['guard', victim.profile, '--json', '--evidence', evidence, ...flags, '--'];
  const args = [main, ...words, victim.program, join(folder, 'moment'), '5'];
  // What is killed cannot remove its temporary folder.
  const env = { ...process.env, TMPDIR: folder };
  const child = spawn(process.execPath, args, {
    cwd: folder,
    env,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  running.add(child);
  child.on('exit', () => running.delete(child));
  const events: GuardEvent[] = [];
  let output = '';
  let rest = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    const lines = `${rest}${chunk.toString()}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (!line.startsWith('{')) continue;
      const event = JSON.parse(line) as GuardEvent;
      const described = schema.$defs?.[event.event] ?? { enum: [] };
      broken.push(
        ...violations(schema, event, described),
        ...undescribed(schema, event, described),
      );
      events.push(event);
      whileItRuns?.(event, child.pid ?? -1, () => child.stdin.end());
    }
  });
  child.stdin.on('error', () => {});
  child.stdin.write(input);
  if (whileItRuns === undefined) child.stdin.end();
  return new Promise((resolve) => {
    child.on('close', (code) => resolve({ events, code, output, evidence }));
  });
}

function only<Name extends GuardEvent['event']>(
  { events }: Pick<Guarded, 'events'>,
  name: Name,
): Extract<GuardEvent, { event: Name }>[] {
  return events.filter((event) => event.event === name) as Extract<GuardEvent, { event: Name }>[];
}

describe.skipIf(!canGuard)('guard', () => {
  test('leaves a harmless run alone: its output, its exit code, no alarm, no sample', async () => {
    const guarded = await guardVictim(harmlessInput(2));
    expect(guarded.output).toBe('1\n');
    expect(guarded.code).toBe(0);
    expect(only(guarded, 'alarm')).toEqual([]);
    expect(only(guarded, 'process-ended')).toMatchObject([{ verdict: 'nominal', judged: 'live' }]);
    expect(readdirSync(join(guarded.evidence, 'traces'))).toEqual([]);
  }, 180_000);

  // The other kinds are measured by bench/guard.bench.ts.
  test.each(['rop_near', 'pointer'])(
    'raises the alarm where a run is hijacked: %s',
    async (kind) => {
      const guarded = await guardVictim(`${harmlessInput(2)}attack ${kind}\n`);
      const [alarm] = only(guarded, 'alarm');
      expect(alarm?.pValue).toBeLessThanOrEqual(0.05);
      // What the attack wrote over decides where: a return address in `overflow`, a table that `work` calls through.
      expect(alarm?.from?.name).toMatch(kind === 'pointer' ? /victim!work/ : /victim!overflow/);
      expect(alarm?.calls[0]?.name).toMatch(/victim!(?:attack|main|work)/);
      expect(guarded.code).toBe(3);
      // At the end: the verdict on the sample that is kept, and what judge says of it.
      const [end] = only(guarded, 'process-ended');
      expect(end).toMatchObject({ verdict: 'anomalous', wasAlarmed: true });
      const { judged } = await judge(
        { profile: victim.profile, samples: [join(guarded.evidence, 'traces')], out: folder },
        { log: silentLogger, progress: () => {} },
      );
      expect(judged).toMatchObject([
        { verdict: 'anomalous', pValue: end?.pValue, score: end?.score },
      ]);
      const [name = ''] = readdirSync(join(guarded.evidence, 'alarms'));
      const alarms = join(guarded.evidence, 'alarms', name);
      expect(JSON.parse(readFileSync(join(alarms, 'alarm.json'), 'utf8')).reason).toBe(
        alarm?.reason,
      );
      expect(
        readFileSync(join(alarms, 'last-blocks.txt'), 'utf8').split('\n').length,
      ).toBeGreaterThan(1000);
    },
    120_000,
  );

  test('kills the program where it strayed', async () => {
    const guarded = await guardVictim(`${harmlessInput(2)}attack rop_near\n`, [
      ...['--on-alarm', 'kill', '--exit-code'],
    ]);
    expect(guarded.code).toBe(10);
    expect(guarded.output).toBe('');
    expect(only(guarded, 'ended')).toMatchObject([{ killedBy: 'SIGKILL' }]);
    const [end] = only(guarded, 'process-ended');
    expect(end).toMatchObject({ verdict: 'anomalous', wasAlarmed: true });
    expect(existsSync(join(end?.sample ?? '', 'mapping.txt'))).toBe(true);
  }, 180_000);

  test('stops the program with a core file that a debugger reads', async () => {
    let stopped = -1;
    const guarded = await guardVictim(
      `${harmlessInput(2)}attack rop_near\n`,
      ['--on-alarm', 'stop'],
      (event) => {
        if (event.event !== 'action') return;
        stopped = event.pid;
        const state = readFileSync(`/proc/${stopped}/stat`, 'utf8').split(' ')[2];
        expect(state).toMatch(/[Tt]/);
        process.kill(stopped, 'SIGKILL');
      },
    );
    expect(stopped).toBeGreaterThan(0);
    const [action] = only(guarded, 'action');
    const [registers] = action?.registers ?? [];
    expect(registers?.rip).toMatch(/^0x[0-9a-f]+$/);
    const [name = ''] = readdirSync(join(guarded.evidence, 'alarms'));
    const core = join(guarded.evidence, 'alarms', name, 'core');
    if (!existsSync('/usr/bin/gdb')) return;
    const shown = execFileSync(
      'gdb',
      ['-batch', '-ex', 'info registers rip rsp', '-ex', 'x/1gx $rsp', victim.program, core],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
    );
    expect(shown).toContain(registers?.rip ?? '?');
    expect(shown).toContain(registers?.rsp ?? '?');
    expect(shown).not.toContain('Cannot access memory');
  }, 180_000);

  test('ends the program when the guard is killed, also while it waits, and lets it run by choice', async () => {
    for (const isOpen of [false, true]) {
      const flags = isOpen ? ['--fail-open'] : [];
      const { output } = await guardVictim(harmlessInput(2), flags, (event, guard) => {
        // It has worked and waits for more, which ends when the guard is gone.
        if (event.event === 'process') setTimeout(() => process.kill(guard, 'SIGKILL'), 2500);
      });
      // The last thing that it does is to print a line.
      expect([isOpen, output]).toEqual([isOpen, isOpen ? '1\n' : '']);
    }
  }, 180_000);

  test('judges to the last block what was killed', async () => {
    const guarded = await guardVictim(harmlessInput(2), ['--keep'], (event) => {
      // It has worked and waits for more.
      if (event.event === 'process') setTimeout(() => process.kill(event.pid, 'SIGKILL'), 2500);
    });
    const [end] = only(guarded, 'process-ended');
    expect(end).toMatchObject({ verdict: 'nominal', wasAlarmed: false });
    expect(only(guarded, 'ended')).toMatchObject([{ killedBy: 'SIGKILL' }]);
    const { judged } = await judge(
      { profile: victim.profile, samples: [end?.sample ?? ''], out: folder },
      { log: silentLogger, progress: () => {} },
    );
    expect(judged).toMatchObject([{ pValue: end?.pValue, score: end?.score, gaps: 0 }]);
  }, 180_000);

  test('follows forked children, and programs of which there is a profile; tells of others', async () => {
    const guarded = await guardVictim(
      `${harmlessInput(2)}fork\nrun /bin/true\nrun ${victim.program}\n`,
    );
    expect(guarded.code).toBe(0);
    const origins = only(guarded, 'process').map(({ origin }) => origin);
    expect(origins).toEqual(['start', 'fork', 'fork', 'fork', 'exec']);
    expect(only(guarded, 'lost').map(({ what }) => what)).toEqual([
      'what runs after exec of /bin/true',
    ]);
    const ends = only(guarded, 'process-ended');
    expect(ends.length).toBe(5);
    expect(ends.filter(({ damage }) => damage !== undefined)).toEqual([]);
    expect(ends.every(({ blocks }) => blocks > 0)).toBe(true);
  }, 180_000);

  test('judges as a whole what loads libraries, makes code, starts threads and forks, as judge does', async () => {
    const program = compileChanges(folder);
    const evidence = join(folder, `evidence-${guards++}`);
    const words = ['guard', victim.profile, '--json', '--keep', '--evidence', evidence, '--'];
    const { stderr } = spawnSync(process.execPath, [main, ...words, program], { cwd: folder });
    const events = String(stderr).split('\n').slice(0, -1);
    const ends = events
      .map((line) => JSON.parse(line) as GuardEvent)
      .filter((event) => event.event === 'process-ended');
    // What a child has from its parent is known when it begins; the last one makes code of its own, too.
    expect(ends.map(({ judged }) => judged)).toEqual(['live', 'live', expect.anything(), 'again']);
    expect(ends[3].because).toEqual(['mapped-later', 'made-code', 'threads']);
    const samples = ends.map(({ sample }) => sample ?? '');
    const binDirs = [join(evidence, 'bin')];
    const { judged } = await judge(
      { profile: victim.profile, samples, binDirs, fpr: 0.05, out: folder },
      { log: silentLogger, progress: () => {} },
    );
    for (const { sample, pValue, score, gaps } of ends) {
      const whole = judged.find(({ directory }) => directory === sample);
      expect(whole).toMatchObject({ pValue, score, gaps });
    }
    expect(ends[3].score).toBeGreaterThan(0);
  }, 180_000);

  test('passes signals on, stops with the program, and ends as it does', async () => {
    const program = compileSignals(folder);
    const evidence = join(folder, `evidence-${guards++}`);
    const child = spawn(
      process.execPath,
      [main, 'guard', victim.profile, '--json', '--evidence', evidence, '--', program],
      { cwd: folder, stdio: ['pipe', 'pipe', 'pipe'] },
    );
    running.add(child);
    let output = '';
    let told = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      told += chunk.toString();
    });
    const exit = new Promise((resolve) => child.on('close', resolve));
    await expect.poll(() => output, { timeout: 60_000 }).toBe('ready\n');
    let expected = 'ready\n';
    for (const name of ['INT', 'HUP', 'QUIT', 'USR1', 'USR2', 'WINCH', 'TSTP', 'CONT', 'TERM']) {
      child.kill(`SIG${name}` as NodeJS.Signals);
      expected += `${name}\n`;
      await expect.poll(() => output, { timeout: 20_000 }).toBe(expected);
      if (name !== 'TSTP') continue;
      const stateOf = (): string | undefined =>
        readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(' ')[2];
      await expect.poll(stateOf, { timeout: 20_000 }).toBe('T');
    }
    expect(await exit).toBe(7);
    running.delete(child);
    // The profile is the victim's.
    expect(told).toContain('"event":"warning"');
    expect(told).toContain('this is signals');
  }, 180_000);

  test('serves counters on the loopback interface while it runs, and starts nothing where the port is taken', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as AddressInfo;
    const refused = await guardVictim(harmlessInput(2), ['--metrics', String(port)]);
    expect([refused.code, refused.events]).toEqual([2, []]);
    expect(refused.output).toContain('port-unavailable');
    // Released again: it is free for the next one.
    await new Promise((resolve) => taken.close(resolve));
    let metrics = '';
    let health = '';
    const guarded = await guardVictim(
      harmlessInput(2),
      ['--metrics', String(port)],
      (event, _, done) => {
        if (event.event !== 'process') return;
        const look = async (): Promise<void> => {
          metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
          health = await (await fetch(`http://127.0.0.1:${port}/healthz`)).text();
          done();
        };
        // It has worked by then and waits for more.
        setTimeout(() => void look().catch(done), 2500);
      },
    );
    expect(guarded.code).toBe(0);
    expect(health).toBe('ok\n');
    const value = (name: string): number =>
      Number(new RegExp(`^wayward_guard_${name} (\\d+)$`, 'm').exec(metrics)?.[1]);
    expect(value('processes_total')).toBe(1);
    expect(value('blocks_total')).toBeGreaterThan(10_000);
    expect([value('alarms_total'), value('lost_total')]).toEqual([0, 0]);
    const [end] = only(guarded, 'ended');
    expect(end?.blocks).toBeGreaterThanOrEqual(value('blocks_total'));
    // Every sample has its type and its help, as Prometheus wants it.
    for (const [, name] of metrics.matchAll(/^(\w+)(?:\{.*\})? \d+$/gm)) {
      expect(metrics).toMatch(
        new RegExp(`^# HELP ${name} .+\n# TYPE ${name} (?:counter|gauge)$`, 'm'),
      );
    }
  }, 180_000);

  test('runs as the systemd unit of its page says: what it starts, and that an alarm is not started again', async () => {
    const page = readFileSync(new URL('../../docs/guard.md', import.meta.url), 'utf8');
    const unit = (/^ {4}# (\/etc\/.*\.service)\n((?: {4}.*\n|\n)+)/m.exec(page)?.[2] ?? '').replace(
      /^ {4}/gm,
      '',
    );
    const entry = (name: string): string =>
      new RegExp(`^${name}=((?:.*\\\\\n)*.*)$`, 'm').exec(unit)?.[1] ?? '';
    const words = entry('ExecStart').replaceAll('\\\n', ' ').split(/\s+/);
    const put: Readonly<Record<string, string>> = {
      '/var/lib/wayward/reader.wayward': victim.profile,
      '/var/lib/wayward/alarms': join(folder, 'unit-alarms'),
      '/var/log/wayward/reader.ndjson': join(folder, 'unit.ndjson'),
      '9464': '0',
    };
    expect(words[0]).toBe('/usr/local/bin/wayward');
    for (const word of Object.keys(put)) expect(words).toContain(word);
    const own = words.slice(1, words.indexOf('--')).map((word) => put[word] ?? word);
    const { status } = spawnSync(
      process.execPath,
      [main, ...own, '--', victim.program, join(folder, 'moment'), '5'],
      { input: `${harmlessInput(2)}attack rop_near\n`, cwd: folder },
    );
    expect(String(status)).toBe(entry('RestartPreventExitStatus'));
    expect(readFileSync(join(folder, 'unit.ndjson'), 'utf8')).toContain('"event":"alarm"');
    if (!existsSync('/usr/bin/systemd-analyze')) return;
    const path = join(folder, 'reader-guard.service');
    // It looks whether what is started is there.
    writeFileSync(path, unit.replaceAll('/usr/local/bin/wayward', '/bin/true'));
    const checked = spawnSync('systemd-analyze', ['verify', path], { encoding: 'utf8' });
    const about = `${checked.stdout}${checked.stderr}`.split('\n');
    expect(about.filter((line) => line.includes('reader-guard'))).toEqual([]);
  }, 180_000);

  test('knows the places that somebody found harmless, and takes the profile of a folder that is of the program', async () => {
    const input = `${harmlessInput(2)}attack rop_near\n`;
    const first = await guardVictim(input);
    const places = only(first, 'alarm').map(({ fingerprint }) => fingerprint);
    expect(places[0]).toMatch(/^victim\+0x[0-9a-f]+>victim\+0x[0-9a-f]+$/);
    const list = join(folder, 'known-places.txt');
    writeFileSync(list, places.map((place) => `${place}  2026-01-02  tried here\n`).join(''));
    const profiles = join(folder, 'profiles');
    mkdirSync(profiles);
    copyFileSync(victim.profile, join(profiles, 'victim.wayward'));
    const before = victim.profile;
    victim = { ...victim, profile: profiles };
    try {
      const guarded = await guardVictim(input, ['--known-places', list]);
      const again = only(guarded, 'alarm').map(({ fingerprint }) => fingerprint);
      expect(again.filter((place) => places.includes(place))).toEqual([]);
      const [end] = only(guarded, 'process-ended');
      const passed = end?.knownPlaces.map(({ fingerprint }) => fingerprint) ?? [];
      expect(passed).toContain(places[0]);
      const [process] = only(guarded, 'process');
      expect(process?.profile).toBe(join(profiles, 'victim.wayward'));
    } finally {
      victim = { ...victim, profile: before };
    }
  }, 180_000);

  test('tells nothing but what the schema of events describes', () => {
    expect(broken).toEqual([]);
  });
});
