import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { beforeAll, expect, test } from 'vitest';
import { silentLogger } from '../base/log.ts';
import { readSets, writeSets } from '../trace/sets-file.ts';
import { preprocess } from './preprocess.ts';
import { checkSets, makeSets } from './sets.ts';

const corpus = fileURLToPath(new URL('../../examples/corpus', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'wayward-'));
const context = { log: silentLogger, progress: (): void => {} };
const sets = join(root, 'sets.txt');

/**
 * Six recordings and three copies: one as it is, one packed otherwise, and one of which only the
 * stored trace is left.
 */
beforeAll(async () => {
  const names = readdirSync(join(corpus, 'traces')).filter((name) =>
    name.startsWith('nominal-train'),
  );
  for (const [i, name] of names.slice(0, 6).entries())
    cpSync(join(corpus, 'traces', name), join(root, `s${i}`), { recursive: true });
  for (const copy of ['copy', 'packed', 'stored'])
    cpSync(join(root, 's0'), join(root, copy), { recursive: true });
  const raw = join(root, 'packed', 'trace_0.gz');
  writeFileSync(raw, gzipSync(gunzipSync(readFileSync(raw)), { level: 1 }));
  await preprocess(
    {
      paths: [root],
      binDirs: [join(corpus, 'bin')],
      rawImages: false,
      format: 'wayward',
      force: false,
      timeout: undefined,
      partial: true,
      workers: 2,
    },
    context,
  );
  rmSync(join(root, 'stored', 'trace_0.gz'));
});

test.each([true, false])('no trace is dealt out twice, stored only: %s', async (preprocessed) => {
  const source = { source: 'trace', process: undefined, preprocessed } as const;
  const sizes = { train: 3, calibrate: 1, testNominal: 2, testAnomalous: 0 };
  const made = await makeSets({ root, output: sets, sizes, seed: 3, ...source }, context);
  const duplicates = made.duplicates.map(({ directory }) => basename(directory)).sort();
  // Of each group the first by name stays.
  expect(duplicates).toEqual(['packed', 's0', 'stored']);
  expect(new Set(made.duplicates.map(({ of }) => basename(of)))).toEqual(new Set(['copy']));
  expect(Object.values(made.sets).flat()).toHaveLength(6);
  expect((await checkSets(sets, source, context)).problems).toEqual([]);
  const again = await makeSets({ root, output: sets, sizes, seed: 3, ...source }, context);
  expect(again.sets).toEqual(made.sets);
  const { train, ...others } = (await readSets(sets, '/')).sets;
  expect({ train, ...others }).toEqual(made.sets);
});

test.each([true, false])(
  'a sets file that deals one out twice is found, stored only: %s',
  async (preprocessed) => {
    const source = { source: 'trace', process: undefined, preprocessed } as const;
    const at = (name: string): string => join(root, name);
    await writeSets(sets, {
      train: [at('s0'), at('s1')],
      calibrate: [],
      testNominal: [at('stored'), at('s2')],
      testAnomalous: [at('s3')],
    });
    expect((await checkSets(sets, source, context)).problems).toEqual([
      `${at('s3')}: is labelled benign but stands in [m_test]`,
      `${at('stored')} in [b_test]: has the same trace as ${at('s0')} in [b_train]`,
    ]);
  },
);
