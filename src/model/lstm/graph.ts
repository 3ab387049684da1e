import { assert } from '../../base/errors.ts';
import { OnnxGraph } from '../onnx/onnx.ts';
import {
  type Direction,
  directions,
  type Gate,
  gateName,
  gates,
  inputsOf,
  type LstmShape,
  type Parameter,
  parameterLayout,
} from './shape.ts';

/**
 * The network as ONNX graphs, unrolled over time.
 *
 * The first layer's input product is the same for every occurrence of a block, so it is computed
 * once for each distinct block ("token") of a batch, `tokens * W + b`, and gathered by step. In
 * the other layers input and state are concatenated and multiplied by one kernel a gate: a Gemm
 * whose activation ONNX Runtime fuses. Together they train twice as fast as one wide Gemm with a
 * Split, the textbook form.
 *
 * `ScatterND` with `reduction=add` sums wrongly when a session has several threads and indices
 * repeat (ONNX Runtime 1.30: about 3 % off, silently). Sessions of these graphs must have one.
 */

/** Values of one cell at one step that its backward pass needs. */
interface Cell {
  /** Input and previous state, side by side; `undefined` in the first layer. */
  readonly joined: string | undefined;
  readonly previousState: string;
  readonly previousCell: string;
  readonly i: string;
  readonly f: string;
  readonly g: string;
  readonly o: string;
  /** `i * g`. */
  readonly update: string;
  /** `f * previousCell`. */
  readonly kept: string;
  readonly cell: string;
  readonly cellTanh: string;
  readonly state: string;
}

interface Forward {
  /** `cells[layer][direction][step]`, steps in the window's order. */
  readonly cells: readonly (readonly (readonly Cell[])[])[];
  /** `layerInputs[layer][step]`; empty for the first layer. */
  readonly layerInputs: readonly (readonly string[])[];
  /** What goes into the hidden layer. */
  readonly top: string;
  readonly hidden: string;
  readonly dropped: string;
  readonly logits: string;
}

/**
 * Gradients are computed this many times as large, and divided by it at the end. On their way back through the steps of
 * a window they get smaller than a normal float can be, above all on an n-gram, which leaves little to learn, and what
 * is denormal takes processors of Intel a hundred times as long: training took four times as long. A power of two, so
 * that all else stays as it is; as far from a gradient of 1 as that then is from the largest float.
 */
const gradientScale = 2 ** 60;

/** Names of the graphs' inputs that are not parameters. */
export const feeds = {
  /** Token of each window at a step, `[batch]`, int32. */
  step: (step: number): string => `step${step}`,
  /** Zeros, `[batch, units]`: the state before the first step. */
  zeros: 'zeros',
  /** Logits to add, `[batch, outputClasses]`. */
  prior: 'prior',
  /** Embeddings of the batch's distinct blocks, `[tokens, embedding]`. */
  tokens: 'tokens',
  /** All steps' tokens, `[windowLength * batch, 1]`, step by step, int64. */
  scatter: 'scatter',
  /** `[batch, dense]`: 0, or 1 / (1 - rate). */
  dropout: 'dropout',
  /** Row and class of each window's target, `[batch, 2]`, int64. */
  target: 'target',
  /** Of each window in the loss, `[batch, 1]`. */
  weight: 'weight',
  /** Ones, `[1, batch]`. */
  ones: 'ones',
} as const;

/** Names of the graphs' outputs. */
export const results = {
  probabilities: 'probabilities',
  /** Probability of each window's target, `[batch]`. */
  targetProbability: 'targetProbability',
  /** The highest probability, `[batch, 1]`. */
  maxProbability: 'maxProbability',
  gradient: (parameter: string): string => `d.${parameter}`,
  /** Gradient of `feeds.tokens`. */
  tokensGradient: 'd.tokens',
} as const;

/**
 * Forward and backward pass for one micro-batch: parameters in, gradients out. The gradients are
 * those of the sum of `weight * -log p(target)`.
 */
export function trainingGraph(shape: LstmShape, withPrior: boolean): Uint8Array {
  const graph = new OnnxGraph('training');
  const layout = parameterLayout(shape);
  declareSteps(graph, shape, withPrior);
  graph.input(feeds.tokens, 'float', ['tokens', shape.embedding]);
  graph.input(feeds.scatter, 'int64', [`${shape.windowLength}*batch`, 1]);
  graph.input(feeds.dropout, 'float', ['batch', shape.dense]);
  graph.input(feeds.target, 'int64', ['batch', 2]);
  graph.input(feeds.weight, 'float', ['batch', 1]);
  graph.input(feeds.ones, 'float', [1, 'batch']);
  for (const parameter of trainingParameters(shape)) {
    graph.input(parameter.name, 'float', parameter.dimensions);
  }
  const forward = buildForward(graph, shape, { withPrior, dropout: feeds.dropout });
  const backward = new Backward(graph, shape, forward);
  backward.run();
  for (const name of [results.targetProbability]) graph.output(name, 'float', ['batch']);
  graph.output(results.maxProbability, 'float', ['batch', 1]);
  graph.output(results.tokensGradient, 'float', ['tokens', shape.embedding]);
  for (const parameter of trainingParameters(shape)) {
    graph.output(results.gradient(parameter.name), 'float', parameter.dimensions);
  }
  assert(layout.length > 0, 'a network without parameters');
  return graph.encode();
}

/** The forward pass with the parameters inside: classes in, probabilities out. */
export function inferenceGraph(
  shape: LstmShape,
  parameters: Float32Array,
  withPrior: boolean,
): Uint8Array {
  const graph = new OnnxGraph('inference');
  declareSteps(graph, shape, withPrior);
  const layout = parameterLayout(shape);
  // Every class is a token here; ONNX Runtime computes the first layer's table once, at load.
  const values = (p: Parameter): Float32Array => parameters.subarray(p.offset, p.offset + p.length);
  const embedding = layout.find('embedding');
  graph.constant(feeds.tokens, values(embedding), embedding.dimensions);
  for (const parameter of trainingParameters(shape)) {
    const { dimensions } = parameter;
    const source = parameter.name.endsWith('.kernel.input')
      ? parameters.subarray(parameter.offset, parameter.offset + parameter.length)
      : values(parameter);
    graph.constant(parameter.name, source, dimensions);
  }
  const forward = buildForward(graph, shape, { withPrior, dropout: undefined });
  graph.node('Softmax', [forward.logits], { axis: 1 }, results.probabilities);
  graph.output(results.probabilities, 'float', ['batch', shape.outputClasses]);
  return graph.encode();
}

/**
 * Parameters as the graphs take them: all but the embedding, and the first layer's kernels cut
 * into `.kernel.input` and `.kernel.state`. Biases are rows.
 */
export function trainingParameters(shape: LstmShape): readonly Parameter[] {
  const layout = parameterLayout(shape);
  const split: Parameter[] = [];
  for (const parameter of layout.all) {
    if (parameter.name === 'embedding') continue;
    const { name, offset, dimensions } = parameter;
    if (name.startsWith('lstm0.') && name.endsWith('.kernel')) {
      const length = shape.embedding * shape.units;
      split.push(
        { name: `${name}.input`, dimensions: [shape.embedding, shape.units], offset, length },
        {
          name: `${name}.state`,
          dimensions: [shape.units, shape.units],
          offset: offset + length,
          length: parameter.length - length,
        },
      );
    } else if (dimensions.length === 1) {
      split.push({ ...parameter, dimensions: [1, dimensions[0]] });
    } else {
      split.push(parameter);
    }
  }
  return split;
}

function declareSteps(graph: OnnxGraph, shape: LstmShape, withPrior: boolean): void {
  for (let step = 0; step < shape.windowLength; step++) {
    graph.input(feeds.step(step), 'int32', ['batch']);
  }
  graph.input(feeds.zeros, 'float', ['batch', shape.units]);
  if (withPrior) graph.input(feeds.prior, 'float', ['batch', shape.outputClasses]);
}

interface ForwardOptions {
  readonly withPrior: boolean;
  /** Name of the mask, or none. */
  readonly dropout: string | undefined;
}

function buildForward(graph: OnnxGraph, shape: LstmShape, options: ForwardOptions): Forward {
  const { windowLength } = shape;
  const cells: Cell[][][] = [];
  const layerInputs: string[][] = [];
  let inputs: string[] = [];
  let top = '';
  for (let layer = 0; layer < shape.layers; layer++) {
    layerInputs.push(inputs);
    const byDirection = directions(shape).map((direction) =>
      buildLstm(graph, shape, layer, direction, inputs),
    );
    cells.push(byDirection);
    if (layer < shape.layers - 1) {
      inputs = Array.from({ length: windowLength }, (_, step) =>
        graph.node('Relu', [
          join(
            graph,
            byDirection.map((steps) => steps[step].state),
          ),
        ]),
      );
    } else {
      // A backward LSTM has read everything once it has read the oldest block.
      top = join(
        graph,
        byDirection.map((steps, d) => steps[d === 0 ? windowLength - 1 : 0].state),
      );
    }
  }
  const hidden = graph.node('Relu', [graph.node('Gemm', [top, 'hidden.kernel', 'hidden.bias'])]);
  const dropped =
    options.dropout === undefined ? hidden : graph.node('Mul', [hidden, options.dropout]);
  const product = graph.node('Gemm', [dropped, 'output.kernel', 'output.bias']);
  const logits = options.withPrior ? graph.node('Add', [product, feeds.prior]) : product;
  return { cells, layerInputs, top, hidden, dropped, logits };
}

function buildLstm(
  graph: OnnxGraph,
  shape: LstmShape,
  layer: number,
  direction: Direction,
  inputs: readonly string[],
): Cell[] {
  const name = (gate: Gate): string => gateName(layer, direction, gate);
  const tables =
    layer === 0
      ? gates.map((gate) =>
          graph.node('Gemm', [feeds.tokens, `${name(gate)}.kernel.input`, `${name(gate)}.bias`]),
        )
      : [];
  const cells: Cell[] = [];
  let state: string = feeds.zeros;
  let cell: string = feeds.zeros;
  for (const step of stepsOf(shape, direction)) {
    const joined =
      layer === 0 ? undefined : graph.node('Concat', [inputs[step], state], { axis: 1 });
    const [i, f, g, o] = gates.map((gate, index) => {
      const sum =
        joined === undefined
          ? graph.node('Gemm', [
              state,
              `${name(gate)}.kernel.state`,
              graph.node('Gather', [tables[index], feeds.step(step)]),
            ])
          : graph.node('Gemm', [joined, `${name(gate)}.kernel`, `${name(gate)}.bias`]);
      if (gate === 'g') return graph.node('Tanh', [sum]);
      return shape.gate === 'sigmoid'
        ? graph.node('Sigmoid', [sum])
        : graph.node('HardSigmoid', [sum], { alpha: { float: 0.2 }, beta: { float: 0.5 } });
    }) as [string, string, string, string];
    const update = graph.node('Mul', [i, g]);
    const kept = graph.node('Mul', [f, cell]);
    const nextCell = graph.node('Add', [kept, update]);
    const cellTanh = graph.node('Tanh', [nextCell]);
    const nextState = graph.node('Mul', [o, cellTanh]);
    cells[step] = {
      joined,
      previousState: state,
      previousCell: cell,
      i,
      f,
      g,
      o,
      update,
      kept,
      cell: nextCell,
      cellTanh,
      state: nextState,
    };
    state = nextState;
    cell = nextCell;
  }
  return cells;
}

/** Steps in the order in which a direction reads them. */
function stepsOf(shape: LstmShape, direction: Direction): readonly number[] {
  const steps = Array.from({ length: shape.windowLength }, (_, step) => step);
  return direction === 'forward' ? steps : steps.reverse();
}

function join(graph: OnnxGraph, parts: readonly string[]): string {
  return parts.length === 1 ? parts[0] : graph.node('Concat', parts, { axis: 1 });
}

/** The backward pass, derived by hand and checked against finite differences. */
class Backward {
  readonly #graph: OnnxGraph;
  readonly #shape: LstmShape;
  readonly #forward: Forward;

  constructor(graph: OnnxGraph, shape: LstmShape, forward: Forward) {
    this.#graph = graph;
    this.#shape = shape;
    this.#forward = forward;
  }

  run(): void {
    const shape = this.#shape;
    const last = shape.layers - 1;
    const dTop = this.#head();
    // Gradients of the layer's outputs, step by step; the last layer has one at its end only.
    let dOutputs = directions(shape).map((_, d) => {
      const steps: (string | undefined)[] = new Array(shape.windowLength).fill(undefined);
      steps[d === 0 ? shape.windowLength - 1 : 0] = dTop[d];
      return steps;
    });
    for (let layer = last; layer >= 0; layer--) {
      const dInputs: string[][] = Array.from({ length: shape.windowLength }, () => []);
      directions(shape).forEach((direction, d) => {
        this.#lstm(layer, direction, d, dOutputs[d], dInputs);
      });
      if (layer === 0) break;
      dOutputs = this.#throughRelu(layer, dInputs);
    }
    this.#tokens();
  }

  /** Loss, output and hidden layer. @returns the gradient of the last layer's states by direction */
  #head(): readonly string[] {
    const graph = this.#graph;
    const { logits, dropped, hidden, top } = this.#forward;
    const probabilities = graph.node('Softmax', [logits], { axis: 1 });
    graph.node('GatherND', [probabilities, feeds.target], {}, results.targetProbability);
    graph.node(
      'ReduceMax',
      [probabilities, this.#axis(1)],
      { keepdims: 1 },
      results.maxProbability,
    );
    // Softmax and cross-entropy: weight * (p - 1 at the target). Rows are distinct here.
    const minusOne = graph.node('Sub', [
      graph.node('Mul', [results.targetProbability, this.#scalar(0)]),
      this.#scalar(1),
    ]);
    const difference = graph.node('ScatterND', [probabilities, feeds.target, minusOne], {
      reduction: 'add',
    });
    const weight = graph.node('Mul', [feeds.weight, this.#scalar(gradientScale)]);
    const dLogits = graph.node('Mul', [difference, weight]);
    this.#gradient('output.kernel', 'Gemm', [dropped, dLogits], { transA: 1 });
    this.#gradient('output.bias', 'Gemm', [feeds.ones, dLogits]);
    const dDropped = graph.node('Gemm', [dLogits, 'output.kernel'], { transB: 1 });
    const dHidden = graph.node('Mul', [
      graph.node('Mul', [dDropped, feeds.dropout]),
      graph.node('Sign', [hidden]),
    ]);
    this.#gradient('hidden.kernel', 'Gemm', [top, dHidden], { transA: 1 });
    this.#gradient('hidden.bias', 'Gemm', [feeds.ones, dHidden]);
    const dTop = graph.node('Gemm', [dHidden, 'hidden.kernel'], { transB: 1 });
    return this.#split(dTop);
  }

  #lstm(
    layer: number,
    direction: Direction,
    directionIndex: number,
    dOutputs: readonly (string | undefined)[],
    dInputs: string[][],
  ): void {
    const graph = this.#graph;
    const shape = this.#shape;
    const cells = this.#forward.cells[layer][directionIndex];
    const order = stepsOf(shape, direction);
    const names = gates.map((gate) => gateName(layer, direction, gate));
    const kernel = layer === 0 ? '.kernel.state' : '.kernel';
    let dState: string | undefined;
    let dCellNext: string | undefined;
    const dKernels: (string | undefined)[] = [undefined, undefined, undefined, undefined];
    const dBiases: (string | undefined)[] = [undefined, undefined, undefined, undefined];
    const dSums: string[][] = [[], [], [], []];
    for (let position = order.length - 1; position >= 0; position--) {
      const step = order[position];
      const cell = cells[step];
      const dHere = dOutputs[step];
      const dOut = sum(graph, dState, dHere);
      const byGate = this.#cell(cell, dOut, dCellNext);
      dCellNext = graph.node('Mul', [byGate.dCell, cell.f]);
      let dJoined: string | undefined;
      byGate.dSums.forEach((dSum, g) => {
        const source = cell.joined ?? cell.previousState;
        dKernels[g] = graph.node('Gemm', optional([source, dSum], dKernels[g]), { transA: 1 });
        if (layer === 0) dSums[g][step] = dSum;
        else dBiases[g] = graph.node('Gemm', optional([feeds.ones, dSum], dBiases[g]));
        dJoined = graph.node('Gemm', optional([dSum, names[g] + kernel], dJoined), { transB: 1 });
      });
      if (layer === 0) {
        dState = dJoined!;
      } else {
        const [dInput, dPrevious] = graph.nodes(
          'Split',
          [dJoined!, this.#sizes(inputsOf(shape, layer), shape.units)],
          { axis: 1 },
          2,
        );
        dInputs[step].push(dInput);
        dState = dPrevious;
      }
    }
    names.forEach((name, g) => {
      this.#unscaled(dKernels[g]!, results.gradient(name + kernel));
      if (layer > 0) this.#unscaled(dBiases[g]!, results.gradient(`${name}.bias`));
      else this.#table(name, dSums[g]);
    });
  }

  /** One cell. @returns gradients of its four gates' sums, in order, and of its cell value */
  #cell(
    c: Cell,
    dState: string,
    dCellNext: string | undefined,
  ): { readonly dSums: readonly string[]; readonly dCell: string } {
    const graph = this.#graph;
    const mul = (a: string, b: string): string => graph.node('Mul', [a, b]);
    const sub = (a: string, b: string): string => graph.node('Sub', [a, b]);
    const through = mul(dState, sub(c.o, mul(c.state, c.cellTanh)));
    const dCell = dCellNext === undefined ? through : graph.node('Add', [through, dCellNext]);
    const dSumG = mul(dCell, sub(c.i, mul(c.update, c.g)));
    if (this.#shape.gate === 'sigmoid') {
      // s * (1 - s) times a factor that the forward pass has already multiplied by s.
      return {
        dCell,
        dSums: [
          mul(dCell, sub(c.update, mul(c.update, c.i))),
          mul(dCell, sub(c.kept, mul(c.kept, c.f))),
          dSumG,
          mul(dState, sub(c.state, mul(c.state, c.o))),
        ],
      };
    }
    const slope = (gate: string): string => {
      // 0.2 where 0 < s < 1. Sign(s - s * s) is 1 inside and 0 at both ends.
      return mul(graph.node('Sign', [sub(gate, mul(gate, gate))]), this.#scalar(0.2));
    };
    return {
      dCell,
      dSums: [
        mul(mul(dCell, c.g), slope(c.i)),
        mul(mul(dCell, c.previousCell), slope(c.f)),
        dSumG,
        mul(mul(dState, c.cellTanh), slope(c.o)),
      ],
    };
  }

  /** First layer: sums the gradients of a gate's sums by token, then goes through the table. */
  #table(name: string, dSums: readonly string[]): void {
    const graph = this.#graph;
    const rows = graph.node('Concat', dSums, { axis: 0 });
    const zeros = graph.node('ConstantOfShape', [this.#tableShape()]);
    const dTable = graph.node('ScatterND', [zeros, feeds.scatter, rows], { reduction: 'add' });
    this.#gradient(`${name}.kernel.input`, 'Gemm', [feeds.tokens, dTable], { transA: 1 });
    this.#gradient(`${name}.bias`, 'ReduceSum', [dTable, this.#axis(0)], { keepdims: 1 });
    this.#dTokens = graph.node('Gemm', optional([dTable, `${name}.kernel.input`], this.#dTokens), {
      transB: 1,
    });
  }
  #dTokens: string | undefined;

  #tokens(): void {
    this.#unscaled(this.#dTokens!, results.tokensGradient);
  }

  #throughRelu(layer: number, dInputs: readonly string[][]): (string | undefined)[][] {
    const graph = this.#graph;
    const byDirection: string[][] = directions(this.#shape).map(() => []);
    dInputs.forEach((parts, step) => {
      const total = parts.reduce((a, b) => graph.node('Add', [a, b]));
      const masked = graph.node('Mul', [
        total,
        graph.node('Sign', [this.#forward.layerInputs[layer][step]]),
      ]);
      this.#split(masked).forEach((part, d) => {
        byDirection[d].push(part);
      });
    });
    return byDirection;
  }

  /** Cuts a concatenation of both directions apart. */
  #split(value: string): readonly string[] {
    const { units } = this.#shape;
    if (!this.#shape.bidirectional) return [value];
    return this.#graph.nodes('Split', [value, this.#sizes(units, units)], { axis: 1 }, 2);
  }

  #gradient(
    parameter: string,
    operator: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, number>> = {},
  ): void {
    const value = this.#graph.node(operator, inputs, attributes);
    this.#unscaled(value, results.gradient(parameter));
  }

  /** @param value  a gradient, to be told as the output `name` */
  #unscaled(value: string, name: string): void {
    this.#graph.node('Mul', [value, this.#scalar(1 / gradientScale)], {}, name);
  }

  readonly #constants = new Map<string, string>();

  #constant(key: string, make: (name: string) => void): string {
    if (!this.#constants.has(key)) {
      make(key);
      this.#constants.set(key, key);
    }
    return key;
  }

  #axis(axis: number): string {
    return this.#constant(`axis${axis}`, (name) =>
      this.#graph.constant(name, BigInt64Array.of(BigInt(axis)), [1]),
    );
  }

  #scalar(value: number): string {
    return this.#constant(`scalar${value}`, (name) =>
      this.#graph.constant(name, Float32Array.of(value), []),
    );
  }

  #sizes(a: number, b: number): string {
    return this.#constant(`sizes${a}.${b}`, (name) =>
      this.#graph.constant(name, BigInt64Array.of(BigInt(a), BigInt(b)), [2]),
    );
  }

  /** `[tokens, units]` as a value. */
  #tableShape(): string {
    return this.#constant('tableShape', (name) => {
      const tokens = this.#graph.node('Shape', [feeds.tokens], { start: 0, end: 1 });
      this.#graph.constant('units', BigInt64Array.of(BigInt(this.#shape.units)), [1]);
      this.#graph.node('Concat', [tokens, 'units'], { axis: 0 }, name);
    });
  }
}

function optional(inputs: readonly string[], last: string | undefined): readonly string[] {
  return last === undefined ? inputs : [...inputs, last];
}

function sum(graph: OnnxGraph, a: string | undefined, b: string | undefined): string {
  if (a !== undefined && b !== undefined) return graph.node('Add', [a, b]);
  const only = a ?? b;
  assert(only !== undefined, 'a step without a gradient');
  return only;
}
