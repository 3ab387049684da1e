import type { Bitness } from '../x86/block-reader.ts';
import { BatchWriter } from './batch-writer.ts';
import { CallStack } from './call-stack.ts';

/** Where execution stands between two packets, and the blocks that ran up to there. */
export class FlowState {
  /** Node that execution has reached; -1 while tracing is off or flow is lost. */
  at = -1;
  bitness: Bitness = 64;
  /** Last IP: bits 0..31, and the rest as a multiple of 2^32; both signed, so that they are small integers. */
  ipLow = 0;
  ipHigh = 0;
  readonly calls: CallStack = new CallStack();
  readonly batch: BatchWriter = new BatchWriter();
}
