import { UserError } from '../../base/errors.ts';
import { text } from '../../base/options/option.ts';
import { version } from '../../base/version.ts';
import type { QueueRun } from '../../commands/run/queue-run.ts';
import { openQueue } from '../../commands/tasks/open-scheduler.ts';
import type { RunContext } from '../../model/first-layer.ts';
import { redisUrl, showRedisUrl } from '../../workers/redis-link.ts';
import type { Scheduler } from '../../workers/scheduler.ts';
import type { OptionSpec } from '../frame/option.ts';

export interface QueueOptions {
  readonly queue: string | undefined;
  readonly attach: string | undefined;
}

export const queueOption: OptionSpec = {
  flags: '--queue <url>',
  help: 'let workers at this Redis do it: redis://HOST:PORT, rediss:// for TLS; a password is better put into WAYWARD_QUEUE',
  parse: redisUrl,
  isSecret: true,
};

export const attachOption: OptionSpec = {
  flags: '--attach <run>',
  help: 'go on with a run that was handed in at a queue',
  parse: text,
};

/** What is told of jobs that are handed in. */
export interface HandedIn {
  readonly device?: string | undefined;
  /** How to go on where the submitter ends before them, in words: by `--attach`, if not given. */
  readonly goOn?: string;
}

/** How to go on with what is kept in a folder that the same command finds again. */
export const sameCommand = 'the same command goes on with it';

export function attachTo(command: string, folder: string): string {
  return `"wayward ${command} --attach ${folder} --queue URL" goes on with it`;
}

/** How the command's jobs get to the queue; once it is open, and not before, how to go on is told. */
export function queueOpener(
  url: string,
  folder: string,
  { run, command }: QueueRun,
  { device = 'cpu', goOn = attachTo(command, folder) }: HandedIn = {},
): (context: RunContext) => Promise<Scheduler> {
  return async (context) => {
    const scheduler = await openQueue({ url, version, device, run, folder }, context);
    context.log.log('info', `handed in at ${showRedisUrl(url)}; ${goOn}`);
    return scheduler;
  };
}

/** @throws UserError when a run is to be attached to without a queue */
export function checkQueueOptions({ queue, attach }: QueueOptions): void {
  if (attach === undefined || queue !== undefined) return;
  throw new UserError('no-queue', '--attach needs --queue, or WAYWARD_QUEUE', {
    category: 'arguments',
  });
}
