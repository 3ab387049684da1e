import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { Random } from '../../src/base/random.ts';
import { run, wayward } from './command-line.ts';
import type { FieldProgram } from './program.ts';

/** What `wayward record --json` says, as far as it is used here. */
interface Recorded {
  readonly blocks: readonly number[];
  readonly traceBytes: number;
  readonly end: string;
}

export interface RecorderOptions {
  readonly command: string;
  /** Folder of the corpus; it is made, and what it holds already is kept. */
  readonly folder: string;
  readonly runs: number;
  readonly maxBlocks: number;
  readonly seed: number;
  readonly progress: (text: string) => void;
}

export interface RecordedCorpus {
  /** Runs that stand in the corpus, in order. */
  readonly names: readonly string[];
  readonly failed: readonly string[];
}

/**
 * Records runs of a program into a corpus: `traces/`, `bin/`, `split.json`, and `inputs/` with what
 * each run was given. A run that was recorded before is not recorded again; one that fails is left
 * out and told.
 */
export async function recordRuns(
  program: FieldProgram,
  options: RecorderOptions,
): Promise<RecordedCorpus> {
  const { folder, command } = options;
  await mkdir(join(folder, 'traces'), { recursive: true });
  const failed: string[] = [];
  for (let i = 0; i < options.runs; i++) {
    const name = `r${String(i).padStart(2, '0')}`;
    const out = join(folder, 'traces', name);
    if (existsSync(out)) continue;
    // Each run has numbers of its own, so that more runs leave the first ones as they are.
    const random = new Random((options.seed ^ crc32(`${program.name}/${name}`)) >>> 0);
    const work = join(folder, 'inputs', name);
    try {
      const { args, files = {}, before = [], stdin } = program.run(random, i);
      await rm(work, { recursive: true, force: true });
      await mkdir(work, { recursive: true });
      for (const [path, content] of Object.entries(files)) {
        await mkdir(dirname(join(work, path)), { recursive: true });
        await writeFile(join(work, path), content);
      }
      for (const [tool, ...words] of before) await run(tool, words, { cwd: work });
      const limits = [
        '--timeout',
        '120',
        '--max-blocks',
        `${program.maxBlocks ?? options.maxBlocks}`,
      ];
      const input = stdin === undefined ? [] : ['--stdin', stdin];
      const recorded = await wayward<Recorded>(
        [
          'record',
          '-o',
          out,
          '--bin-dir',
          join(folder, 'bin'),
          '--name',
          name,
          ...limits,
          ...input,
          '--',
          command,
          ...args,
        ],
        { cwd: work, timeoutSeconds: 300 },
      );
      await writeFile(join(work, 'command.json'), `${JSON.stringify({ command, args })}\n`);
      const blocks = recorded.blocks.reduce((a, b) => a + b, 0);
      options.progress(
        `${program.name} ${name}: ${blocks} blocks, ${recorded.end}, ${recorded.seconds.toFixed(1)} s`,
      );
    } catch (error) {
      failed.push(name);
      options.progress(`${program.name} ${name}: ${(error as Error).message}`);
    }
  }
  const names = (await readdir(join(folder, 'traces')))
    .filter((name) => /^r\d+$/.test(name))
    .sort();
  await writeFile(join(folder, 'split.json'), `${JSON.stringify(halves(names), undefined, 1)}\n`);
  return { names, failed };
}

export interface Split {
  readonly train: readonly string[];
  readonly calibrate: readonly string[];
  readonly test: readonly string[];
  readonly controls: readonly string[];
  readonly attacks: readonly string[];
}

/** Every other run trains; of the rest, every other one calibrates. */
export function halves(names: readonly string[]): Split {
  const rest = names.filter((_, index) => index % 2 === 1);
  return {
    train: names.filter((_, index) => index % 2 === 0),
    calibrate: rest.filter((_, index) => index % 2 === 0),
    test: rest.filter((_, index) => index % 2 === 1),
    controls: [],
    attacks: [],
  };
}

export async function readSplit(folder: string): Promise<Split> {
  return JSON.parse(await readFile(join(folder, 'split.json'), 'utf8')) as Split;
}
