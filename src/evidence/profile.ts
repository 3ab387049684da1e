import { gunzipSync, gzipSync } from 'node:zlib';
import { AddressIndex } from '../base/bytes/address-index.ts';
import { messageOf, UserError } from '../base/errors.ts';
import { isGzip, readWholeFile } from '../base/files/read.ts';
import { writeFileAtomic } from '../base/files/write.ts';
import { isCount, isRecord } from '../base/values.ts';
import type { BlockTable } from '../flow/blocks.ts';
import { NominalEvidence } from './nominal-evidence.ts';

/** A place in code, the same in every run: module name, `+`, hexadecimal offset. */
export type CodePlace = string;

interface Site {
  /** Traces in which the instruction ran. */
  traces: number;
  /** For each target, in how many traces it was the target. */
  readonly targets: Map<CodePlace, number>;
}

/** The distinct indirect calls and jumps of one trace: blocks that end in them, blocks they reached. */
export interface IndirectTransfers {
  readonly blocks: BlockTable;
  readonly sites: readonly number[];
  readonly targets: readonly number[];
}

/** How a transfer looks to someone who has seen the training traces. */
export interface Novelty {
  /** Traces that ran the instruction. */
  readonly traces: number;
  /** Nats: minus the logarithm of the chance that this site has a new target in a trace. */
  readonly surprise: number;
  /** Whether another site called or jumped to this target. */
  readonly isKnownTarget: boolean;
}

const format = 'wayward-transfers';
const version = 1;

/**
 * Which indirect calls and jumps went where in nominal traces. One trace counts once, however
 * often it makes a transfer: traces are the units that are exchangeable, transfers are not.
 */
export class TransferProfile {
  readonly #sites: Map<CodePlace, Site> = new Map();
  readonly #targets: Set<CodePlace> = new Set();
  /** Proofs that the traces held. */
  evidence: NominalEvidence = new NominalEvidence();
  #traces = 0;
  /** Made when first asked. */
  #index: TransferIndex | undefined;

  get traces(): number {
    return this.#traces;
  }

  /** Whether training saw a transfer between two blocks; it may have without this telling so. */
  knows(blocks: BlockTable, from: number, to: number): boolean {
    const { modules, module, offset, lastInstruction } = blocks;
    if (module[from] < 0 || module[to] < 0) return false;
    this.#index ??= new TransferIndex(this.#sites);
    const index = this.#index;
    const site = index.find(modules[module[from]].name, offset[from] + lastInstruction[from]);
    return site >= 0 && index.has(site, index.find(modules[module[to]].name, offset[to]));
  }

  add(transfers: IndirectTransfers): void {
    this.#index = undefined;
    const { blocks, sites, targets } = transfers;
    this.#traces++;
    const pairs = new Map<CodePlace, Set<CodePlace>>();
    for (let i = 0; i < sites.length; i++) {
      const site = sitePlace(blocks, sites[i]);
      const reached = pairs.get(site) ?? new Set();
      reached.add(targetPlace(blocks, targets[i]));
      pairs.set(site, reached);
    }
    for (const [place, reached] of pairs) {
      const site = this.#sites.get(place) ?? { traces: 0, targets: new Map() };
      this.#sites.set(place, site);
      site.traces++;
      for (const target of reached) {
        site.targets.set(target, (site.targets.get(target) ?? 0) + 1);
        this.#targets.add(target);
      }
    }
  }

  /** @returns `undefined` for a transfer that training has seen */
  novelty(site: CodePlace, target: CodePlace): Novelty | undefined {
    const known = this.#sites.get(site);
    const isKnownTarget = this.#targets.has(target);
    if (known === undefined) return { traces: 0, surprise: 0, isKnownTarget };
    if (known.targets.has(target)) return undefined;
    // Good and Turing: the chance of something new is the share of what was seen once. The halves
    // keep it off 0 and 1.
    let once = 0;
    for (const count of known.targets.values()) if (count === 1) once++;
    const surprise = -Math.log(Math.min(1, (once + 0.5) / (known.traces + 1)));
    return { traces: known.traces, surprise, isKnownTarget };
  }

  /** @returns where a site went in training; empty for one that did not run */
  targetsOf(site: CodePlace): readonly CodePlace[] {
    return [...(this.#sites.get(site)?.targets.keys() ?? [])];
  }

  async save(path: string): Promise<void> {
    const sites = [...this.#sites].map(([place, { traces, targets }]) => [
      place,
      traces,
      Object.fromEntries(targets),
    ]);
    const content = JSON.stringify({
      format,
      version,
      traces: this.#traces,
      evidence: this.evidence,
      sites,
    });
    await writeFileAtomic(path, gzipSync(content));
  }

  /** @throws UserError `profile-damaged`, `not-readable` */
  static async load(path: string): Promise<TransferProfile> {
    const bytes = await readWholeFile(path);
    const damaged = (message: string): UserError =>
      new UserError('profile-damaged', message, { category: 'input', path });
    let root: unknown;
    try {
      const text = isGzip(bytes) ? gunzipSync(bytes, { maxOutputLength: 1 << 28 }) : bytes;
      root = JSON.parse(text.toString());
    } catch (error) {
      throw damaged(`is no transfer profile: ${messageOf(error)}`);
    }
    if (
      !isRecord(root) ||
      root.format !== format ||
      root.version !== version ||
      !Array.isArray(root.sites)
    ) {
      throw damaged(`is no transfer profile of version ${version}`);
    }
    const isSome = (value: unknown): value is number => isCount(value) && value > 0;
    const areSome = (value: unknown): value is Readonly<Record<string, number>> =>
      isRecord(value) && Object.values(value).every(isSome);
    const profile = new TransferProfile();
    if (!isCount(root.traces)) throw damaged('does not say how many traces');
    profile.#traces = root.traces;
    // Profiles of the first release do not say.
    const evidence =
      root.evidence === undefined ? profile.evidence : NominalEvidence.from(root.evidence);
    if (evidence === undefined) throw damaged('has evidence that is none');
    profile.evidence = evidence;
    for (const row of root.sites) {
      const [place, traces, targets]: readonly unknown[] = Array.isArray(row) ? row : [];
      const isRow = typeof place === 'string' && isSome(traces) && areSome(targets);
      if (!isRow) throw damaged('has a site that is none');
      profile.#sites.set(place, { traces, targets: new Map(Object.entries(targets)) });
      for (const target of Object.keys(targets)) profile.#targets.add(target);
    }
    return profile;
  }
}

/** Transfers by numbers: to make up the words of a place takes longer than to look it up. */
class TransferIndex {
  /** Numbers of places by module and offset. */
  readonly #places: Map<string, Map<number, number>> = new Map();
  readonly #pairs = new AddressIndex();
  #length = 0;

  constructor(sites: ReadonlyMap<CodePlace, Site>) {
    for (const [site, { targets }] of sites) {
      const from = this.#number(site);
      for (const target of targets.keys()) this.#pairs.add(from, this.#number(target), 0);
    }
  }

  /** @returns the number of a place, or -1 */
  find(module: string, offset: number): number {
    return this.#places.get(module)?.get(offset) ?? -1;
  }

  has(site: number, target: number): boolean {
    return this.#pairs.get(site, target) >= 0;
  }

  #number(place: CodePlace): number {
    const { module, offset } = partsOf(place);
    let ofModule = this.#places.get(module);
    if (ofModule === undefined) {
      ofModule = new Map();
      this.#places.set(module, ofModule);
    }
    let number = ofModule.get(offset);
    if (number === undefined) {
      number = this.#length++;
      ofModule.set(offset, number);
    }
    return number;
  }
}

/** Where the instruction that ends a block is. */
export function sitePlace(blocks: BlockTable, block: number): CodePlace {
  return place(blocks, block, blocks.lastInstruction[block]);
}

/** Where a block starts. */
export function targetPlace(blocks: BlockTable, block: number): CodePlace {
  return place(blocks, block, 0);
}

/** @returns module name and offset of a place */
export function partsOf(place: CodePlace): { readonly module: string; readonly offset: number } {
  const plus = place.lastIndexOf('+');
  return { module: place.slice(0, plus), offset: Number.parseInt(place.slice(plus + 1), 16) };
}

function place(blocks: BlockTable, block: number, extra: number): CodePlace {
  const module = blocks.module[block];
  // Code outside every image has no place that another run would share.
  if (module < 0) return '?';
  return `${blocks.modules[module].name}+${(blocks.offset[block] + extra).toString(16)}`;
}
