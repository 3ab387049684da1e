import type { Address } from '../../base/address.ts';
import { AllowedTargets, type Mechanism, type TargetClass } from './allowed-targets.ts';
import type { ProcessCode } from './process-code.ts';

/** Pairs of a site and a target that are remembered; a program that makes code has them without end. */
const mostPairs = 1 << 18;

/** What the code says of one indirect call or jump. */
export interface SiteAnswer {
  readonly mechanism: Mechanism;
  /**
   * It may say exactly where the transfer goes: through slots that the loader fills, and to what it has just bound; a `switch` with
   * one case is no choice, too.
   */
  readonly mayExplain: boolean;
}

/** The narrowest class that holds a target; `null` = none. */
export type ClassAnswer = Pick<TargetClass, 'name' | 'count'> | null;

/** Place of an instruction or a block: index of its module, and offset there; module -1 = in none. */
export type FoundPlace = readonly [module: number, offset: number];

/** What was found out of the code of some images, for whoever maps the same ones. */
export interface FoundAnswers {
  readonly sites: readonly (readonly [FoundPlace, SiteAnswer | null])[];
  readonly classes: readonly (readonly [FoundPlace, FoundPlace, ClassAnswer])[];
  readonly explained: readonly (readonly [FoundPlace, FoundPlace, boolean])[];
}

/** Where answers lie that were found out of the same images before. */
export interface AnswerShelf {
  /** @param findings  new ones: they may take what is known already; @param process  whose images they are of */
  open(findings: CodeFindings, process: ProcessCode): void;
}

/** Answers by the addresses of a site and a target. */
class Pairs<T> {
  readonly #bySite: Map<Address, Map<Address, T>> = new Map();
  size = 0;

  of(site: Address, target: Address, find: () => T): T {
    let targets = this.#bySite.get(site);
    if (targets === undefined) {
      targets = new Map();
      this.#bySite.set(site, targets);
    }
    let found = targets.get(target);
    if (found === undefined) {
      found = find();
      if (this.size >= mostPairs) {
        this.#bySite.clear();
        this.size = 0;
      } else {
        targets.set(target, found);
        this.size++;
      }
    }
    return found;
  }

  *[Symbol.iterator](): Generator<readonly [Address, Address, T]> {
    for (const [site, targets] of this.#bySite) {
      for (const [target, found] of targets) yield [site, target, found];
    }
  }
}

/**
 * What is found out of the code of all processes with the same images, each question once. Addresses are those of
 * the first of them.
 */
export class CodeFindings {
  readonly targets: AllowedTargets;
  readonly #process: ProcessCode;
  readonly #sites: Map<Address, SiteAnswer | null> = new Map();
  readonly #classes: Pairs<ClassAnswer> = new Pairs();
  readonly #explained: Pairs<boolean> = new Pairs();

  constructor(process: ProcessCode) {
    this.#process = process;
    this.targets = new AllowedTargets(process);
  }

  /** @returns `undefined` where no image tells */
  site(site: Address): SiteAnswer | undefined {
    let answer = this.#sites.get(site);
    if (answer === undefined) {
      answer = this.#readSite(site);
      this.#sites.set(site, answer);
    }
    return answer ?? undefined;
  }

  narrowest(site: Address, target: Address): ClassAnswer {
    return this.#classes.of(
      site,
      target,
      () => this.targets.at(site)?.classes.find(({ has }) => has(target)) ?? null,
    );
  }

  /** @returns whether the code says that it is this target */
  explains(site: Address, target: Address): boolean {
    return this.#explained.of(site, target, () => this.#readExplained(site, target));
  }

  /** How many answers there are. */
  get size(): number {
    return this.#sites.size + this.#classes.size + this.#explained.size;
  }

  get answers(): FoundAnswers {
    const place = (address: Address): FoundPlace => this.#placeOf(address);
    return {
      sites: [...this.#sites].map(([site, answer]) => [place(site), answer]),
      classes: [...this.#classes].map(([site, target, found]) => [
        ...([place(site), place(target)] as const),
        found === null ? null : { name: found.name, count: found.count },
      ]),
      explained: [...this.#explained].map(([site, target, is]) => [
        ...([place(site), place(target), is] as const),
      ]),
    };
  }

  /** @param answers  of processes with the same images, by the same code of ours */
  take({ sites, classes, explained }: FoundAnswers): void {
    const at = (place: FoundPlace): Address => this.#addressOf(place);
    for (const [site, answer] of sites) this.#sites.set(at(site), answer);
    for (const [site, target, found] of classes)
      this.#classes.of(at(site), at(target), () => found);
    for (const [site, target, is] of explained) this.#explained.of(at(site), at(target), () => is);
  }

  #placeOf(address: Address): FoundPlace {
    const { space } = this.#process;
    const module = space.moduleAt(address);
    return module < 0 ? [-1, address] : [module, address - space.modules[module].base];
  }

  #addressOf([module, offset]: FoundPlace): Address {
    return module < 0 ? offset : this.#process.space.modules[module].base + offset;
  }

  #readSite(site: Address): SiteAnswer | null {
    const allowance = this.targets.at(site);
    if (allowance === undefined) return null;
    const { mechanism, classes } = allowance;
    const isNamed = mechanism === 'stub' || mechanism === 'binder';
    const [first] = classes;
    const isOneCase = mechanism === 'table' && first.name === 'named' && first.count === 1;
    return { mechanism, mayExplain: isNamed || isOneCase };
  }

  #readExplained(site: Address, target: Address): boolean {
    const allowance = this.targets.at(site);
    if (allowance === undefined) return false;
    if (allowance.mechanism === 'binder') {
      // What the stub asked for is not at hand here: any exported function may be meant.
      return allowance.classes.some(({ name, has }) => name !== 'anywhere' && has(target));
    }
    const [first] = allowance.classes;
    return first.name === 'named' && first.has(target);
  }
}
