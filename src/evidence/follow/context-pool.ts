import type { Address } from '../../base/address.ts';
import type { BlockPlaces } from './block-places.ts';
import { ContextIndex } from './context-index.ts';
import { ContextList, type Stay } from './context-list.ts';
import type { FlowContext } from './flow-context.ts';

/** Contexts that are kept; of programs with more the oldest are forgotten. */
const mostContexts = 4096;
/** Contexts in doubt that are kept. */
const mostDoubtful = 256;
/** Contexts that are looked at where flow goes on, and that a new one is compared with; the latest ones. */
const mostLookedAt = 64;
const mostCompared = 8;
/** Bytes around a switch in which its other end may lie, where no table of functions tells. */
const routineBytes = 256;
/** Most bytes that a call may have behind it for its callee to read: what Poly/ML needs, and room. */
const callDataBytes = 8;
/** Frames from the top of a stack by which it is found: the routines that switch are not deeper. */
const indexedFrames = 24;

export interface NearContext {
  readonly context: FlowContext;
  /** How far behind a call in which it was left; 0 = near the instruction that left it. */
  readonly behindCall: number;
}

/** How a context in the pool is found. */
interface Known {
  readonly stay: Stay;
  readonly resume: ReadonlySet<Address>;
  /** -1 = nowhere. */
  readonly routine: number;
  readonly top: Address;
}

/** The stacks that flow has left, and by which addresses it may come back to them. */
export class ContextPool {
  /** Whether contexts were forgotten: where flow goes on may then be one of them. */
  hasForgotten = false;
  #all: ContextList = new ContextList();
  /** Contexts that others were taken to go on with, rightly or not. */
  readonly #doubtful: FlowContext[] = [];
  readonly #places: BlockPlaces;
  #added = 0;
  readonly #byResume: ContextIndex = new ContextIndex();
  /** By the stretch of `routineBytes` in which each was left. */
  readonly #byRoutine: ContextIndex = new ContextIndex();
  /** By where the youngest frame returns to. */
  readonly #byTop: ContextIndex = new ContextIndex();
  readonly #stays: Map<FlowContext, Known> = new Map();

  constructor(places: BlockPlaces) {
    this.#places = places;
  }

  /** The one left last is last. Nothing may be added or removed meanwhile. */
  get contexts(): Iterable<FlowContext> {
    return this.#all;
  }

  /** @param above  frames below this one are not ways back */
  add(context: FlowContext, above: number): void {
    if (this.#hasEqual(context)) return;
    this.remove(context);
    const { frames, depth, leftFrom } = context;
    const { end } = this.#places;
    const resume = new Set<Address>(context.interruptedAt);
    if (context.leftEnd >= 0) resume.add(context.leftEnd);
    const lowest = Math.max(above, depth - indexedFrames);
    for (let i = depth - 1; i >= lowest; i--) resume.add(end[frames[i]]);
    const stay = { context, number: this.#added++, isOver: false };
    const routine = leftFrom < 0 ? -1 : routineOf(leftFrom);
    const top = depth === 0 ? -1 : end[frames[depth - 1]];
    for (const key of resume) this.#byResume.add(key, stay);
    if (routine >= 0) this.#byRoutine.add(routine, stay);
    if (top >= 0) this.#byTop.add(top, stay);
    this.#stays.set(context, { stay, resume, routine, top });
    this.#all.push(stay);
    if (this.#stays.size <= mostContexts) return;
    const [oldest] = this.#stays.keys();
    this.remove(oldest);
    this.hasForgotten = true;
  }

  /** Another context goes on with this one, as far as is known. Its frames are kept for a while. */
  retire(context: FlowContext): void {
    if (!this.remove(context)) return;
    this.#doubtful.push(context);
    if (this.#doubtful.length > mostDoubtful) {
      const forgotten = this.#doubtful.shift();
      // It would hold others that nobody can go on with.
      if (forgotten !== undefined) forgotten.forgetOthers();
      this.hasForgotten = true;
    }
  }

  /** Whether the same stack was left in the same place lately: another copy would add nothing. */
  #hasEqual(context: FlowContext): boolean {
    let compared = 0;
    for (const other of this.#all.latest()) {
      if (compared++ >= mostCompared) break;
      if (other.depth !== context.depth || other.leftFrom !== context.leftFrom) continue;
      if (other.origin !== context.origin || other.interruptedAt.length > 0) continue;
      if (context.interruptedAt.length > 0) continue;
      let depth = context.depth;
      while (depth > 0 && other.births[depth] === context.births[depth]) depth--;
      if (depth === 0) return true;
    }
    return false;
  }

  /** @returns whether it was there */
  remove(context: FlowContext): boolean {
    const known = this.#stays.get(context);
    if (known === undefined) return false;
    known.stay.isOver = true;
    this.#stays.delete(context);
    this.#all.release();
    for (const key of known.resume) this.#byResume.release(key);
    this.#byRoutine.release(known.routine);
    this.#byTop.release(known.top);
    return true;
  }

  holds(context: FlowContext): boolean {
    return this.#stays.has(context);
  }

  /** @returns whether a context may go on at an address */
  has(target: Address): boolean {
    return this.#byResume.has(target);
  }

  /** @returns contexts that may go on at an address, the one left last first */
  leftAt(target: Address): readonly FlowContext[] {
    const found: FlowContext[] = [];
    for (const context of this.#byResume.at(target).latest()) {
      if (found.length >= mostLookedAt) break;
      found.push(context);
    }
    return found;
  }

  /**
   * @returns contexts that were left by an instruction near an address, or that wait behind a call a few bytes
   *   before it, each with the bytes between; the one left first first
   */
  near(target: Address): readonly NearContext[] {
    const found: (NearContext & { readonly number: number })[] = [];
    const routine = routineOf(target);
    for (let key = Math.max(0, routine - 1); key <= routine + 1; key++) {
      for (const { context, number } of this.#byRoutine.at(key).latestStays(mostLookedAt)) {
        if (Math.abs(target - context.leftFrom) >= routineBytes) continue;
        found.push({ context, number, behindCall: 0 });
      }
    }
    for (let behindCall = 1; behindCall <= callDataBytes; behindCall++) {
      for (const { context, number } of this.#byTop
        .at(target - behindCall)
        .latestStays(mostLookedAt)) {
        found.push({ context, number, behindCall });
      }
    }
    return found.sort((a, b) => a.number - b.number || a.behindCall - b.behindCall);
  }

  /** @returns the context that the kernel interrupted there last */
  interruptedAt(target: Address): FlowContext | undefined {
    for (const context of this.#byResume.at(target).latest()) {
      if (context.interruptedAt.includes(target)) return context;
    }
    return undefined;
  }

  /** @returns a context with an open frame that returns to an address, and the depth below it */
  withFrameTo(
    target: Address,
  ): { readonly context: FlowContext; readonly depth: number } | undefined {
    for (const list of [this.#all.latest(), this.#doubtful.toReversed()]) {
      for (const context of list) {
        for (let depth = context.depth - 1; depth >= 0; depth--) {
          if (this.#places.end[context.frames[depth]] === target) return { context, depth };
        }
      }
    }
    return undefined;
  }

  clear(): void {
    this.#all = new ContextList();
    this.#doubtful.length = 0;
    this.#byResume.clear();
    this.#byRoutine.clear();
    this.#byTop.clear();
    this.#stays.clear();
  }
}

function routineOf(address: Address): number {
  return Math.floor(address / routineBytes);
}
