/**
 * One run of `learn` for `models.bench.ts`, in a process of its own, so that its memory is its own:
 *
 *     node bench/models-run.ts OPTIONS.json RESULT.json
 */
import { readFileSync } from 'node:fs';
import { writeFileAtomic } from '../src/base/files/write.ts';
import { learn } from '../src/commands/learn.ts';
import type { LearnRequest } from '../src/commands/training/options.ts';

/** What a run left behind. */
export interface RunResult {
  readonly evaluation: string;
  /** By phase: reading, training, evaluation. */
  readonly seconds: Readonly<Record<string, number>>;
  /** Largest resident set, bytes. */
  readonly memory: number;
  /** Of the windows of nominal test traces. */
}

if (process.argv[1] === import.meta.filename) {
  const [, , optionsPath, resultPath] = process.argv;
  const options = JSON.parse(readFileSync(optionsPath, 'utf8')) as LearnRequest;
  const log = {
    log: (level: string, message: string): void => {
      if (level === 'warning') console.log(`  ${message}`);
    },
  };
  const { evaluation, seconds } = await learn(options, { log, progress: () => {} });
  const result: RunResult = {
    evaluation,
    seconds,
    memory: process.resourceUsage().maxRSS * 1024,
  };
  await writeFileAtomic(resultPath, JSON.stringify(result));
  process.exit(0);
}
