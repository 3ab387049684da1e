import { createHash } from 'node:crypto';
import { elfBuildId } from '../../image/files/build-id.ts';
import type { ImageStore } from '../../image/image-store.ts';

/** One executable or library that training ran. */
export interface ImageIdentity {
  /** Name of the module. */
  readonly name: string;
  /** Build id of an ELF file, else a hash of its bytes. */
  readonly id: string;
}

/** @returns the modules whose files are at hand, in the order of their names */
export async function identifyImages(
  modules: readonly string[],
  images: ImageStore,
): Promise<ImageIdentity[]> {
  const found: ImageIdentity[] = [];
  for (const name of [...new Set(modules)].sort()) {
    const image = await images.find(name).catch(() => undefined);
    if (image !== undefined) found.push({ name, id: identityOf(image.bytes) });
  }
  return found;
}

/** @returns the images that are other ones than those that were learned */
export async function changedImages(
  learned: readonly ImageIdentity[],
  images: ImageStore,
): Promise<string[]> {
  const now = new Map(
    (
      await identifyImages(
        learned.map(({ name }) => name),
        images,
      )
    ).map(({ name, id }) => [name, id]),
  );
  return learned
    .filter(({ name, id }) => now.has(name) && now.get(name) !== id)
    .map(({ name }) => name);
}

/** Build id of an ELF file, else a hash of its bytes. */
export function identityOf(bytes: Uint8Array): string {
  return (
    elfBuildId(bytes) ?? `sha256:${createHash('sha256').update(bytes).digest('hex').slice(0, 32)}`
  );
}
