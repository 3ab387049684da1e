import type { FlowContext } from './flow-context.ts';

/**
 * The stack pointer was set in an activation, and nothing has come of it yet: until something has, returns
 * from there get a closer look.
 */
export class LoadedPointer {
  /** Block that set it last, and its index in the trace; -1 = none. */
  block = -1;
  position = -1;
  /** `StackUse` of that block. */
  use = 0;
  #context: FlowContext | undefined;
  #depth = 0;
  #birth = 0;
  #floorBefore = 0;

  /** Whether the activation that runs has set it. */
  isIn(context: FlowContext): boolean {
    const { depth, births } = context;
    return this.#context === context && this.#depth === depth && births[depth] === this.#birth;
  }

  /** Whether it was set on this stack, by an activation that is not open any more. */
  isLeft(context: FlowContext): boolean {
    const { depth, births } = context;
    const isOpen = depth >= this.#depth && births[this.#depth] === this.#birth;
    return this.#context === context && !isOpen;
  }

  /** The activation that runs sets it. */
  set(context: FlowContext, block: number, position: number, use: number): void {
    if (!this.isIn(context)) {
      this.settle();
      this.#floorBefore = context.floor;
    }
    this.#context = context;
    this.#depth = context.depth;
    this.#birth = context.births[context.depth];
    this.block = block;
    this.position = position;
    this.use = use;
    context.floor = Math.max(context.floor, context.depth);
  }

  /** It has shown what it was for. */
  settle(): void {
    const context = this.#context;
    this.#context = undefined;
    if (context === undefined) return;
    context.floor = Math.min(this.#floorBefore, context.depth);
  }

  /** Nothing is known any more. */
  forget(): void {
    this.#context = undefined;
  }
}
