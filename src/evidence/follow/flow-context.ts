import type { Address } from '../../base/address.ts';

/** Calls that one context keeps; of deeper recursion the older half is forgotten. */
const mostFrames = 1 << 20;

/** Why a context began. */
export type ContextOrigin =
  /** Where the trace begins, or goes on after a gap: calls made before are not known. */
  | 'trace'
  /** The kernel: a signal handler, a callback. */
  | 'kernel'
  /** The program put a new stack to use: a coroutine, a goroutine. */
  | 'fresh'
  /** The program went on with a stack that the trace has not seen, or no longer knows. */
  | 'foreign';

/**
 * One call stack: that of a thread, of a signal handler, of a coroutine. It is current, or was set
 * aside where flow left it.
 */
export class FlowContext {
  /** Blocks that end in the calls that are open, oldest first; `depth` of them count. */
  frames: Int32Array = new Int32Array(64);
  /**
   * `births[i + 1]` says which call frame `i` is: the index of its block in the trace. `births[0]`
   * names the context. So `births[depth]` names the activation that runs.
   */
  births: Int32Array = new Int32Array(65);
  depth = 0;
  /**
   * Below this depth another context's frames may be the true ones: flow came here in a way that fits
   * several. 0 = all frames are certain.
   */
  floor = 0;
  /** Whether the true frames below the floor may be some that the trace has never shown. */
  isUnsure = false;
  /** Whether the stack was seen from its beginning. */
  isWhole: boolean;
  readonly origin: ContextOrigin;
  /** The context that the kernel interrupted for this one. */
  readonly parent: FlowContext | undefined;
  /** Where the kernel goes on with it; empty when it was left by the program. */
  interruptedAt: readonly Address[] = [];
  /** Start of the block that left it, and the address after it; -1 when none did. */
  leftFrom: Address = -1;
  leftEnd: Address = -1;
  /** Behind which call it began, made by an activation that was over: its own oldest one never made it; -1 = none. */
  beganBehind: Address = -1;
  /** The context that this one goes on with, as far as is known; it is kept in case it was another. */
  source: FlowContext | undefined;
  /** Other stacks that flow may be on instead, where their frames differ below `rivalDepth` only. */
  rivals: readonly Candidate[] = [];
  rivalDepth = 0;
  /** Another context has gone on with this one, certainly. */
  isOver = false;
  /** Calls to which long jumps have gone, made here: call block, depth and activation. */
  readonly returnPoints: ReturnPoint[] = [];
  #prunedPoints = 16;
  /** A return did not go back to its call: frames may be skipped until one is found again. */
  hasStrayed = false;
  /** Set while made code may have frames here: depth, and activation at that depth. */
  madeDepth = -1;
  madeBirth = 0;
  /** Whether older frames were forgotten. */
  isCut = false;

  constructor(origin: ContextOrigin, id: number, parent?: FlowContext) {
    this.origin = origin;
    this.parent = parent;
    this.isWhole = origin === 'fresh' || origin === 'kernel';
    this.births[0] = id;
  }

  /** Makes room for one more frame. */
  reserve(): void {
    const { frames, births, depth } = this;
    if (depth < frames.length) return;
    if (frames.length < mostFrames) {
      this.frames = new Int32Array(frames.length * 2);
      this.frames.set(frames);
      this.births = new Int32Array(frames.length * 2 + 1);
      this.births.set(births);
      return;
    }
    const kept = depth >>> 1;
    frames.copyWithin(0, depth - kept, depth);
    births.copyWithin(1, depth - kept + 1, depth + 1);
    this.floor = Math.max(0, this.floor - (depth - kept));
    this.depth = kept;
    this.isCut = true;
    this.isWhole = false;
  }

  /** @returns a copy that can be set aside by itself */
  copy(): FlowContext {
    const other = new FlowContext(this.origin, 0, this.parent);
    other.frames = this.frames.slice();
    other.births = this.births.slice();
    other.depth = this.depth;
    other.floor = this.floor;
    other.isCut = this.isCut;
    other.isWhole = this.isWhole;
    other.isUnsure = this.isUnsure;
    other.beganBehind = this.beganBehind;
    other.madeDepth = this.madeDepth;
    other.madeBirth = this.madeBirth;
    other.rivals = this.rivals;
    other.rivalDepth = this.rivalDepth;
    other.returnPoints.push(...this.returnPoints);
    return other;
  }

  /** The activation that runs makes a call to which long jumps go. */
  addReturnPoint(call: number): void {
    const { depth, births, returnPoints } = this;
    const birth = births[depth];
    for (let i = returnPoints.length - 1; i >= 0; i--) {
      const point = returnPoints[i];
      if (point.depth < depth) break;
      if (point.call === call && point.birth === birth) return;
    }
    if (returnPoints.length >= 2 * this.#prunedPoints) {
      const open = returnPoints.filter((point) => this.#isOpen(point));
      returnPoints.splice(0, returnPoints.length, ...open);
      this.#prunedPoints = Math.max(16, open.length);
    }
    returnPoints.push({ call, depth, birth });
  }

  /** Lets go of the contexts that it refers to. */
  forgetOthers(): void {
    this.source = undefined;
    this.rivals = [];
  }

  #isOpen({ depth, birth }: { readonly depth: number; readonly birth: number }): boolean {
    return depth <= this.depth && this.births[depth] === birth;
  }

  /** Whether the context that it was taken to go on with turned out to go on elsewhere. */
  get isRefuted(): boolean {
    return this.rivals.length > 0 && this.source?.isOver === true;
  }

  /** Whether no other stack may be meant. */
  get isCertain(): boolean {
    return this.rivals.length === 0 && !this.isUnsure;
  }

  /** Whether made code may have built frames that are open here. */
  get isOverMadeCode(): boolean {
    const { madeDepth, depth } = this;
    return madeDepth >= 0 && madeDepth <= depth && this.births[madeDepth] === this.madeBirth;
  }
}

export interface ReturnPoint {
  readonly call: number;
  readonly depth: number;
  readonly birth: number;
}

/** Where flow may have gone on: a stack, as far as its frames were open then. */
export interface Candidate {
  readonly context: FlowContext;
  /** Frames that are still open there. */
  readonly depth: number;
  /** Which activation it is: of a stack that has gone on since, another one may lie at this depth. */
  readonly birth: number;
}
