import { UserError } from '../base/errors.ts';
import { streamMaybeGzip } from '../base/files.ts';
import type { CallLog, CallLogFormat } from './call-log.ts';
import { readIntegerLog } from './integer-log.ts';

export interface CallLogOptions {
  /** `undefined`: told by the content. */
  readonly format?: CallLogFormat | undefined;
  /** Process whose calls count, by number or name. */
  readonly process?: string | undefined;
}

/**
 * Reads a log of calls, compressed with gzip or not.
 *
 * @throws UserError when the file cannot be read or holds no call
 */
export async function readCallLog(path: string, _options: CallLogOptions = {}): Promise<CallLog> {
  const log = await readIntegerLog(streamMaybeGzip(path));
  if (log.threads.length === 0) {
    const why = log.notes.length === 0 ? '' : `: ${log.notes.join('; ')}`;
    throw new UserError('no-calls', `holds no call${why}`, { category: 'input', path });
  }
  return log;
}
