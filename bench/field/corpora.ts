import type { Truth } from './measure.ts';
import { type JudgedRun, type Measured, measure, readTruth } from './measure.ts';
import { areaUnderCurve, type Count, countOf } from './quality.ts';
import { readSplit, type Split } from './recorder.ts';

/** A patch this many blocks from a hijacked transfer is at it: the two sides of a call or return. */
const nearBlocks = 16;

export interface CorpusOptions {
  readonly folder: string;
  readonly scratch: string;
  readonly fpr: number;
  readonly features: string;
  /** Numbers of training runs for the learning curve. */
  readonly curve: readonly number[];
  readonly progress: (text: string) => void;
}

/** How attacks of a corpus are told from its harmless runs. Attacks on data are not among them. */
export interface Told {
  readonly training: number;
  /** Area under the curve against held-out nominal runs, and with the controls among those. */
  readonly area: number;
  readonly areaWithControls: number;
  readonly flagged: Count;
  readonly falseAlarms: Count;
  readonly flaggedControls: Count;
  /** Harmless runs (calibration, held-out, controls) that hold a proof. */
  readonly withProof: Count;
  /** Attacks whose worst place is at a hijacked transfer. */
  readonly located: Count;
  readonly families: Readonly<Record<string, Count>>;
  /** Attacks that make no illegal transfer. */
  readonly data: Count;
  readonly learnSeconds: number;
}

/** Judges a corpus with attacks, with all of its training runs and with fewer. */
export async function judgeCorpus(options: CorpusOptions): Promise<readonly Told[]> {
  const { folder, curve, progress } = options;
  const split = await readSplit(folder);
  const truth = await readTruth(folder);
  const sizes = [...new Set([...curve, split.train.length])]
    .filter((size) => size <= split.train.length)
    .sort((a, b) => a - b);
  const told: Told[] = [];
  for (const size of sizes) {
    progress(`${folder}: ${size} training runs`);
    const part: Split = { ...split, train: split.train.slice(0, size) };
    told.push(tell(size, await measure({ ...options, split: part }), truth));
  }
  return told;
}

function tell(training: number, measured: Measured, truth: Readonly<Record<string, Truth>>): Told {
  const of = (role: JudgedRun['role']): JudgedRun[] =>
    measured.runs.filter((run) => run.role === role);
  const isData = (run: JudgedRun): boolean => (truth[run.name]?.hits ?? []).length === 0;
  const attacks = of('attack').filter((run) => !isData(run));
  const nominal = of('test');
  const controls = of('control');
  const scores = (runs: readonly JudgedRun[]): number[] => runs.map(({ score }) => score);
  const isFlagged = (run: JudgedRun): boolean => run.isFlagged;
  const familyOf = (run: JudgedRun): string => truth[run.name]?.family ?? run.family ?? '';
  const names = [...new Set(attacks.map(familyOf))].sort();
  return {
    training,
    area: areaUnderCurve(scores(nominal), scores(attacks)),
    areaWithControls: areaUnderCurve(scores([...nominal, ...controls]), scores(attacks)),
    flagged: countOf(attacks, isFlagged),
    falseAlarms: countOf(nominal, isFlagged),
    flaggedControls: countOf(controls, isFlagged),
    withProof: countOf([...of('calibration'), ...nominal, ...controls], holdsProof),
    located: countOf(attacks, (run) => isAtHijack(run, truth[run.name])),
    families: Object.fromEntries(
      names.map((name) => [
        name,
        countOf(
          attacks.filter((run) => familyOf(run) === name),
          isFlagged,
        ),
      ]),
    ),
    data: countOf(of('attack').filter(isData), isFlagged),
    learnSeconds: measured.seconds.learn,
  };
}

export function holdsProof(run: JudgedRun): boolean {
  return Object.keys(run.proofs).length > 0;
}

function isAtHijack({ worst }: JudgedRun, truth: Truth | undefined): boolean {
  if (worst === undefined) return false;
  return (truth?.hits ?? []).some(
    ({ block }) => worst.start - nearBlocks <= block && block < worst.end + nearBlocks,
  );
}
