import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { wayward } from './command-line.ts';
import { type Look, lookInto } from './evaluations.ts';
import type { Split } from './recorder.ts';

export interface MeasureOptions {
  /** A corpus: `traces/` and `bin/`. */
  readonly folder: string;
  readonly split: Split;
  /** Where the run's folder goes; it is emptied first. */
  readonly scratch: string;
  readonly fpr: number;
  readonly features: string;
}

/** A judged run: one that did not train. */
export interface JudgedRun extends Look {
  readonly name: string;
  readonly role: 'calibration' | 'test' | 'control' | 'attack';
  readonly family: string | undefined;
  readonly score: number;
  readonly isFlagged: boolean;
  readonly gaps: number;
  readonly blocks: number;
  readonly mispredicted: number;
  readonly predictions: number;
}

export interface Measured {
  readonly runs: readonly JudgedRun[];
  /** False-positive rate that was asked for: `fpr`, or the least that so few runs allow. */
  readonly fpr: number;
  /** Wall-clock seconds of each command. */
  readonly seconds: { readonly learn: number; readonly classify: number };
  readonly skipped: number;
}

interface Row {
  readonly name: string;
  readonly role: string;
  readonly label: string;
  readonly family: string | null;
  readonly score: number;
  readonly verdict: string;
  readonly gaps: number;
  readonly blocks: number;
  readonly mispredictionRate: number;
  readonly predictions: number;
}

/**
 * Learns from the training runs of a corpus with the n-gram and judges all others, as a user would:
 * `wayward learn`, then `wayward classify`.
 *
 * @throws Error with the command's own words when one fails
 */
export async function measure(options: MeasureOptions): Promise<Measured> {
  const { folder, split, scratch } = options;
  await rm(scratch, { recursive: true, force: true });
  await mkdir(scratch, { recursive: true });
  const sets = join(scratch, 'sets.txt');
  const line = (name: string): string => resolve(folder, 'traces', name);
  const test = [...split.test, ...split.controls];
  const part = (head: string, names: readonly string[]): string =>
    `[${head}]\n${names.map(line).join('\n')}\n`;
  await writeFile(
    sets,
    part('b_train', split.train) +
      part('b_calibrate', split.calibrate) +
      part('b_test', test) +
      part('m_test', split.attacks),
  );
  const root = join(folder, 'traces');
  const learned = await wayward<{ readonly folder: string; readonly skipped: readonly unknown[] }>([
    'learn',
    root,
    ...['--bin-dir', join(folder, 'bin')],
    ...['--model', 'ngram', '-i', sets, '--out', scratch, '--skip-test'],
  ]);
  // The least rate that n runs allow is 1 / (n + 1); those that train calibrate, too.
  const calibrating = split.train.length + split.calibrate.length;
  const fpr = Math.max(options.fpr, Math.ceil(1e6 / (calibrating + 1)) / 1e6);
  const judged = await wayward<{ readonly rows: readonly Row[] }>([
    'classify',
    learned.folder,
    ...['--all', '--fpr', `${fpr}`, '--features', options.features],
  ]);
  const looks = await lookInto(join(learned.folder, 'evaluation'));
  const controls = new Set(split.controls);
  const attacks = new Set(split.attacks);
  // Training runs, judged without their own counts, have no evaluation of their own.
  const evaluated = judged.rows.filter(({ role }) => role !== 'training');
  const runs = evaluated.map((row): JudgedRun => {
    const look = looks.get(row.name);
    if (look === undefined) throw new Error(`no evaluation of ${row.name}`);
    const role = attacks.has(row.name)
      ? 'attack'
      : controls.has(row.name)
        ? 'control'
        : row.role === 'calibration'
          ? 'calibration'
          : 'test';
    return {
      ...look,
      name: row.name,
      role,
      family: row.family ?? undefined,
      score: row.score,
      isFlagged: row.verdict === 'anomalous',
      gaps: row.gaps,
      blocks: row.blocks,
      mispredicted: row.mispredictionRate * row.predictions,
      predictions: row.predictions,
    };
  });
  return {
    runs,
    fpr,
    seconds: { learn: learned.seconds, classify: judged.seconds },
    skipped: learned.skipped.length,
  };
}

/** An entry of `truth.json` of a corpus with attacks, as far as it is used. */
export interface Truth {
  readonly label: string;
  readonly family?: string;
  readonly fire_block?: number;
  readonly hits?: readonly { readonly block: number }[];
}

export async function readTruth(folder: string): Promise<Readonly<Record<string, Truth>>> {
  return JSON.parse(await readFile(join(folder, 'truth.json'), 'utf8')) as Record<string, Truth>;
}
