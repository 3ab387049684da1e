import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { elfBuildId } from '../image/files/build-id.ts';
import {
  bytesOf,
  type ElfSections,
  type FileBytes,
  readElfSections,
  textAt,
} from '../image/files/elf-sections.ts';
import type { Image } from '../image/files/image.ts';

/** More than the largest symbol tables that browsers have. */
const longestRead = 512 * 1024 * 1024;

/** What says which debug file belongs to an image. */
interface Link {
  /** Hexadecimal. */
  readonly buildId: string | undefined;
  /** File name, of `.gnu_debuglink`. */
  readonly name: string | undefined;
}

/**
 * Finds the separate debug file of an ELF image, as debuggers do: by build id below each folder
 * (`.build-id/ab/cdef.debug`; `abcdef/debuginfo`, as debuginfod's cache has it), then by the name in the
 * image, below the folder that it was mapped from, in each folder, and beside the image. A file of another
 * build is passed over.
 *
 * @param mapped  path of the image in the traced process
 * @see GDB manual, "Separate Debug Files"; debuginfod_find_debuginfo(3)
 */
export function findDebugFile(
  image: Image,
  mapped: string,
  folders: readonly string[],
): string | undefined {
  const link = linkOf(image);
  return candidatesOf(link, image, mapped, folders).find(
    (path) => withFile(path, (file) => isOfBuild(file, link.buildId)) === true,
  );
}

function candidatesOf(
  { buildId, name }: Link,
  { path }: Image,
  mapped: string,
  folders: readonly string[],
): string[] {
  const byBuild = (folder: string): string[] =>
    buildId === undefined
      ? []
      : [
          join(folder, '.build-id', buildId.slice(0, 2), `${buildId.slice(2)}.debug`),
          join(folder, buildId, 'debuginfo'),
        ];
  // Without a build id nothing would tell whether a file of this name is of this build.
  if (buildId === undefined || name === undefined) return folders.flatMap(byBuild);
  const own = path === undefined ? [] : [dirname(path), join(dirname(path), '.debug')];
  const named = [...folders.flatMap((folder) => [join(folder, dirname(mapped)), folder]), ...own];
  return [...folders.flatMap(byBuild), ...named.map((folder) => join(folder, name))];
}

function linkOf({ bytes }: Image): Link {
  const file = bytesOf(bytes);
  const section = readElfSections(file)?.sections.find(({ name }) => name === '.gnu_debuglink');
  const name = section === undefined ? '' : textAt(file.read(section.offset, section.size), 0);
  // A name alone: a path could lead out of the folders that were given.
  const isPlain = name !== '' && !name.includes('/') && name !== '..' && name !== '.';
  return { buildId: elfBuildId(bytes), name: isPlain ? name : undefined };
}

function isOfBuild(file: FileBytes, buildId: string | undefined): boolean {
  const elf = readElfSections(file);
  return elf !== undefined && buildIdIn(file, elf) === buildId;
}

/** By its section: the program headers of debug files lead to bytes that were taken out. */
function buildIdIn(file: FileBytes, { sections }: ElfSections): string | undefined {
  const section = sections.find(({ name }) => name === '.note.gnu.build-id');
  const note = section === undefined ? undefined : file.read(section.offset, section.size);
  if (note === undefined || note.byteLength < 16) return undefined;
  const length = note.getUint32(4, true);
  if (note.getUint32(0, true) !== 4 || 16 + length > note.byteLength) return undefined;
  return Buffer.from(note.buffer, note.byteOffset + 16, length).toString('hex');
}

/**
 * Hands a file over to be read in parts.
 *
 * @returns `undefined` where it is no plain file that can be read
 */
export function withFile<T>(path: string, use: (file: FileBytes) => T): T | undefined {
  let handle: number;
  try {
    // A pipe of this name must not make us wait for a writer.
    handle = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const status = fstatSync(handle);
    return status.isFile() ? use(fileBytes(handle, status.size)) : undefined;
  } catch {
    return undefined;
  } finally {
    closeSync(handle);
  }
}

function fileBytes(handle: number, size: number): FileBytes {
  return {
    size,
    read: (offset, length) => {
      const isHere = offset >= 0 && length >= 0 && offset + length <= size;
      if (!isHere || length > longestRead) return undefined;
      const bytes = new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const count = readSync(handle, bytes, done, length - done, offset + done);
        if (count === 0) return undefined;
        done += count;
      }
      return new DataView(bytes.buffer);
    },
  };
}
