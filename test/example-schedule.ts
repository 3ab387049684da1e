import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { executionsOf } from './pt-machine.ts';
import type { Mapping, Process } from './pt-schedule.ts';

const corpus = fileURLToPath(new URL('../examples/corpus', import.meta.url));

/** Runs of the bundled examples as processes for `schedule`, numbered from 1000 on. */
export async function exampleProcesses(prefixes: readonly string[]): Promise<Process[]> {
  const names = readdirSync(join(corpus, 'traces'));
  const processes: Process[] = [];
  for (const prefix of prefixes) {
    const name = names.find((each) => each.startsWith(prefix));
    if (name === undefined) throw new Error(`no example begins with ${prefix}`);
    const sample = join(corpus, 'traces', name);
    processes.push({
      pid: 1000 * (processes.length + 1),
      comm: 'example',
      mappings: codeOf(join(sample, 'mapping.txt')),
      threads: await executionsOf(sample, join(corpus, 'bin')),
    });
  }
  return processes;
}

function codeOf(map: string): Mapping[] {
  return [...readFileSync(map, 'utf8').matchAll(/^(\w+)-(\w+) ..x. (\w+) \S+ \S+ +(\/.*)$/gm)].map(
    ([, start = '', end = '', offset = '', path = '']) => ({
      start: Number.parseInt(start, 16),
      end: Number.parseInt(end, 16),
      offset: Number.parseInt(offset, 16),
      path,
    }),
  );
}
