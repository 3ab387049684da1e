import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { messageOf, UserError } from '../base/errors.ts';
import { makeWorkFolder, removeQuietly } from '../base/files/folder.ts';
import type { ProgressSink } from '../base/log.ts';
import { ImageCollection } from './image-collection.ts';
import { pluginFor } from './qemu/plugin/build.ts';
import { checkProgramStart, type Recorded, type RecordOptions, record } from './record.ts';

export interface RecordInputsOptions extends Omit<RecordOptions, 'out' | 'name' | 'onBlock'> {
  /** Each file in it gives one sample. */
  readonly inputDir: string;
  /** Samples go to `traces/` in it, images to `bin/`. */
  readonly root: string;
  /** Programs that run at a time. */
  readonly jobs: number;
}

export interface InputResult {
  readonly input: string;
  readonly recorded?: Recorded;
  /** Why there is no sample of this input. */
  readonly error?: string;
}

/**
 * Records a program once for each file of a folder. `{}` in the arguments, and as `stdin`, stands for
 * the file's path; without it the path comes last. An input that fails does not stop the others, but
 * for a failure of the program itself before anything was recorded: the others would fail alike.
 *
 * @throws UserError `no-inputs`, or as `record` for what concerns all inputs
 */
export async function recordInputs(
  options: RecordInputsOptions,
  onProgress?: ProgressSink,
): Promise<InputResult[]> {
  const { inputDir, root, jobs, skipUntil } = options;
  const names = await inputsIn(inputDir);
  if (skipUntil !== undefined) await checkProgramStart(options, skipUntil);
  const work = await makeWorkFolder('wayward-record-');
  try {
    const plugin = options.plugin ?? (await pluginFor(options.backend ?? 'auto', work));
    const backend = plugin === undefined ? { backend: 'log' as const } : { plugin };
    const images = options.images ?? new ImageCollection(options.binDir ?? join(root, 'bin'));
    const shared = { ...options, ...backend, images, isStartChecked: true };
    const results: InputResult[] = [];
    let next = 0;
    let done = 0;
    const worker = async (): Promise<void> => {
      while (next < names.length) {
        const index = next++;
        try {
          results[index] = await recordInput(shared, names[index]);
        } catch (error) {
          const isFirst = !results.some(({ recorded }) => recorded !== undefined);
          if (!concernsOne(error, isFirst)) {
            next = names.length;
            throw error;
          }
          results[index] = { input: resolve(inputDir, names[index]), error: error.message };
        }
        done++;
        onProgress?.({ step: 'recording', done, total: names.length, unit: 'inputs' });
      }
    };
    const ends = await Promise.allSettled(Array.from({ length: Math.max(1, jobs) }, worker));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    return results;
  } finally {
    await removeQuietly(work);
  }
}

/** @returns the names of the files in a folder, in order */
async function inputsIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
    throw new UserError('not-readable', `cannot be read: ${messageOf(cause)}`, {
      category: 'input',
      path: folder,
      cause,
    });
  });
  const names = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  if (names.length > 0) return names.sort();
  throw new UserError('no-inputs', 'holds no files', { category: 'input', path: folder });
}

async function recordInput(
  { inputDir, root, args: given, stdin, ...rest }: RecordInputsOptions,
  name: string,
): Promise<InputResult> {
  const input = resolve(inputDir, name);
  const isNamed = [...given, stdin ?? ''].some((text) => text.includes('{}'));
  const args = isNamed ? given.map((arg) => arg.replaceAll('{}', input)) : [...given, input];
  const standard = stdin === undefined ? {} : { stdin: stdin.replaceAll('{}', input) };
  const out = join(root, 'traces', name);
  return { input, recorded: await record({ ...rest, ...standard, args, out, name }) };
}

/** Failures of the program itself, which it would show with any input. */
const ofProgram: readonly string[] = ['never-started', 'nothing-recorded', 'not-recordable'];

/** Whether the other inputs may do better. @param isFirst  whether nothing has been recorded yet */
function concernsOne(error: unknown, isFirst: boolean): error is UserError {
  if (!(error instanceof UserError)) return false;
  if (error.code === 'out-exists') return true;
  if (isFirst && ofProgram.includes(error.code)) return false;
  return !['arguments', 'unavailable', 'interrupted'].includes(error.category);
}
