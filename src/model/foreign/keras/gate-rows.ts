import {
  type Direction,
  gateName,
  gates,
  inputsOf,
  type LstmShape,
  parameterLayout,
} from '../../lstm/shape.ts';

/**
 * Visits the rows of an LSTM's four gate kernels: ours are one matrix a gate, input rows above
 * state rows; Keras has one matrix for the input and one for the state, gates side by side.
 *
 * @param visit  gets the gate's name, the row's offset among all parameters, the row, and the first
 *   column of the gate in Keras' matrices
 */
export function eachGateRow(
  shape: LstmShape,
  layer: number,
  direction: Direction,
  visit: (name: string, offset: number, row: number, column: number) => void,
): void {
  const layout = parameterLayout(shape);
  gates.forEach((gate, g) => {
    const name = gateName(layer, direction, gate);
    const { offset } = layout.find(`${name}.kernel`);
    const rows = inputsOf(shape, layer) + shape.units;
    for (let row = 0; row < rows; row++) {
      visit(name, offset + row * shape.units, row, g * shape.units);
    }
  });
}
