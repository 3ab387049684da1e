import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TransferProfile } from '../../src/evidence/profile.ts';
import { type Build, canBuild, Mechanism } from './mechanism.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wayward-mechanisms-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function c(name: string, flags: readonly string[] = []): Build {
  return { name, compiler: 'gcc', sources: [`${name}.c`], flags, bits: 64 };
}

const retpolines = ['-mindirect-branch=thunk', '-mfunction-return=thunk', '-fcf-protection=none'];
const builds: readonly Build[] = [
  c('longjmp'),
  c('siglongjmp'),
  { name: 'exceptions', compiler: 'g++', sources: ['exceptions.cc'], bits: 64 },
  c('unwinding'),
  c('swapcontext'),
  c('coroutines'),
  { ...c('coroutines', ['-DNESTED']), name: 'nested_coroutines' },
  c('jump_begun'),
  c('copied_stacks'),
  c('switches'),
  c('builtin_longjmp'),
  c('odd_returns'),
  // One that stays where it is: 32-bit code pushes the address of a label as a number.
  c('skipped', ['-no-pie', '-fno-pie']),
  // An indirect call is a return there.
  { ...c('retpolines', retpolines), pointer: 'jump-into-function' },
  c('processes'),
  c('linking', ['-Wl,-z,lazy']),
];
const others: readonly Build[] = [
  {
    name: 'goroutines',
    compiler: 'go',
    bits: 64,
    sources: ['goroutines.go', 'goroutines_amd64.s'],
    target: 'main.ends.abi0',
  },
  {
    name: 'ocaml',
    compiler: 'ocamlopt',
    bits: 64,
    sources: ['exceptions.ml', 'exceptions_stub.c'],
    // The call is the last thing that the stub does.
    pointer: 'jump-into-function',
  },
];
const all = [...builds, ...builds.map((build): Build => ({ ...build, bits: 32 })), ...others];

/** Each program is stripped: nothing is known of it by name. */
describe.each(all)('$name by $compiler, $bits', (build) => {
  test('is no proof, learned or not; hijacks of it are, where they went', async (context) => {
    if (!canBuild(build)) {
      context.skip(`cannot build and record ${build.bits}-bit programs of ${build.compiler} here`);
    }
    const mechanism = await Mechanism.build(folder, build);
    const target = build.target ?? 'strike_behind';
    const profile = new TransferProfile();
    try {
      const harmless = await mechanism.record('harmless');
      const returned = await mechanism.record('return');
      const pointed = await mechanism.record('pointer');
      expect(await mechanism.judge(harmless, undefined, profile)).toEqual([]);
      if (build.bits === 64 && build.name !== 'deep') {
        // Traces that begin in the middle, end early, or have a gap.
        const cuts: readonly (readonly [number, number])[] = [
          [0, 0.4],
          [0.5, 1],
          [0.3, 0.35],
          [0.6, 0.601],
          [0.8, 0.9],
          ...Array.from({ length: 12 }, (_, part) => [0, (part + 0.5) / 12] as const),
        ];
        for (const [from, to] of cuts) {
          const cut = await mechanism.cut(harmless, from, to);
          expect(await mechanism.judge(cut), `without ${from} to ${to}`).toEqual([]);
        }
      }
      expect(await mechanism.judge(harmless, profile)).toEqual([]);
      for (const known of [undefined, profile]) {
        const [first] = await mechanism.judge(returned, known);
        expect(first).toEqual({ kind: 'return-mismatch', actual: target });
        const { pointer: kind } = { pointer: 'not-a-function-entry', ...build };
        const [second] = await mechanism.judge(pointed, known);
        expect(second).toEqual(kind === undefined ? undefined : { kind, actual: target });
      }
    } finally {
      mechanism.dispose();
    }
  }, 300_000);
});
