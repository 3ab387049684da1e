import { Random } from '../../base/random.ts';
import type { MixingInputs } from './mixing-inputs.ts';

/** Units of the hidden layer. More learn slower and predict no better. */
export const hiddenUnits = 32;

/** How many kinds of inputs there are: `mostInputs` each at most. */
export interface MixingShape {
  readonly shared: number;
  readonly own: number;
}

/** Where each kind of parameters begins, all rows of `hiddenUnits`. */
function layoutOf({ shared, own }: MixingShape) {
  const ownAt = shared * hiddenUnits;
  const biasAt = ownAt + own * hiddenUnits;
  const outAt = biasAt + hiddenUnits;
  const newBiasAt = outAt + hiddenUnits;
  const newOutAt = newBiasAt + hiddenUnits;
  const newOffsetAt = newOutAt + hiddenUnits;
  return { ownAt, biasAt, outAt, newBiasAt, newOutAt, newOffsetAt, length: newOffsetAt + 1 };
}

/** @returns how many parameters a network has */
export function mixingParameters(shape: MixingShape): number {
  return layoutOf(shape).length;
}

/** Correction in nats at most: what a network says far from all that it learned from does little harm then. */
export const mostCorrection = 8;

/** Probabilities that are so nearly right teach nothing. */
const leastError = 1e-4;

/**
 * A small network that looks at all contexts of an event at once and says by how many nats each option is to be
 * believed more or less than a mixture of histories believes it.
 *
 * One hidden layer of rectifiers, the same for each option: h = max(0, b + S s + O o), s what all options share, o
 * what is known of this one; correction = m tanh(v h / m), m = `mostCorrection`. All that is new is an option with a
 * bias and output weights of its own, and nothing but s. Probabilities are those of before times e^correction,
 * together with what is no option made to sum to 1.
 */
export class MixingNetwork {
  readonly parameters: Float64Array;
  readonly #at: ReturnType<typeof layoutOf>;
  /** Set by `weigh`: `[options + 1, hiddenUnits]`, and the corrections. */
  hidden: Float64Array<ArrayBuffer> = new Float64Array(16 * hiddenUnits);
  correction: Float64Array<ArrayBuffer> = new Float64Array(16);
  readonly #shared = new Float64Array(hiddenUnits);

  /** @param parameters  as many as `mixingParameters` */
  constructor(shape: MixingShape, parameters: Float64Array) {
    this.parameters = parameters;
    this.#at = layoutOf(shape);
  }

  /** @returns a network that corrects nothing yet */
  static untrained(shape: MixingShape, seed: number): MixingNetwork {
    const random = new Random(seed);
    const { biasAt, length } = layoutOf(shape);
    const parameters = new Float64Array(length);
    // About as many inputs stand beside each other as make sums of 1.
    for (let i = 0; i < biasAt; i++) parameters[i] = 0.15 * random.normal();
    return new MixingNetwork(shape, parameters);
  }

  /** Sets the posteriors of an event. */
  weigh(inputs: MixingInputs): void {
    const { options, prior, posterior } = inputs;
    if (options >= this.correction.length) {
      this.correction = new Float64Array(2 * options);
      this.hidden = new Float64Array(2 * options * hiddenUnits);
    }
    this.#setHidden(inputs);
    const { correction } = this;
    let total = inputs.rest;
    for (let option = 0; option <= options; option++) {
      correction[option] = this.#correctionOf(option, option === options);
      posterior[option] = prior[option] * Math.exp(correction[option]);
      total += posterior[option];
    }
    for (let option = 0; option <= options; option++) posterior[option] /= total;
    inputs.posteriorRest = inputs.rest / total;
  }

  #setHidden({ options, index, value, starts }: MixingInputs): void {
    const { parameters, hidden } = this;
    const { ownAt, biasAt, newBiasAt } = this.#at;
    const shared = this.#shared;
    for (let unit = 0; unit < hiddenUnits; unit++) shared[unit] = parameters[biasAt + unit];
    addProducts(shared, 0, parameters, 0, index, value, 0, starts[0]);
    for (let option = 0; option < options; option++) {
      const to = option * hiddenUnits;
      for (let unit = 0; unit < hiddenUnits; unit++) hidden[to + unit] = shared[unit];
      const begin = starts[option];
      addProducts(hidden, to, parameters, ownAt, index, value, begin, starts[option + 1]);
    }
    const to = options * hiddenUnits;
    for (let unit = 0; unit < hiddenUnits; unit++) {
      hidden[to + unit] = shared[unit] + parameters[newBiasAt + unit];
    }
  }

  /** Rectifies the hidden units of an option. @returns its correction */
  #correctionOf(option: number, isNew: boolean): number {
    const { parameters, hidden } = this;
    const { outAt, newOutAt, newOffsetAt } = this.#at;
    const from = option * hiddenUnits;
    const out = isNew ? newOutAt : outAt;
    let sum = isNew ? parameters[newOffsetAt] : 0;
    for (let unit = 0; unit < hiddenUnits; unit++) {
      const activation = Math.max(0, hidden[from + unit]);
      hidden[from + unit] = activation;
      sum += activation * parameters[out + unit];
    }
    return mostCorrection * Math.tanh(sum / mostCorrection);
  }

  /**
   * Adds the gradient of the loss of the event weighed last, -ln(posterior of what came).
   *
   * @param came  option; `options` = something new, -1 = something that is no option
   * @param weight  of the event
   * @param gradient  as long as the parameters, added to
   */
  addGradient(inputs: MixingInputs, came: number, weight: number, gradient: Float64Array): void {
    const { options, index, value, starts, posterior } = inputs;
    const { parameters, hidden, correction } = this;
    const { ownAt, biasAt, outAt, newBiasAt, newOutAt, newOffsetAt } = this.#at;
    const shared = this.#shared.fill(0);
    const own = new Float64Array(hiddenUnits);
    for (let option = 0; option <= options; option++) {
      const isNew = option === options;
      const wrong = posterior[option] - (option === came ? 1 : 0);
      if (Math.abs(wrong) < leastError) continue;
      const slope = 1 - (correction[option] / mostCorrection) ** 2;
      const error = weight * slope * wrong;
      const from = option * hiddenUnits;
      const out = isNew ? newOutAt : outAt;
      for (let unit = 0; unit < hiddenUnits; unit++) {
        gradient[out + unit] += error * hidden[from + unit];
        own[unit] = hidden[from + unit] > 0 ? error * parameters[out + unit] : 0;
        shared[unit] += own[unit];
      }
      if (isNew) {
        gradient[newOffsetAt] += error;
        for (let unit = 0; unit < hiddenUnits; unit++) gradient[newBiasAt + unit] += own[unit];
        continue;
      }
      addOuter(gradient, ownAt, own, index, value, starts[option], starts[option + 1]);
    }
    for (let unit = 0; unit < hiddenUnits; unit++) gradient[biasAt + unit] += shared[unit];
    addOuter(gradient, 0, shared, index, value, 0, starts[0]);
  }
}

/**
 * Adds to units what some inputs say: the sum of value x row. Eight units at a time, in registers: with sums in an
 * array this took twice as long, and it is most of what learning and judging take.
 */
function addProducts(
  sums: Float64Array,
  to: number,
  rows: Float64Array,
  rowsAt: number,
  index: Uint8Array,
  value: Float32Array,
  from: number,
  end: number,
): void {
  for (let unit = 0; unit < hiddenUnits; unit += 8) {
    const at = to + unit;
    let a = sums[at];
    let b = sums[at + 1];
    let c = sums[at + 2];
    let d = sums[at + 3];
    let e = sums[at + 4];
    let f = sums[at + 5];
    let g = sums[at + 6];
    let h = sums[at + 7];
    for (let input = from; input < end; input++) {
      const row = rowsAt + unit + index[input] * hiddenUnits;
      const x = value[input];
      a += x * rows[row];
      b += x * rows[row + 1];
      c += x * rows[row + 2];
      d += x * rows[row + 3];
      e += x * rows[row + 4];
      f += x * rows[row + 5];
      g += x * rows[row + 6];
      h += x * rows[row + 7];
    }
    sums[at] = a;
    sums[at + 1] = b;
    sums[at + 2] = c;
    sums[at + 3] = d;
    sums[at + 4] = e;
    sums[at + 5] = f;
    sums[at + 6] = g;
    sums[at + 7] = h;
  }
}

/** Adds value x units to the row of each of some inputs, eight units at a time. */
function addOuter(
  rows: Float64Array,
  rowsAt: number,
  units: Float64Array,
  index: Uint8Array,
  value: Float32Array,
  from: number,
  end: number,
): void {
  for (let unit = 0; unit < hiddenUnits; unit += 8) {
    const a = units[unit];
    const b = units[unit + 1];
    const c = units[unit + 2];
    const d = units[unit + 3];
    const e = units[unit + 4];
    const f = units[unit + 5];
    const g = units[unit + 6];
    const h = units[unit + 7];
    for (let input = from; input < end; input++) {
      const row = rowsAt + unit + index[input] * hiddenUnits;
      const x = value[input];
      rows[row] += x * a;
      rows[row + 1] += x * b;
      rows[row + 2] += x * c;
      rows[row + 3] += x * d;
      rows[row + 4] += x * e;
      rows[row + 5] += x * f;
      rows[row + 6] += x * g;
      rows[row + 7] += x * h;
    }
  }
}
