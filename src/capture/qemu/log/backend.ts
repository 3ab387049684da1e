import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Backend } from '../backend.ts';
import { FifoSource } from '../chunk-source.ts';
import type { LoadedFile } from '../loaded-file.ts';
import type { Recording } from '../recording.ts';
import { ExecLogReader } from './exec-log-reader.ts';
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
  const source = new FifoSource(path);
  const calls = new SystemCallLog(recording, program, loader, cwd);
  const reader = new ExecLogReader(recording, calls);
  return {
    flags: ['-d', 'in_asm,exec,nochain,strace,page', '-D', path],
    source,
    add: (chunk) => reader.add(chunk),
    isBlind: () => calls.hasForked,
    ended: () => source.release(),
    finish: async () => reader.finish(),
  };
}
