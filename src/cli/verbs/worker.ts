import { availableParallelism } from 'node:os';
import { UserError } from '../../base/errors.ts';
import { decimal, integer, text } from '../../base/options/option.ts';
import { version } from '../../base/version.ts';
import { taskProcess } from '../../commands/tasks/open-scheduler.ts';
import { admitJob, taskNames } from '../../commands/tasks/tasks.ts';
import { Confinement } from '../../workers/confinement.ts';
import { type MetricsSource, serveMetrics } from '../../workers/metrics-server.ts';
import { laneOf } from '../../workers/queue-names.ts';
import type { QueueWorker } from '../../workers/queue-worker.ts';
import { showRedisUrl } from '../../workers/redis-link.ts';
import { type Command, type CommandSpec, defineCommand } from '../frame/command.ts';
import { queueOption } from '../options/queue-options.ts';

interface Options {
  readonly queue: string | undefined;
  readonly root: readonly string[] | undefined;
  readonly jobs: number | undefined;
  readonly device: string;
  readonly lease: number;
  readonly timeout: number | undefined;
  readonly port: number | undefined;
  readonly host: string;
}

const spec: CommandSpec<Options> = {
  args: [],
  options: [
    queueOption,
    {
      flags: '--root <dir>',
      help: 'folder that jobs may use, with all below it; may be given several times',
      parse: text,
      repeats: true,
    },
    {
      flags: '-j, --jobs <n>',
      synonyms: ['processes'],
      help: 'jobs at the same time, each in a process [cores; 1 for another device]',
      parse: integer(1, 1024),
    },
    { flags: '--device <name>', help: 'cpu, webgpu or cuda:N', parse: text, default: 'cpu' },
    {
      flags: '--lease <seconds>',
      help: 'time without a sign of life after which others may take a job',
      parse: decimal(1, 3600),
      default: 30,
    },
    {
      flags: '-t, --timeout <seconds>',
      synonyms: ['job-timeout'],
      help: 'time after which the process of a job is ended [any]',
      parse: decimal(0, 1e6, 'open'),
    },
    { flags: '--port <n>', help: 'serve /healthz and /metrics', parse: integer(0, 65535) },
    {
      flags: '--host <address>',
      help: 'where to serve them',
      parse: text,
      default: '127.0.0.1',
    },
  ],
  examples: [
    ['wayward worker --queue redis://HOST --root /data', 'one process a core, until SIGTERM'],
    [
      'wayward worker --queue redis://HOST --root /data --device cuda:0 --port 9464',
      'predicts on a GPU, and tells Prometheus on the loopback interface how it goes',
    ],
  ],
  run: async ({ options: o, terminal, signal }) => {
    if (o.queue === undefined || o.root === undefined) {
      const missing = [
        ...(o.queue === undefined ? ['--queue'] : []),
        ...(o.root === undefined ? ['--root'] : []),
      ];
      throw new UserError('worker-options', `a worker needs ${missing.join(' and ')}`, {
        category: 'arguments',
      });
    }
    const confinement = new Confinement(o.root);
    const lane = laneOf(o.device);
    const width = o.jobs ?? (lane === 'cpu' ? availableParallelism() : 1);
    // Loaded late: no other command needs BullMQ.
    const { QueueWorker } = await import('../../workers/queue-worker.ts');
    const worker = await QueueWorker.start({
      ...{ url: o.queue, version, lane, width, entry: taskProcess },
      ...{ leaseSeconds: o.lease, jobSeconds: o.timeout, tasks: taskNames, log: terminal },
      admit: (job) => admitJob(job, confinement, o.device),
    });
    try {
      if (o.port !== undefined) {
        const { port } = await serveMetrics(sourceOf(worker), o.host, o.port);
        terminal.log('info', `health and metrics at http://${o.host}:${port}`);
      }
      terminal.log(
        'info',
        `takes jobs of Wayward ${version} for ${lane} from ${showRedisUrl(o.queue)}, ${width} at a time, in ${confinement.roots.join(', ')}`,
      );
      const told = new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
      await Promise.race([told, worker.working]);
    } finally {
      await worker.drain();
    }
    terminal.log('info', 'has left');
    return 0;
  },
};

export const workerCommand: Command = defineCommand(spec);

function sourceOf(worker: QueueWorker): MetricsSource {
  return {
    get state() {
      return worker.isDraining ? 'draining' : worker.isConnected ? 'ok' : 'disconnected';
    },
    toPrometheus: () => worker.metrics.toPrometheus(worker.isConnected),
  };
}
