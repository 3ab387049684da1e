import type { ProcessCode } from '../../../evidence/code/process-code.ts';
import { ProcessTransfers } from '../../../evidence/process-transfers.ts';
import { unknownCode } from '../../../evidence/transfer-code.ts';
import type { BlockTable } from '../../../flow/blocks.ts';
import { type RunFollower, TransferFollower } from '../../../sequences/histories/follower.ts';
import type { OpenedTrace } from '../../../trace/open-trace.ts';

/**
 * Follows one trace of a run for its events.
 *
 * @param isKnown  whether training ran a block
 * @param named  the blocks of the trace by the names that count
 * @returns what takes the batches of the trace, after a `CallFollower` had them
 */
export function followTrace(
  run: RunFollower,
  { source }: Pick<OpenedTrace, 'source'>,
  filter: Uint8Array,
  code: ProcessCode | undefined,
  isKnown?: (module: string, offset: number) => boolean,
  named: BlockTable = source.blocks,
): TransferFollower {
  const transfers = code === undefined ? unknownCode : new ProcessTransfers(source.blocks, code);
  const stream = { blocks: named, marks: source.marks };
  return new TransferFollower(run, stream, filter, transfers, isKnown);
}
