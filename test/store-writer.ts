import { parentPort, workerData } from 'node:worker_threads';
import { openStore } from '../src/likeness/store/open-store.ts';

/** A writer in a thread of its own: puts its samples one at a time, takes every tenth out again. */
const { place, collection, writer, count } = workerData as {
  readonly place: string;
  readonly collection: { readonly id: string; readonly description: string };
  readonly writer: number;
  readonly count: number;
};
const store = await openStore(place, collection);
for (let i = 0; i < count; i++) {
  const name = `writer ${writer}, sample ${i}`;
  await store.put(new Map([[name, Buffer.from(name)]]), new Map([[1000 * writer + i, name]]));
  if (i % 10 === 9) await store.remove([name]);
}
await store.close();
parentPort?.postMessage('done');
