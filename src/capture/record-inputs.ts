import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { UserError } from '../base/errors.ts';
import { makeWorkFolder, messageOf, removeQuietly } from '../base/files.ts';
import type { ProgressSink } from '../base/log.ts';
import { ImageCollection } from './image-collection.ts';
import { pluginFor } from './qemu/plugin/build.ts';
import { type Recorded, type RecordOptions, record } from './record.ts';

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
 * the file's path; without it the path comes last. An input that fails does not stop the others.
 *
 * @throws UserError `no-inputs`, or as `record` for what concerns all inputs
 */
export async function recordInputs(
  options: RecordInputsOptions,
  onProgress?: ProgressSink,
): Promise<InputResult[]> {
  const { inputDir, root, jobs, ...rest } = options;
  const entries = await readdir(inputDir, { withFileTypes: true }).catch((cause: unknown) => {
    throw new UserError('not-readable', `cannot be read: ${messageOf(cause)}`, {
      category: 'input',
      path: inputDir,
      cause,
    });
  });
  const names = entries
    .filter((entry) => entry.isFile())
    .map(({ name }) => name)
    .sort();
  if (names.length === 0) {
    throw new UserError('no-inputs', 'holds no files', { category: 'input', path: inputDir });
  }
  const work = await makeWorkFolder('wayward-record-');
  try {
    const plugin = options.plugin ?? (await pluginFor(options.backend ?? 'auto', work));
    const backend = plugin === undefined ? { backend: 'log' as const } : { plugin };
    const images = options.images ?? new ImageCollection(options.binDir ?? join(root, 'bin'));
    const results: InputResult[] = [];
    let next = 0;
    let done = 0;
    const worker = async (): Promise<void> => {
      while (next < names.length) {
        const index = next++;
        const name = names[index];
        const input = resolve(inputDir, name);
        const given = options.args;
        const { stdin } = options;
        const isNamed = [...given, stdin ?? ''].some((text) => text.includes('{}'));
        const args = isNamed ? given.map((arg) => arg.replaceAll('{}', input)) : [...given, input];
        const standard = stdin === undefined ? {} : { stdin: stdin.replaceAll('{}', input) };
        const out = join(root, 'traces', name);
        try {
          const recorded = await record({
            ...rest,
            ...backend,
            ...standard,
            args,
            out,
            name,
            images,
          });
          results[index] = { input, recorded };
        } catch (error) {
          // One input's failure is that input's; only what is missing here is missing for all.
          const concernsOne =
            error instanceof UserError &&
            (error.code === 'out-exists' ||
              !['arguments', 'unavailable', 'interrupted'].includes(error.category));
          if (!concernsOne) {
            next = names.length;
            throw error;
          }
          results[index] = { input, error: error.message };
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
