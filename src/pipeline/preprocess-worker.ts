import { parentPort } from 'node:worker_threads';
import { messageOf } from '../base/files.ts';
import type { Sample } from '../trace/sample.ts';
import { type PreprocessSampleOptions, preprocessSample } from './preprocess-sample.ts';

parentPort?.on(
  'message',
  async ({ sample, options }: { sample: Sample; options: PreprocessSampleOptions }) => {
    try {
      parentPort?.postMessage(await preprocessSample(sample, options));
    } catch (error) {
      parentPort?.postMessage({
        name: sample.name,
        outcome: 'failed',
        files: [],
        blocks: 0,
        gaps: 0,
        reason: messageOf(error),
      });
    }
  },
);
