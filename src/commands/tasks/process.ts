import type { Order, Ready } from '../../workers/process-pool.ts';
import { runJob } from './tasks.ts';

// A process of a `ProcessPool`: does the jobs that it is sent, one at a time.
const stop = new AbortController();
let working: Promise<void> = Promise.resolve();

// Ctrl-C in a terminal reaches every process; whoever began this one says when to stop.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});

process.on('message', (order: Order) => {
  if ('stop' in order) {
    stop.abort();
    void working.finally(() => process.exit(0));
    return;
  }
  working = runJob(order.job, stop.signal).then((answer) => {
    process.send?.(answer);
  });
});

// Whoever began this process is gone: nobody waits for the answer.
process.on('disconnect', () => process.exit(0));

const ready: Ready = { status: 'ready' };
process.send?.(ready);
