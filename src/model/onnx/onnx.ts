import { ProtobufWriter } from './protobuf.ts';

/** Element types that our graphs use, with their numbers in ONNX. */
const elementTypes = { float: 1, int32: 6, int64: 7 } as const;
export type ElementType = keyof typeof elementTypes;

export type Attribute = number | string | readonly number[] | readonly string[] | FloatAttribute;
/** ONNX tells integer and float attributes apart, JavaScript does not. */
export interface FloatAttribute {
  readonly float: number | readonly number[];
}

/** Numbers are fixed, names stand for sizes that are known when the graph runs. */
export type Dimensions = readonly (number | string)[];

const opset = 18;
const irVersion = 9;

/**
 * Builds an ONNX model, node by node. Values are named by strings; `node` invents the name of its
 * result.
 *
 * @see https://github.com/onnx/onnx/blob/v1.17.0/onnx/onnx.proto for the field numbers
 */
export class OnnxGraph {
  readonly #graph = new ProtobufWriter();
  readonly #metadata = new Map<string, string>();
  #names = 0;

  constructor(name: string) {
    this.#graph.text(2, name);
  }

  input(name: string, type: ElementType, dimensions: Dimensions): string {
    this.#graph.message(11, valueInfo(name, type, dimensions));
    return name;
  }

  output(name: string, type: ElementType, dimensions: Dimensions): void {
    this.#graph.message(12, valueInfo(name, type, dimensions));
  }

  /** A constant. The data is kept, not copied, until `encode`. */
  constant(
    name: string,
    data: Float32Array | Int32Array | BigInt64Array,
    dimensions: readonly number[],
  ): string {
    const type =
      data instanceof Float32Array ? 'float' : data instanceof Int32Array ? 'int32' : 'int64';
    const tensor = new ProtobufWriter();
    for (const size of dimensions) tensor.integer(1, size);
    tensor
      .integer(2, elementTypes[type])
      .text(8, name)
      .bytes(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    this.#graph.message(5, tensor);
    return name;
  }

  /** Adds a node with one result. @returns the result's name: `result`, or an invented one */
  node(
    operator: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
    result = `v${this.#names++}`,
  ): string {
    return this.nodes(operator, inputs, attributes, [result])[0];
  }

  /** Adds a node with several results. */
  nodes(
    operator: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>>,
    results: readonly string[] | number,
  ): readonly string[] {
    const names =
      typeof results === 'number'
        ? Array.from({ length: results }, () => `v${this.#names++}`)
        : results;
    const node = new ProtobufWriter();
    for (const name of inputs) node.text(1, name);
    for (const name of names) node.text(2, name);
    node.text(4, operator);
    for (const [name, value] of Object.entries(attributes)) {
      node.message(5, attributeMessage(name, value));
    }
    this.#graph.message(1, node);
    return names;
  }

  /** Text that travels with the model. */
  describe(key: string, value: string): void {
    this.#metadata.set(key, value);
  }

  encode(): Uint8Array {
    const model = new ProtobufWriter()
      .integer(1, irVersion)
      .text(2, 'wayward')
      .message(7, this.#graph)
      .message(8, new ProtobufWriter().text(1, '').integer(2, opset));
    for (const [key, value] of this.#metadata) {
      model.message(14, new ProtobufWriter().text(1, key).text(2, value));
    }
    return model.finish();
  }
}

function valueInfo(name: string, type: ElementType, dimensions: Dimensions): ProtobufWriter {
  const shape = new ProtobufWriter();
  for (const size of dimensions) {
    const dimension = new ProtobufWriter();
    if (typeof size === 'number') dimension.integer(1, size);
    else dimension.text(2, size);
    shape.message(1, dimension);
  }
  const tensor = new ProtobufWriter().integer(1, elementTypes[type]).message(2, shape);
  return new ProtobufWriter().text(1, name).message(2, new ProtobufWriter().message(1, tensor));
}

function attributeMessage(name: string, value: Attribute): ProtobufWriter {
  const message = new ProtobufWriter().text(1, name);
  if (typeof value === 'number') return message.integer(3, value).integer(20, 2);
  if (typeof value === 'string') return message.text(4, value).integer(20, 3);
  if ('float' in value) {
    if (typeof value.float === 'number') return message.float(2, value.float).integer(20, 1);
    for (const item of value.float) message.float(7, item);
    return message.integer(20, 6);
  }
  if (typeof value[0] === 'string') {
    for (const item of value as readonly string[]) message.text(9, item);
    return message.integer(20, 8);
  }
  for (const item of value as readonly number[]) message.integer(8, item);
  return message.integer(20, 7);
}
