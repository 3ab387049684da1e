import type { AnswerShelf } from '../../../evidence/code/code-findings.ts';
import { type ImageCodeCache, ProcessCode } from '../../../evidence/code/process-code.ts';
import type { Evidence } from '../../../evidence/evidence.ts';
import { CallFollower, type FlowObserver } from '../../../evidence/follow/call-follower.ts';
import { type KnownCode, StackCode } from '../../../evidence/follow/stack-code.ts';
import { TransferJudge } from '../../../evidence/judge.ts';
import { ProcessTransfers } from '../../../evidence/process-transfers.ts';
import type { TransferProfile } from '../../../evidence/profile.ts';
import type { TransferCode } from '../../../evidence/transfer-code.ts';
import type { BlockBatch, BlockTable, TraceSummary } from '../../../flow/blocks.ts';
import type { CodeCache } from '../../../flow/code-cache.ts';
import type { Mark } from '../../../flow/mark.ts';
import { TraceDecoder } from '../../../flow/trace-decoder.ts';
import type { GrowingSpace } from '../../../image/growing-space.ts';
import type { MtcRate } from '../../../pt/clock.ts';
import type { Errata } from '../../../pt/errata.ts';
import { type RunFollower, TransferFollower } from '../../../sequences/histories/follower.ts';
import { Transfer } from '../../../x86/transfer.ts';

/** Blocks that are kept for the evidence of an alarm: a power of two. */
export const blocksKept: number = 1 << 13;
/** More than can be among them and in a batch: marks of a run of months are let go. */
const marksKept = 1 << 15;
/** Open calls that an alarm can name. */
const callsKept = 64;

/** What all threads of all guarded processes are followed with. */
export interface FollowSetup {
  readonly profile: TransferProfile;
  /** Which blocks are followed by something to predict. */
  readonly filter: Uint8Array;
  readonly codeCache: CodeCache;
  readonly imageCode: ImageCodeCache;
  /** Where answers about images lie. */
  readonly shelf?: AnswerShelf;
  /** Whether training ran a block. */
  readonly isKnown: (module: string, offset: number) => boolean;
  readonly errata?: Errata;
  /** Distinct blocks of a thread that are kept; by default as many as `judge` keeps. */
  readonly maxBlocks?: number;
}

/** How the trace of a thread was made. */
export interface ThreadTraceKind {
  readonly sharesProcessor?: boolean;
  readonly mtc?: MtcRate | undefined;
}

/** Follows one thread of a process that still runs: bytes of its trace in, events into the run's follower. */
export class LiveThread {
  readonly run: RunFollower;
  readonly #setup: FollowSetup;
  readonly #space: GrowingSpace;
  readonly #decoder: TraceDecoder;
  readonly #calls: CallFollower;
  #evidence: TransferJudge;
  #code: ProcessCode;
  #byCode: TransferCode;
  /** Entries of the last batches, a ring, and how many there were. */
  readonly #ring: Int32Array = new Int32Array(blocksKept);
  #entries = 0;
  /** The calls that were open before the batch at hand, oldest first. */
  readonly #openBefore: Int32Array = new Int32Array(callsKept);
  #openCount = 0;
  #isCut = false;
  #batch: BlockBatch | undefined;
  #batchStart = 0;

  /**
   * @param isAlone  no other thread has run so far
   * @param onBatch  called when the events of some blocks are in `run`
   */
  constructor(
    setup: FollowSetup,
    space: GrowingSpace,
    run: RunFollower,
    kind: ThreadTraceKind & { readonly isAlone: boolean },
    onBatch: () => void,
  ) {
    this.run = run;
    this.#setup = setup;
    this.#space = space;
    this.#decoder = new TraceDecoder({
      ...{ space, input: new Uint8Array(0), codeCache: setup.codeCache },
      sharesProcessor: kind.sharesProcessor ?? false,
      ...(setup.errata === undefined ? {} : { errata: setup.errata }),
      ...(setup.maxBlocks === undefined ? {} : { maxBlocks: setup.maxBlocks }),
      ...{ mtc: kind.mtc, keptMarks: marksKept },
    });
    const { blocks, marks } = this.#decoder;
    const stream = { blocks, marks };
    this.#code = new ProcessCode(space, setup.imageCode);
    this.#byCode = new ProcessTransfers(blocks, this.#code, setup.shelf);
    this.#evidence = this.#newEvidence(kind.isAlone);
    this.#calls = new CallFollower(
      stream,
      { stack: new StackCode(space), known: this.#knownCode(), isAlone: kind.isAlone },
      this.#observer(),
    );
    this.#evidence.follower = this.#calls;
    const { filter, isKnown } = setup;
    this.#calls.watch(
      new TransferFollower(run, blocks, this.#calls, filter, this.#transferCode(), isKnown),
    );
    this.#decoder.begin((batch) => {
      this.#take(batch);
      onBatch();
    });
  }

  /** More code is mapped: what was asked of the code before is asked again. */
  grow(): void {
    this.#code = new ProcessCode(this.#space, this.#setup.imageCode);
    this.#byCode = new ProcessTransfers(this.blocks, this.#code, this.#setup.shelf);
    this.#evidence = this.#newEvidence(false);
    this.#evidence.follower = this.#calls;
  }

  get blocks(): BlockTable {
    return this.#decoder.blocks;
  }

  /** What it does from here on is not followed: it ran more distinct blocks than are kept. */
  get isFull(): boolean {
    return this.#decoder.isFull;
  }

  get marks(): readonly Mark[] {
    return this.#decoder.marks;
  }

  get summary(): TraceSummary {
    return this.#decoder.summary;
  }

  /** What it proved lately, since code was mapped last. */
  get evidence(): readonly Evidence[] {
    return this.#evidence.evidence;
  }

  /** Follows as far as the bytes lead. */
  push(bytes: Uint8Array): void {
    this.#decoder.push(bytes);
    this.#decoder.handOn();
  }

  /** What would come next was left out. */
  skip(): void {
    this.#decoder.skip();
  }

  end(): void {
    this.#decoder.end();
  }

  #take(batch: BlockBatch): void {
    this.#rememberCalls();
    this.#batch = batch;
    this.#batchStart = this.run.blocks;
    this.#evidence.traceOffset = batch.traceOffset;
    this.#calls.push(batch);
    this.#rememberBlocks(batch);
  }

  #rememberCalls(): void {
    const { depth } = this.#calls;
    this.#openCount = Math.min(depth, callsKept);
    this.#isCut = depth > callsKept;
    for (let i = 0; i < this.#openCount; i++) {
      this.#openBefore[i] = this.#calls.callAt(depth - this.#openCount + i);
    }
  }

  #rememberBlocks({ entries, length }: BlockBatch): void {
    const from = length - Math.min(length, blocksKept);
    const at = (this.#entries + from) & (blocksKept - 1);
    // Up to the end of the ring, and from its beginning on.
    const turn = Math.min(length, from + blocksKept - at);
    this.#ring.set(entries.subarray(from, turn), at);
    this.#ring.set(entries.subarray(turn, length));
    this.#entries += length;
  }

  /** The last entries as batches have them, oldest first; negative ones are marks. */
  lastEntries(): Int32Array {
    const kept = Math.min(this.#entries, blocksKept);
    return Int32Array.from(
      { length: kept },
      (_, i) => this.#ring[(this.#entries - kept + i) & (blocksKept - 1)],
    );
  }

  /** The block with an index in the thread, of the batch at hand, and the one after; -1 = not in it. */
  blocksAt(position: number): { readonly from: number; readonly to: number } {
    const { entries, length } = this.#batch ?? { entries: new Int32Array(0), length: 0 };
    let at = this.#batchStart - 1;
    let from = position === at ? this.#lastBefore() : -1;
    for (let i = 0; i < length; i++) {
      if (entries[i] < 0) continue;
      at++;
      if (at === position) from = entries[i];
      if (at === position + 1) return { from, to: entries[i] };
    }
    return { from, to: -1 };
  }

  /** The last block before the batch at hand, whose entries are in the ring already. */
  #lastBefore(): number {
    const { length } = this.#batch ?? { length: 0 };
    const kept = this.lastEntries();
    for (let i = kept.length - length - 1; i >= 0; i--) if (kept[i] >= 0) return kept[i];
    return -1;
  }

  /**
   * The calls that were open where a block of the batch at hand made its transfer, by plain counting: a
   * return takes off the call that it goes back to, and none where it goes nowhere.
   *
   * @returns blocks that made the calls, the youngest first; fewer than there were where many returned
   */
  openCallsAt(position: number): { readonly calls: readonly number[]; readonly isCut: boolean } {
    const { kind, size } = this.blocks;
    const open = [...this.#openBefore.subarray(0, this.#openCount)];
    const { entries, length } = this.#batch ?? { entries: new Int32Array(0), length: 0 };
    let at = this.#batchStart - 1;
    let before = -1;
    for (let i = 0; i < length && at < position; i++) {
      const block = entries[i];
      if (block < 0) {
        before = -1;
        continue;
      }
      at++;
      if (before >= 0 && kind[before] === Transfer.ret) {
        const back = open.at(-1);
        if (back !== undefined && this.#startOf(back) + size[back] === this.#startOf(block))
          open.pop();
      }
      const isCall = kind[block] === Transfer.call || kind[block] === Transfer.icall;
      // The call itself is the transfer that is asked about.
      if (isCall && at < position) open.push(block);
      before = block;
    }
    return { calls: open.reverse(), isCut: this.#isCut };
  }

  #startOf(block: number): number {
    const { module, modules, offset } = this.blocks;
    return module[block] < 0 ? offset[block] : modules[module[block]].base + offset[block];
  }

  #newEvidence(isAlone: boolean): TransferJudge {
    const { blocks, marks } = this.#decoder;
    const { profile } = this.#setup;
    return new TransferJudge(
      { blocks, marks },
      { space: this.#space, code: this.#code, profile, isAlone },
    );
  }

  #observer(): FlowObserver {
    return {
      onIndirect: (from, to, kind, arrival) => this.#evidence.onIndirect(from, to, kind, arrival),
      onMismatch: (from, to, actual, expected) =>
        this.#evidence.onMismatch(from, to, actual, expected),
      onOutside: (from, to) => this.#evidence.onOutside(from, to),
      onMark: (mark, previous) => this.#evidence.onMark(mark, previous),
    };
  }

  #knownCode(): KnownCode {
    return {
      functionRange: (address) => this.#code.functionRange(address),
      isFunctionEntry: (address) => this.#code.isFunctionEntry(address),
      isTaken: (address) => this.#code.isTaken(address),
      isLandingPad: (address) => this.#code.isLandingPad(address),
    };
  }

  #transferCode(): TransferCode {
    return {
      mayExplain: (block) => this.#byCode.mayExplain(block),
      explains: (from, to) => this.#byCode.explains(from, to),
      opinion: (from, to) => this.#byCode.opinion(from, to),
      formOf: (block) => this.#byCode.formOf(block),
    };
  }
}
