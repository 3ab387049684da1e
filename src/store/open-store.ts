import { FileStore, readCollection } from './file-store.ts';
import { RedisStore, type RedisStoreOptions } from './redis-store.ts';
import type { Collection, SampleStore } from './sample-store.ts';

/**
 * @param place  a file, or `redis://`, `rediss://`
 * @throws UserError `store-url`
 */
export function openStore(
  place: string,
  collection: Collection,
  options: Omit<RedisStoreOptions, 'url'> = {},
): SampleStore {
  if (isRedisUrl(place)) return new RedisStore({ ...options, url: place }, collection);
  return new FileStore(place, collection, options);
}

/** @returns what a store holds. @throws UserError */
export async function collectionsIn(
  place: string,
  options: Omit<RedisStoreOptions, 'url'> = {},
): Promise<readonly Collection[]> {
  if (!isRedisUrl(place)) {
    const collection = await readCollection(place);
    return collection === undefined ? [] : [collection];
  }
  const store = new RedisStore({ ...options, url: place }, { id: '', description: '' });
  try {
    return await store.collections();
  } finally {
    await store.close();
  }
}

function isRedisUrl(place: string): boolean {
  return /^rediss?:/i.test(place);
}
