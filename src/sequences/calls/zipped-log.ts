import { type UnzipFileInfo, unzipSync } from 'fflate';
import { messageOf } from '../../base/errors.ts';

/** No honest recording is larger: of the archive, and of the log in it. */
const mostZipped = 1 << 28;
const mostBytes = 1 << 30;
/** No byte becomes more when it is inflated. */
const mostInflated = 1032;
/** Of the directory: the smallest entry. A count of four billion fits into a zip of a hundred bytes. */
const leastEntryBytes = 46;

/** Why an archive gives no log, in words. */
export class ZipProblem extends Error {}

/** @returns whether bytes begin as a zip does: with its first file, or its end when it is empty */
export function isZip(head: Uint8Array): boolean {
  const [p, k, a, b] = head;
  return p === 0x50 && k === 0x4b && ((a === 3 && b === 4) || (a === 5 && b === 6));
}

/**
 * Takes the log of calls out of a zip: its only `.sc`, as a recording of LID-DS 2021 has it beside a capture
 * of the network, the load of the machine and a description; or else its only file.
 *
 * @throws ZipProblem when it is damaged or too large, or does not say which file is the log
 * @see PKWARE's APPNOTE.TXT; LID-DS, dataloader/base_recording.py
 */
export async function readZippedLog(input: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const archive = await gather(input);
  const files = list(archive);
  const recordings = files.filter(({ name }) => name.endsWith('.sc'));
  const [log, ...others] = recordings.length > 0 ? recordings : files;
  if (log === undefined) throw new ZipProblem('the zip holds no file');
  if (others.length > 0) {
    throw new ZipProblem(
      `the zip holds ${others.length + 1} files that may be the log (${log.name}, ${others[0].name}): put each in a file of its own`,
    );
  }
  const { originalSize } = log;
  if (originalSize > mostBytes) {
    throw new ZipProblem(`${log.name} in the zip is larger than ${mostBytes >> 20} MB`);
  }
  // Room is made for what it claims, before any of it is there.
  if (originalSize > mostInflated * archive.length) {
    throw new ZipProblem(`${log.name} in the zip claims to be larger than it can be`);
  }
  return tried(() => unzipSync(archive, { filter: ({ name }) => name === log.name }))[log.name];
}

/** Folders, and what macOS puts beside files, are no files here. */
function list(archive: Uint8Array): UnzipFileInfo[] {
  const files: UnzipFileInfo[] = [];
  let count = 0;
  tried(() =>
    unzipSync(archive, {
      filter: (file) => {
        if (++count * leastEntryBytes > archive.length) {
          throw new Error('its directory claims more files than it has room for');
        }
        if (!file.name.endsWith('/') && !file.name.startsWith('__MACOSX/')) files.push(file);
        return false;
      },
    }),
  );
  return files;
}

function tried<T>(unzip: () => T): T {
  try {
    return unzip();
  } catch (cause) {
    throw new ZipProblem(`the zip is damaged or cut off: ${messageOf(cause)}`, { cause });
  }
}

async function gather(input: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of input) {
    length += piece.length;
    if (length > mostZipped) throw new ZipProblem(`the zip is larger than ${mostZipped >> 20} MB`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
