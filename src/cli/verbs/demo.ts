import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { UserError } from '../../base/errors.ts';
import { choice, decimal, integer, text } from '../../base/option.ts';
import { demo, findDemoCorpus } from '../../commands/demo.ts';
import { type CommandSpec, defineCommand } from '../frame/command.ts';
import { summaryFor } from './classify.ts';

interface Options {
  readonly json: boolean;
  readonly corpus: string | undefined;
  readonly model: 'lstm' | 'ngram';
  readonly trainSize: number;
  readonly calibrationSize: number;
  readonly fpr: number;
  readonly out: string;
}

/** Where recordings lie: with the project, or beside it. */
const corpora = ['../../../examples/corpus', '../../../../shared/data/pdftotext'].map((path) =>
  fileURLToPath(new URL(path, import.meta.url)),
);

const spec: CommandSpec<Options> = {
  name: 'demo',
  group: 'System',
  summary: 'The main job on real recordings, from learning to the report',
  args: [],
  options: [
    {
      flags: '--corpus <dir>',
      help: 'folder with traces/, bin/ and split.json [the recordings at hand]',
      parse: text,
    },
    {
      flags: '--model <kind>',
      help: 'lstm, or ngram, which is faster',
      parse: choice('lstm', 'ngram'),
      default: 'lstm',
    },
    {
      flags: '--train-size <n>',
      help: 'benign samples to learn from',
      parse: integer(1),
      default: 40,
    },
    {
      flags: '--calibration-size <n>',
      help: 'benign samples for the threshold',
      parse: integer(1),
      default: 40,
    },
    {
      flags: '--fpr <rate>',
      help: 'false-positive rate to accept',
      parse: decimal(0, 1, 'open'),
      default: 0.05,
    },
    { flags: '--out <dir>', help: 'folder in which runs/ is made', parse: text, default: '.' },
  ],
  examples: [
    ['wayward demo', 'learns, judges, prints the table and says where the page is'],
    ['wayward demo --model ngram', 'the same within half a minute'],
  ],
  run: async ({ options: o, terminal, signal, print }) => {
    const corpus = findDemoCorpus(o.corpus === undefined ? corpora : [resolve(o.corpus)]);
    if (corpus === undefined) {
      throw new UserError(
        'no-recordings',
        `there are no recordings to show this on; looked for split.json in ${(o.corpus === undefined ? corpora : [o.corpus]).join(' and ')}`,
        { category: 'unavailable' },
      );
    }
    const started = performance.now();
    const { judged, page, learned } = await demo(
      {
        corpus,
        trainSize: o.trainSize,
        calibrationSize: o.calibrationSize,
        fpr: o.fpr,
        learn: {
          sizes: {
            train: o.trainSize,
            calibrate: o.calibrationSize,
            testNominal: 0,
            testAnomalous: 0,
          },
          model: o.model,
          // A quarter of the default network's cells: a demonstration must not take minutes.
          network: { units: 32, embedding: 32, dense: 64 },
          dropout: 0.2,
          epochs: 1,
          optimizer: { learningRate: 0.002 },
          checkpointSeconds: 0,
          out: o.out,
        },
      },
      { log: terminal, progress: terminal.progress, signal },
    );
    const seconds = (performance.now() - started) / 1000;
    if (o.json) {
      print(
        JSON.stringify({
          schemaVersion: 1,
          page,
          run: learned.folder.root,
          flagged: judged.flagged,
          seconds,
        }),
      );
      return 0;
    }
    print(summaryFor(judged.report, false));
    print(`Made in ${seconds.toFixed(0)} s from the recordings in ${corpus.root}`);
    print(`The page: ${page}`);
    return 0;
  },
};

export const demoCommand: Command = defineCommand(spec);
