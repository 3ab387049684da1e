import type { Address } from '../base/address.ts';
import { AddressIndex } from '../base/bytes/address-index.ts';
import type { BlockTable } from '../flow/blocks.ts';
import type { Allowance, TargetClass } from './code/allowed-targets.ts';
import type { ProcessCode } from './code/process-code.ts';
import { SharedTargets } from './code/shared-targets.ts';
import {
  type TargetOpinion,
  type TransferCode,
  targetSorts,
  transferForms,
  unknownCode,
} from './transfer-code.ts';

const nothingKnown = unknownCode.opinion(-1, -1);
const anywhere: TargetOpinion = { sort: targetSorts.indexOf('anywhere'), count: 1 };

/** Opinions on targets of a class, which are all the same. */
const opinions: WeakMap<TargetClass, TargetOpinion> = new WeakMap();

function opinionOf(found: TargetClass): TargetOpinion {
  let opinion = opinions.get(found);
  if (opinion === undefined) {
    opinion = { sort: targetSorts.indexOf(found.name), count: Math.max(1, found.count) };
    opinions.set(found, opinion);
  }
  return opinion;
}

/** What the images of a process say about the transfers of its blocks. */
export class ProcessTransfers implements TransferCode {
  readonly #blocks: BlockTable;
  readonly #allowed: SharedTargets;
  readonly #addresses: Address[] = [];
  /** By block; `null` = no image tells. */
  readonly #allowances: (Allowance | null | undefined)[] = [];
  /** Index into `#opinions`, by the blocks that a transfer leads from and to. */
  readonly #asked = new AddressIndex();
  readonly #opinions: TargetOpinion[] = [];

  constructor(blocks: BlockTable, code: ProcessCode) {
    this.#blocks = blocks;
    this.#allowed = new SharedTargets(code);
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
    if (allowance === null) return nothingKnown;
    const known = this.#asked.get(from, to);
    if (known >= 0) return this.#opinions[known];
    const found = this.#allowed.narrowest(this.#site(from), this.#address(to));
    const opinion = found === undefined ? anywhere : opinionOf(found);
    this.#asked.add(from, to, this.#opinions.length);
    this.#opinions.push(opinion);
    return opinion;
  }

  formOf(block: number): number {
    return transferForms.indexOf(this.#at(block)?.mechanism ?? 'unknown');
  }

  #at(block: number): Allowance | null {
    let allowance = this.#allowances[block];
    if (allowance === undefined) {
      allowance = this.#allowed.at(this.#site(block)) ?? null;
      this.#allowances[block] = allowance;
    }
    return allowance;
  }

  #site(block: number): Address {
    return this.#address(block) + this.#blocks.lastInstruction[block];
  }

  /** Where a block begins, as the answers about it have it. */
  #address(block: number): Address {
    const known = this.#addresses[block];
    if (known !== undefined) return known;
    const { module, modules, offset } = this.#blocks;
    const base = module[block] < 0 ? 0 : modules[module[block]].base;
    const address = this.#allowed.translated(base + offset[block]);
    this.#addresses[block] = address;
    return address;
  }
}
