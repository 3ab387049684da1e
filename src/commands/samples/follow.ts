import type { ProcessCode } from '../../evidence/code/process-code.ts';
import { ProcessTransfers } from '../../evidence/process-transfers.ts';
import { unknownCode } from '../../evidence/transfer-code.ts';
import { type RunFollower, TransferFollower } from '../../sequences/histories/follower.ts';
import type { OpenedTrace } from '../../trace/open-trace.ts';

/**
 * Follows one trace of a run for its events.
 *
 * @param isKnown  whether training ran a block
 * @returns what takes the batches of the trace, after a `CallFollower` had them
 */
export function followTrace(
  run: RunFollower,
  { source }: Pick<OpenedTrace, 'source'>,
  filter: Uint8Array,
  code: ProcessCode | undefined,
  isKnown?: (module: string, offset: number) => boolean,
): TransferFollower {
  const transfers = code === undefined ? unknownCode : new ProcessTransfers(source.blocks, code);
  return new TransferFollower(run, source, filter, transfers, isKnown);
}
