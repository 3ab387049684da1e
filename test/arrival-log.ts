import { Arrival, type ArrivalKind } from '../src/evidence/follow/arrival.ts';
import type { CallFollower, TransferWatcher } from '../src/evidence/follow/call-follower.ts';
import type { BlockBatch, BlockTable } from '../src/flow/blocks.ts';
import type { Mark } from '../src/flow/mark.ts';
import { Transfer } from '../src/x86/transfer.ts';

/** Notes for each entry how a `CallFollower` says that it was reached; `Arrival.none` for marks. */
export class ArrivalLog implements TransferWatcher {
  readonly kinds: Uint8Array = new Uint8Array(16).fill(1);
  readonly arrivals: ArrivalKind[] = [];
  readonly #blocks: BlockTable;
  #previous = -1;
  /** Of the batch, by entry. */
  readonly #told: Map<number, ArrivalKind> = new Map();

  constructor(follower: CallFollower, blocks: BlockTable) {
    this.#blocks = blocks;
    follower.watch(this);
  }

  begin(): void {
    this.#told.clear();
  }

  onBlock(): void {}

  onMark(_: Mark): void {}

  onTransfer(_: number, __: number, ___: number, arrival: ArrivalKind, index: number): void {
    this.#told.set(index, arrival);
  }

  end({ entries, length }: BlockBatch): void {
    for (let i = 0; i < length; i++) {
      const from = i > 0 ? entries[i - 1] : this.#previous;
      const isReturn = entries[i] >= 0 && from >= 0 && this.#blocks.kind[from] === Transfer.ret;
      // Returns that went back to their calls are counted, and not told.
      this.arrivals.push(this.#told.get(i) ?? (isReturn ? Arrival.returned : Arrival.none));
    }
    this.#previous = entries[length - 1] ?? -1;
  }
}
