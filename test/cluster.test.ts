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
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createClient } from 'redis';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type ProgressSink, silentLogger } from '../src/base/log.ts';
import { type ClusterRequest, cluster } from '../src/commands/cluster.ts';
import { clusterDataOf } from '../src/commands/slices/cluster-data.ts';
import { usualComparison } from '../src/commands/slices/compare.ts';
import { type SliceRecipe, usualRecipe } from '../src/commands/slices/samples.ts';
import { vectorKindNames } from '../src/likeness/slices/vector-kinds.ts';
import type { ClusterData } from '../src/report/data/cluster-data.ts';
import { clusterLines } from '../src/report/text/cluster-text.ts';
import { writeSets } from '../src/trace/sets-file.ts';
import { hasRedisServer, type RedisServer, startRedisServer } from './redis-server.ts';
import { type Ended, wayward as inProcess } from './wayward.ts';

const corpus = fileURLToPath(new URL('../examples/corpus', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'wayward-cluster-'));

const wayward = (...words: readonly string[]): Promise<Ended> => inProcess(words, {}, root);

const usual: ClusterRequest = {
  train: [],
  query: [],
  add: [],
  remove: [],
  store: undefined,
  redis: {},
  recipe: usualRecipe,
  traces: 'anomalous',
  binDirs: [join(corpus, 'bin')],
  ...usualComparison,
};
const correctness = (window: number, threshold: number): SliceRecipe => ({
  slices: { kind: 'correctness', window, threshold },
  vector: 'classes',
  around: 0,
  mostClasses: 1024,
});

async function find(
  request: Partial<ClusterRequest>,
  progress: ProgressSink = () => {},
): Promise<ClusterData> {
  const context = { log: silentLogger, progress };
  return clusterDataOf(await cluster({ ...usual, ...request }, context), 'test');
}

/** A folder of some of a run's evaluations, by name of the sample. */
function partOf(run: string, folder: string, isWanted: (name: string) => boolean): string {
  const to = join(root, folder);
  mkdirSync(to, { recursive: true });
  for (const file of readdirSync(join(run, 'evaluation'))) {
    const name = /^malicious-(.*)\.eval$/.exec(file)?.[1];
    if (name !== undefined && isWanted(name)) {
      copyFileSync(join(run, 'evaluation', file), join(to, file));
    }
  }
  return to;
}

describe.skipIf(!existsSync(corpus))('cluster, on the bundled examples', () => {
  let run = '';
  beforeAll(async () => {
    const split = JSON.parse(readFileSync(join(corpus, 'split.json'), 'utf8')) as {
      train: string[];
      attacks: string[];
    };
    const folders = (names: readonly string[]): string[] =>
      names.map((name) => join(corpus, 'traces', name));
    const sets = join(root, 'sets.txt');
    await writeSets(sets, {
      train: folders(split.train.slice(0, 20)),
      calibrate: folders(split.train.slice(60, 80)),
      testNominal: [],
      testAnomalous: folders(split.attacks),
    });
    const { status, stderr } = await wayward(
      ...['learn', join(corpus, 'traces'), '--bin-dir', usual.binDirs[0] ?? '', '--model', 'ngram'],
      ...['-i', sets, '--skip-test', '--out', root],
    );
    expect(status, stderr).toBe(0);
    run = join(root, 'runs', readdirSync(join(root, 'runs'))[0] ?? '');
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  test('where no trace has a label, it says what takes those that were flagged', async () => {
    const unlabelled = join(root, 'unlabelled');
    mkdirSync(unlabelled);
    const files = readdirSync(join(run, 'evaluation')).filter((name) => name.endsWith('.eval'));
    const harmless = files.find((name) => !name.startsWith('malicious-')) ?? '';
    copyFileSync(join(run, 'evaluation', harmless), join(unlabelled, harmless));
    const { status, stderr } = await wayward(
      'cluster',
      unlabelled,
      '--bin-dir',
      join(corpus, 'bin'),
    );
    expect(status, stderr).toBe(0);
    expect(stderr).toContain('--traces flagged');
  });

  test('families are told apart, with nobody saying what they are', async () => {
    const result = await find({ train: [run] });
    expect(result.families?.traces).toBe(35);
    // Big families come in two or three clusters, but of the worst slices none holds two families.
    expect(result.families?.adjustedRand).toBeGreaterThanOrEqual(0.7);
    const familiesOf = (members: readonly number[]) =>
      members.flatMap((item) => {
        const slice = result.slices[item];
        return slice?.rank === 1 ? [slice.family] : [];
      });
    for (const { members } of result.clusters) {
      expect(new Set(familiesOf(members)).size).toBeLessThanOrEqual(1);
    }
    expect(result.families?.nearestAccuracy).toBeGreaterThanOrEqual(0.9);
    expect(result.withoutSlices).toEqual([]);
    const shellcode = result.clusters.find(({ members }) =>
      familiesOf(members).includes('shellcode'),
    );
    expect(shellcode?.functions.map(({ name }) => name)).toContain('libc.so.6!__mprotect');
    expect(shellcode?.modules.map(({ name }) => name)).toContain('libc.so.6');
    expect(shellcode?.evidence.map(({ name }) => name)).toContain('outside-images');
    expect(shellcode?.members).toContain(shellcode?.medoid);
    expect(existsSync(join(run, 'slices.wayward'))).toBe(true);
  });

  test.each(vectorKindNames)('vectors of %s', async (vector) => {
    const clusters = { ...usual.clusters, method: 'average' } as const;
    const { neighbours, families } = await find({
      train: [run],
      recipe: { ...usual.recipe, vector },
      clusters,
    });
    expect(neighbours.length).toBeGreaterThan(35);
    expect(families?.traces).toBe(35);
    for (const { distance } of neighbours.flatMap(({ nearest }) => nearest)) {
      expect(distance).toBeGreaterThanOrEqual(0);
      expect(distance).toBeLessThanOrEqual(1);
    }
  });

  test('a query is answered with known anomalies, never with itself', async () => {
    const known = partOf(run, 'known', (name) => !name.endsWith('8'));
    const fresh = partOf(run, 'fresh', (name) => name.endsWith('8'));
    const { neighbours } = await find({ train: [known], query: [fresh], k: 3 });
    expect(new Set(neighbours.map(({ sample }) => sample))).toEqual(
      new Set(['fptr-018', 'jop-028', 'rop-008']),
    );
    for (const { family, nearest } of neighbours) {
      expect(nearest).toHaveLength(3);
      expect(nearest[0]?.family).toBe(family);
      const distances = nearest.map(({ distance }) => distance);
      expect(distances).toEqual(distances.toSorted((a, b) => a - b));
    }
    const again = await find({ train: [known], query: [known] });
    for (const { sample, nearest } of again.neighbours) {
      expect(nearest.map((near) => near.sample)).not.toContain(sample);
    }
  });

  test('the slices of the ancestor: traces without one are listed, not dropped', async () => {
    const none = await find({ train: [run], recipe: correctness(10_000, 0.1) });
    expect(none.withoutSlices).toHaveLength(35);
    expect(none.slices).toEqual([]);
    // Shorter windows find some.
    const some = await find({ train: [run], recipe: correctness(5, 0.1) });
    expect(some.slices.length).toBeGreaterThan(10);
    expect(some.withoutSlices.length + some.slices.length).toBe(35);
  });

  test('only what classify flags, whatever its label', async () => {
    const { slices, withoutSlices } = await find({ train: [run], traces: 'flagged' });
    const flagged = new Set([...slices.map(({ sample }) => sample), ...withoutSlices]);
    expect(flagged.size).toBeGreaterThan(25);
    expect(flagged.size).toBeLessThanOrEqual(35);
  });

  test('says in words what it found', async () => {
    const { stdout, status } = await wayward('knn', '-t', run, '-l', 'error');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^Neighbours$/m);
    expect(stdout).toMatch(/^Clusters: linked by nearest neighbours$/m);
    expect(stdout).toMatch(
      /^\d+ +\d slices, shellcode \d; silhouette 0\.\d\d; most typical: shell/m,
    );
    expect(stdout).toMatch(/adjusted Rand index 0\.[789]/);

    const dense = await wayward('cluster', run, '--radius', '0.2', '-l', 'error');
    expect(dense.stdout).toMatch(/^Clusters: DBSCAN with radius 0\.200$/m);
  });

  test('recordings that are gone are named; classes need none', async () => {
    // The ancestor's evaluations do not say where a trace came from.
    const lost = join(root, 'lost');
    mkdirSync(lost);
    const text = '1,5,0.9,5\n'.repeat(20) + '0,5,0.9,7\n0,5,0.8,8\n0,5,0.9,9\n'.repeat(4);
    for (const name of ['a', 'b', 'c']) writeFileSync(join(lost, `malicious-${name}.gz`), text);
    const recipe = correctness(6, 0.5);
    await expect(
      find({ train: [lost], recipe: { ...recipe, vector: 'blocks' } }),
    ).rejects.toMatchObject({
      code: 'no-recordings',
      message: expect.stringContaining('"--vector classes" needs none'),
    });
    const { slices, neighbours } = await find({ train: [lost], recipe });
    expect(slices).toHaveLength(3);
    expect(neighbours[0]?.nearest[0]?.distance).toBeCloseTo(0, 6);
  });

  test('slices of different models are not compared', async () => {
    const lost = join(root, 'lost');
    const recipe = correctness(6, 0.5);
    await expect(find({ train: [run], query: [lost], recipe })).rejects.toMatchObject({
      code: 'models-mixed',
    });
    const store = join(root, 'kept');
    await find({ add: [run], store, recipe });
    await expect(find({ query: [lost], store, recipe })).rejects.toMatchObject({
      code: 'store-mismatch',
      message: expect.stringMatching(/It holds: model .*\. These are: model text/),
    });
  });

  test('options that contradict each other are told together', async () => {
    const { status, stderr } = await wayward(
      ...[
        'cluster',
        run,
        '--redis',
        '--store',
        'x',
        '-m',
        '5',
        '--vector',
        'blocks',
        '--slices',
        'patches',
      ],
      ...['--window', '5'],
    );
    expect(status).toBe(1);
    for (const word of ['--window', '--redis and --store', '--max-val'])
      expect(stderr).toContain(word);
  });

  describe.skipIf(!hasRedisServer)('with slices in Redis', { tags: 'slow' }, () => {
    let server: RedisServer;
    let url = '';
    beforeAll(async () => {
      server = await startRedisServer();
      url = `${server.url}/1`;
    });
    afterAll(() => server?.stop());

    test('samples are added, looked up and removed, and nothing is made anew', async () => {
      const [even = '', odd = ''] = [0, 1].map((half) =>
        partOf(run, `half-${half}`, (name) => Number(/\d+$/.exec(name)?.[0]) % 2 === half),
      );
      const { status, stderr } = await wayward(
        ...['cluster', '--add', even, '--bin-dir', usual.binDirs[0] ?? ''],
        ...['--redis', '--hostname', '127.0.0.1', '--port', String(server.port), '--db', '1'],
      );
      expect(status, stderr).toBe(0);
      const asked = await find({ query: [odd], store: url });
      const right = asked.neighbours.filter(({ family, nearest }) => nearest[0]?.family === family);
      expect(right.length / asked.neighbours.length).toBeGreaterThan(0.8);
      await find({ add: [odd], store: url });
      // What Redis holds is what a run of all of them finds.
      const kept = await find({ store: url });
      const whole = await find({ train: [run] });
      expect(kept.slices).toEqual(whole.slices);
      expect(kept.clusters).toEqual(whole.clusters);
      expect(kept.store).toBe(url);
      const fewer = await find({ store: url, remove: ['jop-022', 'nobody'] });
      expect(fewer.removed).toEqual(['jop-022']);
      expect(fewer.slices).toHaveLength(whole.slices.length - 1);
    });

    test('a server that is killed and comes back during a run loses nothing', async () => {
      const forgetful = await startRedisServer({ settings: ['--appendonly', 'no'] });
      onTestFinished(() => forgetful.stop());
      let isKilled = false;
      const progress: ProgressSink = ({ step }) => {
        if (step !== 'cutting slices' || isKilled) return;
        isKilled = true;
        void forgetful.kill();
        setTimeout(() => void forgetful.restart(), 2500);
      };
      const added = await find({ add: [run], store: forgetful.url }, progress);
      expect(isKilled).toBe(true);
      expect(added.added).toHaveLength(35);
      const kept = await find({ store: forgetful.url });
      expect(kept.slices).toEqual((await find({ train: [run] })).slices);
      await forgetful.stop();
      // For good: told before anything is read.
      const steps: string[] = [];
      const late = find({ add: [run], store: forgetful.url }, ({ step }) => steps.push(step));
      await expect(late).rejects.toMatchObject({ code: 'store-unreachable' });
      expect(steps).toEqual([]);
    });

    test('records that are no records are named and left out', async () => {
      const client = createClient({ url });
      await client.connect();
      const [key = ''] = await client.keys('wayward:1:*:samples');
      await client.hSet(key, { 'bad one': 'what?', 'bad\u202e two': Buffer.alloc(100) });
      client.destroy();
      const result = await find({ store: url });
      expect(result.skipped.map(({ name }) => name).sort()).toEqual(['bad one', 'bad\u202e two']);
      expect(result.slices.length).toBeGreaterThan(30);
      expect(clusterLines(result).join('\n')).toContain('bad\\u{202e} two');
    });

    test('an empty database is told, and so is one of other slices', async () => {
      await expect(find({ query: [run], store: `${server.url}/5` })).rejects.toThrow(
        /holds no slices to compare with/,
      );
      const recipe = { ...usual.recipe, vector: 'edges' } as const;
      await expect(find({ query: [run], store: url, recipe })).rejects.toThrow(
        /but others, which cannot be compared with these:\n.*behaviour/,
      );
    });
  });
});
