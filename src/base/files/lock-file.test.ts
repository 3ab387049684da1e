import { existsSync, mkdtempSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { UserError } from '../errors.ts';
import { describeHolder, type LockHolder, releaseLock, takeLock } from './lock-file.ts';

const fresh = (): string => join(mkdtempSync(join(tmpdir(), 'wayward-')), 'a', 'lock');
const refuse = (holder: LockHolder): UserError =>
  new UserError('held', `by ${describeHolder(holder)}`, { category: 'runtime' });

test('says who holds it, and goes when it is given back', async () => {
  const path = fresh();
  await takeLock(path, 0, refuse);
  expect(readFileSync(path, 'utf8')).toBe(`${hostname()} ${process.pid}\n`);
  await expect(takeLock(path, 60, refuse)).rejects.toThrow(`by process ${process.pid}`);
  await releaseLock(path);
  expect(existsSync(path)).toBe(false);
});

test.each([
  ['of a process of this machine that is gone', `${hostname()} 4194303\n`, true],
  ['of a process of this machine that runs', `${hostname()} ${process.ppid}\n`, false],
  ['of another machine, whatever runs here', 'elsewhere 4194303\n', false],
  ['of an earlier version, without a machine', '4194303\n', true],
])('one %s: taken over or not', async (_, text, isTaken) => {
  const path = fresh();
  await takeLock(path, 0, refuse);
  writeFileSync(path, text);
  if (isTaken) await takeLock(path, 1000, refuse);
  else await expect(takeLock(path, 0, refuse)).rejects.toMatchObject({ code: 'held' });
});

test('one that was never written is waited for, then taken over', async () => {
  const path = fresh();
  await takeLock(path, 0, refuse);
  writeFileSync(path, '');
  await expect(takeLock(path, 0, refuse)).rejects.toMatchObject({ code: 'held' });
  utimesSync(path, Date.now() / 1000 - 9, Date.now() / 1000 - 9);
  await takeLock(path, 1000, refuse);
});

test('of many at once, one gets it at a time', async () => {
  const path = fresh();
  let inside = 0;
  const most = { inside: 0 };
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      await takeLock(path, 20_000, refuse);
      most.inside = Math.max(most.inside, ++inside);
      await new Promise((resolve) => setTimeout(resolve, 5));
      inside--;
      await releaseLock(path);
    }),
  );
  expect(most.inside).toBe(1);
});
