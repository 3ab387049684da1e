import { resolve } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { decimal, text } from '../../base/options/option.ts';
import type { JudgedSample } from '../../commands/judge.ts';
import { homeOf, type JudgeFolderRequest, judgeFolder } from '../../commands/judge-folder.ts';
import { reopenQueueRun } from '../../commands/run/queue-run.ts';
import type { RunContext } from '../../model/first-layer.ts';
import type { OptionSpec } from '../frame/option.ts';
import { lastLine } from '../options/last-line.ts';
import { queueOpener, sameCommand } from '../options/queue-options.ts';
import type { JudgedFiles } from './judged-files.ts';

/** What `judge` takes to watch a folder. */
export interface FolderWords {
  readonly watch: string | undefined;
  readonly settle: number;
  readonly once: boolean | undefined;
  readonly idle: number | undefined;
}

export const folderWords: readonly OptionSpec[] = [
  {
    flags: '--watch <dir>',
    help: 'judge samples as they appear in a folder, each once, over restarts, too',
    parse: text,
  },
  {
    flags: '--settle <seconds>',
    help: 'watch: a sample is complete when nothing in it has changed for so long',
    parse: decimal(0, 86_400),
    default: 2,
  },
  { flags: '--once', help: 'watch: end when all that is there is judged' },
  {
    flags: '--idle <seconds>',
    help: 'watch: end when nothing came for so long [never]',
    parse: decimal(0, 1e7),
  },
];

/** A line of the journal, as it is shown. */
export interface FolderLine {
  readonly name: string;
  readonly verdict: 'anomalous' | 'nominal' | null;
  readonly pValue?: number;
  readonly place?: string;
  readonly page?: string;
  readonly knownPlaces?: JudgedSample['knownPlaces'];
  readonly error?: string;
}

/**
 * Judges a folder's samples until it is to end.
 *
 * @param show  prints a line, for people or as it stands
 * @returns the exit code without regard to verdicts
 */
export async function judgeFolderCommand(
  request: JudgeFolderRequest,
  queue: string | undefined,
  context: RunContext,
  show: (line: FolderLine, text: string) => void,
): Promise<void> {
  const home = homeOf(request);
  context.log.log(
    'info',
    `watches ${resolve(request.folder)}; verdicts and pages of alarms are kept in ${home.root}`,
  );
  const { device = 'cpu' } = request;
  const { judged } = await judgeFolder(
    request,
    context,
    // The journal wrote it.
    (line) => show(JSON.parse(line) as FolderLine, line),
    queue === undefined
      ? undefined
      : async ({ root }) => {
          const run = await reopenQueueRun(root, 'judge');
          return queueOpener(queue, root, run, { device, goOn: sameCommand })(context);
        },
    lastLine(),
  );
  context.log.log('info', `${judged} samples judged; "wayward report ${home.root}" shows all`);
}

/** @throws UserError when options contradict each other */
export function checkFolderWords(
  samples: readonly string[],
  o: FolderWords & Pick<JudgedFiles, 'report' | 'sarif' | 'csv'>,
): void {
  const refuse = (why: string): never => {
    throw new UserError('options-contradict', why, { category: 'arguments' });
  };
  if (o.watch === undefined) {
    if (samples.length === 0) refuse('judge needs samples, or --watch with a folder');
    if (o.once || o.idle !== undefined) refuse('--once and --idle say when --watch ends');
    return;
  }
  if (samples.length > 0) refuse('--watch judges what is in its folder: name no samples beside it');
  if ([o.report, o.sarif, o.csv].some((file) => file !== undefined)) {
    refuse(
      "--watch writes a page for each alarm: use report or classify on the run's folder for all of them",
    );
  }
}
