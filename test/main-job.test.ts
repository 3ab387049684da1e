import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { writeTinyCorpus } from './tiny-corpus.ts';
import { type Ended, wayward } from './wayward.ts';

const main = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url));

const runIn = (out: string): string =>
  join(out, 'runs', readdirSync(join(out, 'runs')).sort().at(-1) ?? '');
const folder = (): string => mkdtempSync(join(tmpdir(), 'wayward-'));
const sizes = ['--train-size', '10', '--test-size-benign', '5', '--test-size-malicious', '4'];

describe('the main job on stored traces', () => {
  let root = '';
  const out = folder();
  let learned: Ended;

  beforeAll(async () => {
    // Long enough for windows of blocks, too, to show what strays.
    root = writeTinyCorpus(40, 4, 4000);
    learned = await wayward([
      'learn',
      root,
      '-p',
      '--model',
      'ngram',
      '-s',
      '4',
      '--out',
      out,
      ...sizes,
    ]);
  });

  test('learn says what it did and leaves a whole run', () => {
    expect(learned.stderr).not.toContain('warning');
    expect(learned.status).toBe(0);
    expect(learned.stdout).toContain(
      '10 training, 25 calibration, 5 benign and 4 malicious test samples',
    );
    const run = runIn(out);
    const record = JSON.parse(readFileSync(join(run, 'run.json'), 'utf8')) as {
      sets: Record<string, string[]>;
    };
    expect(record.sets.testAnomalous).toHaveLength(4);
    expect(readdirSync(join(run, 'evaluation'))).toHaveLength(34);
    expect(
      readdirSync(run, { recursive: true }).filter((name) => String(name).endsWith('.part')),
    ).toEqual([]);
  });

  test('classify names verdict, p-value, misprediction rate, unknown-block rate and gaps of each trace', async () => {
    const { stdout, status } = await wayward(['classify', runIn(out)]);
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /trace\s+label\s+verdict\s+p-value\s+score\s+evidence\s+mispred\.\s+unknown\s+gaps/,
    );
    expect(stdout.match(/^m\d+ .*anomalous/gm)).toHaveLength(4);
    expect(stdout).toContain('held-out');
    expect((await wayward(['classify', runIn(out), '--ignore-cache'])).stdout).toBe(stdout);
  });

  test('classify as JSON, CSV, SARIF, ROC and exit code', async () => {
    const files = Object.fromEntries(
      ['csv', 'roc', 'sarif'].map((name) => [name, join(out, name)]),
    );
    const { stdout, status } = await wayward([
      'classify',
      runIn(out),
      '--json',
      '--exit-code',
      '--csv',
      files.csv,
      '--roc',
      files.roc,
      '--sarif',
      files.sarif,
    ]);
    expect(status).toBe(10);
    const report = JSON.parse(stdout) as { schemaVersion: number };
    expect(report.schemaVersion).toBe(1);
    expect(readFileSync(files.csv, 'utf8').split('\n').length).toBeGreaterThan(34);
    expect(JSON.parse(readFileSync(files.sarif, 'utf8'))).toMatchObject({ version: '2.1.0' });
    expect(readFileSync(files.roc, 'utf8')).toContain(',');
  });

  test('stats counts unique targets by length, as table, JSON, CSV and plot', async () => {
    const [csv, plot] = [join(out, 'targets.csv'), join(out, 'targets.svg')];
    const words = ['stats', root, '-p', '-s', '4'];
    const shown = await wayward([...words, csv, '--plot', plot]);
    expect(shown.status).toBe(0);
    expect(shown.stdout).toContain('Read         44 samples');
    const { distributions } = JSON.parse((await wayward([...words, '--json'])).stdout) as {
      distributions: { length: number; histogram: [number, number][] }[];
    };
    expect(distributions.map(({ length }) => length)).toEqual([1, 2, 3, 4]);
    const [header, ...rows] = readFileSync(csv, 'utf8').trim().split('\n');
    expect(header).toMatch(/^seq_len,1,2,3,.*,99,100$/);
    expect(rows.length).toBe(4);
    for (const [index, row] of rows.entries()) {
      const [length, ...counts] = row.split(',').map(Number);
      const { histogram, ...distribution } = distributions[index]!;
      expect(length).toBe(distribution.length);
      const some = counts.flatMap((count, i): [number, number][] =>
        count === 0 ? [] : [[i + 1, count]],
      );
      expect(some).toEqual(histogram);
    }
    expect(readFileSync(plot, 'utf8')).toContain('Unique targets by sequence length');
  });

  test('novelty counts what each trace adds, exactly or within its error rate', async () => {
    const sets = join(out, 'novelty-sets.txt');
    const list = (prefix: string, from: number, to: number): string =>
      Array.from(
        { length: to - from },
        (_, i) => `${join(root, `${prefix}${String(from + i).padStart(3, '0')}`)}\n`,
      ).join('');
    const train = `${list('b', 0, 10)}${join(root, 'gone')}\n`;
    writeFileSync(
      sets,
      `[b_train]\n${train}[b_test]\n${list('b', 10, 12)}[m_test]\n${list('m', 0, 2)}`,
    );
    const [csv, plot] = [join(out, 'novelty.csv'), join(out, 'novelty.svg')];
    const words = ['novelty', sets, '-p', '-s', '4'];
    const shown = await wayward([...words, '--exact', '--csv', csv, '--plot', plot]);
    expect(shown.status).toBe(0);
    expect(shown.stderr).toContain('gone is not there');
    expect(shown.stdout).toMatch(
      /Of the sequences of the last 2 training traces .* were new, and .* of those of the benign test traces: more training traces would /,
    );
    const rows = readFileSync(csv, 'utf8').trim().split('\r\n').slice(1);
    const exact = rows.map((row) => row.split(','));
    expect(exact.map(([, role]) => role)).toEqual([
      ...Array.from({ length: 10 }, () => 'training'),
      'test nominal',
      'test nominal',
      'test anomalous',
      'test anomalous',
    ]);
    let total = 0;
    for (const [, , fresh, distinct, share, sum] of exact) {
      total += Number(fresh);
      expect(Number(sum)).toBe(total);
      expect(Number(share)).toBeCloseTo(Number(fresh) / Number(distinct), 12);
    }
    // Stray transfers are new; nothing else in this little program is after ten traces.
    expect(Number(exact.at(-1)?.[2])).toBeGreaterThan(Number(exact.at(-3)?.[2]));
    const { points } = JSON.parse(
      (await wayward(['bloom', ...words.slice(1), '--error-rate', '0.01', '--json'])).stdout,
    ) as { points: { total: number }[] };
    const approximate = points.at(-1)?.total ?? 0;
    expect(approximate).toBeLessThanOrEqual(total);
    expect(approximate).toBeGreaterThanOrEqual(total * 0.99);
    expect(readFileSync(plot, 'utf8')).toContain('Unique sequences by trace');
  });

  test('sets makes, shows and checks a sets file; no trace is dealt out twice', async () => {
    const twins = writeTinyCorpus(12, 2);
    for (const name of ['b010', 'b011']) {
      const copy = readFileSync(join(twins, 'b000', 'trace_parsed.gz'));
      writeFileSync(join(twins, name, 'trace_parsed.gz'), copy);
    }
    const file = join(out, 'made-sets.txt');
    const made = await wayward(['sets', 'make', twins, file, '-p', '--train-size', '5']);
    expect(made.status).toBe(0);
    expect(made.stderr).toContain('b010 has the same trace as');
    expect(made.stdout).toContain('5 training, 3 calibration, 2 benign and 2 malicious');
    expect(made.stdout).toContain('Duplicates   2 samples');
    const checked = await wayward(['sets', 'check', file, '-p']);
    expect(checked.stdout).toContain('no trace is there twice');
    expect(checked.status).toBe(0);
    const bad = join(out, 'bad-sets.txt');
    const [zero, ten, stray] = ['b000', 'b010', 'm000'].map((name) => join(twins, name));
    writeFileSync(bad, `[b_train]\n${zero}\n${stray}\n[b_test]\n${ten}\n[m_test]\n`);
    const found = await wayward(['sets', 'check', bad, '-p']);
    expect(found.status).toBe(5);
    expect(found.stdout).toContain('m000: is labelled malicious but stands in [b_train]');
    expect(found.stdout).toMatch(/b010 in \[b_test\]: has the same trace as .*b000 in \[b_train\]/);
    const shown = await wayward(['sets', 'show', file, '--json']);
    expect((JSON.parse(shown.stdout) as { train: string[] }).train).toHaveLength(5);
    expect((await wayward(['sets', 'shuffle', file])).status).toBe(1);
  });

  test('figures on fitted data are labelled so', async () => {
    const { stdout } = await wayward([
      'classify',
      runIn(out),
      '--method',
      'labelled',
      '--folds',
      '3',
      '--save',
      join(out, 'svm.json'),
    ]);
    expect(stdout).toContain('fitted');
    expect(stdout).toContain('cross-validated');
    const loaded = await wayward([
      'classify',
      runIn(out),
      '--method',
      'labelled',
      '--load',
      join(out, 'svm.json'),
    ]);
    expect(loaded.status).toBe(0);
    expect(loaded.stdout).toContain('made the classifier: its error rates on them are too good');
    expect(loaded.stdout).not.toContain('held-out');
  });

  test('report writes one page', async () => {
    const { stdout, status } = await wayward(['report', runIn(out)]);
    expect(status).toBe(0);
    const page = readFileSync(join(runIn(out), 'report.html'), 'utf8');
    expect(stdout).toContain(join(runIn(out), 'report.html'));
    for (const name of ['m000', 'm001', 'm002', 'm003']) expect(page).toContain(name);
    expect(page).not.toMatch(/(?:src|href)="https?:/);
  });

  test('too few calibration traces are refused with the number that it takes', async () => {
    const { stderr, status } = await wayward(['classify', runIn(out), '--fpr', '0.01']);
    expect(status).not.toBe(0);
    expect(stderr).toContain('99');
  });

  test('a model can be used again on other samples, and the LSTM does the same job', async () => {
    const again = folder();
    const used = await wayward([
      'learn',
      root,
      '-p',
      '--use-model',
      runIn(out),
      '--out',
      again,
      ...sizes,
    ]);
    expect(used.status).toBe(0);
    expect(readFileSync(join(runIn(again), 'model', 'ngram.bin'))).toEqual(
      readFileSync(join(runIn(out), 'model', 'ngram.bin')),
    );
    const lstm = folder();
    const network = [
      '--units',
      '8',
      '--layers',
      '1',
      '--dense',
      '8',
      '--embedding-output-dimension',
      '4',
    ];
    const trained = await wayward([
      'learn',
      root,
      '-p',
      '--model',
      'lstm',
      '-s',
      '4',
      '-e',
      '1',
      '-b',
      '64',
      '--out',
      lstm,
      ...sizes,
      ...network,
    ]);
    expect(trained.stderr).toContain('epoch 1');
    expect(trained.status).toBe(0);
    expect(
      (await wayward(['classify', runIn(lstm)])).stdout.match(/^m\d+ .*anomalous/gm),
    ).toHaveLength(4);
  });

  test('the ancestor’s text format is written and read', async () => {
    const text = folder();
    const words = [
      'learn',
      root,
      '-p',
      '--model',
      'ngram',
      '-s',
      '4',
      '--out',
      text,
      '--evaluation-format',
      'text',
      ...sizes,
    ];
    expect((await wayward(words)).status).toBe(0);
    const { stdout, status } = await wayward([
      'classify',
      runIn(text),
      '--method',
      'labelled',
      '--folds',
      '2',
    ]);
    expect(status).toBe(0);
    expect(stdout.match(/^m\d+ .*anomalous /gm)).toHaveLength(4);
  });
});

describe('a run that is killed', { tags: 'slow' }, () => {
  const network = [
    '--units',
    '8',
    '--layers',
    '1',
    '--dense',
    '8',
    '--embedding-output-dimension',
    '4',
  ];
  const words = (root: string, out: string): string[] => [
    'learn',
    root,
    '-p',
    '--model',
    'lstm',
    '-s',
    '4',
    '-e',
    '6',
    '-b',
    '32',
    '--checkpoint',
    '0.0001',
    '--skip-eval',
    '--out',
    out,
    ...sizes,
    ...network,
  ];
  const weights = (out: string): Buffer => readFileSync(join(runIn(out), 'model', 'weights.bin'));

  test('goes on from its checkpoint to the same weights', async () => {
    const root = writeTinyCorpus(40, 4);
    const whole = folder();
    expect((await wayward(words(root, whole))).status).toBe(0);
    const broken = folder();
    const child = spawn(process.execPath, [main, ...words(root, broken)], { stdio: 'ignore' });
    const ended = once(child, 'exit');
    const state = (): string =>
      existsSync(join(broken, 'runs')) ? join(runIn(broken), 'training.bin') : '';
    while (child.exitCode === null && !existsSync(state()))
      await new Promise((done) => setTimeout(done, 5));
    child.kill('SIGKILL');
    await ended;
    expect(existsSync(join(runIn(broken), 'model', 'model.json'))).toBe(false);
    const { status, stdout } = await wayward(['learn', '--resume', runIn(broken)]);
    expect(stdout).toContain(runIn(broken));
    expect(status).toBe(0);
    expect(weights(broken)).toEqual(weights(whole));
    expect(existsSync(join(runIn(broken), 'training.bin'))).toBe(false);
    const again = await wayward(['learn', '--resume', runIn(broken)]);
    expect(again.status).toBe(1);
    expect(again.stderr).toContain('is finished since');
  });

  test('a network is written for Keras and as ONNX, and read back', async () => {
    const root = writeTinyCorpus(40, 4);
    const out = folder();
    const [model, hdf5, onnx] = ['model.json', 'weights.h5', 'model.onnx'].map((name) =>
      join(out, name),
    );
    const half = await wayward([...words(root, out), '--save-model', model]);
    expect(half.status).toBe(1);
    expect(half.stderr).toContain('--save-model and --save-weights go together');
    const saved = await wayward([
      ...words(root, out),
      '--prior',
      'none',
      '--vocabulary',
      'hash',
      '--layers',
      '3',
      '-e',
      '1',
      '--save-model',
      model,
      '--save-weights',
      hdf5,
      '--save-onnx',
      onnx,
    ]);
    expect(saved.stderr).not.toContain('mistake');
    expect(saved.status).toBe(0);
    const back = folder();
    const used = await wayward([
      'learn',
      root,
      '-p',
      '-s',
      '4',
      '--use-model',
      model,
      '--use-weights',
      hdf5,
      '--skip-eval',
      '--out',
      back,
      ...sizes,
    ]);
    expect(used.status).toBe(0);
    expect(weights(back)).toEqual(weights(out));
  });
});

describe('bad input', () => {
  test('all bad options are told at once', async () => {
    const { status, stderr } = await wayward([
      'learn',
      'x',
      '--epochs',
      '0',
      '--dropout',
      '2',
      '--modle',
      'lstm',
      '-l',
      'loud',
    ]);
    expect(status).toBe(1);
    for (const part of ['--epochs', '--dropout', '--modle; did you mean --model?', '--log-level']) {
      expect(stderr).toContain(part);
    }
  });

  test('variables and the configuration file are checked like flags', async () => {
    const cwd = folder();
    writeFileSync(join(cwd, 'wayward.config.json'), '{"learn":{"dropout":7}}');
    const { status, stderr } = await wayward(['learn', 'x'], { WAYWARD_EPOCHS: 'many' }, cwd);
    expect(status).toBe(1);
    expect(stderr).toContain('WAYWARD_EPOCHS takes a number above 0 and below 100000, not "many"');
    expect(stderr).toContain('wayward.config.json: dropout takes a number from 0 to 0.95, not "7"');
  });

  test.each([
    [['learn', '/nowhere'], 5, '/nowhere: cannot be read: there is no such folder'],
    [
      ['learn', fileURLToPath(new URL('../docs/decisions', import.meta.url)), '--train-size', '3'],
      5,
      'holds no sample',
    ],
    [['classify', '/nowhere'], 5, '/nowhere: there is no such folder'],
    [['inspect', '/nowhere'], 5, '/nowhere: cannot be read'],
    [['learn'], 1, 'learn needs the folder of the samples, or --resume'],
    [['classify'], 1, "classify needs a run's folder"],
    [['lern'], 1, 'there is no command lern; did you mean learn?'],
  ])('%j exits with %i', async (words, code, message) => {
    const { status, stderr } = await wayward(words as string[]);
    expect(stderr).toContain(message);
    expect(status).toBe(code);
  });

  test('damaged samples are named and left out, the others are processed', async () => {
    const root = writeTinyCorpus(30, 3);
    const path = join(root, 'b003', 'trace_parsed.gz');
    writeFileSync(path, readFileSync(path).subarray(0, 500));
    writeFileSync(join(root, 'b004', 'info.txt'), 'x\nperhaps\n');
    const out = folder();
    const sets = join(out, 'sets.txt');
    const list = (from: number, to: number): string =>
      Array.from({ length: to - from }, (_, i) =>
        join(root, `b${String(from + i).padStart(3, '0')}`),
      ).join('\n');
    writeFileSync(
      sets,
      `[b_train]\n${list(0, 8)}\n[b_calibrate]\n${list(8, 28)}\n[b_test]\n${list(28, 30)}\n[m_test]\n${join(root, 'm000')}\n`,
    );
    const { status, stderr, stdout } = await wayward([
      'learn',
      root,
      '-p',
      '--model',
      'ngram',
      '-s',
      '4',
      '--out',
      out,
      '-i',
      sets,
    ]);
    expect(status).toBe(0);
    expect(stderr).toContain(`left out: ${path}: the gzip data is cut off or damaged`);
    expect(stderr).toContain('the label is "perhaps"; it must be benign, malicious or unknown');
    expect(stdout).toContain('Left out     2 samples');
    expect(readdirSync(join(runIn(out), 'evaluation'))).toHaveLength(23);
  });

  /** A raw sample whose trace is one PSB. */
  function rawSample(map: string): string {
    const directory = join(folder(), 's');
    mkdirSync(directory);
    writeFileSync(join(directory, 'info.txt'), 'a\nbenign\n');
    writeFileSync(join(directory, 'mapping.txt'), map);
    const psb = Array.from({ length: 16 }, (_, i) => (i % 2 ? 0x82 : 0x02));
    writeFileSync(join(directory, 'trace_0'), Uint8Array.from([...psb, 0x02, 0x23]));
    return directory;
  }

  test.each([
    ['2000-1000 r-xp 0 00:00 0 /a', 'mapping.txt: line 1: the range ends before it starts'],
    [
      '1000-3000 r-xp 0 00:00 0 /a\n2000-4000 r-xp 0 00:00 0 /b',
      'mapping.txt: line 2: two regions overlap: 0x1000-0x3000 /a (line 1) and 0x2000-0x4000 /b (line 2)',
    ],
  ])('the map %j is refused by name and line', async (map, message) => {
    const { status, stderr } = await wayward(['inspect', rawSample(map)]);
    expect(stderr).toContain(message);
    expect(status).toBe(5);
  });

  test('a binary that is no ELF file, or missing, is named', async () => {
    const map =
      '1000-2000 r-xp 00000000 00:00 0 /lib/a.so\n3000-4000 r-xp 00000000 00:00 0 /lib/b.so';
    const bin = folder();
    writeFileSync(join(bin, 'a.so'), 'no ELF file');
    const { status, stdout } = await wayward(['inspect', rawSample(map), '--bin-dir', bin]);
    expect(status).toBe(0);
    expect(stdout).toContain('memory dump  /lib/a.so');
    expect(stdout).toContain('no image     /lib/b.so');
    const root = join(rawSample(map), '..');
    const learned = await wayward([
      'learn',
      root,
      '--bin-dir',
      bin,
      '--train-size',
      '1',
      '--test-size-benign',
      '0',
      '--test-size-malicious',
      '0',
      '--out',
      folder(),
    ]);
    expect(learned.stderr).toContain(
      'the file for /lib/a.so is no whole ELF or PE file: it is taken as a memory dump',
    );
    expect(learned.stderr).toContain('no --bin-dir holds /lib/b.so: code in it is a gap');
    expect(learned.stderr).toContain('the 1 training traces hold no transfer to predict');
    expect(learned.status).toBe(5);
  });

  test('too few samples are refused before anything is written', async () => {
    const root = writeTinyCorpus(4, 1);
    const out = folder();
    const { status, stderr } = await wayward(['lstm', root, '-p', '--out', out]);
    expect(status).toBe(1);
    expect(stderr).toContain(
      'too few samples: 10 benign ones are asked for, 4 are there; 2 malicious ones are asked for, 1 are there',
    );
    expect(existsSync(join(out, 'runs'))).toBe(false);
  });

  test('a malicious sample in the training set is refused', async () => {
    const root = writeTinyCorpus(4, 1);
    const out = folder();
    writeFileSync(join(out, 's.txt'), `[b_train]\n${join(root, 'm000')}\n[b_test]\n[m_test]\n`);
    const { status, stderr } = await wayward([
      'learn',
      root,
      '-p',
      '--out',
      out,
      '-i',
      join(out, 's.txt'),
    ]);
    expect(status).toBe(5);
    expect(stderr).toContain('m000: is labelled malicious but stands in the training set');
  });
});

describe('help', () => {
  test.each([
    'record',
    'inspect',
    'preprocess',
    'stats',
    'novelty',
    'learn',
    'judge',
    'classify',
    'report',
    'demo',
    'doctor',
  ])('of %s ends in examples', async (name) => {
    const { stdout, status } = await wayward(['help', name]);
    expect(status).toBe(0);
    expect(stdout.split('Examples:')[1]).toContain(`wayward ${name}`);
  });

  test('wayward alone says what it is in a dozen lines', async () => {
    const { stdout, status } = await wayward([]);
    expect(status).toBe(0);
    expect(stdout.split('\n').length).toBeLessThan(16);
  });
});

const data = resolve('../shared/data');

describe.skipIf(!existsSync(join(data, 'acrobat')))(
  "the ancestor's traces of Acrobat Reader",
  () => {
    test('go through learn --preprocessed', async () => {
      const out = folder();
      const words = [
        'learn',
        join(data, 'acrobat'),
        '--preprocessed',
        '--model',
        'ngram',
        '--out',
        out,
      ];
      const { status, stderr, stdout } = await wayward([
        ...words,
        '--train-size',
        '1',
        '--test-size-benign',
        '0',
        '--test-size-malicious',
        '1',
      ]);
      expect(stderr).not.toContain('mistake');
      expect(status).toBe(0);
      expect(stdout).toContain('1 training, 0 calibration, 0 benign and 1 malicious test samples');
      const files = readdirSync(join(runIn(out), 'evaluation'));
      expect(files.filter((name) => name.endsWith('.eval'))).toHaveLength(1);
    });
  },
);

describe.skipIf(!existsSync(join(data, 'acrobat/model')))("the ancestor's Keras model", () => {
  test('predicts the traces of Acrobat Reader', async () => {
    const out = folder();
    const { status, stderr } = await wayward([
      'learn',
      join(data, 'acrobat'),
      '-p',
      '--use-model',
      join(data, 'acrobat/model/lstm.json'),
      '--use-weights',
      join(data, 'acrobat/model/lstm.h5'),
      '--train-size',
      '1',
      '--test-size-benign',
      '0',
      '--test-size-malicious',
      '1',
      '--calibration-size',
      '0',
      '--out',
      out,
      '-s',
      '16',
    ]);
    expect(stderr).not.toContain('mistake');
    expect(status).toBe(0);
    expect(readdirSync(join(runIn(out), 'evaluation'))).toHaveLength(1);
  });
});

describe.skipIf(!existsSync(join(data, 'pdftotext')))('raw traces of pdftotext', () => {
  test('give verdicts: hijacked runs are flagged, others not', async () => {
    const out = folder();
    const root = join(out, 'samples');
    mkdirSync(root);
    const split = JSON.parse(readFileSync(join(data, 'pdftotext/split.json'), 'utf8')) as Record<
      string,
      string[]
    >;
    const attacks = ['atk_rop_ret_n5', 'atk_ret2libc_1', 'atk_shellcode_0', 'atk_rop_syscall_3'];
    const train = split.train.slice(0, 8);
    const calibrate = split.train.slice(8, 28);
    const test = split.test.slice(0, 3);
    const link = (name: string): string => {
      symlinkSync(join(data, 'pdftotext/traces', name), join(root, name));
      return join(root, name);
    };
    const part = (header: string, names: readonly string[]): string =>
      `[${header}]\n${names.map(link).join('\n')}\n`;
    const sets = join(out, 'sets.txt');
    writeFileSync(
      sets,
      part('b_train', train) +
        part('b_calibrate', calibrate) +
        part('b_test', test) +
        part('m_test', attacks),
    );
    // One sample whose trace is cut off in the middle must not stop the others.
    const cut = join(root, 'cut');
    mkdirSync(cut);
    const whole = readFileSync(join(data, 'pdftotext/traces/nom005/trace_0.gz'));
    writeFileSync(join(cut, 'trace_0.gz'), whole.subarray(0, whole.length / 2));
    for (const name of ['info.txt', 'mapping.txt']) {
      writeFileSync(join(cut, name), readFileSync(join(data, 'pdftotext/traces/nom005', name)));
    }
    writeFileSync(sets, `${readFileSync(sets, 'utf8')}${cut}\n`);
    const learned = await wayward([
      'learn',
      root,
      '--bin-dir',
      join(data, 'pdftotext/bin'),
      '--model',
      'ngram',
      '--out',
      out,
      '-i',
      sets,
    ]);
    expect(learned.status).toBe(0);
    expect(learned.stderr).toContain('cut/trace_0.gz: the gzip data is cut off or damaged');
    const { stdout } = await wayward(['classify', runIn(out), '--json']);
    const { rows } = JSON.parse(stdout) as {
      rows: { name: string; role: string; verdict: string }[];
    };
    const judged = rows.filter(({ role }) => role === 'test');
    expect(
      judged
        .filter(({ verdict }) => verdict === 'anomalous')
        .map(({ name }) => name)
        .sort(),
    ).toEqual(attacks.sort());
    expect(judged).toHaveLength(attacks.length + test.length);
  });
});
