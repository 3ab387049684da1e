import { Operands } from '../../x86/operands.ts';
import { Transfer } from '../../x86/transfer.ts';
import { listOfSites, type SiteTargets, sitesIn } from './site-answers.ts';
import type { ImageFacts } from './tables/image-facts.ts';
import { firstAtLeast, pointerAt } from './tables/image-tables.ts';
import { FunctionFlow } from './values/function-flow.ts';
import { boundsOf, shapeOf, strideOf, type TargetShape } from './values/target-shape.ts';
import { indexValue } from './values/value.ts';
import {
  addressOf,
  type EndedWalk,
  type WalkedTarget,
  type WalkOptions,
  walkBack,
  walkRegister,
} from './values/value-walk.ts';

const nowhere: SiteTargets = {
  isJump: false,
  targets: new Float64Array(0),
  isTable: false,
  isBounded: true,
  slots: [],
  member: undefined,
  argument: undefined,
  isOpen: true,
};

/** Larger tables are data. */
const mostEntries = 1 << 16;
const mostOffset = 2 ** 32;
/** Entries in front of a table's first, of indices that nothing limits. */
const mostMissing = 64;
/** Code whose limits nothing tells is followed this far back. */
const window = 160;
const mostFlows = 64;
/** Registers that a call may change: rax, rcx, rdx, rsi, rdi, r8 to r11. */
const changed64 = 0x0fc7;
/** Windows: rsi and rdi are kept. */
const changedWindows = 0x0f07;
/** eax, ecx, edx. */
const changed32 = 0x0007;
/** Bytes of a function that is read to see which registers it changes. */
const smallFunction = 1024;

let operands: Operands | undefined;

/** Follows the indirect transfers of one image; answers are kept. */
export class SiteReader {
  readonly #code: ImageFacts;
  /** Those that were kept are read when somebody asks first. */
  #answers: Map<number, SiteTargets> | undefined;
  /** Answers that were kept. */
  #keptAnswers = 0;
  readonly #changed: Map<number, number> = new Map();
  /** Of recent functions, by start. */
  readonly #flows: Map<number, FunctionFlow> = new Map();

  constructor(code: ImageFacts) {
    this.#code = code;
  }

  /** @param site  address of the transfer's instruction */
  at(site: number): SiteTargets {
    this.#answers ??= this.#readKept();
    let answer = this.#answers.get(site);
    if (answer === undefined) {
      answer = this.#read(site);
      this.#answers.set(site, answer);
    }
    return answer;
  }

  #readKept(): Map<number, SiteTargets> {
    const lists = this.#code.readKept('sites');
    const known = lists?.length === 1 ? sitesIn(lists[0]) : undefined;
    this.#keptAnswers = known?.size ?? 0;
    return known ?? new Map();
  }

  /** Keeps the answers that were given, where some of them are new. */
  keep(): void {
    if (this.#answers === undefined || this.#answers.size === this.#keptAnswers) return;
    const list = listOfSites(this.#answers);
    if (list !== undefined) this.#code.writeKept('sites', [list]);
    this.#keptAnswers = this.#answers.size;
  }

  /** The stretch of instructions that an address lies in, and where it begins. */
  flowAt(address: number): { readonly flow: FunctionFlow; readonly start: number } | undefined {
    const range = this.#code.rangeAt(address) ?? this.#guessedRange(address);
    if (range === undefined) return undefined;
    const { start, end } = range;
    let flow = this.#flows.get(start);
    if (flow === undefined) {
      const run = this.#code.memory.runAt(start);
      if (run === undefined) return undefined;
      operands ??= new Operands();
      const bytes = run.bytes.subarray(start - run.start, end - run.start);
      flow = new FunctionFlow(bytes, this.#code.tables.bits === 64, operands);
      if (this.#flows.size >= mostFlows) {
        for (const oldest of this.#flows.keys()) {
          this.#flows.delete(oldest);
          break;
        }
      }
      this.#flows.set(start, flow);
    }
    return { flow, start };
  }

  /** Outside every known range: from where instructions, read one after the other, arrive at the address. */
  #guessedRange(address: number): { start: number; end: number } | undefined {
    const { memory, ranges, tables } = this.#code;
    const run = memory.runAt(address);
    if (run === undefined) return undefined;
    operands ??= new Operands();
    const next = firstAtLeast(ranges.starts, address);
    const previousEnd = next > 0 ? ranges.ends[next - 1] : run.start;
    const nextStart = ranges.starts[next] ?? run.end;
    const end = Math.min(nextStart, run.end, address + window);
    for (let start = Math.max(previousEnd, run.start, address - window); start < address; start++) {
      let at = start;
      while (at < address) {
        const length = operands.readFlow(run.bytes, at - run.start, tables.bits === 64);
        if (length === 0) break;
        at += length;
      }
      if (at === address) return { start, end };
    }
    return { start: address, end };
  }

  #read(site: number): SiteTargets {
    const found = this.flowAt(site);
    const index = found?.flow.indexAt(site - found.start) ?? -1;
    if (found === undefined || index < 0) return nowhere;
    const { flow, start } = found;
    operands ??= new Operands();
    const isJump = flow.kinds[index] === Transfer.ijmp;
    if (!isJump && flow.kinds[index] !== Transfer.icall) return nowhere;
    const word = flow.is64 ? 8 : 4;
    let anchor: number | undefined;
    let nearest: number | undefined;
    const isDone = (way: WalkedTarget): boolean => {
      const shape = shapeOf(way.target, word);
      if (shape.kind === 'table') anchor ??= shape.table;
      // What is nearest counts: further back, loops move the pointer itself.
      if (shape.kind === 'member') nearest ??= shape.displacement;
      return this.#isDone(shape, way);
    };
    const ways = walkBack(flow, index, operands, this.#walking(start, isDone));
    const collected = new Collected();
    for (const way of ways) this.#add(collected, way, word, { start, flow, isJump, anchor });
    if (nearest !== undefined && collected.member !== undefined) {
      collected.member = { ...collected.member, displacement: nearest };
    }
    // What leads here from outside a stretch whose limits are guessed is not known.
    if (this.#code.rangeAt(site) === undefined) collected.isOpen = true;
    return { isJump, argument: argumentOf(ways), ...collected.result() };
  }

  /**
   * @param address  of an instruction
   * @returns what a general register may hold in front of it: for each way there an address of the image, or the register
   *   that held it when the function began
   */
  heldAt(
    address: number,
    register: number,
  ): readonly { readonly address?: number; readonly argument?: number }[] {
    const found = this.flowAt(address);
    const index = found?.flow.indexAt(address - found.start) ?? -1;
    if (found === undefined || index < 0) return [];
    const { flow, start } = found;
    operands ??= new Operands();
    const options = this.#walking(start, ({ target }) => target.kind === 'load');
    const word = flow.is64 ? 8 : 4;
    return walkRegister(flow, index, register, operands, options).map(({ target, end }) => {
      if (target.kind === 'register' && end === 'entry') return { argument: target.register };
      const held = target.kind === 'constant' ? addressOf(target.value, word) : undefined;
      return held === undefined ? {} : { address: held };
    });
  }

  /** @returns where a direct call or jump leads, in the image's own space */
  directTarget(address: number): number | undefined {
    const run = this.#code.memory.runAt(address);
    if (run === undefined) return undefined;
    operands ??= new Operands();
    const at = address - run.start;
    const length = operands.readFlow(run.bytes, at, this.#code.tables.bits === 64);
    const { transfer, displacementOfTransfer } = operands;
    const isDirect = transfer === Transfer.call || transfer === Transfer.jmp;
    return length > 0 && isDirect ? address + length + displacementOfTransfer : undefined;
  }

  #walking(start: number, isDone: WalkOptions['isDone']): WalkOptions {
    return {
      start,
      isDone,
      absolute: (value) => this.#absolute(value),
      returned: (target, next, register) => this.#returned(target, next, register),
      changed: (target) => this.#changedBy(target, 0),
      settled: (value, limits) => {
        const bounds = boundsOf(value, limits, this.#code.memory);
        // An address is no index, nor is its sum with one.
        if (bounds === undefined || bounds.isWidth || bounds.most > mostOffset) return undefined;
        return indexValue(bounds.least, bounds.most, strideOf(value));
      },
    };
  }

  #isDone(shape: TargetShape, { limits }: WalkedTarget): boolean {
    switch (shape.kind) {
      case 'constant':
      case 'slot':
        return true;
      case 'table':
      case 'steps':
        return boundsOf(shape.offset, limits, this.#code.memory)?.isWidth === false;
      default:
        return false;
    }
  }

  #absolute(value: number): number | undefined {
    const { tables, memory } = this.#code;
    const isAbsolute = tables.isFixed || (tables.format === 'pe' && tables.bits === 32);
    if (!isAbsolute) return undefined;
    const own = (tables.bits === 32 ? value >>> 0 : value) - tables.imageBase;
    return own > 0 && memory.runAt(own) !== undefined ? own : undefined;
  }

  /**
   * Registers that a call of a function may change: where that function is small and calls nothing
   * unknown, those that it writes. Compilers keep values in the others across such calls.
   */
  #changedBy(target: number, depth: number): number {
    const { tables } = this.#code;
    const is64 = tables.bits === 64;
    const all = is64 ? (tables.format === 'pe' ? changedWindows : changed64) : changed32;
    const known = this.#changed.get(target);
    if (known !== undefined) return known;
    this.#changed.set(target, all);
    const range = this.#code.rangeAt(target);
    const run = this.#code.memory.runAt(target);
    if (range?.start !== target || run === undefined || range.end - target > smallFunction) {
      return all;
    }
    operands ??= new Operands();
    let changed = 0;
    for (let at = target; at < range.end; ) {
      const length = operands.read(run.bytes, at - run.start, is64);
      if (length === 0) return all;
      const { transfer, displacementOfTransfer, writes } = operands;
      const next = at + length;
      const to = next + displacementOfTransfer;
      changed |= writes;
      if (transfer === Transfer.call && depth < 3) changed |= this.#changedBy(to, depth + 1);
      else if (transfer === Transfer.call || transfer >= Transfer.icall) {
        if (transfer !== Transfer.ret) return all;
      } else if (transfer === Transfer.ijmp) return all;
      else if (transfer === Transfer.jmp && (to < target || to >= range.end)) {
        if (depth >= 3) return all;
        changed |= this.#changedBy(to, depth + 1);
      }
      at = next;
    }
    this.#changed.set(target, changed & all);
    return changed & all;
  }

  /** Position-independent 32-bit code calls a function that returns the address behind the call. */
  #returned(target: number, next: number, register: number): number | undefined {
    const { memory, tables } = this.#code;
    if (tables.bits === 64) return undefined;
    // mov reg, [esp]; ret
    const isThunk =
      memory.uint8(target) === 0x8b &&
      memory.uint8(target + 1) === (0x04 | (register << 3)) &&
      memory.uint16(target + 2) === 0xc324;
    return isThunk ? next : undefined;
  }

  #add(into: Collected, { target, limits }: WalkedTarget, word: number, place: SitePlace): void {
    const shape = shapeOf(target, word);
    const { memory } = this.#code;
    switch (shape.kind) {
      case 'constant':
        into.targets.add(shape.address);
        return;
      case 'slot':
        into.slots.add(shape.place);
        return;
      case 'steps': {
        const bounds = boundsOf(shape.offset, limits, memory);
        if (bounds === undefined) {
          into.isOpen = true;
          return;
        }
        const stride = strideOf(shape.offset);
        for (let at = bounds.least; at <= bounds.most; at += stride)
          into.targets.add(shape.base + at);
        into.isTable = true;
        return;
      }
      case 'table':
        if (this.#readTable(into, shape, limits, place) === 0) into.isOpen = true;
        return;
      case 'member':
        into.member ??= { displacement: shape.displacement, isObject: shape.isObject };
        into.isOpen = true;
        return;
      default:
        into.isOpen = true;
    }
  }

  /** @returns how many entries lead to code */
  #readTable(
    into: Collected,
    shape: TargetShape & { readonly kind: 'table' },
    limits: WalkedTarget['limits'],
    place: SitePlace,
  ): number {
    const { memory, references } = this.#code;
    const bounds = boundsOf(shape.offset, limits, memory);
    const stride = Math.max(strideOf(shape.offset), shape.entryBytes);
    const isBounded = bounds !== undefined && (bounds.most - bounds.least) / stride < mostEntries;
    // Further back the index has been shifted, and the table with it: what is nearest counts.
    const begin = isBounded ? 0 : (place.anchor ?? shape.table) - shape.table;
    const first = isBounded ? Math.ceil(bounds.least / stride) * stride : begin;
    let end = isBounded ? bounds.most + 1 : begin + mostEntries * stride;
    // Pointers to places of the same function say for themselves where they end. Other tables follow
    // each other: the next place that something refers to belongs to another one.
    const isPlain = shape.base === undefined && place.isJump;
    if (!isBounded && !isPlain) {
      const { data } = references;
      const next = data[firstAtLeast(data, shape.table + begin + 1)];
      if (next !== undefined) end = Math.min(end, next - shape.table);
    }
    let count = 0;
    for (let offset = first; offset < end; offset += stride) {
      const target = this.#entry(shape, shape.table + offset);
      if (target === undefined || !this.#mayLead(target, place, isBounded, isPlain)) {
        // An index that does not begin at zero leaves no entries below its least.
        if (isBounded || (count === 0 && offset - begin < mostMissing * stride)) continue;
        break;
      }
      into.targets.add(target);
      count++;
      if (!this.#code.isReadOnly(shape.table + offset)) into.isOpen = true;
    }
    if (count > 0) {
      into.isTable = true;
      if (!isBounded) into.isBounded = false;
    }
    return count;
  }

  #entry(shape: TargetShape & { readonly kind: 'table' }, at: number): number | undefined {
    const { memory, tables } = this.#code;
    if (shape.base === undefined) {
      const pointer = pointerAt(tables.pointers, at);
      if (pointer !== undefined) return pointer;
      const stored = memory.word(at, tables.bits);
      const isAbsolute = tables.isFixed || tables.imageBase > 0;
      return stored === undefined || !isAbsolute ? undefined : stored - tables.imageBase;
    }
    const stored = readEntry(memory, at, shape.entryBytes, shape.isSigned);
    if (stored === undefined) return undefined;
    const target = shape.base + stored;
    if (tables.bits === 64) return target;
    return ((target % 0x1_0000_0000) + 0x1_0000_0000) % 0x1_0000_0000;
  }

  #mayLead(
    target: number,
    { start, flow, isJump }: SitePlace,
    isBounded: boolean,
    isPointer: boolean,
  ): boolean {
    if (!this.#code.memory.isCode(target)) return false;
    if (isBounded) return true;
    const offset = target - start;
    const isInside = isJump && offset > 0 && offset < flow.bytes.length;
    if (isInside) return flow.indexAt(offset) >= 0;
    const range = this.#code.rangeAt(target);
    if (range === undefined) return !isJump;
    if (range.start === target) return true;
    if (!isJump || !isPointer) return false;
    // Labels of rare cases stand in the function's cold part.
    const other = this.flowAt(target);
    return other !== undefined && other.flow.indexAt(target - other.start) >= 0;
  }
}

/** @returns the register that all ways begin with, at the function's beginning */
function argumentOf(ways: readonly EndedWalk[]): number | undefined {
  // No run comes from where nothing leads on; an exception comes with the registers of its call.
  const begun = ways.filter(({ end }) => end !== 'nowhere');
  const [first] = begun;
  if (first?.target.kind !== 'register') return undefined;
  const { register } = first.target;
  const isSame = ({ target, end }: EndedWalk): boolean =>
    end === 'entry' && target.kind === 'register' && target.register === register;
  return begun.every(isSame) ? register : undefined;
}

interface SitePlace {
  readonly start: number;
  readonly flow: FunctionFlow;
  readonly isJump: boolean;
  /** The first table that was found on the way back. */
  readonly anchor: number | undefined;
}

class Collected {
  readonly targets: Set<number> = new Set();
  readonly slots: Set<number> = new Set();
  member: SiteTargets['member'];
  isTable = false;
  isBounded = true;
  isOpen = false;

  result(): Omit<SiteTargets, 'isJump' | 'argument'> {
    return {
      targets: Float64Array.from(this.targets).sort(),
      isTable: this.isTable,
      isBounded: this.isBounded,
      slots: [...this.slots],
      member: this.member,
      isOpen: this.isOpen || (this.targets.size === 0 && this.slots.size === 0),
    };
  }
}

function readEntry(
  memory: ImageFacts['memory'],
  at: number,
  bytes: number,
  isSigned: boolean,
): number | undefined {
  if (bytes === 4) return isSigned ? memory.int32(at) : memory.uint32(at);
  if (bytes === 2) return isSigned ? memory.int16(at) : memory.uint16(at);
  if (bytes === 8) return memory.uint64(at);
  const byte = memory.uint8(at);
  return byte === undefined || !isSigned ? byte : (byte << 24) >> 24;
}
