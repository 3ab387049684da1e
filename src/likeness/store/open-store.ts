import { UserError } from '../../base/errors.ts';
import { FileStore, readCollection } from './file-store.ts';
import type { RedisStore, RedisStoreOptions } from './redis-store.ts';
import type { Collection, SampleStore } from './sample-store.ts';

export type StoreOptions = Omit<RedisStoreOptions, 'url'>;

/**
 * @param place  a file, or `redis://`, `rediss://`
 * @throws UserError `store-url`
 */
export async function openStore(
  place: string,
  collection: Collection,
  options: StoreOptions = {},
): Promise<SampleStore> {
  if (isUrl(place)) return openRedis(place, collection, options);
  return new FileStore(place, collection, options);
}

/** @returns what a store holds. @throws UserError */
export async function collectionsIn(
  place: string,
  options: StoreOptions = {},
): Promise<readonly Collection[]> {
  if (!isUrl(place)) {
    const collection = await readCollection(place);
    return collection === undefined ? [] : [collection];
  }
  const store = await openRedis(place, { id: '', description: '' }, options);
  try {
    return await store.collections();
  } finally {
    await store.close();
  }
}

function isUrl(place: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(place);
}

/** The client is loaded here, for it takes longer than most commands need to start. */
async function openRedis(
  url: string,
  collection: Collection,
  options: StoreOptions,
): Promise<RedisStore> {
  // The URL may hold a password, so that it is not repeated.
  if (!/^rediss?:/i.test(url)) {
    throw new UserError('store-url', 'a store is a file, or written redis:// or rediss://', {
      category: 'arguments',
    });
  }
  const { RedisStore } = await import('./redis-store.ts');
  return new RedisStore({ ...options, url }, collection);
}
