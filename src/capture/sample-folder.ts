import { open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { messageOf, UserError } from '../base/errors.ts';
import { makeFolder, removeAll, removeQuietly } from '../base/files/folder.ts';
import { writeJsonFile } from '../base/files/json-file.ts';
import { writeFileAtomic } from '../base/files/write.ts';
import type { LabelWord } from '../base/label.ts';
import { toLine } from '../base/text/line.ts';

export interface SampleContent {
  /** Intel PT. */
  readonly trace: AsyncIterable<Uint8Array>;
  /** Lines of `/proc/PID/maps`. */
  readonly map: string;
  /** First line of `info.txt`. */
  readonly name: string;
  readonly label: LabelWord;
  readonly family?: string | undefined;
  /** How the sample came about: `recording.json`. */
  readonly recording: object;
}

/**
 * Writes a sample of one thread; the folder appears when it is whole.
 *
 * @returns bytes of trace
 * @throws UserError `write-failed`, and what `content.trace` throws
 */
export async function writeSampleFolder(
  folder: string,
  content: SampleContent,
  signal?: AbortSignal,
): Promise<number> {
  const part = `${folder}.part`;
  try {
    await removeAll(part);
    await makeFolder(part);
    let traceBytes = 0;
    const counted = async function* (): AsyncGenerator<Uint8Array> {
      for await (const chunk of content.trace) {
        signal?.throwIfAborted();
        traceBytes += chunk.length;
        yield chunk;
      }
    };
    const trace = await open(join(part, 'trace_0.gz'), 'wx');
    const target = trace.createWriteStream({ flush: true });
    await pipeline(Readable.from(counted()), createGzip(), target);
    await writeFileAtomic(join(part, 'mapping.txt'), content.map);
    const { name, label, family } = content;
    const lines = [name, label, ...(family ? [family] : [])].map(toLine);
    await writeFileAtomic(join(part, 'info.txt'), `${lines.join('\n')}\n`);
    await writeJsonFile(join(part, 'recording.json'), { ...content.recording, traceBytes });
    await rename(part, folder);
    return traceBytes;
  } catch (cause) {
    if (cause instanceof UserError || signal?.aborted === true) throw cause;
    throw new UserError('write-failed', `cannot be written: ${messageOf(cause)}`, {
      category: 'runtime',
      path: folder,
      cause,
    });
  } finally {
    await removeQuietly(part);
  }
}
