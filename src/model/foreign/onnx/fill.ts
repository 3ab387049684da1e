import type { Lstm } from '../../lstm/lstm.ts';
import { gateName, parameterLayout } from '../../lstm/shape.ts';
import type { OnnxTensor } from '../../onnx/read-model.ts';
import { unknown } from './chain.ts';
import { onnxGates } from './export.ts';
import type { Layers } from './layers.ts';

/** Copies weights; ONNX has a row for each cell of each gate, here each gate has a matrix of its own. */
export function fillFromOnnx(
  network: Lstm,
  { table, lstms, hidden, output }: Layers,
  path: string,
): void {
  const { shape, parameters } = network;
  const layout = parameterLayout(shape);
  const values = ({ floats, name, type }: OnnxTensor, length: number): Float32Array => {
    if (floats === undefined) {
      throw unknown(
        path,
        name,
        `${name} has elements of type ${type}, not single or double precision`,
      );
    }
    if (floats.length !== length) {
      throw unknown(path, name, `${name} has ${floats.length} values where ${length} are needed`);
    }
    if (!floats.every(Number.isFinite)) {
      throw unknown(path, name, `${name} holds values that are no numbers`);
    }
    return floats;
  };
  const place = (name: string): { offset: number; length: number } => layout.find(name);
  const whole = place('embedding');
  parameters.set(values(table, whole.length), whole.offset);
  const { units } = shape;
  const directions = shape.bidirectional
    ? (['forward', 'backward'] as const)
    : (['forward'] as const);
  lstms.forEach(({ input, recurrent, bias }, layer) => {
    const inputs = layer === 0 ? shape.embedding : units * directions.length;
    const fromInput = values(input, directions.length * 4 * units * inputs);
    const fromState = values(recurrent, directions.length * 4 * units * units);
    const added = bias && values(bias, directions.length * 8 * units);
    directions.forEach((direction, d) => {
      onnxGates.forEach((gate, g) => {
        const name = gateName(layer, direction, gate);
        const kernel = place(`${name}.kernel`).offset;
        const offset = place(`${name}.bias`).offset;
        for (let unit = 0; unit < units; unit++) {
          const row = (d * 4 + g) * units + unit;
          for (let i = 0; i < inputs; i++) {
            parameters[kernel + i * units + unit] = fromInput[row * inputs + i] ?? 0;
          }
          for (let i = 0; i < units; i++) {
            parameters[kernel + (inputs + i) * units + unit] = fromState[row * units + i] ?? 0;
          }
          const at = d * 8 * units + g * units + unit;
          parameters[offset + unit] = (added?.[at] ?? 0) + (added?.[at + 4 * units] ?? 0);
        }
      });
    });
  });
  for (const [name, { weights, isTransposed, bias }] of [
    ['hidden', hidden],
    ['output', output],
  ] as const) {
    const { dimensions, offset, length } = layout.find(`${name}.kernel`);
    const [rows = 0, columns = 0] = dimensions;
    const given = values(weights, length);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const from = isTransposed ? column * rows + row : row * columns + column;
        parameters[offset + row * columns + column] = given[from] ?? 0;
      }
    }
    if (bias !== undefined) parameters.set(values(bias, columns), place(`${name}.bias`).offset);
  }
}
