import type { Address } from '../base/address.ts';
import { AddressIndex } from '../base/bytes/address-index.ts';
import type { BlockTable } from '../flow/blocks.ts';
import type { AnswerShelf, ClassAnswer, SiteAnswer } from './code/code-findings.ts';
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
const opinions: WeakMap<object, TargetOpinion> = new WeakMap();

function opinionOf(found: NonNullable<ClassAnswer>): TargetOpinion {
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
  readonly #sites: (SiteAnswer | null | undefined)[] = [];
  /** Index into `#opinions`, by the blocks that a transfer leads from and to. */
  readonly #asked = new AddressIndex();
  readonly #opinions: TargetOpinion[] = [];

  /** @param shelf  see `SharedTargets` */
  constructor(blocks: BlockTable, code: ProcessCode, shelf?: AnswerShelf) {
    this.#blocks = blocks;
    this.#allowed = new SharedTargets(code, shelf);
  }

  mayExplain(block: number): boolean {
    return this.#at(block)?.mayExplain === true;
  }

  explains(from: number, to: number): boolean {
    return this.#at(from) !== null && this.#allowed.explains(this.#site(from), this.#address(to));
  }

  opinion(from: number, to: number): TargetOpinion {
    if (this.#at(from) === null) return nothingKnown;
    const known = this.#asked.get(from, to);
    if (known >= 0) return this.#opinions[known];
    const found = this.#allowed.narrowest(this.#site(from), this.#address(to));
    const opinion = found === null ? anywhere : opinionOf(found);
    this.#asked.add(from, to, this.#opinions.length);
    this.#opinions.push(opinion);
    return opinion;
  }

  formOf(block: number): number {
    return transferForms.indexOf(this.#at(block)?.mechanism ?? 'unknown');
  }

  #at(block: number): SiteAnswer | null {
    let answer = this.#sites[block];
    if (answer === undefined) {
      answer = this.#allowed.site(this.#site(block)) ?? null;
      this.#sites[block] = answer;
    }
    return answer;
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
