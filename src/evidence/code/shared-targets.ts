import type { Address } from '../../base/address.ts';
import type { Allowance } from './allowed-targets.ts';
import {
  type AnswerShelf,
  type ClassAnswer,
  CodeFindings,
  type SiteAnswer,
} from './code-findings.ts';
import type { ProcessCode } from './process-code.ts';

const findingsOf: WeakMap<ProcessCode, CodeFindings> = new WeakMap();

function findingsFor(first: ProcessCode, shelf: AnswerShelf | undefined): CodeFindings {
  let findings = findingsOf.get(first);
  if (findings === undefined) {
    findings = new CodeFindings(first);
    findingsOf.set(first, findings);
    shelf?.open(findings, first);
  }
  return findings;
}

/**
 * What the code of a process allows its indirect calls and jumps, found out once for all processes that map
 * the same images, wherever they lie: addresses are translated to those of the first such process.
 */
export class SharedTargets {
  readonly #process: ProcessCode;
  /** What to add to an address, by module. */
  readonly #shifts: Float64Array;
  readonly #findings: CodeFindings;

  /** @param shelf  asked for answers where this is the first process with its images */
  constructor(process: ProcessCode, shelf?: AnswerShelf) {
    const first = process.firstWithTheseImages;
    this.#findings = findingsFor(first, shelf);
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

  /** @param site  as for `at`; @returns what there is to say without a target */
  site(site: Address): SiteAnswer | undefined {
    return this.#findings.site(site);
  }

  /** @returns whether the code says that a site goes to a target; both translated */
  explains(site: Address, target: Address): boolean {
    return this.#findings.explains(site, target);
  }

  /** @returns the narrowest class of a site that holds a target; both translated */
  narrowest(site: Address, target: Address): ClassAnswer {
    return this.#findings.narrowest(site, target);
  }
}

/** In no module: the last byte there is. */
const nowhere: Address = -1;
