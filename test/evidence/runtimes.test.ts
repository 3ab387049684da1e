import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Build, canBuild, Mechanism } from './mechanism.ts';

const build: Build = { name: 'runtime', compiler: 'gcc', sources: ['runtime.c'], bits: 64 };

test('a runtime with stacks of its own is no proof, whole or cut; hijacks of it are', async (context) => {
  if (!canBuild(build)) context.skip('cannot build and record programs of gcc here');
  const folder = await mkdtemp(join(tmpdir(), 'wayward-runtimes-'));
  const mechanism = await Mechanism.build(folder, build);
  try {
    const harmless = await mechanism.record('harmless');
    expect(await mechanism.judge(harmless)).toEqual([]);
    expect(await mechanism.judge(await mechanism.cut(harmless, 0.5, 1))).toEqual([]);
    const actual = 'strike_behind';
    const [returned] = await mechanism.judge(await mechanism.record('return'));
    expect(returned).toEqual({ kind: 'return-mismatch', actual });
    const [pointed] = await mechanism.judge(await mechanism.record('pointer'));
    expect(pointed).toEqual({ kind: 'not-a-function-entry', actual });
  } finally {
    mechanism.dispose();
    await rm(folder, { recursive: true, force: true });
  }
}, 300_000);
