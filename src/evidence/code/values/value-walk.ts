import { instructionPointer, Operand, type Operands, Operation } from '../../../x86/operands.ts';
import { Transfer } from '../../../x86/transfer.ts';
import type { FunctionFlow } from './function-flow.ts';
import {
  addressMark,
  constant,
  load,
  low,
  masked,
  placeKey,
  product,
  registerValue,
  rewrite,
  sum,
  unknown,
  type Value,
} from './value.ts';

/** What a comparison on the way says about a value; it may be less than `least` where that is 0. */
export interface Limit {
  readonly value: Value;
  readonly least: number;
  readonly most: number;
}

/** The target of an indirect transfer, followed back along one way through the function. */
export interface WalkedTarget {
  readonly target: Value;
  readonly limits: readonly Limit[];
}

/** What a way ended with. */
export interface EndedWalk extends WalkedTarget {
  /**
   * Where it begins: at the stretch's first instruction, with registers as they are there; at one that nothing leads to, as
   * padding; or where the target was clear enough, or patience ended.
   */
  readonly end: 'entry' | 'nowhere' | 'clear';
}

/** @returns the image's own address that a constant stands for; `undefined` for plain numbers */
export function addressOf(value: number, word: number): number | undefined {
  if (value < addressMark / 2) return undefined;
  const address = value - addressMark;
  if (word === 8) return address;
  const rest = address % 0x1_0000_0000;
  return rest < 0 ? rest + 0x1_0000_0000 : rest;
}

export interface WalkOptions {
  /** Address of the stretch's first byte. */
  readonly start: number;
  /** @returns the image's own address where a number in the code is an absolute one */
  readonly absolute: (value: number) => number | undefined;
  /** @returns a value in place of one that the limits bound, which then needs following no more */
  readonly settled: (value: Value, limits: readonly Limit[]) => Value | undefined;
  /** Ends a way: the target is as clear as it can get. */
  readonly isDone: (way: WalkedTarget) => boolean;
  /** Mask of the registers that a call may change. @param target  -1 where it is not known */
  readonly changed: (target: number) => number;
  /** The address that a call leaves in a register, where the code tells; all are the image's own. */
  readonly returned: (target: number, next: number, register: number) => number | undefined;
}

/** Of all ways of one transfer. */
const mostSteps = 2000;
const mostWays = 1024;
const mostLimits = 6;

/** Conditions behind a comparison that limit a value: B, AE, E, BE, A, L, LE. */
const limiting: ReadonlySet<number> = new Set([2, 3, 4, 6, 7, 12, 14]);

interface Way {
  /** Instruction in front of which the values hold. */
  index: number;
  target: Value;
  limits: Limit[];
  /** Condition that the flags meet, which an instruction further back sets; -1 = none is known. */
  condition: number;
}

/**
 * Follows the target of an indirect transfer back through its function, along every way that leads
 * to it, until `isDone`, the beginning, or the end of patience.
 *
 * @param index  of the transfer among the stretch's instructions
 * @returns what each way ended with
 */
export function walkBack(
  flow: FunctionFlow,
  index: number,
  operands: Operands,
  options: WalkOptions,
): EndedWalk[] {
  const length = operands.read(flow.bytes, flow.starts[index], flow.is64);
  if (length === 0) return [];
  const walker = new Walker(flow, operands, options);
  const target = walker.transferTarget(options.start + flow.starts[index] + length);
  return walker.run(index, target);
}

/**
 * As `walkBack`, of what a general register holds in front of an instruction.
 *
 * @param index  of the instruction
 */
export function walkRegister(
  flow: FunctionFlow,
  index: number,
  register: number,
  operands: Operands,
  options: WalkOptions,
): EndedWalk[] {
  return new Walker(flow, operands, options).run(index, registerValue(register));
}

class Walker {
  readonly #flow: FunctionFlow;
  readonly #operands: Operands;
  readonly #options: WalkOptions;
  readonly #word: number;

  constructor(flow: FunctionFlow, operands: Operands, options: WalkOptions) {
    this.#flow = flow;
    this.#operands = operands;
    this.#options = options;
    this.#word = flow.is64 ? 8 : 4;
  }

  /** The value that the transfer just read goes to. @param next  address behind it */
  transferTarget(next: number): Value {
    const { first } = this.#operands;
    return first === Operand.memory
      ? load(this.#address(next), this.#word, false)
      : first >= 0 && first < 16
        ? registerValue(first)
        : unknown;
  }

  run(index: number, target: Value): EndedWalk[] {
    const found: EndedWalk[] = [];
    const seen = new Set<string>();
    const ways: Way[] = [{ index, target, limits: [], condition: -1 }];
    let steps = 0;
    let isCut = false;
    while (ways.length > 0 && found.length < mostWays) {
      const way = ways.pop()!;
      let looked: Value | undefined;
      let lookedLimits: readonly Limit[] | undefined;
      for (;;) {
        const isNew = looked !== way.target || lookedLimits !== way.limits;
        looked = way.target;
        lookedLimits = way.limits;
        const isEnd =
          steps >= mostSteps ||
          (isNew && (way.target.registers === 0 || this.#options.isDone(way)));
        if (isEnd) {
          found.push({ target: way.target, limits: way.limits, end: 'clear' });
          break;
        }
        const isJoint = this.#flow.isEntered(way.index);
        if (isJoint) {
          const key = `${way.index} ${way.condition} ${Math.min(1, way.limits.length)} ${placeKey(way.target)}`;
          if (seen.has(key)) break;
          seen.add(key);
          for (const source of this.#flow.sourcesOf(way.index)) {
            if (ways.length < mostWays) ways.push(this.#before(way, source, true));
            else isCut = true;
          }
        }
        const previous = way.index - 1;
        if (previous < 0 || !this.#flow.goesOn(previous)) {
          // A way that only others lead to ends here; the function's beginning is an end.
          const { target, limits } = way;
          if (!isJoint) found.push({ target, limits, end: previous < 0 ? 'entry' : 'nowhere' });
          break;
        }
        steps++;
        Object.assign(way, this.#before(way, previous, false));
        if (this.#flow.kinds[previous] === Transfer.none) this.#step(way, ways);
        else if (this.#flow.kinds[previous] !== Transfer.jcc) this.#call(way);
      }
    }
    if (isCut || ways.length > 0) found.push({ target: unknown, limits: [], end: 'clear' });
    return found;
  }

  /** The way in front of the instruction `source`, which led on by a taken branch or not. */
  #before(way: Way, source: number, isTaken: boolean): Way {
    const next: Way = { ...way, index: source, limits: way.limits };
    if (this.#flow.kinds[source] !== Transfer.jcc) return next;
    this.#operands.read(this.#flow.bytes, this.#flow.starts[source], this.#flow.is64);
    const { condition } = this.#operands;
    // Of two conditions on the same flags, the one that limits counts: `je one; ja other`.
    if (limiting.has(way.condition)) return next;
    // Conditions come in pairs that differ in the lowest bit.
    next.condition = condition < 0 ? -1 : isTaken ? condition : condition ^ 1;
    return next;
  }

  #call(way: Way): void {
    const { starts, kinds, targets } = this.#flow;
    const { start, returned } = this.#options;
    way.condition = -1;
    const next = start + (starts[way.index + 1] ?? this.#flow.bytes.length);
    const target =
      targets[way.index] < 0 ? this.#outerTarget(way.index) : start + targets[way.index];
    const isCall = kinds[way.index] === Transfer.call;
    const changed = this.#options.changed(isCall ? target : -1);
    this.#replace(way, (part) => {
      if (part.kind !== 'register') return undefined;
      const value = isCall ? returned(target, next, part.register) : undefined;
      if (value !== undefined) return constant(value + addressMark);
      return (changed >> part.register) & 1 ? unknown : undefined;
    });
  }

  /** Where a direct call out of the stretch leads. */
  #outerTarget(index: number): number {
    const at = this.#flow.starts[index];
    const length = this.#operands.read(this.#flow.bytes, at, this.#flow.is64);
    return this.#options.start + at + length + this.#operands.displacementOfTransfer;
  }

  /** Goes in front of an instruction that is no transfer. */
  #step(way: Way, ways: Way[]): void {
    const operands = this.#operands;
    const at = this.#flow.starts[way.index];
    if (operands.read(this.#flow.bytes, at, this.#flow.is64) === 0) {
      way.target = unknown;
      return;
    }
    const next = this.#options.start + at + operands.length;
    const { first, operation } = operands;
    if (way.condition >= 0 && operands.setsFlags) {
      const limit = this.#limit(way.condition, next);
      way.condition = -1;
      if (limit !== undefined && way.limits.length < mostLimits && !way.target.key.includes('<')) {
        this.#write(way, next);
        way.limits = [...way.limits, limit];
        this.#settle(way);
        return;
      }
    }
    if (operation === Operation.maybeMove && first < 16 && (way.target.registers >> first) & 1) {
      if (ways.length < mostWays) ways.push({ ...way });
    }
    this.#write(way, next);
    if (operation === Operation.and) this.#settle(way);
  }

  #settle(way: Way): void {
    const { limits } = way;
    way.target = rewrite(way.target, (part) =>
      part.registers === 0 ? undefined : this.#options.settled(part, limits),
    );
    // The index is known: what else is compared on the way says nothing about the rest.
    if (way.target.key.includes('<')) way.limits = [];
  }

  /** Replaces what the instruction writes by what it writes there. */
  #write(way: Way, next: number): void {
    const { writes, first, stores, operation } = this.#operands;
    const used = way.target.registers | this.#limitRegisters(way);
    if ((writes & used) !== 0) {
      const written = this.#written(next, way.index);
      const { size, narrow } = this.#operands;
      const isMove = operation === Operation.move && size < 4 && narrow === 0;
      this.#replace(way, (part) => {
        // Of a register of which a part is written, that part is known.
        const isPart = isMove && part.kind === 'low' && part.bytes <= size;
        if (isPart && part.of.kind === 'register' && part.of.register === first) {
          return low(this.#source(next), part.bytes, part.isSigned);
        }
        if (part.kind !== 'register' || ((writes >> part.register) & 1) === 0) return undefined;
        if (part.register === first) return written;
        return this.#beside(part.register);
      });
    }
    // A store into the frame that a later load reads, as code that keeps variables there does.
    if (stores && first === Operand.memory && operation === Operation.move) {
      const at = this.#address(next).key;
      const bytes = this.#operands.size;
      const value = this.#source(next);
      this.#replace(way, (part) =>
        part.kind === 'load' && part.bytes === bytes && part.at.key === at ? value : undefined,
      );
    }
  }

  #limitRegisters(way: Way): number {
    let mask = 0;
    for (const { value } of way.limits) mask |= value.registers;
    return mask;
  }

  #replace(way: Way, replacement: (part: Value) => Value | undefined): void {
    way.target = rewrite(way.target, replacement);
    if (way.limits.length > 0) {
      way.limits = way.limits
        .map(({ value, ...rest }) => ({ value: rewrite(value, replacement), ...rest }))
        .filter(({ value }) => value.kind !== 'unknown');
    }
  }

  /** What an instruction leaves in the stack pointer, the one register written beside the first operand. */
  #beside(register: number): Value {
    if (register !== 4) return unknown;
    const { operation } = this.#operands;
    if (operation === Operation.push) return sum(registerValue(4), constant(-this.#word));
    if (operation === Operation.pop) return sum(registerValue(4), constant(this.#word));
    return unknown;
  }

  /** What the first operand holds behind the instruction. */
  #written(next: number, index: number): Value {
    const { operation, size, first, narrow } = this.#operands;
    const own = registerValue(first);
    // A part of a register: the rest stays, which no value here says.
    if (size < 4) return unknown;
    const isFull = size === this.#word;
    const clipped = (value: Value): Value => (isFull ? value : low(value, size, false));
    switch (operation) {
      case Operation.move:
      case Operation.maybeMove:
        return clipped(this.#source(next));
      case Operation.pop:
        return this.#isCalledFromBefore(index)
          ? constant(this.#options.start + this.#flow.starts[index] + addressMark)
          : unknown;
      case Operation.address:
        return clipped(this.#address(next));
      case Operation.zeroExtend:
        return this.#source(next, narrow, false);
      case Operation.signExtend:
        return clipped(this.#source(next, narrow, true));
      case Operation.add:
        return clipped(sum(own, this.#source(next)));
      case Operation.subtract: {
        const source = this.#source(next);
        return source.kind === 'constant' ? clipped(sum(own, constant(-source.value))) : unknown;
      }
      case Operation.and: {
        const source = this.#source(next);
        const isMask = source.kind === 'constant' && source.value >= 0;
        return isMask ? masked(own, source.value) : unknown;
      }
      case Operation.shiftLeft: {
        const source = this.#source(next);
        const isSmall = source.kind === 'constant' && source.value >= 0 && source.value <= 16;
        return isSmall ? clipped(product(own, 2 ** source.value)) : unknown;
      }
      default:
        return unknown;
    }
  }

  /** Whether the instruction before calls this one, which takes the return address: 32-bit code asks for its address so. */
  #isCalledFromBefore(index: number): boolean {
    const { kinds, targets, starts } = this.#flow;
    return index > 0 && kinds[index - 1] === Transfer.call && targets[index - 1] === starts[index];
  }

  #source(next: number, bytes: number = this.#operands.size, isSigned: boolean = false): Value {
    const { second, immediate } = this.#operands;
    if (second === Operand.immediate) {
      const own = this.#options.absolute(immediate);
      return constant(own === undefined ? immediate : own + addressMark);
    }
    if (second === Operand.memory) return load(this.#address(next), bytes, isSigned);
    if (second < 0 || second >= 16) return unknown;
    const value = registerValue(second);
    return bytes < this.#word ? low(value, bytes, isSigned) : value;
  }

  /** The address of the memory operand. @param next  address behind the instruction */
  #address(next: number): Value {
    const { base, index, scale, displacement } = this.#operands;
    const own =
      base === instructionPointer ? displacement + next : this.#options.absolute(displacement);
    const fixed = own === undefined ? displacement : own + addressMark;
    let address = constant(fixed);
    if (base >= 0 && base < 16) address = sum(address, registerValue(base));
    if (index >= 0) address = sum(address, product(registerValue(index), scale));
    return address;
  }

  /** What a comparison with a constant says where a condition holds behind it. */
  #limit(condition: number, next: number): Limit | undefined {
    const { operation, first, second, size, immediate } = this.#operands;
    const isComparison = operation === Operation.compare || operation === Operation.subtract;
    if (!isComparison || second !== Operand.immediate) return undefined;
    const value =
      first === Operand.memory
        ? load(this.#address(next), size, false)
        : first >= 0 && first < 16
          ? low(registerValue(first), size, false)
          : unknown;
    if (value.kind === 'unknown') return undefined;
    // Bytes and words compare without the sign that an immediate is stored with.
    const range = 2 ** (8 * size);
    const isUnsigned = condition === 2 || condition === 3 || condition === 6 || condition === 7;
    const bound = isUnsigned && size < 4 && immediate < 0 ? immediate + range : immediate;
    switch (condition) {
      case 2:
      case 12:
        return bound <= 0 ? undefined : { value, least: 0, most: bound - 1 };
      case 6:
      case 14:
        return bound < 0 ? undefined : { value, least: 0, most: bound };
      case 4:
        return { value, least: bound, most: bound };
      case 3:
        // At least a large number is between it and -1.
        return bound >= 0 ? undefined : { value, least: bound, most: -1 };
      case 7:
        return bound >= -1 ? undefined : { value, least: bound + 1, most: -1 };
      default:
        return undefined;
    }
  }
}
