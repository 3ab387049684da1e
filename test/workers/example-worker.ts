import { silentLogger } from '../../src/base/log.ts';
import { QueueWorker } from '../../src/workers/queue-worker.ts';

// A worker in a process of its own, to be killed: `node example-worker.ts URL LEASE-SECONDS`.
const [url = '', lease = '2'] = process.argv.slice(2);
const worker = await QueueWorker.start({
  ...{ url, version: 'test', lane: 'cpu', width: 1, leaseSeconds: Number(lease) },
  entry: new URL('./example-process.ts', import.meta.url),
  jobSeconds: undefined,
  tasks: ['echo', 'crash'],
  admit: async (job) => job,
  log: silentLogger,
});
process.send?.('ready');
process.once('SIGTERM', () => {
  void worker.drain().then(() => process.exit(0));
});
