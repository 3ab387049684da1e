import { UserError } from '../../base/errors.ts';
import type { SampleStore } from './sample-store.ts';

const attempts = 3;

/**
 * Puts samples into a store and looks whether they are all there: a server that was restarted
 * meanwhile may have lost what it had acknowledged. What is missing is put again.
 *
 * @throws UserError `store-lost`, naming the samples that the store does not keep
 */
export async function putSurely(
  store: SampleStore,
  samples: ReadonlyMap<string, Uint8Array>,
  names: ReadonlyMap<number, string>,
  warn: (message: string) => void,
): Promise<void> {
  await store.put(samples, names);
  let missing = await store.missing([...samples.keys()]);
  for (let attempt = 0; attempt < attempts && missing.length > 0; attempt++) {
    warn(`${store.place} has lost ${missing.length} samples; storing them again`);
    const lost = missing.flatMap((name) => {
      const bytes = samples.get(name);
      return bytes === undefined ? [] : [[name, bytes] as const];
    });
    await store.put(new Map(lost), names);
    missing = await store.missing([...samples.keys()]);
  }
  if (missing.length === 0) return;
  throw new UserError('store-lost', `does not keep these samples: ${missing.join(', ')}`, {
    category: 'runtime',
    path: store.place,
  });
}
