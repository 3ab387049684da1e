import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { exampleEvaluation } from '../../../test/example-evaluation.ts';
import { writeEvaluation } from '../../evaluation/file.ts';
import { featuresToStore } from '../../verdict/features/stored-features.ts';
import { readFeatures } from './read-features.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'wayward-'));
});
afterEach(() => rm(directory, { recursive: true }));

test.each([false, true])(
  'runs of which nothing was read get no verdict (anew: %s)',
  async (anew) => {
    const read = exampleEvaluation([{ predicted: 3, actual: 3, confidence: 0.75 }]);
    const sampleOf = (name: string) => ({ sample: { name, directory: `/samples/${name}` } });
    const nothing = (name: string, gaps: number) => {
      const { trace, ...rest } = exampleEvaluation([], sampleOf(name));
      return { ...rest, trace: { ...trace, blocks: 0, gaps } };
    };
    for (const evaluation of [read, nothing('empty', 0), nothing('no-images', 7)]) {
      await writeEvaluation(directory, evaluation, featuresToStore(evaluation));
    }
    const warnings: string[] = [];
    const context = {
      log: { log: (_: string, text: string) => warnings.push(text) },
      progress: () => {},
    };
    const { traces, skipped } = await readFeatures(
      { run: undefined, evaluation: directory },
      anew,
      context,
    );
    expect(traces.map(({ sample }) => sample.name)).toEqual(['one']);
    expect(skipped).toEqual([
      { path: 'empty', reason: expect.stringContaining('nothing ran in it') },
      { path: 'no-images', reason: expect.stringContaining('7 gaps') },
    ]);
    expect(warnings).toHaveLength(2);
  },
);
