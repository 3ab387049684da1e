import { showCount } from '../../base/text/format.ts';
import { type LearnResult, learn } from '../../commands/learn.ts';
import { reopenQueueRun } from '../../commands/run/queue-run.ts';
import { inUnits, type Unit } from '../../report/words/unit.ts';
import {
  type AncestorName,
  type Command,
  type CommandSpec,
  defineCommand,
} from '../frame/command.ts';
import { type LearnWords, learnRequestOf, learnSpecs } from '../options/learn-words.ts';
import { checkQueueOptions, queueOpener } from '../options/queue-options.ts';

const redisIsNotNeeded =
  'counts are kept in memory and files; --store keeps what is learned in Redis';

/** Under the ancestor's names its sizes of sets hold. */
const ancestorsSizes = { trainSize: 8, testSizeBenign: 2, testSizeMalicious: 2 };

/** What its scripts have in common; each had but a part of it. */
const ancestor: Omit<AncestorName, 'script'> = {
  letters: { t: 'jobs', o: 'output-sets', r: 'ratio' },
  words: { logging: 'log-level', 'embedding-dim': 'embedding-output-dimension' },
  args: [['[bin-dir]', 'folder of executables and libraries, as --bin-dir']],
  moot: {
    'use-cudnn': { takesValue: false, advice: '--device says where to compute' },
    hostname: { takesValue: true, advice: redisIsNotNeeded },
    port: { takesValue: true, advice: redisIsNotNeeded },
    db: { takesValue: true, advice: redisIsNotNeeded },
    'eval-threshold': { takesValue: true, advice: 'classify finds a threshold, see its --fpr' },
    'hidden-layers': { takesValue: true, advice: 'the network has three layers' },
    'tip-only': { takesValue: false, advice: '--filter says which transfers are predicted' },
    'no-sliding-window': { takesValue: false, advice: 'every transfer is predicted' },
  },
};

const spec: CommandSpec<LearnWords> = {
  ancestor: {
    lstm: { ...ancestor, script: 'lstm.py', defaults: { ...ancestorsSizes, model: 'lstm' } },
    prob: {
      ...ancestor,
      script: 'prob.py',
      defaults: {
        trainSize: 8,
        model: 'ngram',
        context: 'blocks',
        testSize: 2,
        maxClasses: 256,
      },
    },
    syscall: {
      ...ancestor,
      script: 'syscall.py',
      defaults: {
        ...ancestorsSizes,
        model: 'lstm',
        source: 'api',
        batchSize: 128,
        maxClasses: 400,
        embeddingInputDimension: 400,
      },
    },
  },
  usual: [
    ...['bin-dir', 'profile', 'model', 'source', 'preprocessed', 'input-sets', 'train-size'],
    ...['test-size-benign', 'seed', 'jobs', 'resume', 'out'],
  ],
  args: [['[root]', 'folder that holds one folder a sample']],
  options: learnSpecs,
  examples: [
    [
      'wayward learn ROOT',
      'learns from all benign samples in ROOT/traces, with the images in ROOT/bin',
    ],
    [
      'wayward learn samples --bin-dir bin --train-size 60 --test-size-benign 10',
      'learns from 60 benign samples, and tests on 10 others and all malicious ones',
    ],
    ['wayward learn ROOT --profile reader.wayward', 'puts all that judge needs into one file'],
    ['wayward learn ROOT --model lstm', 'the same with a network'],
    ['wayward learn samples -p --train-size 1', "learns from the ancestor's preprocessed traces"],
    [
      'wayward learn ROOT --queue redis://HOST',
      'learns here, and lets all workers at that queue evaluate',
    ],
    [
      'wayward learn logs --source api',
      'learns from sandbox reports, strace output or other logs of calls',
    ],
    ['wayward learn --resume runs/RUN', 'goes on with a run that was stopped or killed'],
  ],
  run: async ({ args: [root, binDir], options: o, terminal, signal, print, printText }) => {
    checkQueueOptions(o);
    const context = { log: terminal, progress: terminal.progress, signal };
    const request = learnRequestOf(root, binDir === undefined ? o : { ...o, binDir: [binDir] });
    const { queue } = o;
    const result =
      queue === undefined
        ? await learn(request, context)
        : await learn(request, context, async (folder) => {
            const run = await reopenQueueRun(folder.root, 'learn');
            return queueOpener(queue, folder.root, run, { device: request.device })(context);
          });
    if (o.json)
      printText(
        JSON.stringify({ schemaVersion: 1, ...result, folder: result.folder.root }, undefined, 2),
      );
    else
      for (const line of describe(result, request.source === 'trace' ? 'block' : 'call'))
        print(line);
    return 0;
  },
};

export const learnCommand: Command = defineCommand(spec);

function describe(result: LearnResult, unit: Unit): string[] {
  const { training, test, sets, evaluated, skipped, folder } = result;
  const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;
  const lines = [
    `Sets         ${sets.train} training, ${sets.calibrate} calibration, ${sets.testNominal} benign and ${sets.testAnomalous} malicious test samples`,
  ];
  if (training !== undefined) {
    const { windows, distinctWindows, contexts, inputClasses, outputClasses } = training;
    const learned =
      contexts === undefined
        ? `${showCount(windows)} windows, ${showCount(distinctWindows)} distinct`
        : `${showCount(windows)} transfers, ${showCount(distinctWindows)} of them told neither by the code nor by the run's own past; ${showCount(contexts)} contexts of these`;
    lines.push(
      `Learned      ${learned}; ${showCount(inputClasses)} ${unit}s, ${showCount(outputClasses)} targets`,
    );
  }
  if (test !== undefined) {
    const within3 = test.topK[3];
    lines.push(
      `Tested       ${percent(1 - test.accuracy)} of the ${inUnits('transfers', unit)} of unseen benign samples mispredicted${within3 === undefined ? '' : `, ${percent(1 - within3)} not among the first 3`}; loss ${test.loss.toFixed(3)}, calibration error ${test.calibrationError.toFixed(4)}`,
    );
  }
  if (result.novelty !== undefined) lines.push(noveltyLine(result.novelty));
  lines.push(...unlikeLines(result.unlike));
  if (skipped.length > 0) lines.push(`Left out     ${skipped.length} samples, named above`);
  const time = Object.entries(result.seconds).map(
    ([phase, seconds]) => `${phase} ${seconds.toFixed(1)} s`,
  );
  lines.push(`Time         ${time.join(', ')}`);
  lines.push(`Run          ${folder.root}`);
  if (result.profile !== undefined) lines.push(`Profile      ${result.profile}`);
  if (evaluated > 0) lines.push(`Evaluations  ${evaluated} in ${result.evaluation}`);
  lines.push('', ...nextSteps(result));
  return lines;
}

/** What works as it is printed. */
function nextSteps({ folder, evaluation, evaluated, profile }: LearnResult): string[] {
  const run = evaluation.startsWith(folder.root) ? folder.root : evaluation;
  const judging = profile === undefined ? [] : [`Next: wayward judge ${profile} SAMPLE...`];
  return evaluated > 0 ? [`Next: wayward report ${run}`, ...judging] : judging;
}

/** The run that an attack among the training runs would be. */
function unlikeLines(unlike: LearnResult['unlike']): string[] {
  const placed = unlike.map(
    ({ name, place }) => `${name}${place === undefined ? '' : `  ${place}`}`,
  );
  if (unlike.some(({ standsOut }) => standsOut)) {
    return placed.map((text) => `Stands out   ${text}`);
  }
  return placed.map((text) => `Most unlike  ${text}; none stands out`);
}

/** More runs help as long as each new one shows something that none did before. */
function noveltyLine({ runs, withNews }: NonNullable<LearnResult['novelty']>): string {
  if (withNews === 0)
    return `News         none of ${runs} runs holds a transfer that no other shows`;
  const share = Math.round((100 * withNews) / Math.max(1, runs));
  const advice =
    2 * withNews > runs ? ': record more, and more kinds, before you trust alarms' : '';
  return `News         ${withNews} of ${runs} runs hold a transfer that no other shows, so about ${share} % of new harmless runs will${advice}`;
}
