import type { Address } from '../base/address.ts';
import { AddressIndex } from '../base/bytes/address-index.ts';
import type { BlockTable } from '../flow/blocks.ts';
import type { Mark } from '../flow/mark.ts';
import { type AddressSpace, addressIn } from '../image/address-space.ts';
import { Transfer } from '../x86/transfer.ts';
import type { Allowance } from './code/allowed-targets.ts';
import type { SiteAnswer } from './code/code-findings.ts';
import type { ProcessCode } from './code/process-code.ts';
import { SharedTargets } from './code/shared-targets.ts';
import { SwitchTables } from './code/switch-tables.ts';
import type { Evidence, EvidenceKind } from './evidence.ts';
import { Arrival, type ArrivalKind } from './follow/arrival.ts';
import type { BlockPlaces } from './follow/block-places.ts';
import type { BlockStream, CallFollower, FlowObserver } from './follow/call-follower.ts';
import type { OddPlace } from './nominal-evidence.ts';
import {
  type IndirectTransfers,
  partsOf,
  sitePlace,
  type TransferProfile,
  targetPlace,
} from './profile.ts';
import { evidenceRules } from './rules.ts';

/** What indirect calls and jumps may reach; sites and targets are translated first, where that matters. */
interface AllowedHere {
  at(site: Address): Allowance | undefined;
  /** What can be said sooner. */
  site?(site: Address): SiteAnswer | undefined;
  translated?(address: Address): Address;
}

/** What a judge may ask. Without code and profile it tells of returns and unknown code only. */
export interface EvidenceSources {
  readonly space?: AddressSpace;
  readonly code?: ProcessCode;
  /** What indirect calls and jumps may reach by the code; made from `code` unless given. */
  readonly allowed?: AllowedHere;
  /** The run has one thread; not set = it may have more. */
  readonly isAlone?: boolean;
  /** Indirect transfers of the training traces: what they did is no evidence. */
  readonly profile?: TransferProfile;
  /** The blocks by the names that places in the profile have; the stream's own unless given. */
  readonly named?: BlockTable;
  /** Whether somebody found a transfer between two blocks harmless: then it is no evidence. */
  readonly isHarmless?: (from: number, to: number) => boolean;
}

/** Of each kind; more would say nothing new, and a damaged trace could bring millions. */
const mostItems = 4096;

/** Proofs of one training run that are counted. */
const mostProofs = 1024;

/** Of one hint. */
const mostTellings = 16;

/** Chance that a new target of an indirect transfer is of this sort, by and large; nats. */
const targetNats = {
  /** Another site goes there. */
  known: 0.7,
  /** A pointer to it exists, but no trace used it. */
  referenced: 0.9,
  /** It can be found by name only, as with `dlsym`. */
  exported: 6.9,
} as const;

/** A proof, and where in the code it stands. */
export interface Proof {
  readonly told: Evidence;
  readonly place: OddPlace;
}

/** Evidence without its place. */
type Finding = Omit<Evidence, 'position' | 'traceOffset'>;

/**
 * Tells evidence: what a follower saw that no code of the images makes. It keeps nothing of the flow
 * itself, so what it tells or leaves untold changes nothing for what follows.
 */
export class TransferJudge implements FlowObserver {
  /** Offset in the trace of the batch under way. */
  traceOffset = 0;
  readonly #stream: BlockStream;
  readonly #sources: EvidenceSources;
  readonly #evidence: Evidence[] = [];
  readonly #counts: Map<EvidenceKind, number> = new Map();
  /** Distinct indirect transfers, numbered from 0, by the blocks that they lead from and to. */
  readonly #transfers = new AddressIndex();
  readonly #sites: number[] = [];
  readonly #targets: number[] = [];
  /**
   * Evidence of each of them, made up once, told each time; `null` = none, or told often enough, `undefined` = not
   * judged yet.
   */
  readonly #judged: (Finding | null | undefined)[] = [];
  /** How often a hint was told, by transfer. */
  readonly #told: number[] = [];
  /** Weights of the new targets of each site so far, by address of its instruction. */
  readonly #siteWeights: Map<Address, number> = new Map();
  readonly #allowed: AllowedHere | undefined;
  readonly #tables: SwitchTables | undefined;
  /** Names of functions to which some image holds a pointer; gathered when first asked for. */
  #named: Set<string> | undefined;
  #follower: CallFollower | undefined;

  constructor(stream: BlockStream, sources: EvidenceSources = {}) {
    this.#stream = stream;
    this.#sources = sources;
    const { code } = sources;
    this.#allowed = sources.allowed ?? (code === undefined ? undefined : new SharedTargets(code));
    this.#tables = code === undefined ? undefined : new SwitchTables(code);
  }

  /** The follower that tells this judge. */
  set follower(follower: CallFollower) {
    this.#follower = follower;
  }

  /** For `TransferProfile.add`. */
  get indirectTransfers(): IndirectTransfers {
    return { blocks: this.#stream.blocks, sites: this.#sites, targets: this.#targets };
  }

  /** Proofs, whatever nominal runs hold, with their places; for `NominalEvidence.add`. */
  readonly proofs: Proof[] = [];

  /** In trace order. */
  get evidence(): readonly Evidence[] {
    return this.#evidence;
  }

  get #places(): BlockPlaces {
    return this.#follower!.places;
  }

  onMismatch(from: number, to: number, actual: Address, expected: Address | undefined): void {
    const where = { ...(expected === undefined ? {} : { expected }), actual };
    this.#tell({ kind: 'return-mismatch', ...where }, from, to);
    if (to >= 0 && this.#isMiddleOfInstruction(actual)) {
      this.#tell({ kind: 'mid-instruction', actual }, from, to);
    }
  }

  onIndirect(from: number, to: number, kind: number, arrival: ArrivalKind): boolean {
    const known = this.#transfers.get(from, to);
    const transfer = known >= 0 ? known : this.#number(from, to);
    // Explained by what the run did, or nothing is known of it.
    if (arrival === Arrival.unwound || arrival === Arrival.unknown) return true;
    let item = this.#judged[transfer];
    // Most transfers that an observer is told of change between a few ordinary targets.
    if (item === null) return false;
    if (item === undefined) {
      item = this.#judge(from, to, kind) ?? null;
      this.#judged[transfer] = item;
      if (item === null) return false;
    }
    this.#tell(item, from, to);
    if (item.kind !== 'unlikely-target') return true;
    // A hint does not gain by repetition.
    this.#told[transfer]++;
    if (this.#told[transfer] === mostTellings) this.#judged[transfer] = null;
    return true;
  }

  /** @returns the number of a new transfer */
  #number(from: number, to: number): number {
    const transfer = this.#sites.length;
    this.#transfers.add(from, to, transfer);
    this.#sites.push(from);
    this.#targets.push(to);
    this.#judged.push(undefined);
    this.#told.push(0);
    return transfer;
  }

  onOutside(_from: number, to: number): void {
    this.#add({ kind: 'outside-images', actual: this.#places.start[to] });
  }

  onMark(mark: Mark, previous: number): void {
    if (mark.kind === 'thread') return;
    this.traceOffset = mark.traceOffset;
    if (mark.kind === 'async') {
      const { from, to } = mark;
      if (to === undefined && from !== undefined && !mark.isInCode && previous >= 0) {
        this.#add({ kind: 'outside-images', actual: from });
      }
      return;
    }
    const isCode = mark.reason === 'no-code' || mark.reason === 'bad-instruction';
    if (isCode && previous >= 0) {
      const { address } = mark;
      this.#add({ kind: 'outside-images', ...(address === undefined ? {} : { actual: address }) });
    }
    this.#add({ kind: 'gap' }, this.#position + 1);
  }

  get #namedBlocks(): BlockTable {
    return this.#sources.named ?? this.#stream.blocks;
  }

  get #position(): number {
    return this.#follower!.position;
  }

  #judge(from: number, to: number, kind: number): Finding | undefined {
    const { profile, code } = this.#sources;
    const { blocks } = this.#stream;
    const { start } = this.#places;
    const site = start[from] + blocks.lastInstruction[from];
    const target = start[to];
    const isJump = kind === Transfer.ijmp;
    const named = this.#namedBlocks;
    if (profile?.knows(named, from, to) === true) return undefined;
    const novelty = profile?.novelty(sitePlace(named, from), targetPlace(named, to));
    if (profile !== undefined && novelty === undefined) return undefined;
    // Who makes code knows all functions, and writes their addresses where they are needed.
    if (blocks.module[from] < 0) return undefined;
    const range = code?.functionRange(target);
    const isWithin = range !== undefined && site >= range.start && site < range.end;
    if (isJump && isWithin) return undefined;
    if (code?.isFunctionEntry(target) === false) {
      if (isJump && this.#mayJumpInto(site, target)) return undefined;
      if (this.#isMiddleOfInstruction(target)) return { kind: 'mid-instruction', actual: target };
      if (code.isWithoutPointers(target)) return undefined;
      return { kind: isJump ? 'jump-into-function' : 'not-a-function-entry', actual: target };
    }
    // Of code outside every known range nothing is known, neither that nothing points to it.
    const reachability = range === undefined ? undefined : this.#reachability(target);
    const isLinker =
      /(?:^|-)ld(?:-|64|\.so)/.test(this.#moduleName(from)) || code?.isBinderJump(site) === true;
    if (reachability === 'unreferenced' && !isLinker && code?.namesTarget(site, target) !== true) {
      // A case of a switch may be where a cold part of the function begins.
      if (code?.isAmongUnreferenced(target) === true) return undefined;
      return { kind: 'address-not-taken', actual: target };
    }
    if (novelty !== undefined && this.#isWrongSlot(from, site, target)) {
      return { kind: 'wrong-slot', actual: target };
    }
    // The dynamic linker and linkage stubs go where names lead.
    const byName = isLinker || this.#isStub(from);
    const isByNameOnly = reachability === 'exported' && !byName;
    let weight: number = isByNameOnly ? targetNats.exported : targetNats.referenced;
    if (novelty?.isKnownTarget === true) weight = Math.min(weight, targetNats.known);
    weight += novelty?.surprise ?? 0;
    // A site that training did not run says nothing about its targets, and the linker's are names.
    const isTold = isByNameOnly || (novelty !== undefined && novelty.traces > 0 && !isLinker);
    if (code === undefined || !isTold) return undefined;
    // An object of a new class brings one new target to each of many sites; a site that suddenly
    // has one new target after the other is another matter.
    weight += this.#siteWeights.get(site) ?? 0;
    this.#siteWeights.set(site, weight);
    return { kind: 'unlikely-target', weight, actual: target };
  }

  /** Whether code may jump from one function into the middle of another, or of its own other part. */
  #mayJumpInto(site: Address, target: Address): boolean {
    const { code } = this.#sources;
    // A jump from code of which nothing is known.
    if (code?.functionRange(site) === undefined && code?.listsAllFunctions(site) !== true)
      return true;
    return this.#tables?.leadsTo(site, target) === true;
  }

  #reachability(target: Address): 'referenced' | 'exported' | 'unreferenced' | undefined {
    const { code } = this.#sources;
    if (code === undefined) return undefined;
    if (code.isTaken(target) !== false) return 'referenced';
    const names = code.exportedNames(target);
    if (names.length === 0) return 'unreferenced';
    return names.some((name) => this.#namedPointers.has(name)) ? 'referenced' : 'exported';
  }

  get #namedPointers(): ReadonlySet<string> {
    if (this.#named === undefined) {
      this.#named = new Set();
      const { code } = this.#sources;
      for (let module = 0; module < (code?.space.modules.length ?? 0); module++) {
        for (const name of code?.imageOf(module)?.code.pointerTargets.namedPointers ?? []) {
          this.#named.add(name);
        }
      }
    }
    return this.#named;
  }

  #isMiddleOfInstruction(target: Address): boolean {
    const { code } = this.#sources;
    if (code?.isFunctionEntry(target) !== false) return false;
    return code.isInstructionStart(target) === false;
  }

  /**
   * Whether a site that took all its targets in training from one position of virtual tables of C++ classes (as
   * `call [rax+0x28]` does from the sixth) goes to a function that no table has there. Other tables prove nothing: a
   * parser's handlers are changed one by one, and the code that does it may look like anything.
   */
  #isWrongSlot(from: number, site: Address, target: Address): boolean {
    const { profile, code } = this.#sources;
    if (profile === undefined || code === undefined) return false;
    const translated = (address: Address): Address =>
      this.#allowed?.translated?.(address) ?? address;
    // Others take what they call from no position.
    const mechanism = this.#allowed?.site?.(translated(site))?.mechanism ?? 'virtual';
    if (mechanism !== 'virtual' && mechanism !== 'member') return false;
    const classes = this.#allowed?.at(translated(site))?.classes;
    const position = classes?.find(({ name }) => name === 'position');
    if (position?.hasVirtually === undefined || position.has(translated(target))) return false;
    const { hasVirtually } = position;
    // A table of an image that is not at hand may name it.
    if (code.space.missing.length > 0 && code.exportedNames(target).length > 0) return false;
    const usual = profile.targetsOf(sitePlace(this.#namedBlocks, from));
    return (
      usual.length > 0 &&
      usual.every((place) => {
        const { module, offset } = partsOf(place);
        const address = addressIn(code.space, module, offset);
        return address !== undefined && hasVirtually(translated(address));
      })
    );
  }

  #lastInstruction(block: number): Uint8Array | undefined {
    const { lastInstruction, size } = this.#stream.blocks;
    const start = this.#places.start[block];
    const section = this.#sources.space?.find(start);
    if (section === undefined) return undefined;
    const at = start - section.start;
    return section.bytes.subarray(at + lastInstruction[block], at + size[block]);
  }

  /** Whether a block is a jump through a slot at a fixed address, as linkage stubs are. */
  #isStub(block: number): boolean {
    const bytes = this.#lastInstruction(block);
    if (bytes === undefined) return false;
    // ff /4 or ff /2 with mod 0 and rm 5, behind an optional prefix (bnd, notrack).
    const opcode = bytes[0] === 0xff ? 0 : 1;
    const isSlot = bytes[opcode + 1] === 0x25 || bytes[opcode + 1] === 0x15;
    return bytes[opcode] === 0xff && isSlot;
  }

  #moduleName(block: number): string {
    const { module, modules } = this.#stream.blocks;
    return module[block] < 0 ? '' : modules[module[block]].name;
  }

  /** Adds a finding about a transfer. A proof that nominal runs hold at the same place is none. */
  #tell(item: Finding, from: number, to: number): void {
    if (to >= 0 && this.#sources.isHarmless?.(from, to) === true) return;
    if (evidenceRules[item.kind].strength !== 'proof') {
      this.#add(item);
      return;
    }
    const named = this.#namedBlocks;
    const place: OddPlace = {
      kind: item.kind,
      site: sitePlace(named, from),
      target: to < 0 ? '?' : targetPlace(named, to),
    };
    const nominal = this.#sources.profile?.evidence;
    if (nominal === undefined || nominal.runs === 0) {
      const told = this.#add(item);
      if (told !== undefined && this.proofs.length < mostProofs) this.proofs.push({ told, place });
      return;
    }
    const seen = { nominal: { holding: nominal.runsWith(place), runs: nominal.runs } };
    this.#add({ ...item, ...seen, ...(nominal.isUsual(place) ? { kind: 'usual-oddity' } : {}) });
  }

  /** @returns what was added; `undefined` where there is enough of its kind */
  #add(item: Finding, position: number = this.#position): Evidence | undefined {
    const count = this.#counts.get(item.kind) ?? 0;
    this.#counts.set(item.kind, count + 1);
    if (count >= mostItems) return undefined;
    const told = { ...item, position: Math.max(0, position), traceOffset: this.traceOffset };
    this.#evidence.push(told);
    return told;
  }
}
