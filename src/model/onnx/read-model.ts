import { appendAll } from '../../base/append.ts';
import { messageOf, UserError } from '../../base/errors.ts';
import { type Field, fieldsOf, varintsOf } from './protobuf-reader.ts';

/** A tensor that the file holds. */
export interface OnnxTensor {
  readonly name: string;
  readonly dimensions: readonly number[];
  /** As `TensorProto.DataType` numbers it: 1 float, 7 int64, 10 float16, 11 double, 6 int32. */
  readonly type: number;
  /** Of types 1 and 11, converted to single precision; of others `undefined`. */
  readonly floats: Float32Array | undefined;
  /** Of types 6 and 7. */
  readonly integers: readonly number[] | undefined;
}

export interface OnnxAttribute {
  readonly integer: number;
  readonly float: number;
  readonly text: string;
  readonly integers: readonly number[];
  readonly floats: readonly number[];
  readonly texts: readonly string[];
  readonly tensor: OnnxTensor | undefined;
}

export interface OnnxNode {
  readonly name: string;
  readonly operator: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, OnnxAttribute>;
}

export interface OnnxValue {
  readonly name: string;
  /** Element type, as for tensors. */
  readonly type: number;
  /** `undefined` for sizes that are known only when the graph runs. */
  readonly dimensions: readonly (number | undefined)[];
}

export interface OnnxModel {
  readonly nodes: readonly OnnxNode[];
  readonly initializers: ReadonlyMap<string, OnnxTensor>;
  /** Without those that have initializers. */
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly metadata: ReadonlyMap<string, string>;
}

/** More than any network that is used here; what claims more must not fill the memory. */
const mostNodes = 100_000;

/**
 * Reads an ONNX model file.
 *
 * @throws UserError `onnx-damaged`
 * @see https://github.com/onnx/onnx/blob/v1.17.0/onnx/onnx.proto for the field numbers
 */
export function readOnnxModel(bytes: Uint8Array, path: string): OnnxModel {
  try {
    return modelOf(bytes);
  } catch (cause) {
    throw new UserError('onnx-damaged', `is no ONNX model, or damaged: ${messageOf(cause)}`, {
      category: 'input',
      path,
      cause,
    });
  }
}

/** Refuses what nothing here reads and ONNX Runtime would: it opens files that a tensor names. */
function refuseHidden(number: number, hidden: ReadonlyMap<number, string>): void {
  const what = hidden.get(number);
  if (what !== undefined) throw new Error(`it holds ${what}, which are not read here`);
}

const hiddenInModel: ReadonlyMap<number, string> = new Map([
  [20, 'steps of training'],
  [25, 'functions of its own'],
]);
const hiddenInGraph: ReadonlyMap<number, string> = new Map([[15, 'sparse tensors']]);
const hiddenInAttribute: ReadonlyMap<number, string> = new Map([
  [6, 'graphs in nodes'],
  [10, 'lists of tensors'],
  [11, 'graphs in nodes'],
  [22, 'sparse tensors'],
  [23, 'sparse tensors'],
]);

function modelOf(bytes: Uint8Array): OnnxModel {
  let graph: Uint8Array | undefined;
  const metadata = new Map<string, string>();
  for (const { number, bytes: content } of fieldsOf(bytes)) {
    refuseHidden(number, hiddenInModel);
    if (number === 7) {
      // By the rules of protobuf, two are one: what the other held would go unread.
      if (graph !== undefined) throw new Error('it has two graphs');
      graph = content;
    } else if (number === 14) {
      const [key = '', value = ''] = textsOf(content, [1, 2]);
      metadata.set(key, value);
    }
  }
  if (graph === undefined) throw new Error('it has no graph');
  const nodes: OnnxNode[] = [];
  const initializers = new Map<string, OnnxTensor>();
  const inputs: OnnxValue[] = [];
  const outputs: OnnxValue[] = [];
  for (const { number, bytes: content } of fieldsOf(graph)) {
    refuseHidden(number, hiddenInGraph);
    if (number === 1) nodes.push(nodeOf(content));
    else if (number === 5) {
      const tensor = tensorOf(content);
      initializers.set(tensor.name, tensor);
    } else if (number === 11) inputs.push(infoOf(content));
    else if (number === 12) outputs.push(infoOf(content));
    if (nodes.length > mostNodes) throw new Error(`it has more than ${mostNodes} nodes`);
  }
  const isFed = ({ name }: OnnxValue): boolean => !initializers.has(name);
  return { nodes, initializers, inputs: inputs.filter(isFed), outputs, metadata };
}

const decoder = new TextDecoder();

/** @returns the texts of fields, in the order of their numbers */
function textsOf(message: Uint8Array, numbers: readonly number[]): string[] {
  const texts = numbers.map(() => '');
  for (const { number, bytes } of fieldsOf(message)) {
    const index = numbers.indexOf(number);
    if (index >= 0) texts[index] = decoder.decode(bytes);
  }
  return texts;
}

function nodeOf(message: Uint8Array): OnnxNode {
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes = new Map<string, OnnxAttribute>();
  const texts = new Map<number, string>();
  for (const { number, bytes } of fieldsOf(message)) {
    if (number === 1) inputs.push(decoder.decode(bytes));
    else if (number === 2) outputs.push(decoder.decode(bytes));
    else if (number === 5) attributes.set(...attributeOf(bytes));
    else texts.set(number, decoder.decode(bytes));
  }
  return {
    ...{ name: texts.get(3) ?? '', operator: texts.get(4) ?? '', domain: texts.get(7) ?? '' },
    ...{ inputs, outputs, attributes },
  };
}

function attributeOf(message: Uint8Array): [string, OnnxAttribute] {
  let [name, text] = ['', ''];
  let [integer, float] = [0, 0];
  let tensor: OnnxTensor | undefined;
  const integers: number[] = [];
  const floats: number[] = [];
  const texts: string[] = [];
  for (const field of fieldsOf(message)) {
    const { number, value, bytes } = field;
    refuseHidden(number, hiddenInAttribute);
    if (number === 5 && tensor !== undefined) throw new Error('an attribute has two tensors');
    if (number === 1) name = decoder.decode(bytes);
    else if (number === 2) float = floatOf(value);
    else if (number === 3) integer = Number(value);
    else if (number === 4) text = decoder.decode(bytes);
    else if (number === 5) tensor = tensorOf(bytes);
    else if (number === 7) appendAll(floats, floatsOf(field));
    else if (number === 8) appendAll(integers, integersOf(field));
    else if (number === 9) texts.push(decoder.decode(bytes));
  }
  return [name, { integer, float, text, integers, floats, texts, tensor }];
}

/** @param bits  of a float, as an integer */
function floatOf(bits: bigint): number {
  return new Float32Array(Int32Array.of(Number(BigInt.asIntN(32, bits))).buffer)[0] ?? Number.NaN;
}

function floatsOf({ value, bytes }: Field): number[] {
  if (bytes.length === 0) return [floatOf(value)];
  return [...new Float32Array(copyOf(bytes, 4))];
}

function integersOf({ value, bytes }: Field): number[] {
  return bytes.length === 0 ? [Number(value)] : [...varintsOf(bytes)].map(Number);
}

/** Aligned, and a whole number of elements. */
function copyOf(bytes: Uint8Array, size: number): ArrayBuffer {
  if (bytes.length % size !== 0) throw new Error('a list of numbers is cut off');
  // A Buffer's own slice would share its memory.
  return new Uint8Array(bytes).buffer;
}

function tensorOf(message: Uint8Array): OnnxTensor {
  const dimensions: number[] = [];
  let type = 0;
  let name = '';
  let raw: Uint8Array | undefined;
  const floats: Uint8Array[] = [];
  const integers: number[] = [];
  for (const field of fieldsOf(message)) {
    const { number, value, bytes } = field;
    if (number === 1) appendAll(dimensions, integersOf(field));
    else if (number === 2) type = Number(value);
    else if (number === 4 || number === 10) floats.push(bytes);
    else if (number === 5 || number === 7) appendAll(integers, integersOf(field));
    else if (number === 8) name = decoder.decode(bytes);
    else if (number === 9) raw = bytes;
    else if (number === 13) throw new Error(`the tensor ${name} lies in another file`);
  }
  const size = dimensions.reduce((product, dimension) => product * dimension, 1);
  const data = raw ?? Buffer.concat(floats);
  const numbers = floatsOfTensor(type, data);
  const whole = raw === undefined ? integers : integersOfTensor(type, raw);
  const length = numbers?.length ?? whole?.length;
  if (dimensions.some((dimension) => dimension < 0) || (length !== undefined && length !== size)) {
    throw new Error(`the tensor ${name} has ${length} values where its shape says ${size}`);
  }
  return { name, dimensions, type, floats: numbers, integers: whole };
}

function floatsOfTensor(type: number, data: Uint8Array): Float32Array | undefined {
  if (type === 1) return new Float32Array(copyOf(data, 4));
  if (type === 11) return Float32Array.from(new Float64Array(copyOf(data, 8)));
  return undefined;
}

function integersOfTensor(type: number, data: Uint8Array): number[] | undefined {
  if (type === 6) return [...new Int32Array(copyOf(data, 4))];
  if (type === 7) return Array.from(new BigInt64Array(copyOf(data, 8)), Number);
  return undefined;
}

function infoOf(message: Uint8Array): OnnxValue {
  let name = '';
  let type = 0;
  const dimensions: (number | undefined)[] = [];
  for (const { number, bytes } of fieldsOf(message)) {
    if (number === 1) name = decoder.decode(bytes);
    if (number !== 2) continue;
    for (const tensor of fieldsOf(bytes)) {
      if (tensor.number !== 1) continue;
      for (const part of fieldsOf(tensor.bytes)) {
        if (part.number === 1) type = Number(part.value);
        if (part.number !== 2) continue;
        for (const { bytes: dimension } of fieldsOf(part.bytes)) {
          const size = [...fieldsOf(dimension)].find((field) => field.number === 1)?.value;
          dimensions.push(size === undefined ? undefined : Number(size));
        }
      }
    }
  }
  return { name, type, dimensions };
}
