import { createClient } from 'redis';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import {
  hasOpenssl,
  hasRedisServer,
  type RedisServer,
  readAuthority,
  startRedisServer,
} from '../../../test/redis-server.ts';
import { writeAtOnce } from '../../../test/store-writers.ts';
import { collectionsIn, openStore } from './open-store.ts';
import { putSurely } from './put-surely.ts';
import { RedisStore, type RedisStoreOptions } from './redis-store.ts';

const collection = { id: 'model-1234', description: 'model model, patches' };
const open = (url: string, options: Omit<RedisStoreOptions, 'url'> = {}): RedisStore =>
  new RedisStore({ url, ...options }, collection);

function samplesOf(count: number, bytes = 20): Map<string, Uint8Array> {
  return new Map(
    Array.from({ length: count }, (_, i) => [`sample ${i}`, Buffer.alloc(bytes, i)] as const),
  );
}

describe.skipIf(!hasRedisServer)('a store in Redis', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedisServer();
  });
  afterAll(() => server?.stop());

  test('gives back what was put, byte for byte, and lists its collections', async () => {
    const store = open(server.url);
    const samples = new Map([
      ['a "name" with\n\u202e everything', Uint8Array.from({ length: 256 }, (_, i) => i)],
      ['', new Uint8Array(0)],
      ...samplesOf(3000),
    ]);
    const names = new Map([
      [7, 'libc.so.6!system'],
      [2 ** 31 - 1, 'ü'],
    ]);
    await store.put(samples, names);
    const held = await store.readAll();
    expect(held.samples.size).toBe(samples.size);
    for (const [name, bytes] of samples) {
      expect(Buffer.compare(held.samples.get(name)!, bytes), name).toBe(0);
    }
    expect(held.names).toEqual(names);
    expect(await store.missing(['sample 1', 'no such', ''])).toEqual(['no such']);
    expect(await store.remove(['sample 1', 'no such'])).toEqual(['sample 1']);
    expect((await store.readAll()).samples.size).toBe(samples.size - 1);
    expect(await collectionsIn(server.url)).toEqual([collection]);
    await store.close();
  });

  test('four writers at once lose nothing', async () => {
    const place = `${server.url}/2`;
    const expected = await writeAtOnce(place, collection, 60);
    const store = open(place);
    const { samples, names } = await store.readAll();
    expect([...samples.keys()].sort()).toEqual(expected);
    for (const [name, bytes] of samples) expect(bytes.toString()).toBe(name);
    expect(names.size).toBe(240);
    await store.close();
  });

  test("leaves another application's keys alone, and walks no database", async () => {
    const client = createClient({ url: `${server.url}/3` });
    await client.connect();
    await client.set('samples', 'not ours');
    await client.hSet('wayward:2:model-1234:samples', 'a', 'of another version');
    await client.hSet('wayward:1:other-model:samples', 'a', 'of another model');
    await client.rPush('queue', ['1', '2']);
    const all = async (): Promise<unknown[]> => [
      await client.get('samples'),
      await client.hGetAll('wayward:2:model-1234:samples'),
      await client.hGetAll('wayward:1:other-model:samples'),
      await client.lRange('queue', 0, -1),
    ];
    const before = await all();
    await client.configResetStat();
    const store = open(`${server.url}/3`);
    await store.put(samplesOf(10), new Map([[1, 'name']]));
    await store.remove(['sample 3']);
    expect((await store.readAll()).samples.size).toBe(9);
    await store.close();
    const used = [...(await client.info('commandstats')).matchAll(/cmdstat_(\w+)/g)].map(
      ([, name]) => name,
    );
    expect(used).toContain('hset');
    expect(
      used.filter((name) => /^(?:keys|scan|flush.*|del|unlink|swapdb|script)$/.test(name!)),
    ).toEqual([]);
    expect(await all()).toEqual(before);
    expect((await client.keys('*')).sort()).toEqual([
      'queue',
      'samples',
      'wayward:1:collections',
      'wayward:1:model-1234:names',
      'wayward:1:model-1234:samples',
      'wayward:1:other-model:samples',
      'wayward:2:model-1234:samples',
    ]);
    client.destroy();
  });

  test('says so when a key of ours is of another type', async () => {
    const client = createClient({ url: `${server.url}/4` });
    await client.connect();
    await client.set('wayward:1:model-1234:samples', 'what?');
    client.destroy();
    const store = open(`${server.url}/4`);
    await expect(store.readAll()).rejects.toThrow(/another application uses one of our keys/);
    await store.close();
  });

  test('a server that was never there is told at once', async () => {
    const gone = await startRedisServer();
    onTestFinished(() => gone.stop());
    await gone.stop();
    const store = open(gone.url);
    await expect(store.readAll()).rejects.toMatchObject({
      code: 'store-unreachable',
      message: expect.stringContaining('nothing listens there'),
    });
  });

  test('an address of another kind is not taken for a file, nor repeated', async () => {
    await expect(openStore('reddis://:secret@host', collection)).rejects.toMatchObject({
      code: 'store-url',
      message: expect.not.stringContaining('secret'),
    });
  });

  test.each(['redis://', 'http://localhost', 'redis://localhost/one', 'nonsense'])(
    'refuses %s as an address',
    (url) => {
      expect(() => open(url)).toThrow(expect.objectContaining({ code: 'store-url' }));
    },
  );
});

describe.skipIf(!hasRedisServer)('when the server goes away', () => {
  test('and comes back, what was under way is done again', async () => {
    const server = await startRedisServer();
    onTestFinished(() => server.stop());
    const warnings: string[] = [];
    const store = open(server.url, { warn: (message) => warnings.push(message) });
    await store.put(samplesOf(1), new Map());
    const watcher = createClient({ url: server.url });
    watcher.on('error', () => {});
    await watcher.connect();
    const samples = samplesOf(12_000, 2048);
    const writing = store.put(samples, new Map());
    // The rest is under way when the first ones have arrived.
    while ((await watcher.hLen('wayward:1:model-1234:samples')) < 2);
    watcher.destroy();
    await server.kill();
    await new Promise((resolve) => setTimeout(resolve, 150));
    await server.restart();
    await writing;
    const held = await store.readAll();
    expect(held.samples.size).toBe(12_000);
    for (const [name, bytes] of samples) {
      expect(Buffer.compare(held.samples.get(name)!, bytes)).toBe(0);
    }
    expect(warnings).toEqual([expect.stringMatching(/does not answer .*; trying again/)]);
    // A connection that broke while nobody used it is no trouble either.
    await server.kill();
    await server.restart();
    expect(await store.missing(['sample 1', 'x'])).toEqual(['x']);
    await store.close();
  });

  test('for good, the error says which server, and no password', async () => {
    const server = await startRedisServer({ password: 'open sesame' });
    onTestFinished(() => server.stop());
    const store = open(server.url, { patience: 300 });
    await store.put(samplesOf(1), new Map());
    await server.kill();
    const error = await store.readAll().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'store-unreachable', category: 'runtime' });
    expect(String((error as Error).message)).toContain(`redis://127.0.0.1:${server.port}`);
    expect(JSON.stringify([String(error), store.place])).not.toMatch(/sesame/);
    await store.close();
  });

  test('and forgets, the samples are put again', async () => {
    const server = await startRedisServer({ settings: ['--appendonly', 'no'] });
    onTestFinished(() => server.stop());
    const store = open(server.url);
    let isFirst = true;
    // The server is restarted, empty, right after it has taken everything.
    const forgetful = Object.assign(Object.create(store) as RedisStore, {
      put: async (...args: Parameters<RedisStore['put']>): Promise<void> => {
        await store.put(...args);
        if (!isFirst) return;
        isFirst = false;
        await server.kill();
        await server.restart();
      },
      missing: (names: readonly string[]) => store.missing(names),
      place: store.place,
    });
    const warnings: string[] = [];
    await putSurely(forgetful, samplesOf(50), new Map([[1, 'one']]), (text) => warnings.push(text));
    const held = await store.readAll();
    expect(held.samples.size).toBe(50);
    expect(held.names).toEqual(new Map([[1, 'one']]));
    expect(warnings).toEqual([expect.stringContaining('has lost 50 samples')]);
    await store.close();
  });

  test('and forgets each time, the samples that are missing are named', async () => {
    const server = await startRedisServer();
    onTestFinished(() => server.stop());
    const store = open(server.url);
    const leaky = Object.assign(Object.create(store) as RedisStore, {
      put: async (...args: Parameters<RedisStore['put']>): Promise<void> => {
        await store.put(...args);
        await store.remove(['sample 1']);
      },
      missing: (names: readonly string[]) => store.missing(names),
      place: store.place,
    });
    await expect(putSurely(leaky, samplesOf(3), new Map(), () => {})).rejects.toMatchObject({
      code: 'store-lost',
      message: expect.stringMatching(/: sample 1$/),
    });
    await store.close();
  });

  test('or stops answering, the connection is given up and made anew', async () => {
    const server = await startRedisServer();
    onTestFinished(() => server.stop());
    const warnings: string[] = [];
    const store = open(server.url, { answerTimeout: 1500, warn: (text) => warnings.push(text) });
    await store.put(samplesOf(1), new Map());
    server.pause();
    const asking = store.missing(['sample 0', 'x']);
    await new Promise((resolve) => setTimeout(resolve, 2000));
    server.resume();
    expect(await asking).toEqual(['x']);
    expect(warnings).toEqual([expect.stringContaining('no answer for 1.5 s')]);
    await store.close();
  });

  test('or has no memory left, the error says so', async () => {
    const server = await startRedisServer({ settings: ['--maxmemory', '3mb'] });
    onTestFinished(() => server.stop());
    const store = open(server.url);
    await expect(store.put(samplesOf(1000, 10_000), new Map())).rejects.toMatchObject({
      code: 'store-refused',
      message: expect.stringContaining('out of memory'),
    });
    await store.close();
  });
});

describe.skipIf(!hasRedisServer)('passwords and TLS', () => {
  test('a password is taken from the URL; a wrong one and none are told apart', async () => {
    const server = await startRedisServer({ password: 'p@ss/word' });
    onTestFinished(() => server.stop());
    const store = open(server.url);
    await store.put(samplesOf(2), new Map());
    expect((await store.readAll()).samples.size).toBe(2);
    await store.close();
    const wrong = open(`redis://:guess@127.0.0.1:${server.port}`);
    const error = await wrong.readAll().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'store-refused',
      message: expect.stringContaining('wrong'),
    });
    expect(String(error)).not.toContain('guess');
    const none = open(`redis://127.0.0.1:${server.port}`);
    await expect(none.readAll()).rejects.toThrow(/asks for a password/);
  });

  test.skipIf(!hasOpenssl)(
    'TLS with an authority of its own; without it, no connection',
    async () => {
      const server = await startRedisServer({ tls: true, password: 'secret' });
      onTestFinished(() => server.stop());
      const store = open(server.url, { authorities: readAuthority(server) });
      await store.put(samplesOf(300), new Map([[1, 'one']]));
      expect((await store.readAll()).samples.size).toBe(300);
      expect(store.place).toBe(`rediss://localhost:${server.port}`);
      await store.close();
      const distrustful = open(server.url);
      await expect(distrustful.readAll()).rejects.toMatchObject({
        code: 'store-unreachable',
        message: expect.stringMatching(/certificate/),
      });
      const plain = open(server.url.replace('rediss:', 'redis:'), { answerTimeout: 500 });
      await expect(plain.readAll()).rejects.toMatchObject({ code: 'store-unreachable' });
      await server.stop();
    },
  );
});
