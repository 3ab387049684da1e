import { expect, test } from 'vitest';
import { runJob } from './tasks.ts';

const job = { task: 'preprocess', options: {} };

test('a job that cannot be done has failed', async () => {
  const answer = await runJob(job, new AbortController().signal);
  expect(answer).toMatchObject({ status: 'failed' });
});

test('one that was told to stop has not, whatever went wrong meanwhile', async () => {
  expect(await runJob(job, AbortSignal.abort())).toEqual({ status: 'stopped' });
});
