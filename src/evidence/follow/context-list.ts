import type { FlowContext } from './flow-context.ts';

/** A context's stay in a pool. It may come back later, which is another stay. */
export interface Stay {
  readonly context: FlowContext;
  /** How many stays began before. */
  readonly number: number;
  isOver: boolean;
}

/**
 * Stays in the order in which they began. Those that are over are left in place until they are the larger
 * part: with thousands of contexts, finding and moving them each time takes longer than all else.
 */
export class ContextList {
  #stays: Stay[] = [];
  #over = 0;

  get length(): number {
    return this.#stays.length - this.#over;
  }

  push(stay: Stay): void {
    this.#stays.push(stay);
  }

  /** One of its stays is over. */
  release(): void {
    this.#over++;
    if (2 * this.#over < this.#stays.length) return;
    this.#stays = this.#stays.filter(({ isOver }) => !isOver);
    this.#over = 0;
  }

  /** The one that came last first. */
  *latest(): Generator<FlowContext> {
    for (let i = this.#stays.length - 1; i >= 0; i--) {
      const { context, isOver } = this.#stays[i];
      if (!isOver) yield context;
    }
  }

  /** @returns at most so many, the one that came last first */
  latestStays(most: number): readonly Stay[] {
    const found: Stay[] = [];
    for (let i = this.#stays.length - 1; i >= 0 && found.length < most; i--) {
      if (!this.#stays[i].isOver) found.push(this.#stays[i]);
    }
    return found;
  }

  /** The one that came first first. */
  *[Symbol.iterator](): Generator<FlowContext> {
    for (const { context, isOver } of this.#stays) if (!isOver) yield context;
  }
}
