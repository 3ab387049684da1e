import { spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { writeTinyCorpus } from '../tiny-corpus.ts';

/** A command, and the folder that it runs in before it does. */
export interface Scenario {
  readonly name: string;
  /** As typed in the folder; `RUN` stands for the run that `setup` left. */
  readonly words: readonly string[];
  /** Fills the folder. `run` runs a command in it, without faults. */
  readonly setup: (
    root: string,
    run: (...words: readonly string[]) => Promise<void>,
  ) => Promise<void>;
  /** What it made is not made again: a second run after one that succeeded says that it is there. */
  readonly isOnce?: boolean;
  /** Program that has to be there. */
  readonly needs?: string;
}

const corpus = fileURLToPath(new URL('../../examples/corpus', import.meta.url));

const sizes = [
  ...['--train-size', '3', '--calibration-size', '4'],
  ...['--test-size-benign', '2', '--test-size-malicious', '2'],
];
const learnWords = ['learn', 'samples', '-p', '-s', '4', '--threads', '1', ...sizes];
const ngram = [...learnWords, '--model', 'ngram'];
const network = [
  ...[...learnWords, '--model', 'lstm', '--units', '4', '--dense', '4', '-e', '1'],
  ...['--embedding-output-dimension', '4', '--checkpoint', '0.0001'],
];

/** Nine harmless and two hijacked runs of a tiny program. */
async function withSamples(root: string): Promise<void> {
  renameSync(writeTinyCorpus(9, 2), join(root, 'samples'));
}

/** Nominal runs of the program of the examples, with its images. */
function withRecordings(root: string, count: number): void {
  cpSync(join(corpus, 'bin'), join(root, 'bin'), { recursive: true });
  const names = readdirSync(join(corpus, 'traces')).filter((name) => name.startsWith('nominal-'));
  for (const name of names.slice(0, count)) {
    cpSync(join(corpus, 'traces', name), join(root, 'traces', name), { recursive: true });
  }
}

const histories = ['learn', 'traces', '--threads', '1', '--out', '.'];

/** Learns from four recordings, and leaves a fifth in `new`. */
async function withProfile(
  root: string,
  run: (...words: readonly string[]) => Promise<void>,
): Promise<void> {
  withRecordings(root, 5);
  mkdirSync(join(root, 'new'));
  const last = readdirSync(join(root, 'traces')).at(-1) ?? '';
  renameSync(join(root, 'traces', last), join(root, 'new', 'sample'));
  await run(...histories);
  const [name = ''] = readdirSync(join(root, 'runs'));
  renameSync(join(root, 'runs', name, 'profile.wayward'), join(root, 'nominal.wayward'));
  rmSync(join(root, 'runs'), { recursive: true });
}

async function withRun(
  root: string,
  run: (...words: readonly string[]) => Promise<void>,
): Promise<void> {
  await withSamples(root);
  await run(...ngram, '--out', '.');
  const [name = ''] = readdirSync(join(root, 'runs'));
  renameSync(join(root, 'runs', name), join(root, 'RUN'));
}

/** The main commands, each with an old output in its place where it writes one. */
export const scenarios: readonly Scenario[] = [
  {
    name: 'sets',
    words: ['sets', 'make', 'samples', 'sets.txt', '-p', ...sizes],
    setup: async (root) => {
      await withSamples(root);
      writeFileSync(join(root, 'sets.txt'), '[b_train]\nold\n');
    },
  },
  {
    name: 'learn, n-gram',
    words: [...ngram, '--out', '.', '--output-sets', 'sets.txt'],
    setup: async (root) => {
      await withSamples(root);
      writeFileSync(join(root, 'sets.txt'), '[b_train]\nold\n');
    },
  },
  {
    name: 'learn, network',
    words: [...network, '--out', '.'],
    setup: async (root) => withSamples(root),
  },
  {
    name: 'learn, histories',
    words: histories,
    setup: async (root) => withRecordings(root, 4),
  },
  {
    name: 'judge',
    words: [
      ...['judge', 'nominal.wayward', 'new/sample', '--bin-dir', 'bin', '--fpr', '0.2'],
      ...['--report', 'page.html', '--out', '.'],
    ],
    setup: async (root, run) => {
      await withProfile(root, run);
      writeFileSync(join(root, 'page.html'), '<html>old</html>\n');
    },
  },
  {
    name: 'accept',
    words: [
      ...['accept', 'nominal.wayward', 'new/sample', '--bin-dir', 'bin', '--fpr', '0.2'],
      ...['-o', 'profile.wayward', '--reason', 'new font'],
    ],
    setup: async (root, run) => {
      await withProfile(root, run);
      writeFileSync(join(root, 'profile.wayward'), readFileSync(join(root, 'nominal.wayward')));
    },
  },
  {
    name: 'accept, known places',
    // At this rate nearly every run is anomalous, until some of its places are known.
    words: [
      ...['accept', 'nominal.wayward', 'new/sample', '--bin-dir', 'bin', '--fpr', '0.9'],
      ...['--known-places', 'reader.known', '--reason', 'new font'],
    ],
    setup: async (root, run) => {
      await withProfile(root, run);
      writeFileSync(join(root, 'reader.known'), '# none yet\n');
    },
  },
  {
    name: 'classify',
    words: [
      ...['classify', 'RUN', '--fpr', '0.3', '--csv', 'table.csv', '--roc', 'roc.csv'],
      ...['--sarif', 'found.sarif', '--plot', 'plots'],
    ],
    setup: async (root, run) => {
      await withRun(root, run);
      for (const name of ['table.csv', 'roc.csv', 'found.sarif']) {
        writeFileSync(join(root, name), 'old\n');
      }
    },
  },
  {
    name: 'report',
    words: ['report', 'RUN', '--fpr', '0.3', '-o', 'page.html'],
    setup: async (root, run) => {
      await withRun(root, run);
      writeFileSync(join(root, 'page.html'), '<html>old</html>\n');
    },
  },
  {
    name: 'cluster',
    words: [
      ...['cluster', 'RUN', '-q', 'RUN', '-o', 'clusters.html', '--store', 'slices.wayward'],
      ...['--traces', 'all'],
    ],
    setup: async (root, run) => {
      await withRun(root, run);
      writeFileSync(join(root, 'clusters.html'), '<html>old</html>\n');
    },
  },
  {
    name: 'export',
    words: ['export', 'traces/nominal', '--format', 'drcov', '-o', 'blocks.drcov'],
    setup: async (root) => {
      withRecordings(root, 1);
      const [name = ''] = readdirSync(join(root, 'traces'));
      renameSync(join(root, 'traces', name), join(root, 'traces', 'nominal'));
      writeFileSync(join(root, 'blocks.drcov'), 'old\n');
    },
  },
  {
    name: 'guard',
    words: [
      ...['guard', 'nominal.wayward', '--follow', 'new/sample', '--idle', '1', '--fpr', '0.9'],
      ...['--bin-dir', 'bin', '--evidence', 'evidence', '--keep', '--events', 'events.ndjson'],
    ],
    setup: async (root, run) => {
      await withProfile(root, run);
      const packed = join(root, 'new', 'sample', 'trace_0.gz');
      writeFileSync(join(root, 'new', 'sample', 'trace_0'), gunzipSync(readFileSync(packed)));
      rmSync(packed);
    },
  },
  {
    name: 'stats',
    words: ['stats', 'samples', '-p', '-s', '3', 'stats.csv', '--plot', 'stats.svg'],
    setup: async (root) => {
      await withSamples(root);
      writeFileSync(join(root, 'stats.csv'), 'old\n');
    },
  },
  {
    name: 'preprocess',
    words: ['preprocess', 'traces', '--bin-dir', 'bin', '--threads', '1'],
    setup: async (root) => withRecordings(root, 2),
  },
  {
    name: 'import',
    words: ['import', 'branches.txt', '--perf-script', '-o', 'out', '--bin-dir', 'images'],
    isOnce: true,
    setup: async (root) => {
      const line = (rest: string): string => `prog 100/100 [000] 1.0: ${rest}\n`;
      const place = (offset: number): string => `${(0x400000 + offset).toString(16)} f+0x0 (prog)`;
      let text = line('PERF_RECORD_COMM exec: prog:100/100');
      text += line(
        `PERF_RECORD_MMAP2 100/100: [0x400000(0x1000) @ 0 08:01 12 0]: r-xp ${join(root, 'prog')}`,
      );
      text += line(`1 branches:u: tr strt 0 [unknown] ([unknown]) => ${place(0)}`);
      for (let i = 0; i < 40; i++) {
        text += line(`1 branches:u: jmp ${place(i * 16 + 8)} => ${place(i * 16 + 16)}`);
      }
      writeFileSync(join(root, 'branches.txt'), text);
      mkdirSync(join(root, 'images'));
      writeFileSync(join(root, 'images', 'prog'), Buffer.alloc(4096, 0x90));
    },
  },
  {
    name: 'record',
    isOnce: true,
    words: [
      'record',
      '--backend',
      'log',
      '-o',
      'traces/true',
      '--bin-dir',
      'bin',
      '--',
      '/bin/true',
    ],
    setup: async (root) => {
      mkdirSync(join(root, 'elsewhere'));
    },
    needs: 'qemu-x86_64',
  },
];

/** @returns whether what a scenario needs is there */
export function canRun({ needs }: Scenario): boolean {
  return needs === undefined || spawnSync(needs, ['--version']).status === 0;
}
