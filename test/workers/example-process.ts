import { appendFileSync } from 'node:fs';
import type { Answer, Order, Ready } from '../../src/workers/process-pool.ts';

let onStop = (): void => {};

// A process of a pool whose jobs do what their options say; each start is noted in a file.
process.on('message', (order: Order) => {
  if ('stop' in order) {
    onStop();
    setTimeout(() => process.exit(0), 50);
    return;
  }
  const { task, options } = order.job;
  const { log, name, milliseconds } = options as {
    readonly log?: string;
    readonly name?: string;
    readonly milliseconds?: number;
  };
  if (log !== undefined) appendFileSync(log, `${name}\n`);
  if (task === 'crash') process.kill(process.pid, 'SIGKILL');
  if (task === 'leak') throw new Error('no memory is left');
  if (task === 'hang') for (;;);
  if (task === 'grumble') {
    // As a task that takes being stopped for a failure.
    onStop = () => process.send?.({ status: 'failed', reason: 'was cut off' } satisfies Answer);
    return;
  }
  const answer: Answer =
    task === 'refuse'
      ? { status: 'failed', reason: 'is no sample' }
      : { status: 'done', value: { name: name ?? null }, warnings: [] };
  setTimeout(() => process.send?.(answer), milliseconds ?? 0);
});
process.on('disconnect', () => process.exit(0));

const ready: Ready = { status: 'ready' };
process.send?.(ready);
