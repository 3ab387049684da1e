import { targetSorts, transferForms, usualCounts } from '../src/evidence/transfer-code.ts';
import type {
  EventJudgements,
  JudgingTables,
  NamedEvents,
} from '../src/model/histories/run-judge.ts';
import { deepestLevels, historyLevels } from '../src/sequences/histories/levels.ts';
import { mixPlainly, type PlainLevel } from './plain-mixing.ts';

/** Runs that each target followed a context in, by the context's key. */
type PlainCounts = Map<string, Map<number, number>>;

const levels = historyLevels.length;
const chains = deepestLevels.map((deepest) => {
  const chain: number[] = [];
  for (let level = deepest; level >= 0; level = historyLevels[level]!.parent) chain.unshift(level);
  return chain;
});
const steps = Math.max(...chains.map(({ length }) => length));
const histories = chains.length;

function keyOf({ hashes }: NamedEvents, event: number, level: number): string | undefined {
  const at = 2 * (event * levels + level);
  const key = `${hashes[at]} ${hashes[at + 1]}`;
  return key === '0 0' ? undefined : key;
}

/** Counts contexts as `TrainingCounts` does, with maps. */
export function countPlainly(runs: readonly NamedEvents[]): PlainCounts {
  const counts: PlainCounts = new Map();
  for (const run of runs) {
    const own = new Set<string>();
    for (let event = 0; event < run.length; event++) {
      for (let level = 0; level < levels; level++) {
        const key = keyOf(run, event, level);
        const target = run.target[event]!;
        if (key === undefined || own.has(`${key} ${target}`)) continue;
        own.add(`${key} ${target}`);
        const context = counts.get(key) ?? new Map<number, number>();
        counts.set(key, context);
        context.set(target, (context.get(target) ?? 0) + 1);
      }
    }
  }
  return counts;
}

/**
 * The recipe of `judgeRun` written down once more, without tables, stamps or scratch memory: its judge.
 * Weights are not learned here.
 */
export function judgePlainly(
  events: NamedEvents,
  counts: PlainCounts,
  tables: Omit<JudgingTables, 'contexts'>,
): Pick<EventJudgements, 'predicted' | 'confidence' | 'probability' | 'chance' | 'choice'> & {
  /** Whether another target is as probable as the one that is predicted. */
  readonly isTied: readonly boolean[];
} {
  const own = new Map<string, Map<number, number>>();
  const last = new Map<string, number>();
  const { weights } = tables;
  const predicted = new Int32Array(events.length).fill(-1);
  const confidence = new Float32Array(events.length);
  const isTied: boolean[] = [];
  const probability = new Float32Array(events.length);
  const chance = new Float32Array(events.length);
  const choice = new Float32Array(events.length);
  for (let event = 0; event < events.length; event++) {
    const seen: PlainLevel[] = [];
    for (let level = 0; level < levels; level++) {
      const key = keyOf(events, event, level) ?? '';
      const runs = counts.get(key) ?? new Map<number, number>();
      const mine = own.get(key) ?? new Map<number, number>();
      const capped = new Map([...mine].map(([target, n]) => [target, Math.min(8, n)]));
      const targets = [...new Set([...runs.keys(), ...capped.keys()])];
      const sum = targets.reduce((all, t) => all + (runs.get(t) ?? 0) + (capped.get(t) ?? 0), 0);
      seen.push({ runs, own: capped, targets, sum, last: last.get(key) });
    }
    const candidates = seen[0]!.targets;
    const scores = new Map(candidates.map((target) => [target, 0]));
    const mostOf = ({ runs, own: mine, targets }: PlainLevel): number =>
      Math.max(0, ...targets.map((t) => (runs.get(t) ?? 0) + ((mine.get(t) ?? 0) > 0 ? 1 : 0)));
    const few = (n: number): number => (n < 2 ? 0 : n === 2 ? 1 : 2);
    const log2 = (n: number): number => Math.min(7, n === 0 ? 0 : 1 + Math.floor(Math.log2(n)));
    const countsAt = histories * steps * steps;
    const shareAt = countsAt + histories * 3 * 4 * 3 * 3 * 2;
    const newDepthAt = shareAt + histories * steps;
    const newPlaceAt = newDepthAt + histories * steps * 3 * 8;
    const newFormAt = newPlaceAt + 6 * 8;
    const kinds0 = candidates.length;
    const kindsBucket = kinds0 <= 2 ? kinds0 : kinds0 <= 4 ? 3 : kinds0 <= 8 ? 4 : 5;
    let novelScore =
      weights[newPlaceAt + kindsBucket * 8 + log2(mostOf(seen[0]!))]! +
      weights[newFormAt + events.form[event]!]!;
    for (let h = 0; h < histories; h++) {
      const chain = chains[h]!;
      const isLive = (depth: number): boolean => seen[chain[depth]!]!.targets.length > 0;
      let deepest = 0;
      for (let depth = 1; depth < chain.length; depth++) {
        if (isLive(depth)) deepest = depth;
        else if (depth > 1) break;
      }
      for (const target of candidates) {
        let depth = deepest;
        while (!seen[chain[depth]!]!.targets.includes(target)) depth--;
        const level = seen[chain[depth]!]!;
        const runs = level.runs.get(target) ?? 0;
        const mine = level.own.get(target) ?? 0;
        const runsBucket = runs <= 1 ? runs : runs < 4 ? 2 : 3;
        const behind = Math.min(2, deepest - depth);
        const isLast = level.last === target ? 1 : 0;
        const cell =
          ((((h * 3 + behind) * 4 + runsBucket) * 3 + Math.min(2, mine)) * 3 +
            few(level.targets.length)) *
            2 +
          isLast;
        scores.set(
          target,
          scores.get(target)! +
            weights[(h * steps + deepest) * steps + depth]! +
            weights[countsAt + cell]! +
            weights[shareAt + h * steps + deepest]! * Math.log((runs + mine) / level.sum),
        );
      }
      const level = seen[chain[deepest]!]!;
      const bucket = few(level.targets.length) * 8 + log2(mostOf(level));
      novelScore += weights[newDepthAt + (h * steps + deepest) * 3 * 8 + bucket]!;
    }
    const total = [...scores.values()].reduce((all, s) => all + Math.exp(s), Math.exp(novelScore));
    let novel = candidates.length === 0 ? 1 : Math.exp(novelScore) / total;
    let p = new Map([...scores].map(([target, s]) => [target, Math.exp(s) / total]));
    const { network } = tables;
    if (network !== undefined) {
      ({ p, novel } = mixPlainly(seen, events.form[event]!, p, novel, network.parameters));
    }
    let best = novel;
    for (const [target, value] of p) {
      if (value <= best) continue;
      best = value;
      predicted[event] = target;
      confidence[event] = value;
    }
    isTied.push([...p.values(), novel].filter((value) => value > best - 1e-9).length > 1);
    const form = events.form[event]!;
    const shares = sharesOf(candidates.length === 0 ? tables.pairs : tables.novelty, form);
    const came = events.target[event]!;
    const sort = events.sort[event]!;
    const count = events.count[event]!;
    const mine = Math.max(p.get(came) ?? 0, (novel * shares[sort]!) / count);
    let tail = 0;
    for (const value of p.values()) if (value <= mine) tail += value;
    targetSorts.forEach((_, other) => {
      const mass = novel * shares[other]!;
      const isPossible = other === sort || targetSorts[other] !== 'not-a-call';
      const isCounted = p.has(came)
        ? mass / usualCounts[other]! <= mine
        : other >= sort && isPossible;
      if (isCounted) tail += mass;
    });
    const isClosed = ['named', 'label', 'function'].includes(targetSorts[sort]!);
    const otherKind = 1 / (tables.runs + 1);
    if (isClosed) tail = (1 - otherKind) * tail + otherKind;
    const isReturn = transferForms[form] === 'return';
    const isForbidden = ['instruction', 'anywhere', 'not-a-call'].includes(targetSorts[sort]!);
    if (!p.has(came) && (isReturn || isForbidden)) {
      let before = 0;
      transferForms.forEach((other, at) => {
        if ((other === 'return') !== isReturn) return;
        before += tables.novelty[at * targetSorts.length + sort]!;
      });
      tail = Math.min(tail, (before + 0.5) / (tables.transfers + 1));
    }
    probability[event] = mine;
    chance[event] = Math.min(1, tail);
    const isNew = !p.has(came);
    choice[event] = Math.min(1, isNew && novel > tail ? novel : tail);
    for (let level = 0; level < levels; level++) {
      const key = keyOf(events, event, level);
      if (key === undefined) continue;
      const context = own.get(key) ?? new Map<number, number>();
      own.set(key, context);
      context.set(came, (context.get(came) ?? 0) + 1);
      last.set(key, came);
    }
  }
  return { predicted, confidence, probability, chance, choice, isTied };
}

function sharesOf(novelty: Float64Array, form: number): number[] {
  const sorts = targetSorts.length;
  const at = (f: number, s: number): number => novelty[f * sorts + s]!;
  const all = novelty.reduce((sum, n) => sum + n, 0);
  const ofForm = targetSorts.reduce((sum, _, s) => sum + at(form, s), 0);
  return targetSorts.map((_, s) => {
    const everywhere = transferForms.reduce((sum, _form, f) => sum + at(f, s), 0);
    const general = (everywhere + 0.5) / (all + 0.5 * sorts);
    return (at(form, s) + 2 * general) / (ofForm + 2);
  });
}
