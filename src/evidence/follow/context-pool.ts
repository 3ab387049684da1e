import type { Address } from '../../base/address.ts';
import type { BlockPlaces } from './block-places.ts';
import type { FlowContext } from './flow-context.ts';

/** Contexts that are kept; of programs with more the oldest are forgotten. */
const mostContexts = 4096;
/** Contexts in doubt that are kept. */
const mostDoubtful = 256;
/** Frames from the top of a stack by which it is found: the routines that switch are not deeper. */
const indexedFrames = 24;

/** The stacks that flow has left, and by which addresses it may come back to them. */
export class ContextPool {
  /** The one left last is last. */
  readonly contexts: FlowContext[] = [];
  /** Whether contexts were forgotten: where flow goes on may then be one of them. */
  hasForgotten = false;
  /** Contexts that others were taken to go on with, rightly or not. */
  readonly #doubtful: FlowContext[] = [];
  readonly #places: BlockPlaces;
  readonly #byResume: Map<Address, FlowContext[]> = new Map();
  readonly #keys: Map<FlowContext, readonly Address[]> = new Map();

  constructor(places: BlockPlaces) {
    this.#places = places;
  }

  /** @param above  frames below this one are not ways back */
  add(context: FlowContext, above: number): void {
    if (this.#hasEqual(context)) return;
    const keys = new Set<Address>(context.interruptedAt);
    if (context.leftEnd >= 0) keys.add(context.leftEnd);
    const lowest = Math.max(above, context.depth - indexedFrames);
    for (let i = context.depth - 1; i >= lowest; i--) {
      keys.add(this.#places.end[context.frames[i]]);
    }
    for (const key of keys) {
      const list = this.#byResume.get(key);
      if (list === undefined) this.#byResume.set(key, [context]);
      else list.push(context);
    }
    this.#keys.set(context, [...keys]);
    this.contexts.push(context);
    if (this.contexts.length > mostContexts) {
      this.remove(this.contexts[0]);
      this.hasForgotten = true;
    }
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
    const last = this.contexts.length - 1;
    for (let i = last; i >= 0 && i > last - 8; i--) {
      const other = this.contexts[i];
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
    const index = this.contexts.indexOf(context);
    if (index < 0) return false;
    this.contexts.splice(index, 1);
    for (const key of this.#keys.get(context) ?? []) {
      const list = this.#byResume.get(key);
      const at = list?.indexOf(context) ?? -1;
      if (list === undefined || at < 0) continue;
      if (list.length === 1) this.#byResume.delete(key);
      else list.splice(at, 1);
    }
    this.#keys.delete(context);
    return true;
  }

  has(target: Address): boolean {
    return this.#byResume.has(target);
  }

  /** @returns contexts that may go on at an address, the one left last first */
  leftAt(target: Address): readonly FlowContext[] {
    return (this.#byResume.get(target) ?? []).slice(-64).reverse();
  }

  /** @returns the context that the kernel interrupted there last */
  interruptedAt(target: Address): FlowContext | undefined {
    return this.#byResume
      .get(target)
      ?.findLast((context) => context.interruptedAt.includes(target));
  }

  /** @returns a context with an open frame that returns to an address, and the depth below it */
  withFrameTo(
    target: Address,
  ): { readonly context: FlowContext; readonly depth: number } | undefined {
    for (const list of [this.contexts, this.#doubtful]) {
      for (let i = list.length - 1; i >= 0; i--) {
        const context = list[i];
        for (let depth = context.depth - 1; depth >= 0; depth--) {
          if (this.#places.end[context.frames[depth]] === target) return { context, depth };
        }
      }
    }
    return undefined;
  }

  clear(): void {
    this.contexts.length = 0;
    this.#doubtful.length = 0;
    this.#byResume.clear();
    this.#keys.clear();
  }
}
