import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { canGuard, harmlessInput, learnVictim, type Victim } from '../../test/guard/victim.ts';
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

  test('tells nothing but what the schema of events describes', () => {
    expect(broken).toEqual([]);
  });
});
