import { join } from 'node:path';
import { listFolder } from '../../../base/files/folder.ts';
import { readWholeFile } from '../../../base/files/read.ts';
import type { Backend } from '../backend.ts';
import type { LoadedFile } from '../loaded-file.ts';
import type { Recording } from '../recording.ts';
import { FrameReader } from './frame-reader.ts';
import { readTail } from './tail.ts';

/** @param plugin  compiled; @param work  an empty folder; @param loaded  files that QEMU maps itself */
export function pluginBackend(
  recording: Recording,
  plugin: string,
  work: string,
  loaded: readonly LoadedFile[],
): Backend {
  const reader = new FrameReader(
    recording,
    (path) => loaded.find((file) => file.path === path)?.segments,
  );
  return {
    flags: ['-plugin', `file=${plugin},fd=3,tails=${work}`],
    source: 'descriptor',
    add: (chunk) => reader.add(chunk),
    isBlind: () => false,
    ended: async () => {},
    finish: async () => {
      for (const name of await listFolder(work)) {
        const cpu = /^(\d+)\.tail$/.exec(name)?.[1];
        if (cpu !== undefined)
          reader.addTail(Number(cpu), readTail(await readWholeFile(join(work, name))));
      }
      reader.finish();
    },
  };
}
