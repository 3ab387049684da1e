import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { countPlainly, judgePlainly } from '../../../test/plain-histories.ts';
import { Random } from '../../base/random.ts';
import { targetSorts, transferForms } from '../../evidence/transfer-code.ts';
import type { TransferEvents } from '../../sequences/histories/events.ts';
import { historyLevels } from '../../sequences/histories/levels.ts';
import { SymbolTable } from '../../sequences/symbol-table.ts';
import { mix } from '../../sequences/window-counter.ts';
import { type FittedHistories, fitHistories } from './fit.ts';
import { HistoryModel } from './model.ts';
import { type EventJudgements, judgeRun, type NamedEvents, RunJudge } from './run-judge.ts';
import { TrainingCounts } from './training-counts.ts';

const levels = historyLevels.length;
const places = 12;

/** A run of a made-up program: what comes depends on few things, so that contexts are met again. */
function exampleRun(seed: number, length = 120): TransferEvents {
  const random = new Random(seed);
  const hashes = new Int32Array(length * levels * 2);
  const site = new Int32Array(length);
  const target = new Int32Array(length);
  const past: number[] = [];
  for (let event = 0; event < length; event++) {
    site[event] = random.below(3);
    const isOdd = random.below(10) === 0;
    target[event] = isOdd ? random.below(places) : (3 * site[event]! + (past.at(-1) ?? 0)) % 7;
    const known = event === 40 ? 0 : event > 40 ? event - 40 : event;
    historyLevels.forEach(({ history, length: items }, level) => {
      // After a gap longer contexts are not known.
      if (history !== 'place' && items > known) return;
      let key = mix(site[event]! + 1 + 64 * level);
      for (let i = 1; i <= items; i++) key = mix(key + (past.at(-i) ?? 0));
      hashes[2 * (event * levels + level)] = key;
      hashes[2 * (event * levels + level) + 1] = mix(key + 1);
    });
    past.push(target[event]!);
  }
  return {
    ...{ length, hashes, site, target },
    last: new Int32Array(length),
    repeats: new Int32Array(length),
    position: Int32Array.from(target, (_, i) => 3 * i),
    ordinal: Int32Array.from(target, (_, i) => i),
    kind: new Uint8Array(length),
    form: Uint8Array.from(target, () => random.below(transferForms.length)),
    into: new Int32Array(length),
    sort: Uint8Array.from(target, () => random.below(targetSorts.length)),
    count: Float64Array.from(target, () => 1 + random.below(5000)),
    places: {
      length: places,
      modules: ['program'],
      module: new Int32Array(places),
      offset: Float64Array.from({ length: places }, (_, i) => 16 * i),
    },
    transfers: 5 * length,
    explained: 3 * length,
    blocks: 9 * length,
  };
}

/** Targets become the classes 1, 2, ... in the order of the table. */
function learn(runs: readonly TransferEvents[]): {
  readonly counts: TrainingCounts;
  readonly leftOut: FittedHistories['leftOut'];
  readonly model: HistoryModel;
  readonly name: (run: TransferEvents) => NamedEvents;
} {
  const table = new SymbolTable();
  const module = table.internModule('program', 'program');
  for (let i = 0; i < places; i++) table.intern(module, 16 * i);
  const counts = new TrainingCounts(table);
  for (const run of runs) counts.add(run);
  const classOf = Int32Array.from({ length: places }, (_, i) => i + 1);
  counts.settle(classOf);
  return {
    counts,
    ...fitHistories(counts, places + 1, places + 1, 'network'),
    name: (run) => ({ ...run, target: run.target.map((place) => classOf[place]!) }),
  };
}

const runs = [1, 2, 3, 4, 5, 6].map((seed) => exampleRun(seed));
/** What all tests judge by; learned once, because none changes it. */
const { counts, leftOut, model, name } = learn(runs);

/** Some events of a run. */
function piecesOf(run: NamedEvents, from: number, to: number): NamedEvents {
  const width = 2 * levels;
  return {
    length: Math.min(to, run.length) - from,
    hashes: run.hashes.slice(from * width, to * width),
    target: run.target.slice(from, to),
    form: run.form.slice(from, to),
    sort: run.sort.slice(from, to),
    count: run.count.slice(from, to),
  };
}

function expectSame(found: EventJudgements, plain: ReturnType<typeof judgePlainly>): void {
  const { length } = plain.predicted;
  let compared = 0;
  for (let i = 0; i < length; i++) {
    expect(found.confidence[i]).toBeCloseTo(plain.confidence[i]!, 6);
    expect(found.probability[i]).toBeCloseTo(plain.probability[i]!, 6);
    expect(found.chance[i]).toBeCloseTo(plain.chance[i]!, 6);
    expect(found.choice[i]).toBeCloseTo(plain.choice[i]!, 6);
    if (plain.isTied[i]) continue;
    compared++;
    expect(found.predicted[i]).toBe(plain.predicted[i]);
  }
  expect(compared).toBeGreaterThan(length / 2);
}

describe('judging runs by histories', () => {
  test('gives what the plain version gives', () => {
    const plainCounts = countPlainly(runs.map(name));
    for (const seed of [7, 8]) {
      const run = name(exampleRun(seed));
      const found = model.judge(run);
      const plain = judgePlainly(run, plainCounts, model.tables);
      expectSame(found, plain);
    }
  });

  test('leaves a run out exactly: as if it had not been counted', () => {
    for (const out of [0, 3]) {
      const others = countPlainly(runs.filter((_, i) => i !== out).map(name));
      const plain = judgePlainly(name(runs[out]!), others, model.tables);
      // With the model's own weights, so that nothing else differs.
      expectSame(judgeRun(counts.leaveOut(out), model.tables), plain);
    }
  });

  test('judges left-out runs in order, with weights that they had no share in', () => {
    expect(leftOut.map(({ events }) => [...events.target])).toEqual(
      runs.map((run) => [...name(run).target]),
    );
    const own = judgeRun(counts.leaveOut(2), model.tables);
    expect(leftOut[2]!.judgements.chance).not.toEqual(own.chance);
  });

  test('does not depend on what was judged before', () => {
    const run = name(exampleRun(9));
    const first = model.judge(run);
    model.judge(name(exampleRun(10)));
    expect(model.judge(run)).toEqual(first);
  });

  test('does not depend on how a run is cut', () => {
    const run = name(exampleRun(9));
    const whole = judgeRun(run, model.tables);
    for (const piece of [1, 7, 50]) {
      const judge = new RunJudge(model.tables);
      const chances: number[] = [];
      for (let from = 0; from < run.length; from += piece) {
        chances.push(...judge.judge(piecesOf(run, from, from + piece)).chance);
      }
      expect(chances).toEqual([...whole.chance]);
    }
  });

  test('probabilities of all targets sum to 1 at most', () => {
    const run = name(exampleRun(11, 60));
    const at = 59;
    let sum = 0;
    for (let target = 1; target <= places; target++) {
      const changed = { ...run, target: run.target.with(at, target), count: run.count.fill(1e9) };
      sum += model.judge(changed).probability[at]!;
    }
    expect(sum).toBeGreaterThan(0.5);
    expect(sum).toBeLessThan(1.00001);
  });

  test('learning makes left-out runs more probable than the first weights do', () => {
    const run = name(exampleRun(12));
    const nats = ({ probability }: { readonly probability: Float32Array }): number =>
      probability.reduce((sum, p) => sum - Math.log(p), 0) / run.length;
    const untrained = judgePlainly(run, countPlainly(runs.map(name)), {
      ...model.tables,
      weights: model.tables.weights.map(() => 0),
      network: undefined,
    });
    expect(nats(model.judge(run))).toBeLessThan(nats(untrained));
  });
});

describe('a model of histories in files', () => {
  test('is the same when it is read again, and damage is told', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'wayward-histories-'));
    try {
      await model.save(directory);
      const loaded = await HistoryModel.load(directory);
      expect(loaded.fingerprint).toBe(model.fingerprint);
      const run = name(exampleRun(13));
      expect(loaded.judge(run)).toEqual(model.judge(run));
      const path = join(directory, 'histories.bin');
      const bytes = await readFile(path);
      const random = new Random(1);
      for (let i = 0; i < 40; i++) {
        const damaged = Buffer.from(bytes);
        damaged[random.below(damaged.length)]! ^= 1 << random.below(8);
        await writeFile(path, damaged);
        await expect(HistoryModel.load(directory)).rejects.toMatchObject({ name: 'UserError' });
      }
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
