import {
  directions,
  type Gate,
  gateName,
  gates,
  inputsOf,
  type LstmShape,
  parameterLayout,
} from '../src/model/lstm/shape.ts';

/**
 * The network once more, slow and plain, in double precision: what the fast one is judged by.
 *
 * @param parameters  all of them, in the layout of `parameterLayout`
 * @param window  input classes, oldest first
 * @param prior  logits to add, or none
 * @returns the logits, one for each output class
 */
export function plainLogits(
  shape: LstmShape,
  parameters: ArrayLike<number>,
  window: ArrayLike<number>,
  prior?: ArrayLike<number>,
): Float64Array {
  const layout = parameterLayout(shape);
  const at = (name: string, index: number): number => parameters[layout.find(name).offset + index];
  const steps = Array.from({ length: shape.windowLength }, (_, step) => step);
  let sequence = steps.map((step) =>
    Float64Array.from({ length: shape.embedding }, (_, i) =>
      at('embedding', window[step] * shape.embedding + i),
    ),
  );
  let top = new Float64Array(0);
  for (let layer = 0; layer < shape.layers; layer++) {
    const inputs = inputsOf(shape, layer);
    const byDirection = directions(shape).map((direction) => {
      let state = new Float64Array(shape.units);
      let cell = new Float64Array(shape.units);
      const states: Float64Array<ArrayBuffer>[] = [];
      for (const step of direction === 'forward' ? steps : steps.toReversed()) {
        const joined = [...sequence[step], ...state];
        const sum = (gate: Gate, unit: number): number => {
          const name = gateName(layer, direction, gate);
          let total = at(`${name}.bias`, unit);
          for (let i = 0; i < inputs + shape.units; i++) {
            total += joined[i] * at(`${name}.kernel`, i * shape.units + unit);
          }
          return total;
        };
        const nextCell = new Float64Array(shape.units);
        const nextState = new Float64Array(shape.units);
        for (let unit = 0; unit < shape.units; unit++) {
          const [i, f, g, o] = gates.map((gate) => {
            const value = sum(gate, unit);
            return gate === 'g' ? Math.tanh(value) : gateValue(shape, value);
          });
          nextCell[unit] = f * cell[unit] + i * g;
          nextState[unit] = o * Math.tanh(nextCell[unit]);
        }
        cell = nextCell;
        state = nextState;
        states[step] = state;
      }
      return { states, last: state };
    });
    sequence = steps.map((step) =>
      Float64Array.from(byDirection.flatMap(({ states }) => [...states[step]])).map((v) =>
        Math.max(0, v),
      ),
    );
    top = Float64Array.from(byDirection.flatMap(({ last }) => [...last]));
  }
  const hidden = affine(
    top,
    shape.dense,
    (i, unit) => at('hidden.kernel', i * shape.dense + unit),
    (unit) => at('hidden.bias', unit),
  );
  const active = hidden.map((value) => Math.max(0, value));
  const logits = affine(
    active,
    shape.outputClasses,
    (i, unit) => at('output.kernel', i * shape.outputClasses + unit),
    (unit) => at('output.bias', unit),
  );
  return prior === undefined ? logits : logits.map((value, c) => value + prior[c]);
}

/** @returns -log p(target) */
export function plainLoss(logits: Float64Array, target: number): number {
  const most = Math.max(...logits);
  const sum = logits.reduce((total, value) => total + Math.exp(value - most), 0);
  return Math.log(sum) + most - logits[target];
}

function gateValue(shape: LstmShape, value: number): number {
  if (shape.gate === 'sigmoid') return 1 / (1 + Math.exp(-value));
  return Math.min(1, Math.max(0, 0.2 * value + 0.5));
}

function affine(
  input: Float64Array,
  units: number,
  kernel: (i: number, unit: number) => number,
  bias: (unit: number) => number,
): Float64Array<ArrayBuffer> {
  return Float64Array.from({ length: units }, (_, unit) =>
    input.reduce((total, value, i) => total + value * kernel(i, unit), bias(unit)),
  );
}
