import type { Address } from '../../base/address.ts';
import type { ImageCode } from './image-code.ts';
import { PassedTargets } from './passed-targets.ts';
import type { ProcessCode } from './process-code.ts';
import { firstAtLeast } from './tables/image-tables.ts';

/** How an indirect transfer finds its target, which decides how much the code says about it. */
export type Mechanism =
  /** Through a slot that the loader fills: linkage stubs, calls without stubs, fixed pointers. */
  | 'stub'
  /** The dynamic linker's jump to the function that it has just bound. */
  | 'binder'
  /** Through a table that cannot be written to: `switch`, computed jumps, arrays of functions. */
  | 'table'
  /** From a position in a table that an object points to: virtual functions. */
  | 'virtual'
  /** From a position in an object or a table of functions. */
  | 'member'
  /** Any other pointer. */
  | 'pointer';

/** Sets of places that pointers may lead to, mostly each within the next one. */
export type TargetClassName =
  /** What the loader, the table or the instructions name. */
  | 'named'
  /** Functions at the position that the target is read from, in any table. */
  | 'position'
  /** In the same function: places whose address is taken. */
  | 'label'
  /** Any instruction of the same function, for jumps. */
  | 'function'
  /** Places whose address is taken, that read no more arguments than the transfer sets. */
  | 'arguments'
  | 'taken'
  | 'exported'
  | 'entry'
  | 'instruction'
  /** Any byte, known or not. */
  | 'anywhere';

export interface TargetClass {
  readonly name: TargetClassName;
  /** How many places it holds; those of large classes are estimated. */
  readonly count: number;
  readonly has: (target: Address) => boolean;
  /**
   * Of a position: whether a virtual table of a C++ class has a function there. Such tables stay what they are, where
   * the program itself fills and changes other tables.
   */
  readonly hasVirtually?: (target: Address) => boolean;
}

/** What the code allows at one place. */
export interface Allowance {
  readonly mechanism: Mechanism;
  /** From the narrowest; the last one is `anywhere`. */
  readonly classes: readonly TargetClass[];
}

const addressSpaceBits = { 32: 32, 64: 47 } as const;

/**
 * What the code of a process allows its indirect calls and jumps: for each, classes of targets from
 * the narrowest to any byte. How much of the probability each class gets is for the reader to say,
 * who has seen how often transfers of nominal runs stay in it; `defaultShares` is a start.
 */
export class AllowedTargets {
  readonly #process: ProcessCode;
  readonly #allowances: Map<Address, Allowance | null> = new Map();
  readonly #byArguments: Map<number, TargetClass> = new Map();
  readonly #byPosition: Map<number, TargetClass> = new Map();
  readonly #byName: Map<string, readonly Address[]> = new Map();
  readonly #passed: PassedTargets;
  #loaded: TargetClass | undefined;
  #wide: readonly TargetClass[] | undefined;

  constructor(process: ProcessCode) {
    this.#process = process;
    this.#passed = new PassedTargets(process);
  }

  /**
   * @param site  address of the instruction of an indirect call or jump
   * @param lazyStub  for the dynamic linker's last jump: start of the block of the linkage stub that
   *   asked for the function; without it any function may be meant
   * @returns `undefined` where no image tells
   */
  at(site: Address, lazyStub?: Address): Allowance | undefined {
    if (this.#process.isBinderJump(site)) return this.#binder(lazyStub);
    let allowance = this.#allowances.get(site);
    if (allowance === undefined) {
      allowance = this.#read(site) ?? null;
      this.#allowances.set(site, allowance);
    }
    return allowance ?? undefined;
  }

  #binder(lazyStub: Address | undefined): Allowance {
    const bound = lazyStub === undefined ? undefined : this.#process.lazyBinding(lazyStub);
    const wide = this.#wideClasses();
    const narrow =
      bound === undefined ? wide.slice(1) : [listed('named', bound), wide[wide.length - 1]];
    return { mechanism: 'binder', classes: narrow };
  }

  #read(site: Address): Allowance | undefined {
    const process = this.#process;
    const place = process.place(site);
    if (place === undefined || !place.code.memory.isCode(place.own)) return undefined;
    const { code, own, bias, module } = place;
    const slotted = process.slotTargets(site);
    const anywhere = this.#wideClasses().at(-1)!;
    if (slotted !== undefined) {
      return { mechanism: 'stub', classes: [listed('named', slotted), anywhere] };
    }
    const found = code.sites.at(own);
    const named = new Set<Address>();
    for (const target of found.targets) named.add(target + bias);
    let isOpen = found.isOpen;
    let isLoaders = false;
    for (const slot of found.slots) {
      const values = process.slotValues(module, slot + bias);
      if (values === undefined) isOpen = true;
      if (values === undefined && code.isReadOnly(slot)) isLoaders = true;
      for (const value of values ?? this.#initialValue(code, slot, bias)) named.add(value);
    }
    const classes: TargetClass[] = [];
    if (named.size > 0) classes.push(listed('named', [...named]));
    const inside = found.isTable || found.isJump ? this.#inFunction(code, own, bias) : undefined;
    if (!isOpen) {
      if (!found.isBounded && inside !== undefined) classes.push(inside);
      return { mechanism: found.isTable ? 'table' : 'stub', classes: [...classes, anywhere] };
    }
    if (this.#passed.callsArgument(site)) {
      // How many there are, nobody counts: one at a time is asked for.
      const has = (target: Address): boolean => this.#passed.isPassed(site, target);
      classes.push({ name: 'named', count: 1, has });
    }
    if (isLoaders) classes.push(this.#keptByLoader());
    // The dynamic linker reads from tables that no program writes to what it calls by itself.
    if (code.binderJumps.length > 0) classes.push(this.#calledByLoader());
    const position = found.member && this.#position(found.member.displacement);
    if (position !== undefined && position.count > 0) classes.push(position);
    const labels = found.isJump ? this.#labels(code, own, bias) : undefined;
    if (labels !== undefined) classes.push(labels);
    if (inside !== undefined) classes.push(inside);
    const count = code.pointerTargets.argumentsSet(own);
    if (count !== undefined && count < 6) classes.push(this.#withArguments(count));
    classes.push(...this.#wideClasses());
    const mechanism =
      found.member === undefined ? 'pointer' : found.member.isObject ? 'virtual' : 'member';
    return { mechanism, classes };
  }

  /** What a pointer that the program may change holds at first. */
  #initialValue(code: ImageCode, slot: number, bias: number): Address[] {
    const { places, targets } = code.tables.pointers;
    const index = firstAtLeast(places, slot);
    const isCode = places[index] === slot && code.memory.isCode(targets[index]);
    return isCode ? [targets[index] + bias] : [];
  }

  /** Places inside the function of a jump whose address is taken: labels of computed jumps. */
  #labels(code: ImageCode, own: number, bias: number): TargetClass | undefined {
    const range = code.rangeAt(own);
    if (range === undefined) return undefined;
    const { taken, inside } = code.references;
    const labels: Address[] = [];
    for (const list of [taken, inside]) {
      for (let i = firstAtLeast(list, range.start + 1); list[i] < range.end; i++) {
        labels.push(list[i] + bias);
      }
    }
    return labels.length === 0 ? undefined : listed('label', labels);
  }

  #inFunction(code: ImageCode, own: number, bias: number): TargetClass | undefined {
    const found = code.sites.flowAt(own);
    if (found === undefined || code.rangeAt(own) === undefined) return undefined;
    const { flow, start } = found;
    return {
      name: 'function',
      count: flow.starts.length,
      has: (target) => flow.indexAt(target - bias - start) >= 0,
    };
  }

  /**
   * What a slot may hold that only the loader writes to, which no relocation tells: that for the C library's `malloc` in
   * the dynamic linker itself, which opens libraries with it.
   */
  #keptByLoader(): TargetClass {
    const entries = this.#wideClasses().find(({ name }) => name === 'entry')!;
    return counted('named', () => entries.count, entries.has);
  }

  /**
   * Initializers and finalizers of all images, where they begin, and what picks one of several functions for this
   * processor (IFUNC), when a name is bound for the first time.
   */
  #calledByLoader(): TargetClass {
    if (this.#loaded === undefined) {
      const targets: Address[] = [];
      for (const { code, bias } of this.#process.known) {
        const { started, bindings } = code.tables;
        for (const own of started) targets.push(own + bias);
        for (const binding of bindings.values()) {
          if (binding.kind === 'resolver') targets.push(binding.address + bias);
        }
        for (const { kind, address } of code.definitions()) {
          if (kind === 'resolver') targets.push(address + bias);
        }
      }
      this.#loaded = listed('named', targets);
    }
    return this.#loaded;
  }

  #position(displacement: number): TargetClass {
    let known = this.#byPosition.get(displacement);
    if (known === undefined) {
      const targets = new Set<Address>();
      const virtual = new Set<Address>();
      for (const { code, bias, module } of this.#process.known) {
        const members = code.pointerTargets.members(displacement);
        for (const own of members.functions) targets.add(own + bias);
        for (const own of members.virtual.functions) virtual.add(own + bias);
        for (const name of members.names) {
          for (const address of this.#named(module, name)) {
            targets.add(address);
            if (members.virtual.names.has(name)) virtual.add(address);
          }
        }
      }
      const hasVirtually = (target: Address): boolean => virtual.has(target);
      known = { ...listed('position', [...targets]), hasVirtually };
      this.#byPosition.set(displacement, known);
    }
    return known;
  }

  /** @returns where a name leads that a table of an image holds; the same names stand at many positions */
  #named(module: number, name: string): readonly Address[] {
    let known = this.#byName.get(name);
    if (known === undefined) {
      known = this.#process.resolve(module, { kind: 'name', name }) ?? [];
      this.#byName.set(name, known);
    }
    return known;
  }

  /** @param count  argument registers that the transfer sets */
  #withArguments(count: number): TargetClass {
    let known = this.#byArguments.get(count);
    if (known === undefined) {
      const has = (target: Address): boolean => {
        const place = this.#process.place(target);
        if (place === undefined || !this.#isTaken(target)) return false;
        return (place.code.pointerTargets.argumentsRead(place.own) ?? 0) <= count;
      };
      const countAll = (): number =>
        this.#sum(
          ({ pointerTargets: { takenByReads, namedPointers } }) =>
            takenByReads[count] + namedPointers.size,
        );
      known = counted('arguments', countAll, has);
      this.#byArguments.set(count, known);
    }
    return known;
  }

  #isTaken(target: Address): boolean {
    const place = this.#process.place(target);
    if (place === undefined) return false;
    const { taken } = place.code.pointerTargets;
    return holds(taken, place.own) || this.#process.isPointedToByName(target);
  }

  /** @returns the sum of a number of each image */
  #sum(of: (code: ImageCode) => number): number {
    let sum = 0;
    for (const { code } of this.#process.known) sum += of(code);
    return sum;
  }

  /** From taken places to any byte. */
  #wideClasses(): readonly TargetClass[] {
    if (this.#wide !== undefined) return this.#wide;
    const process = this.#process;
    const is64 = this.#sum(({ tables }) => (tables.bits === 64 ? 1 : 0)) > 0;
    const isExported = (target: Address): boolean => process.exportedNames(target).length > 0;
    const isTaken = (target: Address): boolean => this.#isTaken(target);
    // Outside known functions any byte of code may be an instruction.
    const isInstruction = (target: Address): boolean =>
      process.isInstructionStart(target) !== false && process.isCode(target) === true;
    const countPointers = (of: (targets: ImageCode['pointerTargets']) => number) => (): number =>
      this.#sum(({ pointerTargets }) => of(pointerTargets));
    this.#wide = [
      counted(
        'taken',
        countPointers(({ taken, namedPointers }) => taken.length + namedPointers.size),
        isTaken,
      ),
      counted(
        'exported',
        countPointers(({ taken, exported }) => taken.length + exported.length),
        (target) => isExported(target) || isTaken(target),
      ),
      counted(
        'entry',
        countPointers(({ entries }) => entries.length),
        (target) => process.isFunctionEntry(target) === true,
      ),
      counted('instruction', () => this.#sum(({ census }) => census.instructions), isInstruction),
      {
        name: 'anywhere',
        count: 2 ** addressSpaceBits[is64 ? 64 : 32],
        has: () => true,
      },
    ];
    return this.#wide;
  }
}

/**
 * A class whose places are counted when somebody asks for their number: most pairs of a place and its target are in a
 * narrower class, and to count these takes half of the time in which the code of a process is read. It holds none where
 * none is counted.
 */
function counted(
  name: TargetClassName,
  countAll: () => number,
  has: (target: Address) => boolean,
): TargetClass {
  let known: number | undefined;
  const count = (): number => {
    known ??= countAll();
    return known;
  };
  return {
    name,
    get count() {
      return count();
    },
    has: (target) => has(target) && count() > 0,
  };
}

function listed(name: TargetClassName, targets: readonly Address[]): TargetClass {
  const set = new Set(targets);
  return { name, count: set.size, has: (target) => set.has(target) };
}

function holds(sorted: Float64Array, value: number): boolean {
  return sorted[firstAtLeast(sorted, value)] === value;
}

/** How the probability is shared among the classes, by mechanism: the first is the narrowest. */
export type ClassShares = Readonly<Record<TargetClassName, number>>;

/**
 * @param shares  weight of each class; those of the classes that a place has are scaled to sum to 1
 * @returns the probability that the code gives a target: each class spreads its share evenly
 */
export function probabilityOf(
  { classes }: Allowance,
  target: Address,
  shares: ClassShares,
): number {
  let total = 0;
  let probability = 0;
  for (const { name, count, has } of classes) {
    total += shares[name];
    if (has(target)) probability += shares[name] / Math.max(1, count);
  }
  return probability / total;
}

const openShares: ClassShares = {
  named: 0.6,
  position: 0.4,
  label: 0.6,
  function: 0.02,
  arguments: 0.3,
  taken: 0.5,
  exported: 0.02,
  entry: 0.002,
  instruction: 0.01,
  anywhere: 0.001,
};

function exactShares(elsewhere: number): ClassShares {
  return { ...openShares, named: 1 - elsewhere, anywhere: elsewhere };
}

/**
 * Rounded from how often pairs of a place and its target, in nominal runs, had each class as the
 * narrowest, of those whose place has the class. Measured by `bench/code.bench.ts` on three nominal
 * runs each of seven programs, no attack among them; what has never left its class gets one chance in
 * as many pairs as were seen.
 */
export const defaultShares: Readonly<Record<Mechanism, ClassShares>> = {
  stub: exactShares(1 / 1600),
  binder: exactShares(1 / 200),
  table: exactShares(1 / 900),
  virtual: openShares,
  member: openShares,
  pointer: openShares,
};
