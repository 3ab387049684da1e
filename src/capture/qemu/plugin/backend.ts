import { join } from 'node:path';
import { listFolder } from '../../../base/files/folder.ts';
import { readWholeFile } from '../../../base/files/read.ts';
import type { Backend } from '../backend.ts';
import type { LoadedFile } from '../loaded-file.ts';
import type { Recording } from '../recording.ts';
import { FrameReader } from './frame-reader.ts';
import { readTail } from './tail.ts';

/**
 * @param plugin  compiled
 * @param work  an empty folder
 * @param loaded  files that QEMU maps itself
 * @param sendsIds  blocks are encoded here, because somebody wants to see them
 */
export function pluginBackend(
  recording: Recording,
  plugin: string,
  work: string,
  loaded: readonly LoadedFile[],
  sendsIds: boolean = false,
): Backend {
  const reader = new FrameReader(
    recording,
    (path) => loaded.find((file) => file.path === path)?.segments,
    { sendsIds },
  );
  const { maxBlocks, compressReturns } = recording.encoding;
  const given = [
    ...[`file=${plugin}`, 'fd=3', `tails=${work}`, `most=${maxBlocks}`],
    ...(compressReturns ? [] : ['returns=plain']),
    ...(sendsIds ? ['ids=on'] : []),
  ];
  return {
    flags: ['-plugin', given.join(',')],
    source: 'descriptor',
    add: (chunk) => reader.add(chunk),
    isBlind: () => false,
    ended: async () => {},
    finish: async (died) => {
      for (const name of await listFolder(work)) {
        const cpu = /^(\d+)\.tail$/.exec(name)?.[1];
        if (cpu !== undefined)
          reader.endTail(Number(cpu), readTail(await readWholeFile(join(work, name))), died);
      }
      reader.finish();
    },
  };
}
