import { UserError } from '../../../base/errors.ts';
import type { Sample } from '../../../trace/sample.ts';

/**
 * Does something with a sample that may not take for ever.
 *
 * @param seconds  `undefined` = any
 * @param work  ends soon after its signal is aborted
 * @throws UserError `timeout`; what `work` throws
 */
export async function within<T>(
  seconds: number | undefined,
  sample: Sample,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = seconds === undefined ? undefined : AbortSignal.timeout(Math.ceil(seconds * 1000));
  try {
    return await work(AbortSignal.any([signal, late].filter((item) => item !== undefined)));
  } catch (cause) {
    if (late?.aborted !== true || signal?.aborted === true) throw cause;
    throw new UserError('timeout', `was not read in ${seconds} s`, {
      category: 'runtime',
      path: sample.directory,
      cause,
    });
  }
}
