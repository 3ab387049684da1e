import type { Address } from '../../base/address.ts';
import { type Allowance, AllowedTargets, type TargetClass } from './allowed-targets.ts';
import type { ProcessCode } from './process-code.ts';

/** Pairs of a site and a target whose class is remembered; a program that makes code has them without end. */
const mostPairs = 1 << 18;

/** What is found out for all processes with the same images. */
class Findings {
  readonly targets: AllowedTargets;
  readonly #narrowest: Map<Address, Map<Address, TargetClass | null>> = new Map();
  #pairs = 0;

  constructor(process: ProcessCode) {
    this.targets = new AllowedTargets(process);
  }

  narrowest(site: Address, target: Address): TargetClass | undefined {
    let targets = this.#narrowest.get(site);
    if (targets === undefined) {
      targets = new Map();
      this.#narrowest.set(site, targets);
    }
    let found = targets.get(target);
    if (found === undefined) {
      found = this.targets.at(site)?.classes.find(({ has }) => has(target)) ?? null;
      if (++this.#pairs > mostPairs) {
        this.#narrowest.clear();
        this.#pairs = 0;
      } else targets.set(target, found);
    }
    return found ?? undefined;
  }
}

const findingsOf: WeakMap<ProcessCode, Findings> = new WeakMap();

/**
 * What the code of a process allows its indirect calls and jumps, found out once for all processes that map
 * the same images, wherever they lie: addresses are translated to those of the first such process.
 */
export class SharedTargets {
  readonly #process: ProcessCode;
  /** What to add to an address, by module. */
  readonly #shifts: Float64Array;
  readonly #findings: Findings;

  constructor(process: ProcessCode) {
    const first = process.firstWithTheseImages;
    this.#findings = findingsOf.get(first) ?? new Findings(first);
    findingsOf.set(first, this.#findings);
    this.#process = process;
    const bases = first.space.modules.map(({ base }) => base);
    this.#shifts = Float64Array.from(process.space.modules, ({ base }, i) => bases[i] - base);
  }

  /** @returns the address that says the same where answers come from: for `at` and what it gives */
  translated(address: Address): Address {
    const module = this.#process.space.moduleAt(address);
    return module < 0 ? nowhere : address + this.#shifts[module];
  }

  /** @param site  translated address of the instruction of an indirect call or jump */
  at(site: Address): Allowance | undefined {
    return this.#findings.targets.at(site);
  }

  /** @returns the narrowest class of a site that holds a target; both translated */
  narrowest(site: Address, target: Address): TargetClass | undefined {
    return this.#findings.narrowest(site, target);
  }
}

/** In no module: the last byte there is. */
const nowhere: Address = -1;
