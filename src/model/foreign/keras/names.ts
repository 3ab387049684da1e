import type { LstmShape } from '../../lstm/shape.ts';

/** Names of layers as a fresh session of Keras gives them. */
export function lstmName(shape: LstmShape, layer: number): string {
  return `${shape.bidirectional ? 'bidirectional' : 'lstm'}_${layer + 1}`;
}

/** Layers that have weights: embedding, LSTMs, hidden layer, output. */
export function weightedNames(shape: LstmShape): string[] {
  const lstms = Array.from({ length: shape.layers }, (_, layer) => lstmName(shape, layer));
  return ['embedding_1', ...lstms, 'dense_1', 'dense_2'];
}
