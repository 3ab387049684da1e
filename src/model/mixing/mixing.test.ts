import { describe, expect, test } from 'vitest';
import { correctionsPlainly, type PlainEvent } from '../../../test/plain-mixing.ts';
import { Random } from '../../base/random.ts';
import { MixingExamples } from './mixing-examples.ts';
import { MixingInputs } from './mixing-inputs.ts';
import { MixingNetwork, type MixingShape, mixingParameters } from './mixing-network.ts';
import { natsSaved, trainMixing } from './train-mixing.ts';

const shape: MixingShape = { shared: 7, own: 5 };

interface Example extends PlainEvent {
  /** By option, then of what is new. */
  readonly prior: readonly number[];
  readonly rest: number;
}

function exampleEvent(random: Random, options = random.below(5)): Example {
  const sparse = (length: number): number[] =>
    Array.from({ length }, () => (random.below(2) === 0 ? 0 : Math.fround(random.normal())));
  const masses = Array.from({ length: options + 2 }, () => 0.01 + random.uniform());
  const total = masses.reduce((sum, mass) => sum + mass, 0);
  const prior = masses.slice(1).map((mass) => Math.fround(mass / total));
  return {
    shared: sparse(shape.shared),
    own: Array.from({ length: options }, () => sparse(shape.own)),
    prior,
    rest: Math.fround(masses[0]! / total),
  };
}

function addAll(inputs: MixingInputs, values: readonly number[]): void {
  values.forEach((value, input) => {
    if (value !== 0) inputs.add(input, value);
  });
}

function setInputs(inputs: MixingInputs, { shared, own, prior, rest }: Example): MixingInputs {
  inputs.begin();
  inputs.rest = rest;
  addAll(inputs, shared);
  own.forEach((values, option) => {
    inputs.addOption(prior[option]!);
    addAll(inputs, values);
  });
  inputs.end(prior[own.length]!);
  return inputs;
}

function randomNetwork(random: Random): MixingNetwork {
  const parameters = new Float64Array(mixingParameters(shape));
  return new MixingNetwork(
    shape,
    parameters.map(() => 0.3 * random.normal()),
  );
}

/** -ln of the posterior of what came, worked out plainly. */
function lossOf(example: Example, came: number, parameters: Float64Array): number {
  const masses = correctionsPlainly(example, shape, parameters).map(
    (nats, option) => example.prior[option]! * Math.exp(nats),
  );
  const total = masses.reduce((sum, mass) => sum + mass, example.rest);
  return -Math.log((came < 0 ? example.rest : masses[came]!) / total);
}

/** `[options]`, what is new, and the rest. */
function posteriorsOf(inputs: MixingInputs): number[] {
  return [...inputs.posterior.subarray(0, inputs.options + 1), inputs.posteriorRest];
}

describe('a mixing network', () => {
  test('gives what the plain version gives, whatever was weighed before', () => {
    const random = new Random(3);
    const network = randomNetwork(random);
    const inputs = new MixingInputs();
    for (let i = 0; i < 200; i++) {
      const example = exampleEvent(random, i === 50 ? 300 : undefined);
      network.weigh(setInputs(inputs, example));
      const found = posteriorsOf(inputs);
      expect(found.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 12);
      found.forEach((p, option) => {
        const came = option === example.own.length + 1 ? -1 : option;
        expect(-Math.log(p)).toBeCloseTo(lossOf(example, came, network.parameters), 9);
      });
    }
  });

  test('corrects nothing before it has learned', () => {
    const random = new Random(4);
    const network = MixingNetwork.untrained(shape, 1);
    const inputs = new MixingInputs();
    const example = exampleEvent(random, 3);
    network.weigh(setInputs(inputs, example));
    [...example.prior, example.rest].forEach((p, option) => {
      expect(posteriorsOf(inputs)[option]).toBeCloseTo(p, 6);
    });
  });

  test('has the gradient that differences of the loss have', () => {
    const random = new Random(5);
    const step = 1e-5;
    const inputs = new MixingInputs();
    for (const came of [-1, 0, 2, 3]) {
      const network = randomNetwork(random);
      const example = exampleEvent(random, 3);
      network.weigh(setInputs(inputs, example));
      const gradient = new Float64Array(network.parameters.length);
      network.addGradient(inputs, came, 0.5, gradient);
      for (let i = 0; i < gradient.length; i += 3) {
        const moved = (by: number): Float64Array =>
          network.parameters.with(i, network.parameters[i]! + by);
        const difference = lossOf(example, came, moved(step)) - lossOf(example, came, moved(-step));
        expect(gradient[i]).toBeCloseTo((0.5 * difference) / (2 * step), 6);
      }
    }
  });
});

describe('examples', () => {
  test('are read as they were added, and every second of them', () => {
    const random = new Random(6);
    const examples = new MixingExamples();
    const given = Array.from({ length: 3000 }, () => exampleEvent(random));
    const inputs = new MixingInputs();
    given.forEach((example, i) => {
      examples.add(setInputs(inputs, example), i % 7, i % 3, 0.5);
    });
    const network = randomNetwork(random);
    const half = examples.halved();
    expect(half.length).toBe(1500);
    for (const [i, example] of given.entries()) {
      network.weigh(setInputs(inputs, example));
      const expected = posteriorsOf(inputs);
      examples.read(i, inputs);
      network.weigh(inputs);
      expect(posteriorsOf(inputs)).toEqual(expected);
      if (i % 2 === 1) continue;
      half.read(i / 2, inputs);
      network.weigh(inputs);
      expect(posteriorsOf(inputs)).toEqual(expected);
      expect(half.run[i / 2]).toBe(i % 7);
      expect(half.came[i / 2]).toBe(i % 3);
    }
  });
});

describe('training', () => {
  /** Two options, held alike, of which that comes whose inputs 0 and 1 differ: no weighted sum of them tells. */
  function unequal(random: Random, count: number): { examples: MixingExamples; all: Example[] } {
    const examples = new MixingExamples();
    const inputs = new MixingInputs();
    const all: Example[] = [];
    for (let i = 0; i < count; i++) {
      const bit = (): number => random.below(2);
      const [a, same] = [bit(), bit()];
      const own = [
        [a, 1 - a, 0, 0, 0],
        [same, same, 0, 0, 0],
      ];
      const came = bit();
      const example = {
        ...{ shared: [1, 0, 0, 0, 0, 0, 0], own: came === 0 ? own : own.toReversed() },
        ...{ prior: [0.375, 0.375, 0.125], rest: 0.125 },
      };
      all.push(example);
      examples.add(setInputs(inputs, example), i % 4, came, 0.375);
    }
    return { examples, all };
  }

  test('finds what no weighted sum tells, on events that it never saw', () => {
    const { examples } = unequal(new Random(7), 2000);
    const network = trainMixing(shape, examples, () => true);
    const unseen = unequal(new Random(8), 200);
    let nats = 0;
    unseen.all.forEach((example, i) => {
      nats += lossOf(example, unseen.examples.came[i]!, network!.parameters);
    });
    expect(nats / 200).toBeLessThan(0.1);
    const saved = natsSaved(network!, unseen.examples, () => true);
    expect(saved).toBeCloseTo(-200 * Math.log(0.375) - nats, 3);
    const own = (run: number): boolean => run === 1;
    expect(natsSaved(network!, unseen.examples, own)).toBeLessThan(saved / 2);
  });

  test('gives the same for the same events of the runs that take part', () => {
    const { examples } = unequal(new Random(9), 400);
    const first = trainMixing(shape, examples, (run) => run !== 2)!;
    const again = trainMixing(shape, examples, (run) => run !== 2)!;
    const other = trainMixing(shape, examples, (run) => run !== 3)!;
    expect(again.parameters).toEqual(first.parameters);
    expect(other.parameters).not.toEqual(first.parameters);
    expect(trainMixing(shape, examples, (run) => run > 3)).toBeUndefined();
  });
});
