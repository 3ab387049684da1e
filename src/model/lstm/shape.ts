import { assert } from '../../base/errors.ts';
import { Random } from '../../base/random.ts';

/** Sizes of the network. The rest of its shape is fixed; see `README.md`. */
export interface LstmShape {
  /** Time steps: blocks in a window. */
  readonly windowLength: number;
  readonly inputClasses: number;
  readonly outputClasses: number;
  /** Features of a block. */
  readonly embedding: number;
  /** Cells of each LSTM, in each direction. */
  readonly units: number;
  readonly layers: number;
  /** Each LSTM reads its input in both directions; the results are concatenated. */
  readonly bidirectional: boolean;
  /** Units of the hidden layer between the last LSTM and the output. */
  readonly dense: number;
  /** Gates as Keras computes them: newer versions `sigmoid`, 2.2 and older `hardSigmoid`. */
  readonly gate: 'sigmoid' | 'hardSigmoid';
}

export const defaultShape: Omit<LstmShape, 'inputClasses' | 'outputClasses'> = {
  windowLength: 32,
  embedding: 128,
  units: 128,
  layers: 3,
  bidirectional: false,
  dense: 128,
  gate: 'sigmoid',
};

/** Keras' order: input, forget, candidate, output. */
export const gates = ['i', 'f', 'g', 'o'] as const;
export type Gate = (typeof gates)[number];
export type Direction = 'forward' | 'backward';

/** One tensor in the vector that holds all parameters. */
export interface Parameter {
  readonly name: string;
  readonly dimensions: readonly number[];
  /** Index of its first element. */
  readonly offset: number;
  readonly length: number;
}

/**
 * Where each parameter lies in the one vector of all of them. The embedding comes first: its
 * gradients are sparse. Everything after `denseOffset` has a gradient in every step.
 *
 * An LSTM's gate has one kernel `[inputs + units, units]`: rows for the input, then rows for the
 * recurrent state.
 */
export interface ParameterLayout {
  readonly all: readonly Parameter[];
  readonly length: number;
  readonly denseOffset: number;
  find(name: string): Parameter;
}

export function directions(shape: LstmShape): readonly Direction[] {
  return shape.bidirectional ? ['forward', 'backward'] : ['forward'];
}

/** Features that go into an LSTM layer, from 0; `layer === shape.layers` asks for the hidden layer. */
export function inputsOf(shape: LstmShape, layer: number): number {
  return layer === 0 ? shape.embedding : shape.units * directions(shape).length;
}

/** `lstm0.forward.i`; add `.kernel` or `.bias`. */
export function gateName(layer: number, direction: Direction, gate: Gate): string {
  return `lstm${layer}.${direction}.${gate}`;
}

export function parameterLayout(shape: LstmShape): ParameterLayout {
  const all: Parameter[] = [];
  const byName = new Map<string, Parameter>();
  let offset = 0;
  const add = (name: string, ...dimensions: number[]): void => {
    const length = dimensions.reduce((product, size) => product * size, 1);
    const parameter = { name, dimensions, offset, length };
    all.push(parameter);
    byName.set(name, parameter);
    offset += length;
  };
  add('embedding', shape.inputClasses, shape.embedding);
  const denseOffset = offset;
  for (let layer = 0; layer < shape.layers; layer++) {
    for (const direction of directions(shape)) {
      for (const gate of gates) {
        const name = gateName(layer, direction, gate);
        add(`${name}.kernel`, inputsOf(shape, layer) + shape.units, shape.units);
        add(`${name}.bias`, shape.units);
      }
    }
  }
  add('hidden.kernel', inputsOf(shape, shape.layers), shape.dense);
  add('hidden.bias', shape.dense);
  add('output.kernel', shape.dense, shape.outputClasses);
  add('output.bias', shape.outputClasses);
  return {
    all,
    length: offset,
    denseOffset,
    find(name) {
      const parameter = byName.get(name);
      assert(parameter !== undefined, `no parameter ${name}`);
      return parameter;
    },
  };
}

/**
 * Fills a vector of parameters as Keras does: embedding uniform in +-0.05, kernels Glorot uniform,
 * recurrent kernels orthogonal, biases 0 but the forget gates' 1.
 */
export function initialize(shape: LstmShape, parameters: Float32Array, seed: number): void {
  const layout = parameterLayout(shape);
  const random = new Random(seed);
  parameters.fill(0);
  const uniform = (offset: number, length: number, limit: number): void => {
    for (let i = 0; i < length; i++) parameters[offset + i] = (random.uniform() * 2 - 1) * limit;
  };
  uniform(0, layout.denseOffset, 0.05);
  for (let layer = 0; layer < shape.layers; layer++) {
    const inputs = inputsOf(shape, layer);
    for (const direction of directions(shape)) {
      const recurrent = orthogonalRows(shape.units, 4 * shape.units, random);
      for (let g = 0; g < gates.length; g++) {
        const name = gateName(layer, direction, gates[g]);
        const kernel = layout.find(`${name}.kernel`);
        // Keras draws the four gates as one matrix: its fan-out is that of all four.
        const limit = Math.sqrt(6 / (inputs + 4 * shape.units));
        uniform(kernel.offset, inputs * shape.units, limit);
        for (let row = 0; row < shape.units; row++) {
          const from = row * 4 * shape.units + g * shape.units;
          parameters.set(
            recurrent.subarray(from, from + shape.units),
            kernel.offset + (inputs + row) * shape.units,
          );
        }
        if (gates[g] === 'f') {
          const bias = layout.find(`${name}.bias`);
          parameters.fill(1, bias.offset, bias.offset + bias.length);
        }
      }
    }
  }
  for (const name of ['hidden', 'output']) {
    const { offset, length, dimensions } = layout.find(`${name}.kernel`);
    uniform(offset, length, Math.sqrt(6 / (dimensions[0] + dimensions[1])));
  }
}

/** A random matrix `[rows, columns]`, rows <= columns, whose rows are orthonormal (Gram-Schmidt). */
function orthogonalRows(rows: number, columns: number, random: Random): Float32Array {
  const matrix = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const own = matrix.subarray(row * columns, (row + 1) * columns);
    for (let i = 0; i < columns; i++) own[i] = random.normal();
    // Twice is enough: once more than exact arithmetic needs.
    for (let pass = 0; pass < 2; pass++) {
      for (let other = 0; other < row; other++) {
        const base = other * columns;
        let dot = 0;
        for (let i = 0; i < columns; i++) dot += own[i] * matrix[base + i];
        for (let i = 0; i < columns; i++) own[i] -= dot * matrix[base + i];
      }
    }
    let square = 0;
    for (let i = 0; i < columns; i++) square += own[i] * own[i];
    const scale = 1 / Math.sqrt(square);
    for (let i = 0; i < columns; i++) own[i] *= scale;
  }
  return Float32Array.from(matrix);
}
