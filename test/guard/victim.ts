import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { silentLogger } from '../../src/base/log.ts';
import { recordInputs } from '../../src/capture/record-inputs.ts';
import { learn } from '../../src/commands/learn.ts';

export const canGuard: boolean = ['/usr/bin/qemu-x86_64', '/usr/bin/cc'].every((path) =>
  existsSync(path),
);

/** How `victim.c` can be hijacked. */
export const hijacks = ['rop_near', 'rop_far', 'ret2libc', 'jop', 'pointer'] as const;

export interface Victim {
  readonly program: string;
  readonly profile: string;
}

/** Compiles `victim.c` and learns its harmless runs. @param rounds  work for each line */
export async function learnVictim(folder: string, runs: number, rounds: number): Promise<Victim> {
  const program = join(folder, 'victim');
  const source = fileURLToPath(new URL('./victim.c', import.meta.url));
  // Without the protections that would end a hijack before it has begun.
  const open = ['-fno-stack-protector', '-fcf-protection=none', '-fno-pie', '-no-pie'];
  execFileSync('cc', ['-O1', '-fno-omit-frame-pointer', ...open, '-o', program, source]);
  const inputDir = join(folder, 'in');
  mkdirSync(inputDir);
  for (let run = 0; run < runs; run++) writeFileSync(join(inputDir, `${run}`), harmlessInput(run));
  const root = join(folder, 'corpus');
  const args = [join(folder, 'moment'), String(rounds)];
  await recordInputs({
    ...{ inputDir, root, jobs: 2, command: program, args, stdin: '{}', label: 'benign' },
  });
  const quiet = { log: silentLogger, progress: () => {} };
  const profile = join(folder, 'victim.wayward');
  await learn({ root, out: folder, profile, workers: 1 }, quiet);
  return { program, profile };
}

/** Compiles `signals.c`, which tells the signals that it gets. @returns its path */
export function compileSignals(folder: string): string {
  return compile(folder, 'signals');
}

/** Compiles `changes.c`, whose code changes while it runs. @returns its path */
export function compileChanges(folder: string): string {
  return compile(folder, 'changes');
}

function compile(folder: string, name: string): string {
  const program = join(folder, name);
  const source = fileURLToPath(new URL(`./${name}.c`, import.meta.url));
  execFileSync('cc', ['-O1', '-pthread', '-o', program, source, '-ldl']);
  return program;
}

/** Lines that the victim works on: words, pauses. */
export function harmlessInput(seed: number): string {
  const lines = Array.from(
    { length: 3 + (seed % 4) },
    (_, i) => `word${(seed * 7919 + i * 104729) % 1000}`,
  );
  if (seed % 3 === 0) lines.splice(1, 0, 'sleep 3');
  return `${lines.join('\n')}\n`;
}
