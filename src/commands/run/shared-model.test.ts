import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createClient } from 'redis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasRedisServer, type RedisServer, startRedisServer } from '../../../test/redis-server.ts';
import { writeTinyCorpus } from '../../../test/tiny-corpus.ts';
import { tinyLearn } from '../../../test/tiny-learn.ts';
import { silentLogger } from '../../base/log.ts';
import { type LearnResult, learn } from '../learn.ts';
import type { LearnRequest } from '../training/options.ts';

describe.skipIf(!hasRedisServer)('models in Redis', () => {
  let server: RedisServer;
  let out = '';
  let root = '';
  beforeAll(async () => {
    server = await startRedisServer({ password: 'not to be seen' });
    out = await mkdtemp(join(tmpdir(), 'wayward-test-'));
    root = writeTinyCorpus(12, 2);
  });
  afterAll(async () => {
    await server?.stop();
    await rm(out, { recursive: true, force: true });
  });

  const run = (changed: LearnRequest): Promise<LearnResult> =>
    learn(
      { ...tinyLearn, root, out, store: server.url, ...changed },
      { log: silentLogger, progress: () => {}, signal: new AbortController().signal },
    );

  async function redis<T>(
    use: (client: ReturnType<typeof createClient>) => Promise<T>,
  ): Promise<T> {
    const client = createClient({ url: server.url });
    await client.connect();
    try {
      return await use(client as ReturnType<typeof createClient>);
    } finally {
      await client.close();
    }
  }

  test.each(['ngram', 'lstm'] as const)('%s: judges as where it was trained', async (model) => {
    await redis((client) => client.set('of another application', 'stays'));
    const first = await run({ model });
    const name = basename(first.folder.root);
    expect(readFileSync(first.folder.record, 'utf8')).not.toContain('not to be seen');
    await rm(first.folder.model, { recursive: true });
    expect(existsSync(name)).toBe(false);
    const again = await run({ useModel: name, inputSets: first.folder.sets });
    expect(again.model).toBe(first.model);
    expect(again.test).toEqual(first.test);
    for (const file of readdirSync(first.evaluation)) {
      const bytes = (result: LearnResult): Promise<Buffer> =>
        readFile(join(result.evaluation, file));
      expect((await bytes(again)).equals(await bytes(first))).toBe(true);
    }
    expect(await redis((client) => client.get('of another application'))).toBe('stays');
    const keys = await redis((client) => client.keys('*'));
    expect(keys.filter((key) => !key.startsWith('wayward:1:'))).toEqual(['of another application']);
  });

  test('what is not there, or not whole, is named; nothing is written elsewhere', async () => {
    await expect(run({ useModel: 'none', skipTrain: true })).rejects.toMatchObject({
      code: 'model-not-stored',
    });
    const { folder } = await run({ model: 'ngram' });
    const name = basename(folder.root);
    const key = `wayward:1:model.${name}:samples`;
    const fails = async (change: (fields: string[]) => Promise<unknown>): Promise<void> => {
      await redis(async (client) => change(await client.hKeys(key)));
      const failure = run({ useModel: name, inputSets: folder.sets });
      await expect(failure).rejects.toMatchObject({ code: 'stored-model-damaged' });
      await expect(failure).rejects.not.toThrow(/not to be seen/);
    };
    await fails((fields) =>
      redis((client) =>
        client.hDel(key, fields.find((field) => field.includes('ngram.bin')) ?? ''),
      ),
    );
    for (const file of ['../../outside', '/tmp/x', 'model/../x', '__proto__', '']) {
      const list = JSON.stringify([{ name: file, parts: 1, sha256: '' }]);
      await fails(() => redis((client) => client.hSet(key, 'files', list)));
    }
    for (const list of ['', '7', '[null]', '[{"name":"a","parts":1e9,"sha256":""}]']) {
      await fails(() => redis((client) => client.hSet(key, 'files', list)));
    }
  });
});
