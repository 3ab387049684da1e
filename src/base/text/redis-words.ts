import { failureOf } from '../errors.ts';
/**
 * What a Redis client or server says of a failure, in words that say what to do. What the server says
 * of passwords never holds one.
 */
export function redisCause(error: unknown): string {
  const message = error instanceof Error ? error.message : '';
  if (failureOf(error) === 'ECONNREFUSED') return 'no server answers there';
  if (/^NOAUTH|Authentication required/.test(message)) {
    return 'the server asks for a password: redis://:PASSWORD@HOST:PORT';
  }
  if (/^WRONGPASS|invalid (?:username-password|password)/i.test(message)) {
    return 'the server does not accept this user and password';
  }
  if (/called without any password|no password is set/i.test(message)) {
    return 'the server has no password, but one was given';
  }
  if (/^NOPERM/.test(message)) return `this user may not do that: ${message}`;
  if (message !== '') return message;
  return failureOf(error) ?? (error instanceof Error ? error.name : 'Error');
}
