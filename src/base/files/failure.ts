import { failureOf, messageOf, UserError } from '../errors.ts';

/** Does some writing to `path`. @throws UserError `write-failed` where the system refuses, and what `work` throws of its own */
export async function guardWrite<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw cause instanceof UserError ? cause : writeFailed(path, cause);
  }
}

/** Says why a file cannot be written. */
export function writeFailed(path: string, cause: unknown): UserError {
  return new UserError('write-failed', `cannot be written: ${messageOf(cause)}`, {
    category: 'runtime',
    path,
    cause,
  });
}

/** What Node puts where the bytes of a name are no UTF-8; the name that it makes is that of no file. */
export const undecodable = '\ufffd';
export const foreignName = 'its name holds bytes that are no UTF-8: rename it';

/** Says in plain words why a file cannot be read. */
export function notReadable(path: string, cause: unknown): UserError {
  const plain: Readonly<Record<string, string>> = {
    ENOENT: 'there is no such file',
    EISDIR: 'it is a folder',
    ENOTDIR: 'it is no folder, or lies in what is none',
    ELOOP: 'it is a link that leads to itself',
    EACCES: 'permission denied',
  };
  const failure = failureOf(cause) ?? '';
  const isForeign = failure === 'ENOENT' && path.includes(undecodable);
  const why = isForeign ? foreignName : (plain[failure] ?? messageOf(cause));
  return new UserError('not-readable', `cannot be read: ${why}`, {
    category: 'input',
    path,
    cause,
  });
}
