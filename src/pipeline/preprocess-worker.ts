import { parentPort } from 'node:worker_threads';
import { messageOf } from '../base/files.ts';
import type { Sample } from '../trace/sample.ts';
import { Decoding, type PreprocessSampleOptions, preprocessSample } from './preprocess-sample.ts';

/** Kept for as long as the worker lives; all its samples come with the same options. */
let decoding: Decoding | undefined;

parentPort?.on(
  'message',
  async ({ sample, options }: { sample: Sample; options: PreprocessSampleOptions }) => {
    try {
      decoding ??= new Decoding(options);
      parentPort?.postMessage(await preprocessSample(sample, options, decoding));
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
