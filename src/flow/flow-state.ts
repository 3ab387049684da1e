import { LastIp } from '../pt/last-ip.ts';
import type { Bitness } from '../x86/block-reader.ts';
import { BatchWriter } from './batch-writer.ts';
import { CallStack } from './call-stack.ts';

/** Where execution stands between two packets, and the blocks that ran up to there. */
export class FlowState {
  /** Node that execution has reached; -1 while tracing is off or flow is lost. */
  at = -1;
  bitness: Bitness = 64;
  readonly ip: LastIp = new LastIp();
  readonly calls: CallStack = new CallStack();
  readonly batch: BatchWriter = new BatchWriter();
}
