import { Buffer } from 'node:buffer';
import { createClient, ErrorReply, RESP_TYPES } from 'redis';
import { failureOf, messageOf, UserError } from '../../base/errors.ts';
import type { Collection, SampleStore, StoredSamples } from './sample-store.ts';

/** Every key begins like this; the number is the version of what they hold. */
const prefix = 'wayward:1';

export interface RedisStoreOptions {
  /** `redis://` or `rediss://` with user, password, host, port and number of the database. */
  readonly url: string;
  /** PEM certificates of authorities, where those of the system do not do. */
  readonly authorities?: string | Uint8Array;
  /** How long to try again once the server has gone away, in ms. */
  readonly patience?: number;
  /** How long the server may take to answer, in ms. */
  readonly answerTimeout?: number;
  /** The server has been reached before: if it does not answer now, it may come back. */
  readonly wasReached?: boolean;
  /** Is told when the server has gone away. */
  readonly warn?: (message: string) => void;
}

/** Fields that go into one command, and commands that are under way at once. */
const fieldsPerCommand = 256;
const bytesPerCommand = 1 << 20;
const commandsAtOnce = 8;
const defaultAnswerTimeout = 20_000;

type Client = ReturnType<typeof createClient>;

/**
 * A store in Redis. Each collection has two hashes, of samples and of names; a third one lists the
 * collections. All writes set or delete fields of their own, so that writers need not know of each
 * other, and writing twice does no harm: what a lost connection leaves in doubt is done again.
 */
export class RedisStore implements SampleStore {
  readonly place: string;
  readonly #collection: Collection;
  readonly #options: RedisStoreOptions;
  readonly #samplesKey: string;
  readonly #namesKey: string;
  #client: Client | undefined;
  #wasReached: boolean;

  /** @throws UserError `store-url` */
  constructor(options: RedisStoreOptions, collection: Collection) {
    this.#options = options;
    this.#wasReached = options.wasReached === true;
    this.place = placeOf(options.url);
    this.#collection = collection;
    this.#samplesKey = `${prefix}:${collection.id}:samples`;
    this.#namesKey = `${prefix}:${collection.id}:names`;
  }

  async readAll(): Promise<StoredSamples> {
    const samples = await this.#readHash(this.#samplesKey);
    const names = await this.#readHash(this.#namesKey);
    return {
      samples,
      names: new Map(Array.from(names, ([id, name]) => [Number(id), name.toString('utf8')])),
    };
  }

  async put(
    samples: ReadonlyMap<string, Uint8Array>,
    names: ReadonlyMap<number, string>,
  ): Promise<void> {
    const { id, description } = this.#collection;
    // Names first: a sample that can be read has all of them.
    await this.#writeHash(`${prefix}:collections`, [[id, description]]);
    await this.#writeHash(
      this.#namesKey,
      Array.from(names, ([term, name]) => [String(term), name]),
    );
    await this.#writeHash(this.#samplesKey, [...samples]);
  }

  async remove(samples: readonly string[]): Promise<readonly string[]> {
    const removed = await this.#each(samples, (client, name) =>
      client.hDel(this.#samplesKey, name),
    );
    return samples.filter((_, i) => removed[i] > 0);
  }

  async missing(samples: readonly string[]): Promise<readonly string[]> {
    const found = await this.#each(samples, (client, name) =>
      client.hExists(this.#samplesKey, name),
    );
    return samples.filter((_, i) => Number(found[i]) === 0);
  }

  /** Everything of ours in the database. */
  async collections(): Promise<readonly Collection[]> {
    const all = await this.#readHash(`${prefix}:collections`);
    return Array.from(all, ([id, text]) => ({ id, description: text.toString('utf8') }));
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    if (client?.isReady) await client.close();
    else if (client?.isOpen) client.destroy();
  }

  async #readHash(key: string): Promise<Map<string, Buffer>> {
    const result = new Map<string, Buffer>();
    // Cursors of a server that was restarted may mean nothing: a scan is begun again from its start.
    await this.#try(async (client) => {
      result.clear();
      const bytes = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
      let cursor = '0';
      do {
        const page = await this.#inTime(bytes.hScan(key, cursor, { COUNT: 1000 }));
        for (const { field, value } of page.entries) result.set(field.toString('utf8'), value);
        cursor = page.cursor.toString();
      } while (cursor !== '0');
    });
    return result;
  }

  async #writeHash(
    key: string,
    fields: readonly (readonly [string, string | Uint8Array])[],
  ): Promise<void> {
    const chunks = chunksOf(fields);
    for (let i = 0; i < chunks.length; i += commandsAtOnce) {
      const some = chunks.slice(i, i + commandsAtOnce);
      // Commands that are given in one go travel together.
      await this.#try((client) =>
        this.#inTime(Promise.all(some.map((chunk) => client.hSet(key, chunk)))),
      );
    }
  }

  async #each<T>(
    items: readonly string[],
    ask: (client: Client, item: string) => Promise<T>,
  ): Promise<T[]> {
    const results: T[] = [];
    const step = fieldsPerCommand;
    for (let i = 0; i < items.length; i += step) {
      const some = items.slice(i, i + step);
      results.push(
        ...(await this.#try((client) =>
          this.#inTime(Promise.all(some.map((item) => ask(client, item)))),
        )),
      );
    }
    return results;
  }

  /**
   * Does something, again when the connection breaks on the way.
   *
   * @param work  waits for its answers with `#inTime`
   */
  async #try<T>(work: (client: Client) => Promise<T>): Promise<T> {
    const { patience = 30_000, warn } = this.#options;
    let since: number | undefined;
    for (let attempt = 0; ; attempt++) {
      try {
        return await work(await this.#connected());
      } catch (error) {
        this.#abandon();
        if (!isPassing(error)) throw this.#explain(error);
        if (!this.#wasReached) throw this.#explain(error);
        since ??= performance.now();
        if (attempt === 0)
          warn?.(`${this.place} does not answer (${reasonOf(error)}); trying again`);
        if (performance.now() - since > patience) throw this.#explain(error);
        await new Promise((resolve) => setTimeout(resolve, Math.min(2000, 50 * 2 ** attempt)));
      }
    }
  }

  async #connected(): Promise<Client> {
    if (this.#client?.isReady) return this.#client;
    const { url, authorities, answerTimeout = defaultAnswerTimeout } = this.#options;
    const isTls = url.startsWith('rediss:');
    const client = createClient({
      url,
      // Broken connections are made anew here, where it is known what was under way.
      socket: {
        reconnectStrategy: false,
        connectTimeout: answerTimeout,
        ...(isTls ? { tls: true as const } : {}),
        ...(isTls && authorities !== undefined ? { ca: asBuffer(authorities) } : {}),
      },
      disableClientInfo: true,
      maintNotifications: 'disabled',
    }) as Client;
    // Errors come out of the command that meets them; without a listener they would end the process.
    client.on('error', () => {});
    this.#client = client;
    await this.#inTime(client.connect());
    this.#wasReached = true;
    return client;
  }

  async #inTime<T>(promise: Promise<T>): Promise<T> {
    const { answerTimeout = defaultAnswerTimeout } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Late(`no answer for ${answerTimeout / 1000} s`)),
        answerTimeout,
      );
    });
    try {
      return await Promise.race([promise, late]);
    } finally {
      clearTimeout(timer);
      promise.catch(() => {});
    }
  }

  #abandon(): void {
    const client = this.#client;
    this.#client = undefined;
    if (client?.isOpen) client.destroy();
  }

  #explain(error: unknown): UserError {
    const facts = { category: 'runtime', path: this.place, cause: error } as const;
    if (error instanceof ErrorReply) {
      const word = /^[A-Z]+/.exec(error.message)?.[0] ?? '';
      const why = refusals[word];
      return new UserError(
        'store-refused',
        why === undefined
          ? `Redis says: ${error.message}`
          : `${why} (Redis says: ${error.message})`,
        facts,
      );
    }
    return new UserError('store-unreachable', `Redis cannot be reached: ${reasonOf(error)}`, facts);
  }
}

/** Fields and values in commands of limited size; a value that is larger has one of its own. */
function chunksOf(
  fields: readonly (readonly [string, string | Uint8Array])[],
): (string | Buffer)[][] {
  const chunks: (string | Buffer)[][] = [];
  let bytes = 0;
  for (const [field, value] of fields) {
    const last = chunks.at(-1);
    bytes += value.length;
    if (last === undefined || last.length >= 2 * fieldsPerCommand || bytes > bytesPerCommand) {
      chunks.push([field, asBuffer(value)]);
      bytes = value.length;
    } else {
      last.push(field, asBuffer(value));
    }
  }
  return chunks;
}

class Late extends Error {}

const refusals: Readonly<Record<string, string>> = {
  NOAUTH: 'the server asks for a password: give it in the URL, as in redis://:PASSWORD@HOST',
  WRONGPASS: 'the user name or password in the URL is wrong',
  NOPERM: 'this user may not do that',
  OOM: 'the server is out of memory; nothing more can be stored',
  READONLY: 'the server is a read-only replica',
  MISCONF: 'the server cannot save to its disk and takes no more writes',
  WRONGTYPE: 'another application uses one of our keys',
};

/** Whether trying again can help. */
function isPassing(error: unknown): boolean {
  if (error instanceof UserError) return false;
  if (error instanceof ErrorReply) {
    return /^(?:LOADING|BUSY|TRYAGAIN|MASTERDOWN|CLUSTERDOWN)\b/.test(error.message);
  }
  return !/CERT|SELF_SIGNED|ERR_TLS|ERR_SSL|EPROTO/.test(codeOf(error));
}

function codeOf(error: unknown): string {
  return failureOf(error) ?? '';
}

/** What went wrong, without what the URL holds. */
function reasonOf(error: unknown): string {
  const plain: Readonly<Record<string, string>> = {
    ECONNREFUSED: 'nothing listens there',
    ENOTFOUND: 'there is no such host',
    EHOSTUNREACH: 'there is no way to that host',
    ECONNRESET: 'the connection was closed',
    ETIMEDOUT: 'no answer',
  };
  const first: unknown = error instanceof AggregateError ? error.errors[0] : undefined;
  const code = codeOf(error) || codeOf(first);
  return plain[code] ?? (messageOf(error) || code || 'unknown cause');
}

function asBuffer(bytes: string | Uint8Array): Buffer {
  return typeof bytes === 'string'
    ? Buffer.from(bytes)
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The URL without user and password. */
function placeOf(url: string): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw badUrl('is no URL; it is written redis://HOST:PORT/DATABASE');
  }
  if (!/^rediss?:$/.test(parsed.protocol) || parsed.hostname === '') {
    throw badUrl('is written redis://HOST:PORT/DATABASE, or rediss:// for TLS');
  }
  if (!/^(?:\/\d*)?$/.test(parsed.pathname)) throw badUrl('has a database that is no number');
  return `${parsed.protocol}//${parsed.hostname}:${parsed.port || '6379'}${parsed.pathname.replace(/^\/$/, '')}`;
}

/** Says nothing of the URL itself, which may hold a password. */
function badUrl(problem: string): UserError {
  return new UserError('store-url', `the address of the store ${problem}`, {
    category: 'arguments',
  });
}
