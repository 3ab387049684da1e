import { realpath } from 'node:fs/promises';
import { readWholeFile } from '../../../base/files/read.ts';
import { elfKind } from '../elf-kind.ts';
import { type LoadedFile, loadedFile } from '../loaded-file.ts';
import type { GuestProgram } from './guest.ts';

/**
 * Reads what QEMU maps itself when it runs a program.
 *
 * @throws UserError `not-readable`, `not-recordable`
 */
export async function readProgram(command: string): Promise<GuestProgram> {
  const path = await realpath(command).catch(() => command);
  const bytes = await readWholeFile(path);
  const { bitness, loader } = elfKind(bytes, path);
  const loaded: LoadedFile[] = [loadedFile(path, bytes)];
  if (loader !== undefined) {
    const real = await realpath(loader).catch(() => loader);
    loaded.push(loadedFile(real, await readWholeFile(real)));
  }
  return { path, bitness, loaded };
}
