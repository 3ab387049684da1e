import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { messageOf, UserError } from '../../../base/errors.ts';
import type { BackendChoice } from '../backend.ts';

const run = promisify(execFile);

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

/** Compiles the recorder's QEMU plugin. @returns its path in `folder` */
export async function buildPlugin(folder: string): Promise<string> {
  // Compiled code lies in `dist`, the plugin's source stays where it is.
  const places = ['./plugin.c', '../../../../src/capture/qemu/plugin/plugin.c'];
  const sources = places.map((place) => fileURLToPath(new URL(place, import.meta.url)));
  const source = sources.find((path) => existsSync(path)) ?? sources[0];
  const path = join(folder, 'plugin.so');
  try {
    await run('cc', ['-O2', '-shared', '-fPIC', '-pthread', '-o', path, source]);
  } catch (cause) {
    throw new UserError(
      'no-compiler',
      `the recorder's plugin cannot be compiled (Debian, Ubuntu: package gcc and libc6-dev): ${messageOf(cause)}`,
      { category: 'unavailable', cause },
    );
  }
  return path;
}
