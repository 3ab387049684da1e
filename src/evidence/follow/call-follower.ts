import type { Address } from '../../base/address.ts';
import { findEntries } from '../../base/bytes/found-entries.ts';
import type { BlockBatch, BlockTable } from '../../flow/blocks.ts';
import type { Mark } from '../../flow/mark.ts';
import { ReturnUse } from '../../x86/return-slot.ts';
import { StackUse } from '../../x86/stack-use.ts';
import { Transfer } from '../../x86/transfer.ts';
import { Arrival, type ArrivalKind } from './arrival.ts';
import { BlockPlaces } from './block-places.ts';
import { CalledCode } from './called-code.ts';
import { Candidates, returned, withRivals } from './candidates.ts';
import { ContextPool } from './context-pool.ts';
import { type Candidate, type ContextOrigin, FlowContext } from './flow-context.ts';
import { LoadedPointer } from './loaded-pointer.ts';
import {
  loadsFlag,
  madeFlag,
  Ran,
  RanBlocks,
  ranSize,
  returnPointFlag,
  watchedFlag,
} from './ran-blocks.ts';
import type { CodeRange, KnownCode, StackCode } from './stack-code.ts';

/** A block stream under way: the tables that its batches refer to. */
export interface BlockStream {
  readonly blocks: BlockTable;
  readonly marks: readonly Mark[];
}

/** What a follower knows about the code that runs. Less means that fewer returns can be judged. */
export interface FollowedCode {
  /** Without it no stack pointer is known to be set, and no return is ever called a mismatch. */
  readonly stack?: StackCode | undefined;
  readonly known?: KnownCode | undefined;
  /**
   * The run has one thread, so that stacks that other threads left do not turn up here. Not set =
   * it may have more.
   */
  readonly isAlone?: boolean | undefined;
}

/**
 * Who watches a follower. Called for what is not ordinary only: once for each change of an indirect
 * site's target, and for odd returns.
 */
export interface FlowObserver {
  /**
   * An indirect call or jump, or a return that is one (`Arrival.jumped`), goes elsewhere than the last
   * time it ran. @returns whether to tell the same transfer again when it comes again
   */
  onIndirect(from: number, to: number, kind: number, arrival: ArrivalKind): boolean;
  /**
   * A return went nowhere that the run explains.
   *
   * @param to  block that was reached; -1 where none is known
   * @param expected  where the youngest open call asked for; `undefined` when none was open
   */
  onMismatch(from: number, to: number, actual: Address, expected: Address | undefined): void;
  /** Code outside every image was entered. @param from  -1 behind a mark */
  onOutside(from: number, to: number): void;
  /** @param previous  block before the mark; -1 when none is known */
  onMark(mark: Mark, previous: number): void;
}

/** A landing place is looked for in so many of the youngest frames. */
const searchDepth = 4096;

/** Most bytes behind a call that its callee may skip; and where no table tells where the caller ends. */
const mostSkippedBytes = 4096;
const mostSkippedAnywhere = 256;

/**
 * Who looks at all transfers of a thread whose targets no instruction names, and so needs no stack of its own.
 *
 * Told while `push` runs: `position` is then the index of the block that made the transfer, and `depth` and `callAt`
 * give the calls that were open when it was made; those of a return, what is left of them.
 */
export interface TransferWatcher {
  /** By `Transfer` kind: 1 = to be told. */
  readonly kinds: Uint8Array;
  /** A batch comes that is not empty; what `watchBlock` is told now holds for it. */
  begin(batch: BlockBatch): void;
  /** A block runs that `watchBlock` was told of; `position` is its index. */
  onBlock(): void;
  /**
   * An indirect call or jump, a conditional jump, or a return that is not `Arrival.returned`: those are counted in
   * `returned`.
   *
   * @param index  of the entry that was reached
   */
  onTransfer(from: number, to: number, kind: number, arrival: ArrivalKind, index: number): void;
  /** Behind a mark nothing is known but for `async` ones. */
  onMark(mark: Mark): void;
  end(batch: BlockBatch): void;
}

/**
 * Follows every transfer of one thread of a run, known or not, and keeps the calls that are open on
 * each of its stacks. It judges nothing, and needs no symbols.
 *
 * How to use it: `push` each batch in order. An observer is told of what is not ordinary while `push` runs,
 * a watcher how transfers arrive (`Arrival`); `position` is then the index of the block that made the transfer.
 * `Arrival.returned` means that the code explains the return: it went back to the youngest open call.
 * `depth` and `callAt(i)` give the open calls of the current stack behind the batch.
 *
 * Flow can leave its stack only by code that sets the stack pointer, so only behind such an
 * instruction may a transfer be a long jump, a landing pad, or a switch of stacks; and only when it
 * goes to a place where this run left something: the instruction after a call of a frame that is
 * open, or of an activation that is (`setjmp` returns twice), a landing pad or a label whose address
 * is taken in a function with an open frame, the place at which a stack was left. A return without
 * such an instruction that does not go back to its call is a mismatch, wherever it goes.
 *
 * Where flow fits several stacks (goroutines parked in the same place), one is taken and the others
 * kept; the returns that follow decide.
 */
export class CallFollower {
  /** Index of the block that makes the transfer under way. */
  position = -1;
  /** Blocks outside every image so far. */
  blocksOutsideImages = 0;
  /** Returns of the batch so far that went back to their calls. */
  returned = 0;
  readonly places: BlockPlaces = new BlockPlaces();

  readonly #stream: BlockStream;
  readonly #stack: StackCode | undefined;
  readonly #known: KnownCode | undefined;
  readonly #observer: FlowObserver | undefined;
  #watcher: TransferWatcher | undefined;
  /** By `Transfer` kind, of the watcher. */
  readonly #isTold = new Uint8Array(16);
  /** Rank in `steps` of the blocks that are looked at. */
  #leastStep: number = Transfer.jmp + 1;
  readonly #pool: ContextPool;
  readonly #isAlone: boolean;
  /** Every stack that the program has was seen from its beginning. */
  #seesAll = false;
  #context: FlowContext;
  #contexts = 0;
  #previous = -1;
  readonly #ranBlocks = new RanBlocks();
  readonly #calledCode: CalledCode;
  /** Sites that have gone from one stack to another. */
  readonly #switches: Set<number> = new Set();
  /** Those that have copied a stack and gone on with the copy in the same place. */
  readonly #copies: Set<number> = new Set();
  readonly #loaded = new LoadedPointer();

  constructor(stream: BlockStream, code: FollowedCode = {}, observer?: FlowObserver) {
    this.#stream = stream;
    this.#stack = code.stack;
    this.#known = code.known;
    this.#observer = observer;
    this.#isAlone = code.isAlone === true;
    this.#pool = new ContextPool(this.places);
    this.#calledCode = new CalledCode(stream.blocks, this.places, this.#ranBlocks, code.stack);
    this.#context = this.#newContext('trace');
  }

  /** @param watcher  told of what comes; there is one at most */
  watch(watcher: TransferWatcher): void {
    const { kinds } = watcher;
    this.#watcher = watcher;
    this.#isTold.set(kinds);
    if (kinds[Transfer.jcc] === 1) this.#leastStep = Transfer.jcc;
  }

  /** The watcher wants to know whenever a block runs. */
  watchBlock(block: number): void {
    this.#ranBlocks.watch(block);
  }

  get marks(): readonly Mark[] {
    return this.#stream.marks;
  }

  /** Calls that are open on the current stack. */
  get depth(): number {
    return this.#context.depth;
  }

  /** @returns the block that ends in the open call `index`, 0 = oldest */
  callAt(index: number): number {
    return this.#context.frames[index];
  }

  /** A `BlockSink`. */
  push(batch: BlockBatch): void {
    const { entries, length } = batch;
    this.#takeBlocks();
    if (length === 0) return;
    if (this.position < 0) this.#begin(entries[0]);
    const watcher = this.#watcher;
    watcher?.begin(batch);
    this.returned = 0;
    const { steps, ran } = this.#ranBlocks;
    const { indexes, count } = findEntries(entries, length, steps, this.#leastStep);
    this.#goOnFromBatch(entries[0]);
    // A block's index in the trace, less its index here.
    let origin = this.position + 1;
    let context = this.#context;
    let { frames, births, depth, floor } = context;
    for (let nth = 0; nth < count; nth++) {
      const i = indexes[nth];
      const block = entries[i];
      if (block < 0) {
        context.depth = depth;
        this.position = origin + i - 1;
        const mark = this.#stream.marks[~block];
        this.#mark(mark, this.#before(entries, i));
        watcher?.onMark(mark);
        context = this.#context;
        ({ frames, births, depth, floor } = context);
        origin--;
        continue;
      }
      const step = steps[block];
      const position = origin + i;
      if (step > 15) {
        context.depth = depth;
        this.position = position;
        this.#notice(this.#before(entries, i), block, step);
        floor = context.floor;
      }
      const kind = step & 15;
      if (kind === Transfer.call || kind === Transfer.icall) {
        if (depth === frames.length) {
          context.depth = depth;
          context.reserve();
          ({ frames, births, depth, floor } = context);
        }
        ran[block * ranSize + Ran.depth] = depth;
        ran[block * ranSize + Ran.birth] = births[depth];
        frames[depth++] = block;
        births[depth] = position;
      }
      const to = i + 1 < length ? entries[i + 1] : -1;
      if (kind === Transfer.call || to < 0) continue;
      // Most returns go where the same call was returned to before.
      if (kind === Transfer.ret) {
        if (depth > floor && ran[frames[depth - 1] * ranSize + Ran.behind] === to) {
          depth--;
          this.returned++;
          continue;
        }
      }
      context.depth = depth;
      this.position = position;
      this.#transfer(block, to, kind, i + 1);
      context = this.#context;
      ({ frames, births, depth, floor } = context);
    }
    context.depth = depth;
    this.position = origin + length - 1;
    this.#previous = entries[length - 1];
    watcher?.end(batch);
  }

  /** @param index  of the entry that was reached */
  #transfer(from: number, to: number, kind: number, index: number): void {
    const { ran } = this.#ranBlocks;
    // Most go where they went the last time.
    const isUsual =
      kind <= Transfer.jmp || (kind < Transfer.ret && ran[from * ranSize + Ran.target] === to);
    const arrival = isUsual ? Arrival.none : this.#arrive(from, to, kind);
    if (kind === Transfer.ret && arrival === Arrival.returned) this.returned++;
    else if (this.#isTold[kind] === 1) this.#watcher?.onTransfer(from, to, kind, arrival, index);
  }

  /** @returns the block before an entry of a batch; negative behind a mark, and where there is none */
  #before(entries: Int32Array, index: number): number {
    return Math.max(-1, index === 0 ? this.#previous : entries[index - 1]);
  }

  /** The last block of the batch before went to the first one of this. */
  #goOnFromBatch(to: number): void {
    const from = this.#previous;
    if (from < 0 || to < 0) return;
    const step = this.#ranBlocks.steps[from];
    const kind = step & 15;
    if (step < this.#leastStep || kind === Transfer.call) return;
    this.#transfer(from, to, kind, 0);
  }

  /** A return, an indirect transfer or one to the kernel that does not go where the same one went before. */
  #arrive(from: number, to: number, kind: number): ArrivalKind {
    const { start, end } = this.places;
    if (kind === Transfer.ret) {
      const context = this.#context;
      const { depth } = context;
      if (depth > context.floor && end[context.frames[depth - 1]] === start[to]) {
        this.#ranBlocks.ran[context.frames[depth - 1] * ranSize + Ran.behind] = to;
        context.depth--;
        return Arrival.returned;
      }
      return this.#return(from, to, start[to]);
    }
    if (kind < Transfer.syscall) return this.#indirect(from, to, kind);
    return start[to] === end[from] ? Arrival.none : this.#elsewhere(from, to, kind);
  }

  /** The first block of the trace: a process or a thread may begin there. */
  #begin(block: number): void {
    if (block < 0) return;
    const start = this.places.start[block];
    const isProcess = this.#stack?.isEntryPoint(start) === true;
    this.#seesAll = isProcess && this.#isAlone;
    this.#context.isWhole = isProcess || this.#stack?.followsSystemCall(start) === true;
  }

  /** Takes in the blocks that the table has gained. */
  #takeBlocks(): void {
    const { blocks } = this.#stream;
    this.places.update(blocks);
    this.#ranBlocks.take(blocks, this.places, this.#stack);
  }

  /**
   * A block runs that is not ordinary: one that is watched, made code, one that sets the stack pointer, or a call to which
   * long jumps go.
   */
  #notice(previous: number, block: number, step: number): void {
    const context = this.#context;
    if ((step & watchedFlag) !== 0) this.#watcher?.onBlock();
    if ((step & madeFlag) !== 0) {
      this.blocksOutsideImages++;
      if (!context.isOverMadeCode) {
        context.madeDepth = context.depth;
        context.madeBirth = context.births[context.depth];
      }
      if (previous < 0 || this.#stream.blocks.module[previous] >= 0) {
        // Of a transfer behind a mark nobody knows who made it: the entered block stands for it.
        if (previous >= 0) this.position--;
        this.#observer?.onOutside(previous, block);
        if (previous >= 0) this.position++;
      }
    }
    if ((step & returnPointFlag) !== 0) context.addReturnPoint(block);
    if ((step & loadsFlag) === 0) return;
    this.#loaded.set(context, block, this.position, this.#useOf(block) ?? 0);
  }

  /**
   * Whether the activation that makes the transfer under way has put another stack to use and is about to go
   * on there: in the same block, or from memory in one before, with no call in between.
   */
  #takesOtherStack(from: number): boolean {
    const { births, depth } = this.#context;
    const { block, position, use } = this.#loaded;
    if (block !== from) {
      const isFromMemory = (use & StackUse.fromRegister) === 0;
      if (!isFromMemory || births[depth + 1] > position) return false;
    }
    const start = this.places.start[block];
    const begin = this.#known?.functionRange(start)?.start ?? start;
    return this.#stack?.isOtherStack(use, begin, start) === true;
  }

  #useOf(block: number): number | undefined {
    const { start } = this.places;
    return this.#stack?.stackUse(start[block], this.#stream.blocks.size[block]);
  }

  /** Where a frame returns to. */
  #endOf(frame: number): Address {
    return this.places.end[frame];
  }

  // --- returns

  /** A return that does not go to a call that is known to be the one. @param to  -1 = no block */
  #return(from: number, to: number, target: Address): ArrivalKind {
    const context = this.#context;
    const expected = context.depth > 0 ? this.#endOf(context.frames[context.depth - 1]) : undefined;
    const isLoaded = this.#loaded.isIn(context);
    if (this.#loaded.isLeft(context)) this.#loaded.settle();
    const use = this.#useOf(from);
    if (!isLoaded && context.isRefuted && this.#takeRival(target)) return Arrival.returned;
    if (expected === target && !(isLoaded && this.#pool.has(target))) {
      const isCopy = isLoaded && (this.#loaded.use & StackUse.moves) !== 0;
      if (isCopy) this.#keepCopy(from);
      this.#pop(context, isLoaded);
      if (isCopy) this.#doubtCopy();
      return Arrival.returned;
    }
    if (this.#skipTaken(target)) return Arrival.returned;
    if (!isLoaded && this.#isBehindSkipped(context.depth, target, ReturnUse.writes)) {
      this.#pop(context, false);
      return Arrival.returned;
    }
    const { blocks } = this.#stream;
    if (use === undefined) return this.#returnUnseen(from, target);
    if ((use & StackUse.jumps) !== 0) return this.#returnAsJump(from, to, target, use, isLoaded);
    if (isLoaded && this.#explain(from, target)) return Arrival.unwound;
    if (!isLoaded && this.#takeRival(target)) return Arrival.returned;
    if (context.depth === 0) return this.#returnFromBottom(from, to, target);
    if (context.depth <= context.floor && !isLoaded && this.#exchange(target)) {
      return Arrival.unwound;
    }
    const isDoubtful = context.depth <= context.floor && !isLoaded;
    if (isDoubtful && context.isUnsure && this.#stack?.followsCall(target) !== false) {
      // Frames that the trace has never shown, or that were forgotten, or left by a return before they were copied.
      if (this.#copies.size > 0 && this.#explain(from, target)) return Arrival.unwound;
      this.#context = this.#newContext('foreign');
      return Arrival.unknown;
    }
    if (context.hasStrayed && this.#cutTo(target)) return Arrival.unwound;
    if (isLoaded && to >= 0 && this.#takesOtherStack(from)) {
      if (this.#known?.isFunctionEntry(target) !== false && this.#isTaken(target)) {
        this.#beginStack(from);
        this.#tellIndirect(from, to, Transfer.ijmp, Arrival.jumped);
        return Arrival.jumped;
      }
    }
    if (isLoaded && this.#stack?.followsCall(target) !== false) {
      // Left before the trace began, by another thread, or too long ago.
      this.#leave(from, this.#newContext('foreign'));
      return Arrival.unknown;
    }
    if (to >= 0 && this.#isPushedLabel(target)) {
      this.#tellIndirect(from, to, Transfer.ijmp, Arrival.jumped);
      return Arrival.jumped;
    }
    context.hasStrayed = true;
    if (context.isOverMadeCode || blocks.module[from] < 0) return Arrival.unknown;
    this.#observer?.onMismatch(from, to, target, expected);
    return Arrival.mismatch;
  }

  #pop(context: FlowContext, isLoaded: boolean): void {
    if (isLoaded) this.#loaded.settle();
    if (context.rivals.length > 0) this.#compareRivals(context);
    context.depth--;
    if (context.floor > context.depth) context.floor = context.depth;
    context.hasStrayed = false;
  }

  /** A return of a context fits its frames: rivals whose frames say something else are none. */
  #compareRivals(context: FlowContext): void {
    const { depth, rivalDepth, source } = context;
    if (depth > rivalDepth) return;
    const target = this.#endOf(context.frames[depth - 1]);
    const fits = (frame: number): boolean => this.#endOf(frame) === target;
    const rivals = depth === rivalDepth ? returned(context.rivals, fits) : [];
    // Further down its own frames may be in doubt for an older reason.
    if (source?.rivalDepth === depth - 1) rivals.push(...source.rivals);
    context.rivals = withRivals(rivals);
    context.rivalDepth = depth - 1;
    if (context.isCertain) this.#settleRivals(context);
  }

  /** A return does not fit the frames of the current context, but those of a rival: that one has run. */
  #takeRival(target: Address): boolean {
    const own = this.#context;
    if (own.rivals.length === 0 || own.depth !== own.rivalDepth) return false;
    const left = returned(own.rivals, (frame) => this.#endOf(frame) === target);
    const [first, ...rivals] = withRivals(left);
    if (first === undefined) return false;
    const next = first.context.copy();
    next.depth = first.depth;
    next.floor = first.depth;
    next.isUnsure ||= own.isUnsure;
    next.source = first.context;
    next.rivals = rivals;
    next.rivalDepth = first.depth;
    this.#context = next;
    if (next.isCertain) this.#settleRivals(next);
    return true;
  }

  /**
   * Of all that may have run, one is left: its source has gone on. It stays in doubt, for what was taken
   * to wait before may have been wrong.
   */
  #settleRivals(context: FlowContext): void {
    const { source } = context;
    if (source === undefined) return;
    source.isOver = true;
    this.#pool.remove(source);
    context.rivals = source.rivals;
    context.rivalDepth = source.rivalDepth;
    context.source = source.source;
  }

  /**
   * Skips calls whose return address the callee took off the stack (`call next; pop`), when what lies
   * below is where the return went.
   */
  #skipTaken(target: Address): boolean {
    const context = this.#context;
    for (let i = context.depth - 1; i > 0; i--) {
      if (!this.#calledCode.isReturnTaken(context.frames[i])) return false;
      if (this.#endOf(context.frames[i - 1]) !== target) continue;
      context.depth = i - 1;
      context.floor = Math.min(context.floor, context.depth);
      return true;
    }
    return false;
  }

  /**
   * Whether `target` lies a little behind the call that stands at `depth`, in the same function, and the callee
   * is written to use its return address in that way: it skips text or data that stands behind the call, or,
   * as programs with split stacks do, an instruction that is for another case.
   */
  #isBehindSkipped(depth: number, target: Address, use: number): boolean {
    if (depth === 0) return false;
    const call = this.#context.frames[depth - 1];
    const end = this.#endOf(call);
    if (target <= end || target > end + mostSkippedBytes) return false;
    const range = this.#known?.functionRange(this.places.start[call]);
    if (target >= (range?.end ?? end + mostSkippedAnywhere)) return false;
    return (this.#calledCode.returnUse(call) & use) !== 0;
  }

  /**
   * Whether the function around `target` pushes its address for a return to go there, as hand-written and
   * obfuscated code does: `push label; jmp function`.
   */
  #isPushedLabel(target: Address): boolean {
    const range = this.#known?.functionRange(target);
    if (range?.start === target) return false;
    const from = Math.max(range?.start ?? 0, target - mostSkippedBytes);
    const to = Math.min(range?.end ?? target + mostSkippedAnywhere, target + mostSkippedBytes);
    return this.#stack?.pushesAddress(from, to, target) === true;
  }

  /** A return by code whose bytes are not known: whatever it did, nothing is proven. */
  #returnUnseen(from: number, target: Address): ArrivalKind {
    if (this.#explain(from, target) || this.#cutTo(target)) return Arrival.unwound;
    this.#context.hasStrayed = true;
    return Arrival.unknown;
  }

  /** `push reg; ret`, or `mov [rsp], reg; ret`. */
  #returnAsJump(
    from: number,
    to: number,
    target: Address,
    use: number,
    isLoaded: boolean,
  ): ArrivalKind {
    const context = this.#context;
    // What lay on top when the block began is a return address where a call has just entered it.
    const isEntered = context.births[context.depth] === this.position - 1;
    if ((use & StackUse.replaces) !== 0 && context.depth > 0 && isEntered) {
      context.depth--;
      context.floor = Math.min(context.floor, context.depth);
    }
    if (isLoaded) {
      if (this.#explain(from, target)) return Arrival.unwound;
      if (this.#known?.isFunctionEntry(target) !== false && this.#isTaken(target)) {
        this.#beginStack(from);
      } else if (this.#stack?.followsCall(target) !== false) {
        this.#leave(from, this.#newContext('foreign'));
        return Arrival.unknown;
      }
    }
    if (to >= 0) this.#tellIndirect(from, to, Transfer.ijmp, Arrival.jumped);
    return Arrival.jumped;
  }

  /** A return when no call is open. */
  #returnFromBottom(from: number, to: number, target: Address): ArrivalKind {
    const context = this.#context;
    const { kind, module } = this.#stream.blocks;
    if (context.origin === 'kernel' && to >= 0 && kind[to] === Transfer.syscall) {
      // To the code that tells the kernel that its handler is done.
      return Arrival.unwound;
    }
    if (context.origin !== 'trace' && this.#explain(from, target)) return Arrival.unwound;
    // Put in between by the kernel, it may have been in another thread that it began.
    const resumes = context.origin !== 'trace' && ((this.#useOf(from) ?? 0) & StackUse.resumes) > 0;
    if (resumes || context.isCut || this.#mayBeReturnedTo(context.origin, to, target)) {
      return Arrival.unknown;
    }
    context.hasStrayed = true;
    if (context.isOverMadeCode || module[from] < 0 || to < 0) return Arrival.unknown;
    this.#observer?.onMismatch(from, to, target, undefined);
    return Arrival.mismatch;
  }

  /** Whether a return address that nobody has seen being stored may lead here. */
  #mayBeReturnedTo(origin: ContextOrigin, to: number, target: Address): boolean {
    const { kind, module } = this.#stream.blocks;
    if (to < 0 || module[to] < 0 || kind[to] === Transfer.syscall) return true;
    if (this.#stack?.followsCall(target) !== false) return true;
    const known = this.#known;
    if (known === undefined) return true;
    const isEntry = known.isFunctionEntry(target);
    // Go's runtime lets goroutines return behind the first instruction of a function.
    if (isEntry === undefined || known.isFunctionEntry(target - 1) !== false) return true;
    if (isEntry && origin === 'trace') return false;
    return known.isTaken(target) !== false;
  }

  /** Drops frames down to the youngest one that returns to `target`. */
  #cutTo(target: Address): boolean {
    const context = this.#context;
    const index = this.#frameTo(context, target);
    if (index < 0) return false;
    context.depth = index;
    context.floor = Math.min(context.floor, index);
    context.hasStrayed = false;
    return true;
  }

  /** @returns the youngest open frame that returns to `target`; -1 = none */
  #frameTo(context: FlowContext, target: Address): number {
    const bottom = Math.max(0, context.depth - searchDepth);
    for (let i = context.depth - 1; i >= bottom; i--) {
      if (this.#endOf(context.frames[i]) === target) return i;
    }
    return -1;
  }

  /**
   * A return from below which the frames are not certain does not go where they say: other frames
   * that fit are the true ones.
   */
  #exchange(target: Address): boolean {
    const context = this.#context;
    const own = this.#frameTo(context, target);
    if (own >= 0) {
      context.depth = own;
      context.floor = own;
      return true;
    }
    const other = this.#pool.withFrameTo(target);
    if (other === undefined) return false;
    const { context: found, depth } = other;
    const next = found.copy();
    next.source = found;
    next.depth = depth;
    next.floor = depth;
    next.isUnsure = context.isUnsure || next.isUnsure;
    this.#context = next;
    return true;
  }

  // --- indirect transfers

  #indirect(from: number, to: number, kind: number): ArrivalKind {
    const target = this.places.start[to];
    if (kind === Transfer.ijmp) {
      const arrival = this.#leaveByJump(from, target);
      if (arrival === Arrival.returned) return arrival;
      if (arrival !== Arrival.none) {
        this.#tellIndirect(from, to, kind, arrival);
        return arrival;
      }
    } else if (this.#isBehindSkipped(this.#context.depth - 1, target, ReturnUse.reads)) {
      this.#tellIndirect(from, to, kind, Arrival.unwound);
      return Arrival.unwound;
    }
    const isTold = this.#tellIndirect(from, to, kind, Arrival.none);
    // Where the stack pointer is set, the same transfer may go to another stack each time.
    const isCached = !isTold && (this.#ranBlocks.steps[from] & loadsFlag) === 0;
    this.#ranBlocks.ran[from * ranSize + Ran.target] = isCached ? to : -1;
    return Arrival.none;
  }

  /** @returns how an indirect jump leaves its function's frame, or its stack; `none` where it does neither */
  #leaveByJump(from: number, target: Address): ArrivalKind {
    const context = this.#context;
    const isLoaded = this.#loaded.isIn(context);
    const top = context.depth > 0 ? this.#endOf(context.frames[context.depth - 1]) : -1;
    if (top !== target && !isLoaded) {
      if (!this.#isBehindSkipped(context.depth, target, ReturnUse.reads)) return Arrival.none;
      if (this.#isOwnCase(from, target, 0)) return Arrival.none;
      this.#pop(context, false);
      return Arrival.returned;
    }
    const use = this.#useOf(from);
    // Cases of a `switch` may stand right behind a call of the function itself, or near where another stack waits.
    if (use !== undefined && (use & StackUse.dispatches) !== 0) return Arrival.none;
    const mayReturn = top === target && !this.#isOwnCase(from, target, use);
    if (mayReturn && !(isLoaded && this.#pool.has(target))) {
      // `pop rcx; jmp rcx` is a return.
      this.#pop(context, isLoaded);
      return Arrival.returned;
    }
    if (!isLoaded) return Arrival.none;
    if (this.#explain(from, target)) return Arrival.unwound;
    if (!this.#takesOtherStack(from)) return Arrival.none;
    const isEntry = this.#known?.isFunctionEntry(target);
    const mayGoOn =
      this.#stack?.followsCall(target) === true || this.#known?.isLandingPad(target) === true;
    if (isEntry !== true && mayGoOn) {
      // Left, or entered, before the trace began, by another thread, or too long ago.
      this.#leave(from, this.#newContext('foreign'));
      return Arrival.unknown;
    }
    if (isEntry === false) return Arrival.none;
    this.#beginStack(from);
    return Arrival.jumped;
  }

  /**
   * Whether a jump goes on in its own function, and takes nothing off the stack: a `switch` that computes
   * where its case is.
   */
  #isOwnCase(from: number, target: Address, use: number | undefined): boolean {
    const range = this.#known?.functionRange(this.places.start[from]);
    if (range === undefined || target <= range.start || target >= range.end) return false;
    return use !== undefined && (use & StackUse.pops) === 0;
  }

  #tellIndirect(from: number, to: number, kind: number, arrival: ArrivalKind): boolean {
    return this.#observer?.onIndirect(from, to, kind, arrival) ?? false;
  }

  // --- leaving frames and stacks

  #isTaken(target: Address): boolean {
    return this.#known?.isTaken(target) !== false;
  }

  /**
   * Looks for what the run left at `target`: behind an instruction that set the stack pointer, flow
   * may go on there. Goes there when something was left.
   */
  #explain(from: number, target: Address): boolean {
    const found = new Candidates();
    const add = found.add.bind(found);
    const own = this.#context;
    const { places } = this;
    const isSwitch = this.#switches.has(from);
    const unwindsTo = this.#frameTo(own, target);
    if (!isSwitch) add(own, unwindsTo);
    for (const other of this.#pool.leftAt(target)) {
      add(other, this.#resumeDepth(other, target));
    }
    // A site that is known to change stacks rather goes to another one than back to its own caller.
    const isToCaller = unwindsTo === own.depth - 1 && found.length > 0;
    if (isSwitch && !isToCaller) add(own, unwindsTo);
    else if (isSwitch && this.#copies.has(from)) add(own.copy(), unwindsTo);
    const range = this.#known?.functionRange(target);
    const isPad = this.#known?.isLandingPad(target) === true;
    const calls = found.length > 0 && !isPad ? [] : this.#calledCode.before(target);
    for (const call of calls) {
      this.#addReturnPoints(own, call, add);
      for (const other of this.#pool.contexts) {
        if (found.takes(other)) this.#addReturnPoints(other, call, add);
      }
    }
    const isReturnPoint = calls.length > 0;
    if (range === undefined) {
      if (found.length === 0 && !isReturnPoint) this.#addNearby(target, add);
    } else if (isPad || isReturnPoint || (found.length === 0 && this.#isLabel(target, range))) {
      const isWithin = places.start[from] >= range.start && places.start[from] < range.end;
      if (isWithin && found.length === 0) {
        for (const other of this.#pool.contexts) {
          if (other.leftFrom >= range.start && other.leftFrom < range.end) add(other, other.depth);
        }
        if (found.length === 0) add(own, own.depth);
      }
      this.#addActivations(own, range.start, range.end, add);
      // Coroutines that save their contexts in one routine all wait behind the same call.
      if (found.length === 0 || isReturnPoint) {
        for (const other of this.#pool.contexts) {
          if (found.takes(other)) this.#addActivations(other, range.start, range.end, add);
        }
      }
    }
    if (found.length === 0) return calls.length > 0 && this.#goBackTo(from, calls);
    for (const call of calls) this.#ranBlocks.markReturnPoint(call);
    this.#goOn(from, target, withRivals(found.list));
    return true;
  }

  /** Whether code takes the address of this place, which is no beginning of a function. */
  #isLabel(target: Address, range: CodeRange | undefined): boolean {
    return target !== range?.start && this.#known?.isTaken(target) === true;
  }

  #resumeDepth(context: FlowContext, target: Address): number {
    if (context.interruptedAt.includes(target) || context.leftEnd === target) return context.depth;
    return this.#frameTo(context, target);
  }

  /** Activations of a context that made a call and are open. */
  #addReturnPoints(
    context: FlowContext,
    call: number,
    add: (context: FlowContext, depth: number) => void,
  ): void {
    const { ran } = this.#ranBlocks;
    const depth = ran[call * ranSize + Ran.depth];
    const birth = ran[call * ranSize + Ran.birth];
    if (depth >= 0 && depth <= context.depth && context.births[depth] === birth) {
      add(context, depth);
    }
    if (!this.#ranBlocks.isReturnPoint(call)) return;
    for (let i = context.returnPoints.length - 1; i >= 0; i--) {
      const point = context.returnPoints[i];
      const isOpen = point.depth <= context.depth && context.births[point.depth] === point.birth;
      if (isOpen && point.call === call) add(context, point.depth);
    }
  }

  /** Activations of the function in `[start, end)` from which a call is open, the youngest first. */
  #addActivations(
    context: FlowContext,
    start: Address,
    end: Address,
    add: (context: FlowContext, depth: number) => void,
  ): void {
    const { beganBehind } = context;
    // The calls that its oldest activation has made since are known.
    const oldest = beganBehind >= start && beganBehind < end ? 1 : 0;
    const bottom = Math.max(oldest, context.depth - searchDepth);
    for (let i = context.depth - 1; i >= bottom; i--) {
      const at = this.places.start[context.frames[i]];
      if (at >= start && at < end) add(context, i);
    }
  }

  /**
   * Without a table of functions: a label near the instruction that left the other stack, or behind data
   * that stands behind the call in which it was left, which the callee reads and skips.
   */
  #addNearby(target: Address, add: (context: FlowContext, depth: number) => void): void {
    for (const { context, behindCall } of this.#pool.near(target)) {
      add(context, behindCall > 0 ? context.depth - 1 : context.depth);
    }
  }

  /** The first of the candidates goes on; the others stay possible until returns decide. */
  #goOn(from: number, target: Address, [first, ...rivals]: readonly Candidate[]): void {
    this.#loaded.settle();
    if (first.context === this.#context) this.#goBackOnOwn(from, target, first.depth, rivals);
    else this.#goOnElsewhere(from, first, rivals);
    if (this.#copies.has(from)) this.#doubtCopy();
    if (rivals.length === 0) return;
    this.#context.rivals = rivals;
    this.#context.rivalDepth = first.depth;
  }

  #goBackOnOwn(from: number, target: Address, depth: number, rivals: readonly Candidate[]): void {
    const own = this.#context;
    const isOnly = rivals.length === 0;
    const isFrame = depth < own.depth && this.#endOf(own.frames[depth]) === target;
    // A stack that was begun by a call lies above the one that called: it may be gone on with.
    if (isFrame || (!isOnly && depth < own.depth)) {
      const kept = own.copy();
      kept.leftFrom = this.places.start[from];
      kept.leftEnd = this.places.end[from];
      this.#pool.add(kept, isOnly ? depth + 1 : 0);
      if (!isOnly) {
        kept.source = own.source;
        own.source = kept;
      }
    }
    const isSeen = own.isWhole || this.#seesAll;
    own.depth = depth;
    own.floor = isOnly && isSeen ? Math.min(own.floor, depth) : depth;
    if (!isSeen) own.isUnsure = true;
    own.hasStrayed = false;
  }

  #goOnElsewhere(from: number, { context, depth }: Candidate, rivals: readonly Candidate[]): void {
    const own = this.#context;
    this.#switches.add(from);
    const isParent = own.origin === 'kernel' && own.parent === context;
    const isSeen = (this.#seesAll && !this.#pool.hasForgotten) || (isParent && context.isWhole);
    const isCertain = rivals.length === 0 && isSeen;
    let next = context;
    if (isCertain) this.#pool.remove(context);
    else {
      next = context.copy();
      next.source = context;
    }
    next.depth = depth;
    next.floor = isCertain ? Math.min(context.floor, depth) : depth;
    if (!isSeen) next.isUnsure = true;
    next.hasStrayed = false;
    next.interruptedAt = [];
    // A handler that a long jump leaves is over.
    if (isParent) this.#context = next;
    else this.#leave(from, next);
  }

  /** Sets the current stack aside and goes on with another one. */
  #leave(from: number, next: FlowContext): void {
    this.#loaded.settle();
    const own = this.#context;
    own.leftFrom = this.places.start[from];
    own.leftEnd = this.places.end[from];
    this.#setAside(own);
    this.#context = next;
  }

  /** Where stacks are copied, the one that goes on here may go on here once more from its copy. */
  #keepCopy(from: number): void {
    this.#copies.add(from);
    this.#switches.add(from);
    const kept = this.#context.copy();
    kept.leftFrom = this.places.start[from];
    kept.leftEnd = this.places.end[from];
    this.#pool.add(kept, kept.depth - 1);
  }

  /** A copy may be older than what the run has shown of its stack since. */
  #doubtCopy(): void {
    this.#context.isUnsure = true;
    this.#context.floor = this.#context.depth;
  }

  /** Goes on with a stack that the program puts to use for the first time. */
  #beginStack(from: number): void {
    this.#switches.add(from);
    this.#leave(from, this.#newContext('fresh'));
  }

  #setAside(context: FlowContext): void {
    // While others may have run, the one that was taken for it may still wait where it was.
    if (context.source !== undefined && context.rivals.length === 0) {
      this.#pool.retire(context.source);
    }
    this.#pool.add(context, 0);
  }

  /**
   * Goes back to a call whose activation is not open any more: contexts are kept in that way by
   * programs that copy stacks, or begin them in signal handlers. Such a call reads its own return
   * address, as `setjmp` does.
   */
  #goBackTo(from: number, calls: readonly number[]): boolean {
    if (!calls.some((call) => this.#calledCode.savesContext(call))) return false;
    for (const call of calls) this.#ranBlocks.markReturnPoint(call);
    this.#leave(from, this.#newContext('foreign'));
    this.#context.beganBehind = this.#endOf(calls[0]);
    return true;
  }

  #newContext(origin: ContextOrigin, parent?: FlowContext): FlowContext {
    return new FlowContext(origin, --this.#contexts, parent);
  }

  // --- what the program did not do itself

  /** Flow does not go on behind a system call or a far transfer. */
  #elsewhere(from: number, to: number, kind: number): ArrivalKind {
    const target = this.places.start[to];
    if (kind === Transfer.far) return this.#explain(from, target) ? Arrival.unwound : Arrival.none;
    const { end, start } = this.places;
    const at = start[from] + this.#stream.blocks.lastInstruction[from];
    // A call that is made again after a signal was handled goes back to its own instruction.
    return this.#switchByKernel([end[from], at], target);
  }

  /** The kernel goes on elsewhere: a signal, the end of its handler, another thread. */
  #switchByKernel(from: readonly Address[], target: Address): ArrivalKind {
    if (from.includes(target)) return Arrival.none;
    const own = this.#context;
    const isOver = own.origin === 'kernel' && own.depth === 0;
    const found = this.#pool.interruptedAt(target);
    if (found !== undefined) {
      this.#pool.remove(found);
      if (!isOver) this.#setAsideBy(from);
      this.#goOnWith(found);
      return Arrival.unwound;
    }
    if (isOver && own.parent !== undefined && this.#pool.holds(own.parent)) {
      return this.#goOnBelow(own.parent, target);
    }
    this.#setAsideBy(from);
    this.#context = this.#newContext('kernel', own);
    return Arrival.none;
  }

  #setAsideBy(from: readonly Address[]): void {
    const own = this.#context;
    own.interruptedAt = from;
    own.leftFrom = -1;
    own.leftEnd = -1;
    this.#setAside(own);
  }

  #goOnWith(context: FlowContext): void {
    context.interruptedAt = [];
    this.#context = context;
  }

  /**
   * A signal handler is over, and flow does not go on where it was interrupted: the handler has sent it
   * to a frame that is open, or past a fault, or the kernel begins the next handler, or a function that
   * the handler put in between, which then returns to where flow was interrupted.
   */
  #goOnBelow(parent: FlowContext, target: Address): ArrivalKind {
    const range = this.#known?.functionRange(target);
    const [interrupted] = parent.interruptedAt;
    const isWithin = range !== undefined && interrupted >= range.start && interrupted < range.end;
    let depth = -1;
    for (const call of this.#calledCode.before(target)) {
      this.#addReturnPoints(parent, call, (_, found) => {
        depth = Math.max(depth, found);
      });
    }
    if (depth < 0) depth = this.#frameTo(parent, target);
    const isPad = this.#known?.isLandingPad(target) === true;
    if (depth < 0 && range !== undefined && range.start !== target) {
      if (isWithin) depth = parent.depth;
      else if (isPad || this.#isLabel(target, range)) {
        this.#addActivations(parent, range.start, range.end, (_, found) => {
          depth = Math.max(depth, found);
        });
      }
    }
    if (depth < 0) {
      this.#context = this.#newContext('kernel', parent);
      return Arrival.none;
    }
    this.#pool.remove(parent);
    parent.depth = depth;
    parent.floor = Math.min(parent.floor, depth);
    this.#goOnWith(parent);
    return Arrival.unwound;
  }

  #mark(mark: Mark, previous: number): void {
    if (mark.kind === 'thread') {
      this.#forget();
      return;
    }
    if (mark.kind === 'async') {
      if (mark.from !== undefined) this.#leadTo(previous, mark.from);
      this.#observer?.onMark(mark, previous);
      this.#dropCallNotMade(previous, mark.from);
      // An interrupt comes back to where it came from, mostly before anything else was traced.
      if (mark.from !== undefined && mark.to !== undefined) {
        this.#switchByKernel([mark.from], mark.to);
      } else this.#forget();
      return;
    }
    const isCode = mark.reason === 'no-code' || mark.reason === 'bad-instruction';
    if (isCode && mark.address !== undefined) this.#leadTo(previous, mark.address);
    this.#observer?.onMark(mark, previous);
    this.#forget();
  }

  /**
   * The block before a mark went to an address of which no instruction ran: there is no code, or an
   * interrupt or a fault came first.
   */
  #leadTo(previous: number, target: Address): void {
    if (previous < 0) return;
    const { start, end } = this.places;
    const isMade = target < start[previous] || target >= end[previous];
    const kind = this.#stream.blocks.kind[previous];
    if (!isMade) return;
    if (kind === Transfer.ret) this.#return(previous, -1, target);
    else if (kind === Transfer.ijmp && this.#loaded.isIn(this.#context))
      this.#explain(previous, target);
  }

  /** A block that was interrupted ran in part only: the call at its end was not made. */
  #dropCallNotMade(block: number, from: Address | undefined): void {
    if (block < 0 || from === undefined) return;
    const { start, end } = this.places;
    const context = this.#context;
    const isTop = context.depth > 0 && context.frames[context.depth - 1] === block;
    if (isTop && from > start[block] && from < end[block]) context.depth--;
  }

  /** Nothing is known any more. */
  #forget(): void {
    this.#loaded.forget();
    this.#seesAll = false;
    this.#pool.clear();
    this.#context = this.#newContext('trace');
  }
}
