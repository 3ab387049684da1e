import type { Address } from '../base/address.ts';
import type { BlockBatch, BlockTable } from '../flow/blocks.ts';
import type { Mark } from '../flow/mark.ts';
import type { AddressSpace } from '../image/address-space.ts';
import { Transfer } from '../x86/transfer.ts';
import type { CodeFacts } from './code.ts';
import type { Evidence, EvidenceKind } from './evidence.ts';
import { BlockPlaces } from './places.ts';
import {
  type IndirectTransfers,
  partsOf,
  sitePlace,
  type TransferProfile,
  targetPlace,
} from './profile.ts';
import { ShadowStack } from './shadow-stack.ts';

/** What the collector may ask. Without facts and profile it watches returns and unknown code only. */
export interface EvidenceSources {
  readonly space?: AddressSpace;
  readonly facts?: CodeFacts;
  /** Indirect transfers of the training traces: what they did is no evidence. */
  readonly profile?: TransferProfile;
}

/** A block stream under way: the tables that its batches refer to. */
export interface BlockStream {
  readonly blocks: BlockTable;
  readonly marks: readonly Mark[];
}

/** Of each kind; more would say nothing new, and a damaged trace could bring millions. */
const mostItems = 4096;

/** Of one hint. */
const mostTellings = 16;

/**
 * Routines that leave frames without returning from them, by exported name: unwinders, long jumps,
 * context switches. Their own last return or jump goes to a place that no call asked for.
 */
const leavesFrames =
  /^_?_?(?:_Unwind_|.*longjmp|setcontext|swapcontext|RtlRestoreContext|RtlUnwind|NtContinue|.*_indirect_thunk)/;

/** Chance that a new target of an indirect transfer is of this sort, by and large; nats. */
const targetNats = {
  /** Another site goes there. */
  known: 0.7,
  /** A pointer to it exists, but no trace used it. */
  referenced: 0.9,
  /** It can be found by name only, as with `dlsym`. */
  exported: 6.9,
} as const;

/**
 * Watches a block stream for transfers that no code of the images makes: returns that do not go
 * back to their call, indirect calls and jumps into the middle of functions or to functions that
 * nothing points to, transfers into the middle of instructions, code outside every image. With a
 * profile of training it also grades indirect transfers that are possible but new.
 *
 * Harmless ways to leave frames are followed: long jumps, exceptions, signal handlers, switches to
 * another thread, calls made before the trace or before a gap.
 */
export class EvidenceCollector {
  readonly #stream: BlockStream;
  readonly #sources: EvidenceSources;
  readonly #places: BlockPlaces = new BlockPlaces();
  readonly #stack: ShadowStack = new ShadowStack();
  readonly #evidence: Evidence[] = [];
  readonly #counts: Map<EvidenceKind, number> = new Map();
  /** Last target, by block that ends in an indirect call or jump. */
  #lastTarget: Int32Array = new Int32Array(1024).fill(-1);
  /** Distinct indirect transfers: site * 2^26 + target. */
  readonly #transfers: Set<number> = new Set();
  /** Evidence of an indirect transfer, made up once, told each time. */
  readonly #judged: Map<number, Judgement> = new Map();
  /** How often a hint was told, by transfer. */
  readonly #told: Map<number, number> = new Map();
  /** Weights of the new targets of each site so far, by address of its instruction. */
  readonly #siteWeights: Map<Address, number> = new Map();
  #previous = -1;
  #position = -1;
  #traceOffset = 0;
  #outside = 0;

  constructor(stream: BlockStream, sources: EvidenceSources = {}) {
    this.#stream = stream;
    this.#sources = sources;
  }

  /** Blocks outside every image so far. */
  get blocksOutsideImages(): number {
    return this.#outside;
  }

  /** For `TransferProfile.add`. */
  get indirectTransfers(): IndirectTransfers {
    const pairs = [...this.#transfers];
    return {
      blocks: this.#stream.blocks,
      sites: pairs.map((pair) => Math.floor(pair / targetRange)),
      targets: pairs.map((pair) => pair % targetRange),
    };
  }

  /** In trace order. */
  get evidence(): readonly Evidence[] {
    return this.#evidence;
  }

  /** A `BlockSink`. One pass, no allocation for ordinary blocks. */
  push(batch: BlockBatch): void {
    const { blocks } = this.#stream;
    this.#places.update(blocks);
    if (blocks.length > this.#lastTarget.length) this.#growSites(blocks.length);
    const { entries, length } = batch;
    const { kind } = blocks;
    const { start, end } = this.#places;
    const { module } = blocks;
    const { frames } = this.#stack;
    const lastTarget = this.#lastTarget;
    this.#traceOffset = batch.traceOffset;
    let depth = this.#stack.depth;
    let position = this.#position;
    let previous = this.#previous;
    let last: number = previous < 0 ? Transfer.none : kind[previous];
    for (let i = 0; i < length; i++) {
      const block = entries[i];
      if (block < 0) {
        this.#stack.depth = depth;
        this.#position = position;
        previous = this.#mark(this.#stream.marks[~block], previous);
        last = previous < 0 ? Transfer.none : kind[previous];
        depth = this.#stack.depth;
        continue;
      }
      // Until the block is counted, `position` is that of the block that made the transfer.
      if (last === Transfer.ret) {
        if (depth > 0 && end[frames[depth - 1]] === start[block]) {
          depth--;
        } else {
          this.#stack.depth = depth;
          this.#position = position;
          this.#oddReturn(previous, block);
          depth = this.#stack.depth;
        }
      } else if (last === Transfer.icall || last === Transfer.ijmp) {
        if (lastTarget[previous] !== block) {
          this.#stack.depth = depth;
          this.#position = position;
          lastTarget[previous] = this.#indirect(previous, block, last) ? block : -1;
        }
      } else if (last === Transfer.syscall && start[block] !== end[previous]) {
        // A signal was delivered, or a handler returned, or another thread runs.
        this.#stack.depth = depth;
        this.#stack.switchContext(end[previous], start[block]);
        depth = this.#stack.depth;
      }
      if (module[block] < 0) {
        this.#position = position;
        this.#outsideBlock(block, previous);
      }
      position++;
      previous = block;
      last = kind[block];
      if (last === Transfer.call || last === Transfer.icall) {
        if (depth === frames.length) {
          this.#stack.depth = depth;
          this.#stack.shrink();
          depth = this.#stack.depth;
        }
        frames[depth++] = block;
      }
    }
    this.#stack.depth = depth;
    this.#position = position;
    this.#previous = previous;
  }

  /** @returns the block that the next one follows, -1 when none is known */
  #mark(mark: Mark, previous: number): number {
    if (mark.kind === 'thread') {
      this.#stack.clear();
      return -1;
    }
    this.#traceOffset = mark.traceOffset;
    if (mark.kind === 'async') {
      const { from, to } = mark;
      if (to === undefined && from !== undefined && !mark.isInCode)
        this.#ledOutside(previous, from);
      this.#dropCallNotMade(previous, mark.from);
      // An interrupt comes back to where it came from, mostly before anything else was traced.
      if (mark.from !== undefined && mark.to !== undefined) {
        this.#stack.switchContext(mark.from, mark.to);
      } else {
        this.#stack.clear();
      }
      return -1;
    }
    const isCode = mark.reason === 'no-code' || mark.reason === 'bad-instruction';
    if (isCode) this.#ledOutside(previous, mark.address);
    this.#stack.clear();
    this.#add({ kind: 'gap' }, this.#position + 1);
    return -1;
  }

  /** Block `previous` led where no code is known. */
  #ledOutside(previous: number, actual: Address | undefined): void {
    if (previous < 0) return;
    const stack = this.#stack;
    const isReturn = this.#stream.blocks.kind[previous] === Transfer.ret;
    if (isReturn && actual !== undefined && stack.depth > 0 && !stack.isLoose) {
      const expected = this.#places.end[stack.frames[stack.depth - 1]];
      if (expected !== actual) this.#add({ kind: 'return-mismatch', expected, actual });
    }
    this.#add({ kind: 'outside-images', ...(actual === undefined ? {} : { actual }) });
  }

  /** A block that was interrupted ran in part only: the call at its end was not made. */
  #dropCallNotMade(block: number, from: Address | undefined): void {
    if (block < 0 || from === undefined) return;
    const { start, end } = this.#places;
    const stack = this.#stack;
    const isTop = stack.depth > 0 && stack.frames[stack.depth - 1] === block;
    if (isTop && from > start[block] && from < end[block]) stack.depth--;
  }

  #oddReturn(from: number, to: number): void {
    const { start, end } = this.#places;
    const stack = this.#stack;
    const expected = stack.depth > 0 ? end[stack.frames[stack.depth - 1]] : undefined;
    if (!stack.isLoose && this.#leavesFrames(from)) stack.isLoose = true;
    const isUnwinder = stack.isLoose;
    const verdict = stack.returnTo(start[to], this.#places, (frame) => this.#callsNext(frame));
    if (verdict !== 'mismatch') return;
    if (isUnwinder && this.#leavesFrames(from)) {
      this.#unwindTo(start[to]);
      return;
    }
    this.#add({
      kind: 'return-mismatch',
      ...(expected === undefined ? {} : { expected }),
      actual: start[to],
    });
    this.#middleOfInstruction(start[to]);
    // The program may come back to an outer call after a hijack: that is not another one.
    stack.isLoose = true;
  }

  /** Drops the frames above the function that an unwinder or long jump went to. */
  #unwindTo(target: Address): void {
    const stack = this.#stack;
    const { start } = this.#places;
    const wanted = this.#sources.facts?.functionStart(target);
    for (let i = stack.depth - 1; i >= 0 && wanted !== undefined; i--) {
      if (this.#sources.facts?.functionStart(start[stack.frames[i]]) !== wanted) continue;
      stack.depth = i;
      break;
    }
    stack.isLoose = true;
  }

  /** Whether the call that ends a block reads its own address (`call next`). */
  #callsNext(block: number): boolean {
    const { blocks } = this.#stream;
    if (blocks.kind[block] !== Transfer.call) return false;
    const section = this.#sources.space?.find(this.#places.start[block]);
    if (section === undefined) return false;
    const at = this.#places.end[block] - section.start;
    // e8 with displacement 0.
    const bytes = section.bytes.subarray(at - 5, at);
    return (
      bytes[0] === 0xe8 && bytes[1] === 0 && bytes[2] === 0 && bytes[3] === 0 && bytes[4] === 0
    );
  }

  #leavesFrames(block: number): boolean {
    const symbol = this.#sources.space?.symbolAt(this.#places.start[block]);
    return symbol !== undefined && leavesFrames.test(symbol.name);
  }

  /** @returns whether the transfer needs no telling when it comes again */
  #indirect(from: number, to: number, kind: number): boolean {
    const pair = from * targetRange + to;
    if (!this.#transfers.has(pair)) {
      this.#transfers.add(pair);
      this.#judged.set(pair, this.#judge(from, to, kind));
    }
    const item = this.#judged.get(pair);
    if (item === undefined) return true;
    if (item === 'long-jump') {
      this.#unwindTo(this.#places.start[to]);
      return false;
    }
    this.#add(item);
    if (kind === Transfer.ijmp) this.#stack.isLoose = true;
    if (item.kind !== 'unlikely-target') return false;
    // A hint does not gain by repetition.
    const told = (this.#told.get(pair) ?? 0) + 1;
    this.#told.set(pair, told);
    if (told === mostTellings) this.#judged.set(pair, undefined);
    return false;
  }

  #judge(from: number, to: number, kind: number): Judgement {
    const { profile, facts } = this.#sources;
    const { blocks } = this.#stream;
    const { start } = this.#places;
    const site = start[from] + blocks.lastInstruction[from];
    const target = start[to];
    const isJump = kind === Transfer.ijmp;
    const novelty = profile?.novelty(sitePlace(blocks, from), targetPlace(blocks, to));
    const home = facts?.functionStart(site);
    // A jump back behind a call is a long jump, unless it stays in a known function.
    const isBack = isJump && home === undefined && this.#followsCall(target);
    if (isBack || (isJump && this.#leavesFrames(from))) {
      return 'long-jump';
    }
    if (profile !== undefined && novelty === undefined) return undefined;
    if (isJump && home === facts?.functionStart(target)) return undefined;
    if (facts?.isFunctionEntry(target) === false) {
      if (isJump && (this.#followsCall(target) || facts.isSwitchTarget(site, target))) {
        return 'long-jump';
      }
      if (facts.isInstructionStart(target) === false) {
        return { kind: 'mid-instruction', actual: target };
      }
      return { kind: isJump ? 'jump-into-function' : 'not-a-function-entry', actual: target };
    }
    const reachability = facts?.reachability(target);
    const isLinker = /^ld(?:-|64|\.so)/.test(moduleName(blocks, from));
    if (reachability === 'unreferenced' && !isLinker) {
      return { kind: 'address-not-taken', actual: target };
    }
    if (novelty !== undefined && this.#isWrongSlot(from, target)) {
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
    if (!isTold) return undefined;
    // An object of a new class brings one new target to each of many sites; a site that suddenly
    // has one new target after the other is another matter.
    weight += this.#siteWeights.get(site) ?? 0;
    this.#siteWeights.set(site, weight);
    return { kind: 'unlikely-target', weight, actual: target };
  }

  /**
   * Whether a site that took all its targets in training from one position of virtual tables (as
   * `call [rax+0x28]` does from the sixth) goes to a function that no table has there.
   */
  #isWrongSlot(from: number, target: Address): boolean {
    const { profile, facts } = this.#sources;
    const offset = this.#tableOffset(from);
    if (profile === undefined || facts === undefined || offset === undefined) return false;
    const slot = offset / 8;
    if (!Number.isInteger(slot) || slot < 0 || facts.hasSlot(target, slot) !== false) return false;
    const usual = profile.targetsOf(sitePlace(this.#stream.blocks, from)).map((place) => {
      const { module, offset } = partsOf(place);
      return facts.addressIn(module, offset);
    });
    return (
      usual.length > 0 &&
      usual.every((address) => address !== undefined && facts.hasSlot(address, slot) === true)
    );
  }

  /** @returns the displacement of a block's last instruction, when it calls or jumps through `[register + displacement]` */
  #tableOffset(block: number): number | undefined {
    const bytes = this.#lastInstruction(block);
    if (bytes === undefined) return undefined;
    let at = 0;
    // notrack or bnd, then REX.
    if (bytes[at] === 0x3e || bytes[at] === 0xf2) at++;
    if ((bytes[at] & 0xf0) === 0x40) at++;
    const operation = (bytes[at + 1] >> 3) & 7;
    if (bytes[at] !== 0xff || (operation !== 2 && operation !== 4)) return undefined;
    const base = bytes[at + 1] & 7;
    if (base === 4) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset + at + 2, bytes.length - at - 2);
    switch (bytes[at + 1] >> 6) {
      case 0:
        return base === 5 ? undefined : 0;
      case 1:
        return view.byteLength < 1 ? undefined : view.getInt8(0);
      case 2:
        return view.byteLength < 4 ? undefined : view.getInt32(0, true);
      default:
        return undefined;
    }
  }

  #lastInstruction(block: number): Uint8Array | undefined {
    const { lastInstruction, size } = this.#stream.blocks;
    const start = this.#places.start[block];
    const section = this.#sources.space?.find(start);
    if (section === undefined) return undefined;
    const at = start - section.start;
    return section.bytes.subarray(at + lastInstruction[block], at + size[block]);
  }

  /** Whether a call of this trace returns, or returned, to an address: long jumps go there. */
  #followsCall(target: Address): boolean {
    const { blocks } = this.#stream;
    const { end } = this.#places;
    for (let id = 0; id < blocks.length; id++) {
      const kind = blocks.kind[id];
      if (end[id] === target && (kind === Transfer.call || kind === Transfer.icall)) return true;
    }
    return false;
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

  #middleOfInstruction(target: Address): void {
    const { facts } = this.#sources;
    if (facts === undefined || facts.isFunctionEntry(target) !== false) return;
    if (facts.isInstructionStart(target) !== false) return;
    this.#add({ kind: 'mid-instruction', actual: target });
  }

  #outsideBlock(block: number, previous: number): void {
    this.#outside++;
    const isEntered = previous < 0 || this.#stream.blocks.module[previous] >= 0;
    if (!isEntered) return;
    // Behind a mark no block made the transfer: the entered one stands for it.
    const position = previous < 0 ? this.#position + 1 : this.#position;
    this.#add({ kind: 'outside-images', actual: this.#places.start[block] }, position);
  }

  #add(item: Finding, position: number = this.#position): void {
    const count = this.#counts.get(item.kind) ?? 0;
    this.#counts.set(item.kind, count + 1);
    if (count >= mostItems) return;
    this.#evidence.push({
      ...item,
      position: Math.max(0, position),
      traceOffset: this.#traceOffset,
    });
  }

  #growSites(length: number): void {
    const grown = new Int32Array(Math.max(length, 2 * this.#lastTarget.length)).fill(-1);
    grown.set(this.#lastTarget);
    this.#lastTarget = grown;
  }
}

const targetRange = 2 ** 26;

/** Evidence without its place. */
type Finding = Omit<Evidence, 'position' | 'traceOffset'>;

/** What an indirect transfer amounts to: nothing, frames left in a harmless way, or evidence. */
type Judgement = Finding | 'long-jump' | undefined;

function moduleName(blocks: BlockTable, block: number): string {
  const module = blocks.module[block];
  return module < 0 ? '' : blocks.modules[module].name;
}
