import { mixingShape } from '../src/model/histories/event-mixing.ts';
import {
  hiddenUnits,
  type MixingShape,
  mostCorrection,
} from '../src/model/mixing/mixing-network.ts';

/** Of one event, all inputs dense. */
export interface PlainEvent {
  readonly shared: readonly number[];
  /** By option. */
  readonly own: readonly (readonly number[])[];
}

/** @returns correction of each option, then of what is new: the formula of `MixingNetwork`, written down once more */
export function correctionsPlainly(
  { shared, own }: PlainEvent,
  shape: MixingShape,
  parameters: ArrayLike<number>,
): number[] {
  const rows: number[][] = [];
  for (let at = 0; at + hiddenUnits <= parameters.length; at += hiddenUnits) {
    rows.push(Array.from({ length: hiddenUnits }, (_, unit) => parameters[at + unit]!));
  }
  const sharedRows = rows.slice(0, shape.shared);
  const ownRows = rows.slice(shape.shared, shape.shared + shape.own);
  const [bias, out, newBias, newOut] = rows.slice(shape.shared + shape.own);
  const newOffset = parameters[parameters.length - 1]!;
  const dot = (x: readonly number[], weights: readonly number[][], unit: number): number =>
    x.reduce((sum, value, input) => sum + value * weights[input]![unit]!, 0);
  const base = bias!.map((b, unit) => b + dot(shared, sharedRows, unit));
  const bounded = (nats: number): number => mostCorrection * Math.tanh(nats / mostCorrection);
  const told = own.map((inputs) =>
    bounded(
      base.reduce(
        (sum, b, unit) => sum + out![unit]! * Math.max(0, b + dot(inputs, ownRows, unit)),
        0,
      ),
    ),
  );
  const ofNew = base.reduce(
    (sum, b, unit) => sum + newOut![unit]! * Math.max(0, b + newBias![unit]!),
    newOffset,
  );
  return [...told, bounded(ofNew)];
}

/** What one level says, as `judgePlainly` sees it. */
export interface PlainLevel {
  readonly runs: ReadonlyMap<number, number>;
  readonly own: ReadonlyMap<number, number>;
  readonly targets: readonly number[];
  readonly sum: number;
  readonly last: number | undefined;
}

/** The recipe of `EventMixing`, by targets instead of candidates. @returns the probabilities afterwards */
export function mixPlainly(
  seen: readonly PlainLevel[],
  form: number,
  p: ReadonlyMap<number, number>,
  novel: number,
  parameters: ArrayLike<number>,
): { readonly p: Map<number, number>; readonly novel: number } {
  const highest = Math.max(novel, ...p.values());
  if (p.size === 0 || highest > 0.997) return { p: new Map(p), novel };
  const forms = (mixingShape.shared - 5 - 3 * seen.length) | 0;
  const trained = seen[0]!.targets.filter((target) => seen[0]!.runs.has(target)).length;
  const shared = [
    ...seen.flatMap(({ targets, sum }) =>
      targets.length === 0 ? [0, 0, 1] : [Math.log(1 + sum) / 4, targets.length === 1 ? 1 : 0, 0],
    ),
    ...Array.from({ length: forms }, (_, at) => (at === form ? 1 : 0)),
    Math.log(1 + p.size) / 4,
    Math.log(1 + trained) / 4,
    Math.log(novel) / 10,
    Math.log(highest) / 10,
    Math.log(1 - Math.log(highest)),
  ];
  const options = [...p].filter(([, probability]) => probability >= 1e-3);
  const own = options.map(([target, probability]) => [
    ...seen.flatMap((level) => {
      if (level.targets.length === 0) return [0, 0, 0, 0, 0];
      const runs = level.runs.get(target) ?? 0;
      const mine = level.own.get(target) ?? 0;
      const share = (runs + mine + 0.05) / (level.sum + 0.05 * level.targets.length + 0.3);
      return [
        Math.log(share) / 4,
        runs + mine > 0 ? 1 : 0,
        level.last === target ? 1 : 0,
        mine > 0 ? 0.3 + 0.1 * mine : 0,
        runs > 1 ? Math.log(1 + runs) / 4 : 0,
      ];
    }),
    Math.log(probability) / 10,
    Math.log(probability) > -0.7 ? 1 : 0,
    seen[0]!.runs.has(target) ? 0 : 1,
  ]);
  const corrections = correctionsPlainly({ shared, own }, mixingShape, parameters);
  const told = new Map(p);
  options.forEach(([target, probability], option) => {
    told.set(target, probability * Math.exp(corrections[option]!));
  });
  const ofNew = novel * Math.exp(corrections.at(-1)!);
  const total = [...told.values()].reduce((sum, value) => sum + value, ofNew);
  return {
    p: new Map([...told].map(([target, value]) => [target, value / total])),
    novel: ofNew / total,
  };
}
