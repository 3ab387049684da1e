import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { hasTool } from '../../../../test/compiled.ts';
import { makeWorkFolder, removeQuietly } from '../../../base/files/folder.ts';
import { buildPlugin } from '../plugin/build.ts';
import { GuardedProgram } from './guarded-program.ts';

const source = `
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
  for (int i = 0; i < 3; i++) {
    if (fork() == 0) _exit(0);
    wait(0);
  }
  return 0;
}
`;

const canRun = hasTool('gcc') && existsSync('/usr/bin/qemu-x86_64');

test.runIf(canRun)(
  'follows children that have ended before anybody looked at them',
  { tags: 'slow' },
  async () => {
    const folder = await makeWorkFolder('wayward-guarded-');
    const work = await makeWorkFolder('wayward-guarded-');
    try {
      writeFileSync(join(folder, 'forks.c'), source);
      const command = join(folder, 'forks');
      execFileSync('gcc', ['-O1', '-static', '-o', command, join(folder, 'forks.c')]);
      const origins: string[] = [];
      const ends: unknown[] = [];
      const lost: string[] = [];
      const program = await GuardedProgram.start({
        ...{ command, args: [], stdio: 'ignore', work, isOpen: false },
        plugin: await buildPlugin(work),
        searchPath: '/usr/bin',
        onGuest: ({ hello }) => {
          origins.push(hello.parent === '' ? 'start' : 'fork');
          // Long enough for the program to end meanwhile, with all of its children.
          if (origins.length === 1)
            Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3000);
          const ignore = (): void => {};
          return {
            ...{ onMap: ignore, onMade: ignore, onTrace: ignore, onThreadEnd: ignore },
            onEnd: ({ damage, died }) => ends.push({ damage, died }),
          };
        },
        mayFollow: () => false,
        onLost: (what) => lost.push(what),
      });
      expect(await program.exited).toMatchObject({ code: 0 });
      await program.ended;
      expect(lost).toEqual([]);
      expect(origins).toEqual(['start', 'fork', 'fork', 'fork']);
      expect(ends).toEqual(origins.map(() => ({ damage: undefined, died: false })));
    } finally {
      await removeQuietly(folder);
      await removeQuietly(work);
    }
  },
);
