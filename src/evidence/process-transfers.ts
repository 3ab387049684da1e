import type { Address } from '../base/address.ts';
import type { BlockTable } from '../flow/blocks.ts';
import { type Allowance, AllowedTargets } from './code/allowed-targets.ts';
import type { ProcessCode } from './code/process-code.ts';
import {
  type TargetOpinion,
  type TransferCode,
  targetSorts,
  transferForms,
} from './transfer-code.ts';

/** What the images of a process say about the transfers of its blocks. */
export class ProcessTransfers implements TransferCode {
  readonly #blocks: BlockTable;
  readonly #allowed: AllowedTargets;
  /** By block; `null` = no image tells. */
  readonly #allowances: (Allowance | null | undefined)[] = [];

  constructor(blocks: BlockTable, code: ProcessCode) {
    this.#blocks = blocks;
    this.#allowed = new AllowedTargets(code);
  }

  /**
   * Through slots that the loader fills, and to what it has just bound; a `switch` with one case is no
   * choice, too.
   */
  mayExplain(block: number): boolean {
    const allowance = this.#at(block);
    if (allowance === null) return false;
    const { mechanism, classes } = allowance;
    if (mechanism === 'stub' || mechanism === 'binder') return true;
    return mechanism === 'table' && classes[0].name === 'named' && classes[0].count === 1;
  }

  explains(from: number, to: number): boolean {
    const allowance = this.#at(from);
    if (allowance === null) return false;
    const target = this.#address(to);
    if (allowance.mechanism === 'binder') {
      // What the stub asked for is not at hand here: any exported function may be meant.
      return allowance.classes.some(({ name, has }) => name !== 'anywhere' && has(target));
    }
    const [first] = allowance.classes;
    return first.name === 'named' && first.has(target);
  }

  opinion(from: number, to: number): TargetOpinion {
    const allowance = this.#at(from);
    if (allowance === null) return { sort: targetSorts.indexOf('unknown'), count: 1000 };
    const target = this.#address(to);
    const found = allowance.classes.find(({ has }) => has(target));
    const name = found?.name ?? 'anywhere';
    return { sort: targetSorts.indexOf(name), count: Math.max(1, found?.count ?? 1) };
  }

  formOf(block: number): number {
    return transferForms.indexOf(this.#at(block)?.mechanism ?? 'unknown');
  }

  #at(block: number): Allowance | null {
    let allowance = this.#allowances[block];
    if (allowance === undefined) {
      const site = this.#address(block) + this.#blocks.lastInstruction[block];
      allowance = this.#allowed.at(site) ?? null;
      this.#allowances[block] = allowance;
    }
    return allowance;
  }

  #address(block: number): Address {
    const { module, modules, offset } = this.#blocks;
    return module[block] < 0 ? offset[block] : modules[module[block]].base + offset[block];
  }
}
