import { UserError } from '../../../base/errors.ts';
import { showValue } from '../../../base/text/format.ts';
import { isRecord } from '../../../base/values.ts';
import { type LstmShape, parameterLayout } from '../../lstm/shape.ts';
import type { Config, LayerJson } from './json.ts';
import { type KerasOrigin, originOf } from './origin.ts';

/** The network as JSON tells it, and its layers that have weights, in order. */
export interface KerasNetwork {
  readonly shape: LstmShape;
  readonly dropout: number;
  /** Names of the HDF5 groups: embedding, LSTMs, hidden layer, output. */
  readonly weighted: readonly string[];
  readonly origin: KerasOrigin;
}

/** 1 GiB in single precision; the ancestor's network has 683,000. */
const mostParameters = 2 ** 28;
const mostBlocks = 2 ** 16;
const mostLayers = 64;

/** The ancestor's layers as letters: Embedding, Lstm, Relu, Dense, drOpout, Softmax. */
const ancestorsNetwork = /^E(?:LR)*LDRO?DS$/;

/**
 * Reads what `model.to_json()` of Keras 2 wrote.
 *
 * @param windowLength  used where the model does not say its input length
 * @throws UserError `keras-model-damaged`, `keras-network-unknown`
 */
export function parseKerasNetwork(
  bytes: Uint8Array,
  path: string,
  windowLength: number,
): KerasNetwork {
  const root = parseRoot(bytes, path);
  const reader = new NetworkReader(path);
  for (const layer of root.layers) reader.add(layer);
  return { ...reader.finish(windowLength), origin: originOf(root.json, root.layers) };
}

function parseRoot(
  bytes: Uint8Array,
  path: string,
): { readonly json: Readonly<Record<string, unknown>>; readonly layers: readonly LayerJson[] } {
  const damaged = (problem: string, cause?: unknown): UserError =>
    new UserError('keras-model-damaged', problem, { category: 'input', path, cause });
  let json: unknown;
  try {
    // The decoder drops a byte order mark.
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw damaged('is no JSON', cause);
  }
  if (!isRecord(json)) throw damaged('is no model of Keras');
  const { class_name: kind, config } = json;
  const layers = isRecord(config) ? config.layers : config;
  if (kind !== 'Sequential' || !Array.isArray(layers)) {
    throw damaged('is no sequential model of Keras, as model.to_json() writes it');
  }
  if (layers.length > mostLayers) throw damaged(`has more than ${mostLayers} layers`);
  return { json, layers: layers.map((layer) => (isRecord(layer) ? (layer as LayerJson) : {})) };
}

/** An LSTM as its layer tells it. */
interface Cells {
  readonly place: string;
  readonly units: number;
  readonly gate: unknown;
  readonly bidirectional: boolean;
  readonly givesAllSteps: boolean;
}

type LayerReader = (own: Config, place: string) => void;

/** Takes one layer after the other, and refuses by name what the network here does not do. */
class NetworkReader {
  readonly #path: string;
  readonly #letters: string[] = [];
  readonly #weighted: string[] = [];
  readonly #cells: Cells[] = [];
  readonly #dense: number[] = [];
  readonly #readers: ReadonlyMap<string, LayerReader> = new Map<string, LayerReader>([
    ['InputLayer', () => {}],
    ['Embedding', (own, place) => this.#embed(own, place)],
    ['Bidirectional', (own, place) => this.#bidirectional(own, place)],
    ['LSTM', (own, place) => this.#lstm(own, place, false)],
    ['Dense', (own, place) => this.#denseLayer(own, place)],
    ['Activation', (own, place) => this.#activation(own.activation, place)],
    ['Dropout', (own, place) => this.#drop(own, place)],
  ]);
  #inputLength: number | undefined;
  #inputClasses = 0;
  #embedding = 0;
  #dropout = 0;

  constructor(path: string) {
    this.#path = path;
  }

  add(layer: LayerJson): void {
    const own = layer.config ?? {};
    const kind = showValue(layer.class_name);
    const place = showValue(own.name ?? layer.class_name);
    this.#readInputLength(own, place);
    const read = this.#readers.get(kind);
    if (read === undefined) {
      throw this.#unknown(place, `${place} is a ${kind}, which is not known here`);
    }
    read(own, place);
  }

  finish(windowLength: number): Omit<KerasNetwork, 'origin'> {
    if (!ancestorsNetwork.test(this.#letters.join(''))) {
      throw this.#unknown(
        'layers',
        'its layers are not Embedding, LSTMs with ReLU between, Dense, Dense',
      );
    }
    const [first] = this.#cells;
    const [dense, outputClasses] = this.#dense;
    if (first === undefined || dense === undefined || outputClasses === undefined) {
      throw this.#unknown('layers', 'a layer is missing');
    }
    this.#checkCells(first);
    if (first.gate !== 'sigmoid' && first.gate !== 'hard_sigmoid') {
      throw this.#unknown(first.place, `the gates of ${first.place} are ${showValue(first.gate)}`);
    }
    const shape: LstmShape = {
      windowLength: this.#inputLength ?? windowLength,
      inputClasses: this.#inputClasses,
      outputClasses,
      embedding: this.#embedding,
      units: first.units,
      layers: this.#cells.length,
      bidirectional: first.bidirectional,
      dense,
      gate: first.gate === 'sigmoid' ? 'sigmoid' : 'hardSigmoid',
    };
    const { length } = parameterLayout(shape);
    if (length > mostParameters) {
      throw this.#unknown(
        'layers',
        `its layers have ${length} weights; at most ${mostParameters} are held here`,
      );
    }
    return { shape, dropout: this.#dropout, weighted: this.#weighted };
  }

  #checkCells(first: Cells): void {
    for (const [index, cells] of this.#cells.entries()) {
      const { place, givesAllSteps } = cells;
      const isLast = index === this.#cells.length - 1;
      if (isLast && givesAllSteps) {
        throw this.#unknown(place, `${place} is the last LSTM and returns sequences`);
      }
      if (!isLast && !givesAllSteps) {
        throw this.#unknown(place, `${place} feeds another LSTM and does not return sequences`);
      }
      const isLikeFirst =
        cells.units === first.units &&
        cells.gate === first.gate &&
        cells.bidirectional === first.bidirectional;
      if (!isLikeFirst) {
        throw this.#unknown(
          place,
          `${place} differs from ${first.place} in size, direction or gates`,
        );
      }
    }
  }

  #readInputLength(own: Config, place: string): void {
    const input = own.batch_input_shape ?? own.batch_shape;
    const length = Array.isArray(input) ? input[1] : own.input_length;
    if (length === null || length === undefined) return;
    this.#inputLength ??= this.#size(length, 'the input length', place, mostBlocks);
  }

  #embed(own: Config, place: string): void {
    if (own.mask_zero === true) throw this.#unknown(place, `${place} masks class 0`);
    this.#letters.push('E');
    this.#weighted.push(place);
    this.#inputClasses = this.#size(own.input_dim, 'input_dim', place);
    this.#embedding = this.#size(own.output_dim, 'output_dim', place);
  }

  #bidirectional(own: Config, place: string): void {
    const inner = isRecord(own.layer) ? own.layer : {};
    if (inner.class_name !== 'LSTM') throw this.#unknown(place, `${place} wraps no LSTM`);
    if (own.merge_mode !== 'concat') {
      throw this.#unknown(place, `${place} does not concatenate its directions`);
    }
    this.#lstm(isRecord(inner.config) ? inner.config : {}, place, true);
  }

  #lstm(own: Config, place: string, bidirectional: boolean): void {
    if (own.activation !== 'tanh' || own.use_bias !== true || own.go_backwards === true) {
      throw this.#unknown(place, `${place} is no plain LSTM with tanh and biases`);
    }
    for (const flag of ['return_state', 'stateful', 'time_major'] as const) {
      if (own[flag] === true) throw this.#unknown(place, `${place} has ${flag}`);
    }
    for (const rate of ['dropout', 'recurrent_dropout'] as const) {
      if ((own[rate] ?? 0) !== 0) throw this.#unknown(place, `${place} has a ${rate} of its own`);
    }
    this.#letters.push('L');
    this.#weighted.push(place);
    this.#cells.push({
      place,
      units: this.#size(own.units, 'units', place),
      gate: own.recurrent_activation,
      bidirectional,
      givesAllSteps: own.return_sequences === true,
    });
  }

  #denseLayer(own: Config, place: string): void {
    if (own.use_bias !== true) throw this.#unknown(place, `${place} has no bias`);
    this.#letters.push('D');
    this.#weighted.push(place);
    this.#dense.push(this.#size(own.units, 'units', place));
    this.#activation(own.activation, place);
  }

  #activation(name: unknown, place: string): void {
    if (name === 'linear' || name === undefined) return;
    const letter = name === 'relu' ? 'R' : name === 'softmax' ? 'S' : undefined;
    if (letter === undefined) {
      throw this.#unknown(place, `${place} has the activation ${showValue(name)}`);
    }
    this.#letters.push(letter);
  }

  #drop(own: Config, place: string): void {
    const { rate } = own;
    if (typeof rate !== 'number' || !(rate >= 0 && rate < 1)) {
      throw this.#unknown(
        place,
        `${place} drops a share of ${showValue(rate)}, not of 0 to below 1`,
      );
    }
    if (Array.isArray(own.noise_shape)) throw this.#unknown(place, `${place} has a noise_shape`);
    this.#letters.push('O');
    this.#dropout = rate;
  }

  #size(value: unknown, what: string, place: string, most: number = mostParameters): number {
    if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0 && value <= most) {
      return value;
    }
    throw this.#unknown(
      place,
      `${what} of ${place} is ${showValue(value)}, not a whole number from 1 to ${most}`,
    );
  }

  #unknown(place: string, message: string): UserError {
    return new UserError('keras-network-unknown', message, {
      category: 'input',
      path: this.#path,
      place,
    });
  }
}
