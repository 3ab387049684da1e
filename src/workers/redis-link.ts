import type { createClient } from 'redis';
import { failureOf, messageOf, UserError } from '../base/errors.ts';
import type { Parse } from '../base/options/option.ts';
import { redisCause } from '../base/text/redis-words.ts';

export type RedisClient = ReturnType<typeof createClient>;

/** Longest pause between two attempts to connect again, in milliseconds. */
const longestPause = 2000;
/** Attempts before a server that never answered is given up. */
const firstAttempts = 5;

/**
 * Connects to Redis. A connection that is lost later is made again for as long as it takes, and what
 * is sent meanwhile waits.
 *
 * @param url  `redis://[user][:password@]host[:port][/database]`, or `rediss://` for TLS
 * @throws UserError `redis-url` or `redis-unreachable`; neither shows the password
 */
export async function connectRedis(url: string): Promise<RedisClient> {
  checkRedisUrl(url);
  let wasConnected = false;
  let problem: Error | undefined;
  // Loaded late: most commands never need it.
  const redis = await import('redis');
  const client = redis.createClient({
    url,
    socket: {
      connectTimeout: 5000,
      reconnectStrategy: (attempts, cause) => {
        // One that reads its data answers soon.
        const isThere = wasConnected || cause.message.startsWith('LOADING');
        if (!isThere && attempts >= firstAttempts) return false;
        return Math.min(50 * 2 ** attempts, longestPause);
      },
    },
  });
  // Lost connections are made again; who waits for an answer is told by its promise.
  client.on('error', (error: Error) => {
    problem = error;
  });
  try {
    await client.connect();
    // A server that wants a password says so with the first command only.
    await client.ping();
  } catch (error) {
    if (client.isOpen) client.destroy();
    const cause = problem ?? error;
    throw new UserError('redis-unreachable', `cannot be used: ${redisCause(cause)}`, {
      category: 'unavailable',
      path: showRedisUrl(url),
      cause,
    });
  }
  wasConnected = true;
  return client as RedisClient;
}

/** @throws UserError `redis-url` */
function checkRedisUrl(url: string): void {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new UserError('redis-url', 'the queue must be given as redis://HOST:PORT', {
      category: 'arguments',
    });
  }
  if (!/^rediss?:$/.test(parsed.protocol) || parsed.hostname === '') {
    throw new UserError(
      'redis-url',
      `the queue must be given as redis://HOST:PORT or rediss://HOST:PORT, not ${parsed.protocol}//...`,
      { category: 'arguments' },
    );
  }
}

/** The message must not show what was given: it may hold a password. */
export const redisUrl: Parse<string> = (value) => {
  try {
    checkRedisUrl(value);
    return { value };
  } catch {
    return { problem: 'takes redis://[:PASSWORD@]HOST[:PORT] or rediss://...' };
  }
};

/** @returns the URL without user and password, to be shown */
export function showRedisUrl(url: string): string {
  try {
    const { protocol, host, pathname } = new URL(url);
    return `${protocol}//${host}${pathname === '/' ? '' : pathname}`;
  } catch {
    return 'redis';
  }
}

/**
 * Repeats an operation that a lost connection cut off. The operation must be one that may be done
 * twice.
 *
 * @param isOver  asked after each failure; when it says so, the failure is thrown
 */
export async function persist<T>(work: () => Promise<T>, isOver: () => boolean): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (isOver() || !isConnectionLoss(error)) throw error;
      await new Promise((resolve) =>
        setTimeout(resolve, Math.min(50 * 2 ** attempt, longestPause)),
      );
    }
  }
}

/** @returns whether an error says that the server went away, or is still reading its data */
export function isConnectionLoss(error: unknown): boolean {
  return (
    /^(?:ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN)/.test(
      failureOf(error) ?? '',
    ) ||
    /socket closed|socket timeout|connection is closed|connection closed|^LOADING|disconnects client/i.test(
      messageOf(error),
    ) ||
    /^(?:SocketClosed|SocketTimeout|ConnectionTimeout|ConnectionClosed|DisconnectsClient)/.test(
      error instanceof Error ? error.name : '',
    )
  );
}
