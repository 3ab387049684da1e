import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger } from '../src/base/log.ts';
import { recordInputs } from '../src/capture/record-inputs.ts';
import { accept } from '../src/commands/accept.ts';
import { type JudgedSample, judge } from '../src/commands/judge.ts';
import { learn } from '../src/commands/learn.ts';
import { packFiles } from '../src/commands/profile/archive.ts';
import { hasTool, run } from './compiled.ts';
import { unpackedProfile } from './unpacked-profile.ts';

/** Steps that a program takes by a table, from a library, as its input says. */
const library = `
int start(int v) { return v + 3; }
#ifdef CHANGED_LIBRARY
static __attribute__((noinline)) int inserted(int v) { for (int i = 0; i < v % 5; i++) v = v * 7 + i; return v; }
int twice(int v) { return v > 9 ? inserted(v) : v * 3 + 1; }
#else
int twice(int v) { return v * 2; }
#endif
int less(int v) { return v > 0 ? v - start(1) : v; }
int mixed(int v) { return v % 2 ? start(v) : less(v); }
`;
const program = `
#include <stdio.h>
int start(int), twice(int), less(int), mixed(int);
#ifdef CHANGED_PROGRAM
static __attribute__((noinline)) int inserted(int v) { return v < 0 ? -v : v + (v >> 3); }
#endif
static __attribute__((noinline)) int step(int (*f)(int), int v) { return f(v); }
/* The same code under no name that others know, and nobody calls it. */
static __attribute__((noinline, used)) int twin(int (*f)(int), int v) { return f(v); }
static __attribute__((noinline)) int all(FILE *in) {
  static int (*const steps[])(int) = {start, twice, less, mixed};
  int v = 1;
  for (int c; (c = getc(in)) != EOF;) v = step(steps[c & 3], v) & 0xffff;
#ifdef CHANGED_PROGRAM
  v = inserted(v);
#endif
  return v;
}
int main(int argc, char **argv) {
  FILE *in = fopen(argv[argc - 1], "r");
  if (!in) return 1;
  printf("%d\\n", all(in));
  return 0;
}
`;

const canRecord = hasTool('gcc') && existsSync('/usr/bin/qemu-x86_64');
const folder = mkdtempSync(join(tmpdir(), 'wayward-update-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const quiet = { log: silentLogger, progress: () => {} };
const at = (...names: string[]): string => join(folder, ...names);

/** Compiles program and library into a folder of their own. @returns the program */
function build(name: string, ...defines: string[]): string {
  mkdirSync(at(name));
  writeFileSync(at(name, 'steps.c'), library);
  writeFileSync(at(name, 'main.c'), program);
  const usual = ['-O1', ...defines.map((define) => `-D${define}`)];
  run(
    'gcc',
    ...usual,
    '-shared',
    '-fPIC',
    '-Wl,-soname,libsteps.so',
    '-o',
    at(name, 'libsteps.so'),
    at(name, 'steps.c'),
  );
  const linked = [at(name, 'libsteps.so'), '-Wl,-rpath,$ORIGIN'];
  run('gcc', ...usual, '-o', at(name, 'steps'), at(name, 'main.c'), ...linked);
  return at(name, 'steps');
}

async function recordRuns(name: string, command: string, inputs: readonly string[]): Promise<void> {
  mkdirSync(at(`${name}-inputs`));
  inputs.forEach((text, i) => {
    writeFileSync(at(`${name}-inputs`, `i${String(i).padStart(2, '0')}`), text);
  });
  const request = { command, args: ['{}'], label: 'unknown' as const, jobs: 2 };
  const made = await recordInputs({ ...request, inputDir: at(`${name}-inputs`), root: at(name) });
  expect(made.filter(({ error }) => error !== undefined)).toEqual([]);
}

const inputs = Array.from({ length: 20 }, (_, i) =>
  Array.from({ length: 40 + 7 * i }, (_, j) => 'abcd'[(i * j + (j >> 2)) % 4]).join(''),
);

describe.skipIf(!canRecord)('after an update', () => {
  let profile = '';
  beforeAll(async () => {
    await recordRuns('r1', build('v1'), inputs);
    const learned = await learn({ root: at('r1'), workers: 1, out: folder }, quiet);
    profile = learned.profile ?? '';
  }, 300_000);

  async function judged(
    root: string,
    by = profile,
  ): Promise<{ sample: JudgedSample; warnings: string[] }> {
    const warnings: string[] = [];
    const log = (level: string, message: string): void => {
      if (level === 'warning') warnings.push(message);
    };
    const context = { log: { log }, progress: () => {} };
    const result = await judge({ profile: by, samples: [at(root)], out: folder }, context);
    const [sample] = result.judged;
    if (sample === undefined) throw new Error('nothing was judged');
    return { sample, warnings };
  }

  // Paths are as long as those of the first build: the loader looks at their lengths.
  test.each([
    ['program', 'CHANGED_PROGRAM', 'steps', 'v2', 'r2'],
    ['library', 'CHANGED_LIBRARY', 'libsteps.so', 'v3', 'r3'],
  ])(
    'of the %s, what did not change is still known',
    async (_, define, module, version, root) => {
      await recordRuns(root, build(version, define), [inputs[7] ?? '']);
      const { sample, warnings } = await judged(root);
      const [told] = warnings;
      expect(told).toMatch(/^1 of \d+ images are other builds than those that were learned: /);
      const [, name, same, all] =
        /: (\S+) \((\d+) of (\d+) functions that ran/.exec(told ?? '') ?? [];
      expect(name).toBe(module);
      // One function changed, and others moved.
      expect(Number(all) - Number(same)).toBe(1);
      expect(Number(same)).toBeGreaterThan(3);
      // Twenty runs that are nearly the same make the smallest difference the largest one: no place stands out.
      expect(sample.place).toBeUndefined();
      expect(sample.score).toBeLessThan(3);
      expect(sample.unknownBlockRate).toBeGreaterThan(0);
      expect(sample.unknownBlockRate).toBeLessThan(0.05);
      // The same without what is known of functions.
      const files = await unpackedProfile(profile);
      files.delete('model/functions.json');
      writeFileSync(at('unmatched.wayward'), packFiles(files));
      const unmatched = await judged(root, at('unmatched.wayward'));
      expect(unmatched.warnings[0]).toContain(`${module} (its functions are not known)`);
      expect(unmatched.sample.score).toBeGreaterThan(5);
      expect(unmatched.sample.verdict).toBe('anomalous');
      await expect(
        accept({ profile, samples: [at(root)], output: at('mixed.wayward') }, quiet),
      ).rejects.toMatchObject({ code: 'images-changed' });
    },
    120_000,
  );
});
