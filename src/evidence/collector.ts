import type { BlockBatch } from '../flow/blocks.ts';
import type { Evidence } from './evidence.ts';
import { type BlockStream, CallFollower } from './follow/call-follower.ts';
import { StackCode } from './follow/stack-code.ts';
import { type EvidenceSources, type Proof, TransferJudge } from './judge.ts';
import type { IndirectTransfers } from './profile.ts';

export type { BlockStream } from './follow/call-follower.ts';
export type { EvidenceSources, Proof } from './judge.ts';

/**
 * Watches a block stream for transfers that no code of the images makes: returns that do not go
 * back to their call, indirect calls and jumps into the middle of functions or to functions that
 * nothing points to, transfers into the middle of instructions, code outside every image. With a
 * profile of training it also grades indirect transfers that are possible but new.
 *
 * A `CallFollower` follows the flow, a `TransferJudge` reads what it sees.
 */
export class EvidenceCollector {
  readonly follower: CallFollower;
  readonly #judge: TransferJudge;

  constructor(stream: BlockStream, sources: EvidenceSources = {}) {
    this.#judge = new TransferJudge(stream, sources);
    const stack = sources.space === undefined ? undefined : new StackCode(sources.space);
    const { code: known, isAlone } = sources;
    this.follower = new CallFollower(stream, { stack, known, isAlone }, this.#judge);
    this.#judge.follower = this.follower;
  }

  /** Blocks outside every image so far. */
  get blocksOutsideImages(): number {
    return this.follower.blocksOutsideImages;
  }

  /** For `TransferProfile.add`. */
  get indirectTransfers(): IndirectTransfers {
    return this.#judge.indirectTransfers;
  }

  /** Proofs with their places, where no profile of nominal evidence was given. */
  get proofs(): readonly Proof[] {
    return this.#judge.proofs;
  }

  /** In trace order. */
  get evidence(): readonly Evidence[] {
    return this.#judge.evidence;
  }

  /** A `BlockSink`. One pass, no allocation for ordinary blocks. */
  push(batch: BlockBatch): void {
    this.#judge.traceOffset = batch.traceOffset;
    this.follower.push(batch);
  }
}
