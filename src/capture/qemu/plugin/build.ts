import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, copyFile, lstat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { messageOf, UserError } from '../../../base/errors.ts';
import { cacheFolder, mayBeBelieved } from '../../../base/files/cache-folder.ts';
import { makeFolder } from '../../../base/files/folder.ts';
import { readWholeFile } from '../../../base/files/read.ts';
import { writeFileAtomic } from '../../../base/files/write.ts';
import type { BackendChoice } from '../backend.ts';

const run = promisify(execFile);
const flags = ['-O2', '-shared', '-fPIC', '-pthread'] as const;

/** @returns the compiled plugin's path in `folder`; `undefined` where the log is to be used */
export async function pluginFor(
  choice: BackendChoice,
  folder: string,
): Promise<string | undefined> {
  if (choice === 'log') return undefined;
  try {
    return await buildPlugin(folder);
  } catch (error) {
    const isMissing = error instanceof UserError && error.code === 'no-compiler';
    if (choice === 'auto' && isMissing) return undefined;
    throw error;
  }
}

/**
 * Compiles the recorder's QEMU plugin, or copies what was compiled from the same source before: compiling takes a quarter
 * of a short recording.
 *
 * @param cache  what lies there is believed where nobody else can have written it
 * @returns its path in `folder`
 * @throws UserError `no-compiler`
 */
export async function buildPlugin(folder: string, cache: string = cacheFolder()): Promise<string> {
  // Compiled code lies in `dist`, the plugin's source stays where it is.
  const places = ['./plugin.c', '../../../../src/capture/qemu/plugin/plugin.c'];
  const sources = places.map((place) => fileURLToPath(new URL(place, import.meta.url)));
  const source = sources.find((path) => existsSync(path)) ?? sources[0];
  const hash = createHash('sha256').update(flags.join(' '));
  for (const file of [source, join(dirname(source), 'encoder.h')]) {
    hash.update(await readWholeFile(file));
  }
  const kept = join(cache, `plugin-${process.arch}-${hash.digest('hex').slice(0, 16)}.so`);
  const path = join(folder, 'plugin.so');
  if (await isOurs(kept)) {
    await copyFile(kept, path);
    return path;
  }
  try {
    await run('cc', [...flags, '-o', path, source]);
  } catch (cause) {
    throw new UserError(
      'no-compiler',
      `the recorder's plugin cannot be compiled (Debian, Ubuntu: package gcc and libc6-dev): ${messageOf(cause)}`,
      { category: 'unavailable', cause },
    );
  }
  await keep(path, kept);
  return path;
}

async function isOurs(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined);
  return found !== undefined && mayBeBelieved(found);
}

/** Copies the plugin to where the next recording finds it, whole or not at all. */
async function keep(path: string, kept: string): Promise<void> {
  try {
    await makeFolder(dirname(kept));
    await writeFileAtomic(kept, await readWholeFile(path));
    await chmod(kept, 0o700);
  } catch {
    // A home that cannot be written to, or a full disk: the next recording compiles it again.
  }
}
