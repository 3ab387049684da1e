import { execFile } from 'node:child_process';
import { constants, createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Backend } from './backend.ts';
import { ExecLogReader } from './exec-log-reader.ts';
import type { LoadedFile } from './loaded-file.ts';
import type { Recording } from './recording.ts';
import { SystemCallLog } from './system-call-log.ts';

/**
 * QEMU's own text log through a named pipe.
 *
 * @param work  an empty folder; @param cwd  the program's working directory
 */
export async function logBackend(
  recording: Recording,
  work: string,
  program: LoadedFile,
  loader: LoadedFile | undefined,
  cwd: string,
): Promise<Backend> {
  const path = join(work, 'log');
  await promisify(execFile)('mkfifo', [path]);
  const calls = new SystemCallLog(recording, program, loader, cwd);
  const reader = new ExecLogReader(recording, calls);
  return {
    flags: ['-d', 'in_asm,exec,nochain,strace,page', '-D', path],
    source: createReadStream(path, { highWaterMark: 1 << 20 }),
    add: (chunk) => reader.add(chunk),
    isBlind: () => calls.hasForked,
    ended: async () => {
      // Opening the pipe to read waits for a writer: there was none if the emulator did not start.
      const file = await open(path, constants.O_WRONLY | constants.O_NONBLOCK).catch(
        () => undefined,
      );
      await file?.close();
    },
    finish: async () => reader.finish(),
  };
}
