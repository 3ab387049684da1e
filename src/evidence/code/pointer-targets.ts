import { Operands } from '../../x86/operands.ts';
import { type FunctionTables, findFunctionTables, isFunctionName } from './function-tables.ts';
import type { SiteReader } from './site-targets.ts';
import { referredBy } from './tables/code-references.ts';
import type { ImageFacts } from './tables/image-facts.ts';
import {
  argumentsRead,
  argumentsSet,
  systemVArguments,
  windowsArguments,
} from './values/arguments.ts';
import { FunctionFlow } from './values/function-flow.ts';

/** Arguments are read near the beginning. */
const entryBytes = 512;
/** Taken places that are read to count them by arguments. */
const mostCounted = 2000;

/** Numbers of argument registers that taken places are counted by: none to six. */
const countedReads = 7;

let operands: Operands | undefined;

/** Whether lists may be how many places read at most so many argument registers. */
function areCounts(lists: readonly Float64Array[]): boolean {
  const [counts] = lists;
  if (lists.length !== 1 || counts.length !== countedReads) return false;
  return counts.every((n, i) => n >= (counts[i - 1] ?? 0) && n < 2 ** 31 && Number.isInteger(n));
}

/** What pointers of one image may lead to; addresses are its own, arrays ascending. */
export class PointerTargets {
  readonly #code: ImageFacts;
  readonly #sites: SiteReader;
  readonly #members: Map<number, MemberFunctions> = new Map();
  readonly #reads: Map<number, number> = new Map();
  #taken: Float64Array | undefined;
  #takenByReads: Int32Array | undefined;
  #computed: Map<number, number[]> | undefined;
  #namedPointers: Set<string> | undefined;
  #exported: Float64Array | undefined;
  #starts: Float64Array | undefined;
  #tables: FunctionTables | undefined;

  constructor(code: ImageFacts, sites: SiteReader) {
    this.#code = code;
    this.#sites = sites;
  }

  /** Code whose address something of the image holds or computes, and that can be entered. */
  get taken(): Float64Array {
    if (this.#taken === undefined) {
      const { references, unwind, memory } = this.#code;
      const all = new Set([...references.taken, ...unwind.handlers]);
      this.#taken = Float64Array.from([...all].filter((address) => memory.isCode(address))).sort();
    }
    return this.#taken;
  }

  /** @returns the instructions that compute the address of a place of the image's code, where it can be moved */
  computedAt(address: number): readonly number[] {
    this.#computed ??= this.#findComputed();
    return this.#computed.get(address) ?? [];
  }

  #findComputed(): Map<number, number[]> {
    const computed = new Map<number, number[]>();
    const { memory, tables } = this.#code;
    for (const run of memory.runs) {
      if (!run.isExecutable) continue;
      referredBy(run, tables, (target, at) => {
        if (memory.runAt(target)?.isExecutable !== true) return;
        const known = computed.get(target);
        if (known === undefined) computed.set(target, [at]);
        else known.push(at);
      });
    }
    return computed;
  }

  /** Functions that other images find by name. */
  get exported(): Float64Array {
    this.#exported ??= Float64Array.from(
      [...this.#code.definitions()].map(({ address }) => address),
    ).sort();
    return this.#exported;
  }

  /** Where functions and their parts begin, exported and taken places among them. */
  get entries(): Float64Array {
    this.#starts ??= Float64Array.from(
      new Set([...this.#code.ranges.starts, ...this.taken, ...this.exported]),
    ).sort();
    return this.#starts;
  }

  /**
   * @returns argument registers that the function at `address` reads; `undefined` where they carry
   *   no arguments, in 32-bit code
   */
  argumentsRead(address: number): number | undefined {
    if (this.#code.tables.bits === 32) return undefined;
    let count = this.#reads.get(address);
    if (count === undefined) {
      count = this.#countReads(address);
      this.#reads.set(address, count);
    }
    return count;
  }

  #countReads(address: number): number {
    const { memory, tables } = this.#code;
    const run = memory.runAt(address);
    // Code without unwind information may be of a language that passes arguments elsewhere.
    const end = this.#code.rangeAt(address)?.end;
    if (run === undefined || end === undefined) return 0;
    const from = address - run.start;
    const bytes = run.bytes.subarray(from, Math.min(end - run.start, from + entryBytes));
    operands ??= new Operands();
    const flow = new FunctionFlow(bytes, tables.bits === 64, operands);
    return argumentsRead(flow, 0, operands, this.#registers());
  }

  /**
   * How many taken places read at most so many argument registers, by that number; the last entry
   * counts all. Of images with many, estimated from evenly spread ones.
   */
  get takenByReads(): Int32Array {
    if (this.#takenByReads === undefined) {
      const [counts] = this.#code.kept('reads', areCounts, () => [this.#countTaken()]);
      this.#takenByReads = Int32Array.from(counts);
    }
    return this.#takenByReads;
  }

  #countTaken(): Float64Array {
    const counts = new Float64Array(countedReads);
    const { taken } = this;
    const step = Math.max(1, Math.ceil(taken.length / mostCounted));
    for (let i = 0; i < taken.length; i += step) {
      for (let n = this.argumentsRead(taken[i]) ?? 0; n < counts.length; n++) counts[n]++;
    }
    const scale = taken.length / Math.max(1, Math.ceil(taken.length / step));
    return counts.map((count) => Math.round(count * scale));
  }

  /** Names of functions of other images to which this one holds a pointer, its stubs' apart. */
  get namedPointers(): ReadonlySet<string> {
    if (this.#namedPointers === undefined) {
      this.#namedPointers = new Set();
      for (const [place, binding] of this.#code.tables.bindings) {
        if (isFunctionName(binding) && !this.#code.isLazy(place)) {
          this.#namedPointers.add(binding.name);
        }
      }
    }
    return this.#namedPointers;
  }

  /** @returns argument registers that may hold arguments at a call; `undefined` in 32-bit code */
  argumentsSet(site: number): number | undefined {
    if (this.#code.tables.bits === 32 || this.#code.rangeAt(site) === undefined) return undefined;
    const found = this.#sites.flowAt(site);
    const index = found?.flow.indexAt(site - found.start) ?? -1;
    if (found === undefined || index < 0) return undefined;
    operands ??= new Operands();
    return argumentsSet(found.flow, index, operands, this.#registers());
  }

  #registers(): readonly number[] {
    return this.#code.tables.format === 'pe' ? windowsArguments : systemVArguments;
  }

  /**
   * Functions that stand `displacement` bytes behind where a table of functions, or data that holds
   * some, begins: at the places that something refers to, at the first of each run of pointers to code, and
   * behind type information, as virtual tables do whose first functions are none (destructors of abstract
   * classes).
   */
  members(displacement: number): MemberFunctions {
    let members = this.#members.get(displacement);
    if (members === undefined) {
      members = this.#readMembers(displacement);
      this.#members.set(displacement, members);
    }
    return members;
  }

  #readMembers(displacement: number): MemberFunctions {
    this.#tables ??= findFunctionTables(this.#code);
    const { beginnings, isVirtual, functions: pointers, names: named } = this.#tables;
    const [functions, names] = [new Set<number>(), new Set<string>()];
    const virtual = { functions: new Set<number>(), names: new Set<string>() };
    // All ascend, so that one pass finds all.
    let at = 0;
    for (let i = 0; i < pointers.places.length; i++) {
      const beginning = pointers.places[i] - displacement;
      while (beginnings[at] < beginning) at++;
      if (beginnings[at] !== beginning) continue;
      functions.add(pointers.targets[i]);
      if (isVirtual[at] === 1) virtual.functions.add(pointers.targets[i]);
    }
    at = 0;
    for (let i = 0; i < named.places.length; i++) {
      const beginning = named.places[i] - displacement;
      while (beginnings[at] < beginning) at++;
      if (beginnings[at] !== beginning) continue;
      names.add(named.names[i]);
      if (isVirtual[at] === 1) virtual.names.add(named.names[i]);
    }
    return { functions, names, virtual };
  }
}

/** Functions at one position of an image's tables: its own, and those of other images by name. */
export interface MemberFunctions extends NamedFunctions {
  /** Those of them that stand in virtual tables of C++ classes, behind type information. */
  readonly virtual: NamedFunctions;
}

interface NamedFunctions {
  readonly functions: ReadonlySet<number>;
  readonly names: ReadonlySet<string>;
}
