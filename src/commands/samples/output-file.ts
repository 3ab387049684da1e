import { realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { isThere, statusOf } from '../../base/files/exists.ts';
import { readHead } from '../../base/files/read.ts';
import { type Parse, text } from '../../base/options/option.ts';
import { isSampleFile, isSampleFolder } from '../../trace/sample.ts';

// An output replaces what has its name. With the name of an input, by a slip of the hand, that would be a
// recording that nobody can make again, or the model of a run.

/** Of a run's folder; see `commands/run/folder.ts`. */
const runRecord = 'run.json';
const filesOfRun = /^(?:run\.json|vocabulary\.json\.gz|training\.bin)$/;
const foldersOfRun = /^(?:model|evaluation)$/;
/** First bytes of a profile; see `commands/profile/archive.ts`. */
const profileMagic = Buffer.from('WPROFILE');

/** @returns what a file belongs to that no output may replace; `undefined` where there is none or another */
function ownerOf(path: string): 'recording' | 'run' | 'profile' | undefined {
  if (statusOf(path)?.isFile() !== true) return undefined;
  const target = realpathSync(path);
  const folder = dirname(target);
  const isRecorded = isSampleFile.test(basename(target)) || basename(target) === 'recording.json';
  if (isRecorded && isSampleFolder(folder)) return 'recording';
  if (filesOfRun.test(basename(target)) && isThere(join(folder, runRecord))) return 'run';
  if (foldersOfRun.test(basename(folder)) && isThere(join(dirname(folder), runRecord)))
    return 'run';
  return readHead(target, profileMagic.length).equals(profileMagic) ? 'profile' : undefined;
}

function outputParse(isProfile: boolean): Parse<string> {
  return (said) => {
    const read = text(said);
    if ('problem' in read) return read;
    const owner = ownerOf(said);
    if (owner === undefined || (isProfile && owner === 'profile')) return read;
    return { problem: `takes a new name, or an output's: part of a ${owner} is not replaced` };
  };
}

/** The name of a file to write. */
export const outputFile: Parse<string> = outputParse(false);

/** The name of a profile to write; it may replace another. */
export const outputProfile: Parse<string> = outputParse(true);

/** @throws UserError `bad-options` where an argument names what is no output's */
export function checkOutput(path: string | undefined): void {
  if (path === undefined) return;
  const read = outputFile(path);
  if (!('problem' in read)) return;
  throw new UserError('bad-options', read.problem, { category: 'arguments', path });
}
