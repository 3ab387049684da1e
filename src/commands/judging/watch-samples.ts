import { basename } from 'node:path';
import { appendAll } from '../../base/append.ts';
import { makeFolder } from '../../base/files/folder.ts';
import type { RunContext } from '../../model/first-layer.ts';
import { VerdictJournal } from '../run/verdict-journal.ts';
import type { SampleSource } from '../samples/source.ts';
import { SampleWatcher } from '../samples/watcher.ts';

/** Which folder is watched, and for how long. */
export interface WatchedFolder extends SampleSource {
  /** Folder in which samples appear. */
  readonly folder: string;
  /** Folder of the journal. */
  readonly home: string;
  /** A sample is complete when nothing in it has changed for so many seconds. */
  readonly settleSeconds: number;
  /** How many are judged at the same time. */
  readonly width: number;
  /** End when all that is there is judged. */
  readonly once?: boolean;
  /** End when nothing came for so many seconds. */
  readonly idleSeconds?: number | undefined;
}

/** What is told of a sample. */
export type VerdictFacts = Readonly<Record<string, unknown>>;

/** Samples that are on their way at once, for each one that is judged at the same time. */
const aheadPerSlot = 4;

/**
 * Judges samples as they appear in a folder. Each sample has one line, which is in the journal before it is shown;
 * after a restart, whatever ended the run before, those that have one are passed over, and lines that nobody saw
 * are shown.
 *
 * @param judge  gives what is told of a sample; `undefined` when it broke off, so that it is judged next time
 * @param show  takes each line, in the order of their numbers, and has shown it when it returns
 * @param lastShown  the line that was shown last, when that can be looked up
 * @throws UserError, and what `judge` throws
 */
export async function watchSamples(
  folder: WatchedFolder,
  judge: (directory: string) => Promise<VerdictFacts | undefined>,
  { signal }: RunContext,
  show: (line: string) => void,
  lastShown?: string,
): Promise<{ readonly judged: number }> {
  await makeFolder(folder.home);
  const journal = await VerdictJournal.open(folder.home, lastShown);
  let judged = 0;
  try {
    const tell = (line: string): void => {
      show(line);
      journal.markShown(line);
    };
    for (const line of journal.unseen) tell(line);
    const watcher = new SampleWatcher(folder.folder, folder, folder.settleSeconds, journal.names);
    const waiting: string[] = [];
    const underWay = new Set<Promise<void>>();
    let failure: unknown;
    /** Lines are written one after the other. */
    let writing: Promise<void> = Promise.resolve();
    const write = (directory: string, facts: VerdictFacts): Promise<void> => {
      writing = writing.then(async () => {
        tell(await journal.add(basename(directory), { directory, ...facts }));
        judged++;
      });
      return writing;
    };
    const start = (directory: string): void => {
      const work = judge(directory)
        .then((facts) => (facts === undefined ? undefined : write(directory, facts)))
        .catch((error: unknown) => {
          failure ??= error;
        })
        .finally(() => underWay.delete(work));
      underWay.add(work);
    };
    const isStopped = (): boolean => signal?.aborted === true || failure !== undefined;
    let lastCame = performance.now();
    while (!isStopped()) {
      const come = await watcher.look();
      const now = performance.now();
      appendAll(waiting, come);
      if (waiting.length > 0 || underWay.size > 0) lastCame = now;
      while (waiting.length > 0 && underWay.size < aheadPerSlot * folder.width) {
        start(waiting.shift() ?? '');
      }
      const isIdle = underWay.size === 0 && !watcher.isSettling;
      if (isIdle && folder.once === true) break;
      if (isIdle && now - lastCame >= 1000 * (folder.idleSeconds ?? Number.POSITIVE_INFINITY))
        break;
      await rest(Math.min(1000, Math.max(50, folder.settleSeconds * 500)), signal);
    }
    // Those under way are neither shown nor lost: they are judged after the restart.
    await Promise.allSettled([...underWay, writing]);
    if (failure !== undefined && signal?.aborted !== true) throw failure;
  } finally {
    await journal.close();
  }
  return { judged };
}

function rest(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((done) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      done();
    };
    const timer = setTimeout(end, milliseconds);
    signal?.addEventListener('abort', end);
    if (signal?.aborted) end();
  });
}
