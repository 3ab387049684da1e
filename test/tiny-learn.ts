import type { LearnRequest } from '../src/commands/training/options.ts';

/** A network so small that it trains in no time, for `writeTinyCorpus`. */
export const tinyLearn: Omit<LearnRequest, 'root' | 'out'> = {
  preprocessed: true,
  model: 'lstm',
  sizes: { train: 3, calibrate: 1, testNominal: 2, testAnomalous: 2 },
  windowLength: 4,
  network: { embedding: 4, units: 5, dense: 6, layers: 1, bidirectional: false },
  epochs: 1,
  batchSize: 256,
  workers: 1,
  checkpointSeconds: 0,
};
