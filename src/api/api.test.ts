import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { decode, inspect, judge, learn, report, type Step, UserError } from '../index.ts';

const corpus = fileURLToPath(new URL('../../examples/corpus', import.meta.url));
const sampleOf = (name: string): string => join(corpus, 'traces', name);

let work = '';
beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), 'wayward-'));
});
afterAll(() => rmSync(work, { recursive: true }));

/** @returns what a call was rejected with */
async function refusal(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe('decode', () => {
  test('gives the same blocks as inspect counts, with names', async () => {
    const [counted] = await inspect(sampleOf('nominal-test-000'));
    const places = new Set<string>();
    let blocks = 0;
    let marks = 0;
    for await (const line of decode(sampleOf('nominal-test-000'))) {
      if ('mark' in line) {
        marks++;
        continue;
      }
      expect(line.index).toBe(blocks++);
      places.add(line.place);
    }
    expect(blocks).toBe(counted.summary.blocks);
    expect(marks).toBeGreaterThanOrEqual(counted.gaps.length);
    expect([...places].some((place) => /^libc\.so\.6!\w+/.test(place))).toBe(true);
  });

  test('reads no further than the loop goes', async () => {
    for await (const line of decode(sampleOf('nominal-test-000'))) {
      expect(line.index).toBe(0);
      break;
    }
  });

  test('ends with the reason of its signal', async () => {
    const stop = new AbortController();
    const lines = decode(sampleOf('nominal-test-000'), { signal: stop.signal });
    await lines.next();
    const reason = new Error('enough');
    stop.abort(reason);
    const rest = async (): Promise<void> => {
      for await (const _ of lines);
    };
    // The trace is short: what was read before the signal still comes.
    expect([undefined, reason]).toContain(await refusal(rest()));
    expect(await refusal(decode(sampleOf('rop-009'), { signal: stop.signal }).next())).toBe(reason);
  });
});

describe('learn, judge and report', () => {
  let profile = '';
  let run = '';
  const steps = new Set<Step>();

  beforeAll(async () => {
    const root = join(work, 'recordings');
    const names = readdirSync(join(corpus, 'traces')).filter((name) => /train-00/.test(name));
    for (const name of [...names, 'nominal-train-010']) {
      cpSync(sampleOf(name), join(root, 'traces', name), { recursive: true });
    }
    cpSync(join(corpus, 'bin'), join(root, 'bin'), { recursive: true });
    const learned = await learn(
      { root, out: work },
      { onProgress: ({ step }) => steps.add(step), onMessage: () => {} },
    );
    profile = learned.profile ?? '';
    run = learned.folder.root;
  });

  test('one call learns, and tells how far it is', () => {
    expect(profile).toMatch(/\.wayward$/);
    expect(steps).toContain('reading traces');
  });

  test('one call judges one recording, and leaves nothing', async () => {
    const before = readdirSync(tmpdir()).filter((name) => name.startsWith('wayward-judge-'));
    const attack = readdirSync(join(corpus, 'traces')).find((name) => name.startsWith('rop-'));
    const judged = await judge(profile, sampleOf(attack ?? ''));
    expect(judged).toMatchObject({ name: attack, verdict: 'anomalous' });
    expect(judged.place).toMatch(/\w/);
    expect((await judge(profile, sampleOf('nominal-test-001'))).verdict).toBe('nominal');
    const after = readdirSync(tmpdir()).filter((name) => name.startsWith('wayward-judge-'));
    expect(after.filter((name) => !before.includes(name))).toEqual([]);
  });

  test('one call writes the page', async () => {
    const { page, report: data } = await report(run);
    expect(page).toBe(join(run, 'report.html'));
    expect(data.rows.length).toBeGreaterThan(0);
  });

  test('a signal ends a call with its reason', async () => {
    const stop = new AbortController();
    const reason = new Error('no time');
    const call = judge(profile, sampleOf('nominal-test-002'), {
      signal: stop.signal,
      onMessage: () => {},
    });
    stop.abort(reason);
    expect(await refusal(call)).toBe(reason);
    expect(await refusal(learn({ root: corpus }, { signal: stop.signal }))).toBe(reason);
  });
});

describe('what is wrong is told', () => {
  test.each([
    ['no profile', () => judge('nowhere.wayward', sampleOf('rop-009')), 'input'],
    ['no folder of samples', () => learn({ root: '/nowhere', out: tmpdir() }), 'input'],
    ['no run', () => report('/nowhere'), 'input'],
    // As from JavaScript, or with a variable that is not set.
    ['no path', () => judge(undefined as never, 'a'), 'arguments'],
    ['no root', () => learn({} as never), 'arguments'],
    ['an empty path', () => inspect(''), 'arguments'],
  ])('%s', async (_, call, category) => {
    const error = await refusal(call());
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).category).toBe(category);
  });
});

describe('the examples', () => {
  const printed = vi.spyOn(console, 'log').mockImplementation(() => {});
  const told = vi.spyOn(console, 'error').mockImplementation(() => {});
  const args = process.argv;
  afterAll(() => {
    process.argv = args;
    for (const spy of [printed, told]) spy.mockRestore();
  });

  async function run(name: string, ...words: readonly string[]): Promise<string[]> {
    process.argv = ['node', name, ...words];
    printed.mockClear();
    await import(`../../examples/library/${name}.ts`);
    return printed.mock.calls.map((line) => line.join(' '));
  }

  test('judge-a-run', async () => {
    const lines = await run('judge-a-run', corpus, 'nominal-test-000', 'shellcode-032');
    expect(lines).toEqual([
      expect.stringMatching(/^nominal-test-000: nominal, p /),
      expect.stringMatching(/^shellcode-032: anomalous, p .* \w/),
    ]);
  });

  test('count-calls', async () => {
    const lines = await run('count-calls', sampleOf('nominal-test-000'));
    expect(lines.length).toBeGreaterThan(3);
    for (const line of lines) expect(line).toMatch(/^\d+ \S+!\S+$/);
  });
});
