/** The two data sets of `models.bench.ts`, as sets of samples for `learn`. */
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Random } from '../src/base/random.ts';
import type { LearnRequest } from '../src/commands/training/options.ts';
import { type Sets, writeSets } from '../src/trace/sets-file.ts';

const data = join(import.meta.dirname, '../../shared/data');

/** A split of samples that first layers are compared on. */
export interface Protocol {
  readonly name: string;
  readonly title: string;
  readonly sets: Sets;
  readonly setsFile: string;
  readonly options: LearnRequest;
  /** Names of test samples that repeat a training sample. */
  readonly duplicates: ReadonlySet<string>;
}

/** Numbers of system calls, a trace each. */
export interface CallTrace {
  /** Its file, relative to the corpus. */
  readonly name: string;
  readonly path: string;
  readonly text: string;
}

/** Writes ADFA-LD as one file a trace, as its authors publish it. @returns undefined where it is absent */
export async function openAdfa(out: string): Promise<
  | {
      readonly root: string;
      readonly traces: Readonly<Record<'training' | 'validation' | 'attack', CallTrace[]>>;
    }
  | undefined
> {
  if (!existsSync(join(data, 'adfa-ld'))) return undefined;
  const root = join(out, 'adfa-ld');
  const read = async (part: string): Promise<CallTrace[]> => {
    const file = gunzipSync(readFileSync(join(data, 'adfa-ld', `${part}.tsv.gz`))).toString();
    const traces: CallTrace[] = [];
    for (const line of file.trimEnd().split('\n')) {
      const [name, text] = line.split('\t');
      const path = join(root, name);
      if (!existsSync(path)) {
        await mkdir(dirname(path), { recursive: true });
        await writeFile(path, text);
      }
      traces.push({ name, path, text });
    }
    return traces;
  };
  const traces = {
    training: await read('training'),
    validation: await read('validation'),
    attack: await read('attack'),
  };
  return { root, traces };
}

/** Trains on `train`, judges `nominal` and `attacks`. */
export async function adfaProtocol(
  out: string,
  name: string,
  title: string,
  root: string,
  parts: Readonly<Record<'train' | 'nominal' | 'attacks', readonly CallTrace[]>>,
): Promise<Protocol> {
  const paths = (list: readonly CallTrace[]): string[] => list.map(({ path }) => path);
  const trained = new Set(parts.train.map(({ text }) => text));
  return finish(out, {
    name,
    title,
    sets: {
      train: paths(parts.train),
      calibrate: [],
      testNominal: paths(parts.nominal),
      testAnomalous: paths(parts.attacks),
    },
    options: { root, source: 'integers', windowLength: 16 },
    duplicates: new Set(
      [...parts.nominal, ...parts.attacks]
        .filter(({ text }) => trained.has(text))
        .map(({ path }) => path),
    ),
  });
}

/** @returns undefined where the traces are absent */
export async function pdftotextProtocol(
  out: string,
  trainingSize: number,
  calibrationSize: number,
): Promise<Protocol | undefined> {
  const root = join(data, 'pdftotext');
  if (!existsSync(root)) return undefined;
  const split = JSON.parse(readFileSync(join(root, 'split.json'), 'utf8')) as Record<
    'train' | 'test' | 'controls' | 'attacks',
    string[]
  >;
  const folders = (names: readonly string[]): string[] =>
    names.map((name) => join(root, 'traces', name));
  const nominal = new Random(1).shuffle([...split.train]);
  return finish(out, {
    name: `pdftotext-${trainingSize}`,
    title: `pdftotext, ${trainingSize} training traces`,
    sets: {
      train: folders(nominal.slice(0, trainingSize)),
      calibrate: folders(nominal.slice(trainingSize, trainingSize + calibrationSize)),
      testNominal: folders([...split.test, ...split.controls]),
      testAnomalous: folders(split.attacks),
    },
    options: { root: join(root, 'traces'), binDirs: [join(root, 'bin')] },
    duplicates: new Set(),
  });
}

async function finish(out: string, protocol: Omit<Protocol, 'setsFile'>): Promise<Protocol> {
  const setsFile = join(out, `${protocol.name}.sets.txt`);
  await writeSets(setsFile, protocol.sets);
  return { ...protocol, setsFile };
}

/**
 * Share of a trace's runs of `length` calls that no training trace has (Forrest's STIDE).
 *
 * @see Forrest et al., "A sense of self for Unix processes", IEEE S&P 1996
 */
export function unseenShares(
  train: readonly CallTrace[],
  judged: readonly CallTrace[],
  length: number,
): number[] {
  const runs = ({ text }: CallTrace): string[] => {
    const calls = text.trim().split(/\s+/);
    return Array.from({ length: Math.max(0, calls.length - length + 1) }, (_, i) =>
      calls.slice(i, i + length).join(),
    );
  };
  const known = new Set(train.flatMap(runs));
  return judged.map((trace) => {
    const all = runs(trace);
    return all.filter((run) => !known.has(run)).length / Math.max(1, all.length);
  });
}
