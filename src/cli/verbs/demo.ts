import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { choices, decimal, integer, text } from '../../base/options/option.ts';
import {
  type DemoCorpus,
  type DemoOptions,
  type DemoResult,
  demo,
  findDemoCorpus,
} from '../../commands/demo.ts';
import { type Command, type CommandSpec, defineCommand } from '../frame/command.ts';
import { summaryFor } from './classify.ts';

type FirstLayerName = 'ngram' | 'lstm';

interface Options {
  readonly json: boolean;
  readonly corpus: string | undefined;
  readonly model: readonly FirstLayerName[];
  readonly trainSize: number;
  readonly calibrationSize: number;
  readonly fpr: number;
  readonly out: string;
}

/** The recordings that come with Wayward, installed or not. */
const bundled = fileURLToPath(new URL('../../../examples/corpus', import.meta.url));

const spec: CommandSpec<Options> = {
  args: [],
  options: [
    {
      flags: '--corpus <dir>',
      help: 'folder with traces/, bin/ and split.json [the recordings that come with Wayward]',
      parse: text,
    },
    {
      flags: '--model <list>',
      help: 'ngram, lstm, or both with a comma',
      parse: choices('ngram', 'lstm'),
      default: ['ngram'],
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
    { flags: '-o, --out <dir>', help: 'folder in which runs/ is made', parse: text, default: '.' },
  ],
  examples: [
    ['wayward demo', 'learns, judges, prints the table and says where the page is'],
    ['wayward demo --model ngram,lstm', 'the same with a network, too; it needs ONNX Runtime'],
  ],
  run: async ({ options: o, terminal, signal, printText }) => {
    const corpus = findDemoCorpus(o.corpus === undefined ? bundled : resolve(o.corpus));
    const shown: Shown[] = [];
    for (const model of o.model) {
      const context = { log: terminal, progress: terminal.progress, signal };
      const started = performance.now();
      const result = await demo(optionsFor(model, corpus, o), context);
      const last = { model, result, seconds: (performance.now() - started) / 1000 };
      shown.push(last);
      if (!o.json) printText(shown.length === 1 ? wholeText(last) : shortText(last));
    }
    if (o.json) printText(JSON.stringify({ schemaVersion: 2, models: shown.map(documentOf) }));
    return 0;
  },
};

/** What one model made of the recordings. */
interface Shown {
  readonly model: FirstLayerName;
  readonly result: DemoResult;
  readonly seconds: number;
}

function wholeText({ result, seconds }: Shown): string {
  return [
    summaryFor(result.judged.report, false),
    `Made in ${seconds.toFixed(0)} s from the recordings in ${result.corpus.root}`,
    `The page: ${result.page}`,
  ].join('\n');
}

/** For those after the first, of whom only what is different is of interest. */
function shortText({ model, result, seconds }: Shown): string {
  const figures = result.judged.report.figures
    .slice(0, 2)
    .map(({ name, count, total }) => `${name}: ${count} of ${total}`);
  return [
    '',
    `The same with ${model === 'lstm' ? 'a network' : 'an n-gram'}, in ${seconds.toFixed(0)} s`,
    ...figures,
    `The page: ${result.page}`,
  ].join('\n');
}

function documentOf({ model, result, seconds }: Shown): object {
  const { page, learned, judged } = result;
  return { model, page, run: learned.folder.root, flagged: judged.flagged, seconds };
}

function optionsFor(model: FirstLayerName, corpus: DemoCorpus, o: Options): DemoOptions {
  const { trainSize, calibrationSize, fpr, out } = o;
  return {
    ...{ corpus, trainSize, calibrationSize, fpr },
    learn: {
      sizes: { train: trainSize, calibrate: calibrationSize, testNominal: 0, testAnomalous: 0 },
      model,
      // A quarter of the default network's cells: a demonstration must not take minutes.
      network: { units: 32, embedding: 32, dense: 64 },
      dropout: 0.2,
      epochs: 1,
      optimizer: { learningRate: 0.002 },
      checkpointSeconds: 0,
      // Threads that read these few short traces took longer to start and to get fast than they saved.
      ...(model === 'ngram' ? { workers: 1 } : {}),
      out,
    },
  };
}
export const demoCommand: Command = defineCommand(spec);
