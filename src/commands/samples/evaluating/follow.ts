import type { ProcessCode } from '../../../evidence/code/process-code.ts';
import type { CallFollower } from '../../../evidence/follow/call-follower.ts';
import { ProcessTransfers } from '../../../evidence/process-transfers.ts';
import { unknownCode } from '../../../evidence/transfer-code.ts';
import type { BlockTable } from '../../../flow/blocks.ts';
import { type RunFollower, TransferFollower } from '../../../sequences/histories/follower.ts';
import type { OpenedTrace } from '../../../trace/open-trace.ts';

/**
 * Follows one trace of a run for its events, as what follows its calls goes through it.
 *
 * @param isKnown  whether training ran a block
 * @param named  the blocks of the trace by the names that count
 */
export function followTrace(
  run: RunFollower,
  { source }: Pick<OpenedTrace, 'source'>,
  calls: CallFollower,
  filter: Uint8Array,
  code: ProcessCode | undefined,
  isKnown?: (module: string, offset: number) => boolean,
  named: BlockTable = source.blocks,
): void {
  const transfers = code === undefined ? unknownCode : new ProcessTransfers(source.blocks, code);
  calls.watch(new TransferFollower(run, named, calls, filter, transfers, isKnown));
}
