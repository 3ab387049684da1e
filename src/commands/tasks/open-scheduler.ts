import { extname, join } from 'node:path';
import type { RunContext } from '../../model/first-layer.ts';
import { LocalScheduler } from '../../workers/local-scheduler.ts';
import { OutcomeJournal } from '../../workers/outcome-journal.ts';
import { ProcessPool } from '../../workers/process-pool.ts';
import { laneOf } from '../../workers/queue-names.ts';
import type { Scheduler } from '../../workers/scheduler.ts';

/** A queue to hand jobs in at. */
export interface QueueTarget {
  /** `redis://[user][:password@]host[:port][/database]` */
  readonly url: string;
  readonly version: string;
  readonly device: string;
  /** Identity of the run. */
  readonly run: string;
  /** Folder of the run, where outcomes are kept. */
  readonly folder: string;
}

/** The module that a process of a pool runs: the same file, compiled or not, as this one. */
export const taskProcess: URL = new URL(`./process${extname(import.meta.url)}`, import.meta.url);

/** Jobs in processes of this machine. */
export function openLocal(processes: number, { signal }: RunContext): Scheduler {
  return new LocalScheduler(new ProcessPool({ entry: taskProcess, size: processes }), signal);
}

/** Jobs through a queue. @throws UserError when the queue cannot be used */
export async function openQueue(target: QueueTarget, context: RunContext): Promise<Scheduler> {
  const journal = await OutcomeJournal.open(join(target.folder, 'outcomes.ndjson'));
  try {
    // Loaded late: BullMQ takes its time, and most commands never need it.
    const { QueueScheduler } = await import('../../workers/queue-scheduler.ts');
    const scheduler = await QueueScheduler.open({
      ...{ url: target.url, version: target.version, run: target.run },
      lane: laneOf(target.device),
      ...{ journal, log: context.log, signal: context.signal },
    });
    return {
      width: scheduler.width,
      submit: (job) => scheduler.submit(job),
      close: async () => {
        await scheduler.close();
        await journal.close();
      },
    };
  } catch (error) {
    await journal.close();
    throw error;
  }
}
