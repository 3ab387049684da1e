import { Random } from '../../base/random.ts';
import type { MixingExamples } from './mixing-examples.ts';
import { MixingInputs } from './mixing-inputs.ts';
import { MixingNetwork, type MixingShape } from './mixing-network.ts';

/** So often is an event drawn: of few ones more often, as long as all draws together are few. */
const passes = 10;
const mostPasses = 25;
const fewDraws = 9600;
/** All together are drawn so often at most, which bounds the time. */
const mostDraws = 96_000;
const batch = 32;
const learningRate = 0.003;
/** Weights shrink by this share of each step (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019). */
const decay = 0.1;
/** Fewer examples tell nothing that is worth it. */
const fewest = 256;

/**
 * Trains a network on the events of some runs, by Adam (Kingma and Ba, "Adam: a method for stochastic optimization",
 * 2015) with a rate that falls as a cosine. Events from which there is more to learn are drawn more often, and count
 * less by as much. The same examples give the same network.
 *
 * @param isIn  whether a run takes part
 * @returns `undefined` where there are too few events
 */
export function trainMixing(
  shape: MixingShape,
  examples: MixingExamples,
  isIn: (run: number) => boolean,
): MixingNetwork | undefined {
  const draws = drawsOf(examples, isIn);
  const { length } = draws.events;
  if (length < fewest) return undefined;
  const random = new Random(1);
  const network = MixingNetwork.untrained(shape, 1);
  const adam = new Adam(network.parameters);
  const inputs = new MixingInputs();
  const steps = Math.ceil(drawsFor(length) / batch);
  for (let step = 0; step < steps; step++) {
    for (let i = 0; i < batch; i++) {
      const nth = drawn(draws.upTo, random.uniform());
      const event = draws.events[nth];
      examples.read(event, inputs);
      network.weigh(inputs);
      network.addGradient(inputs, examples.came[event], draws.weight[nth] / batch, adam.gradient);
    }
    adam.step(learningRate * 0.5 * (1 + Math.cos((Math.PI * step) / steps)));
  }
  // As a file holds them, so that what is loaded judges exactly like this.
  return new MixingNetwork(shape, network.parameters.map(Math.fround));
}

function drawsFor(events: number): number {
  return Math.min(Math.max(passes * events, Math.min(mostPasses * events, fewDraws)), mostDraws);
}

/** @returns by how many nats what came in the events of some runs is more probable with a network than without it */
export function natsSaved(
  network: MixingNetwork,
  examples: MixingExamples,
  isIn: (run: number) => boolean,
): number {
  const inputs = new MixingInputs();
  let saved = 0;
  for (let event = 0; event < examples.length; event++) {
    if (!isIn(examples.run[event])) continue;
    examples.read(event, inputs);
    network.weigh(inputs);
    const { prior, posterior, rest, posteriorRest } = inputs;
    const came = examples.came[event];
    saved += came < 0 ? Math.log(posteriorRest / rest) : Math.log(posterior[came] / prior[came]);
  }
  return saved;
}

interface Draws {
  readonly events: Int32Array;
  /** Chance that one of the events up to this one is drawn, by event. */
  readonly upTo: Float64Array;
  /** What a draw counts, so that all events count alike. */
  readonly weight: Float64Array;
}

function drawsOf(examples: MixingExamples, isIn: (run: number) => boolean): Draws {
  const all = Array.from({ length: examples.length }, (_, event) => event);
  const events = Int32Array.from(all.filter((event) => isIn(examples.run[event])));
  const { probability, highest } = examples;
  // What the event taught, in nats, and how unsure it was; the two hundredths, so that none is forgotten.
  const worth = Float64Array.from(
    events,
    (event) =>
      0.02 - Math.log(highest[event]) * 3 - Math.log(Math.max(1e-3, probability[event])) * 0.3,
  );
  const sum = worth.reduce((before, each) => before + each, 0);
  let before = 0;
  const upTo = worth.map((each) => {
    before += each / sum;
    return before;
  });
  return { events, upTo, weight: worth.map((each) => sum / (events.length * each)) };
}

/** @returns the first whose chance is above a number in [0, 1) */
function drawn(upTo: Float64Array, chance: number): number {
  let low = 0;
  let high = upTo.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (upTo[middle] > chance) high = middle;
    else low = middle + 1;
  }
  return low;
}

class Adam {
  readonly gradient: Float64Array;
  readonly #parameters: Float64Array;
  readonly #mean: Float64Array;
  readonly #square: Float64Array;
  #steps = 0;

  constructor(parameters: Float64Array) {
    this.#parameters = parameters;
    this.gradient = new Float64Array(parameters.length);
    this.#mean = new Float64Array(parameters.length);
    this.#square = new Float64Array(parameters.length);
  }

  /** Takes a step against the gradient, and clears it. */
  step(rate: number): void {
    this.#steps++;
    const parameters = this.#parameters;
    const { gradient } = this;
    const mean = this.#mean;
    const square = this.#square;
    const ofMean = rate / (1 - 0.9 ** this.#steps);
    const ofSquare = 1 / (1 - 0.999 ** this.#steps);
    for (let i = 0; i < parameters.length; i++) {
      const g = gradient[i];
      gradient[i] = 0;
      mean[i] = 0.9 * mean[i] + 0.1 * g;
      square[i] = 0.999 * square[i] + 0.001 * g * g;
      parameters[i] -=
        (ofMean * mean[i]) / (Math.sqrt(square[i] * ofSquare) + 1e-7) +
        rate * decay * parameters[i];
    }
  }
}
