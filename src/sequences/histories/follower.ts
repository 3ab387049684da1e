import { enlarged } from '../../base/bytes/typed-array.ts';
import { Arrival, type ArrivalKind } from '../../evidence/follow/arrival.ts';
import type { CallFollower, TransferWatcher } from '../../evidence/follow/call-follower.ts';
import {
  type TargetOpinion,
  type TransferCode,
  targetSorts,
} from '../../evidence/transfer-code.ts';
import type { BlockBatch, BlockTable } from '../../flow/blocks.ts';
import type { Mark } from '../../flow/mark.ts';
import { Transfer } from '../../x86/transfer.ts';
import { outsideImages } from '../symbol-table.ts';
import { mix } from '../window-counter.ts';
import { EventWriter, type TransferEvents } from './events.ts';
import { type HistoryName, historyLevels } from './levels.ts';
import { PlaceHashes, type Places } from './place-hashes.ts';

const levels = historyLevels.length;
/** Targets of the path by which a transfer repeats. */
const pathLength = 24;
/** Targets that are kept for the longest contexts: a power of two. */
const pathKept = 128;
const siteLength = 8;
const blockLength = 32;
const callLength = 8;
/** Odd, so that multiplying by them loses nothing mod 2^32. */
const lowFactor = 0x9e3779b1 | 0;
const highFactor = 0xc2b2ae3d | 0;
const lowFactorInverse = inverseOf(lowFactor);
const highFactorInverse = inverseOf(highFactor);

/** Of the target that leaves the path by which a transfer repeats. */
const oldestLow = power(lowFactor, pathLength);
const oldestHigh = power(highFactor, pathLength);

/** A level of a history, and the factors to the power of its length. */
interface PoweredLevel {
  readonly level: number;
  readonly length: number;
  readonly lowPower: number;
  readonly highPower: number;
}

const levelsOf = {
  path: poweredLevels('path'),
  site: poweredLevels('site'),
  blocks: poweredLevels('blocks'),
  calls: poweredLevels('calls'),
};

const notACall: TargetOpinion = { sort: targetSorts.indexOf('not-a-call'), count: 3e5 };

/** Names places of one run, those only that events speak of. */
class RunPlaces {
  readonly modules: string[] = [];
  readonly #index: Map<string, number> = new Map();
  readonly #known: Map<number, number>[] = [];
  module: Int32Array<ArrayBuffer> = new Int32Array(256);
  offset: Float64Array<ArrayBuffer> = new Float64Array(256);
  length = 0;

  intern(name: string, offset: number): number {
    let module = this.#index.get(name);
    if (module === undefined) {
      module = this.modules.length;
      this.modules.push(name);
      this.#index.set(name, module);
      this.#known.push(new Map());
    }
    const known = this.#known[module].get(offset);
    if (known !== undefined) return known;
    const place = this.length++;
    if (place === this.module.length) {
      this.module = enlarged(this.module, 2 * place);
      this.offset = enlarged(this.offset, 2 * place);
    }
    this.module[place] = module;
    this.offset[place] = offset;
    this.#known[module].set(offset, place);
    return place;
  }

  clear(): void {
    this.modules.length = 0;
    this.#index.clear();
    this.#known.length = 0;
    this.length = 0;
  }

  get places(): Places {
    const { length, modules } = this;
    const module = this.module.slice(0, length);
    return { length, modules: [...modules], module, offset: this.offset.slice(0, length) };
  }
}

/** Last target of each path that this run took: open addressing in one typed array. */
class PathMemory {
  /** Low hash, high hash, place of the last target plus one (0 = free), times in a row. */
  #slots: Int32Array = new Int32Array(4 * 4096);
  #count = 0;
  /** Set by `find`. */
  at = 0;

  /** @returns the last target's place, or -1; `at` is where it stands */
  find(low: number, high: number): number {
    const slots = this.#slots;
    const mask = slots.length - 4;
    let at = (low << 2) & mask;
    for (;;) {
      const value = slots[at + 2];
      if (value === 0 || (slots[at] === low && slots[at + 1] === high)) {
        this.at = at;
        return value - 1;
      }
      at = (at + 4) & mask;
    }
  }

  get repeats(): number {
    return this.#slots[this.at + 3];
  }

  repeat(): void {
    this.#slots[this.at + 3]++;
  }

  /** Sets the last target of the path that was looked for. */
  set(low: number, high: number, target: number): void {
    const slots = this.#slots;
    const { at } = this;
    if (slots[at + 2] === 0) this.#count++;
    slots[at] = low;
    slots[at + 1] = high;
    slots[at + 2] = target + 1;
    slots[at + 3] = 1;
    if (this.#count * 8 > slots.length) this.#grow();
  }

  /** Forgets all paths; keeps the room that they had. */
  clear(): void {
    this.#slots.fill(0);
    this.#count = 0;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(2 * old.length);
    const mask = this.#slots.length - 4;
    for (let from = 0; from < old.length; from += 4) {
      if (old[from + 2] === 0) continue;
      let at = (old[from] << 2) & mask;
      while (this.#slots[at + 2] !== 0) at = (at + 4) & mask;
      for (let i = 0; i < 4; i++) this.#slots[at + i] = old[from + i];
    }
  }
}

/** What the threads of a run share. */
export class RunFollower {
  readonly places: RunPlaces;
  readonly memory: PathMemory;
  readonly events: EventWriter = new EventWriter();
  /** Block index that positions of events count from. */
  origin = 0;
  transfers = 0;
  explained = 0;
  blocks = 0;
  unknownBlocks = 0;
  /** Where blocks are that training never ran: pairs of block index and run length. */
  readonly unknownRuns: number[] = [];

  /** @param other  threads that run at the same time, whose paths and places are known here, too */
  constructor(other?: RunFollower) {
    this.places = other?.places ?? new RunPlaces();
    this.memory = other?.memory ?? new PathMemory();
  }

  /**
   * Takes what was gathered since the last time, so that memory does not grow with the run.
   *
   * @returns positions from `origin` on, which is then set to what comes next; the first may be -1, the block
   *   before. The places are those of the run, which grow.
   */
  drain(): TransferEvents & { readonly origin: number } {
    const { transfers, explained, blocks, origin } = this;
    const events = this.events.take(this.places, { transfers, explained, blocks });
    this.events.clear();
    this.skipTo(blocks);
    return { ...events, origin };
  }

  /** Positions of the events that come count from here; there are none before. */
  skipTo(block: number): void {
    this.unknownRuns.length = 0;
    this.origin = block;
  }

  finish(): TransferEvents {
    const { transfers, explained, blocks } = this;
    return this.events.take(this.places.places, { transfers, explained, blocks });
  }

  /** As `finish`, for who needs the hashes no longer than until the next run begins. */
  look(): TransferEvents {
    const { transfers, explained, blocks } = this;
    return this.events.look(this.places.places, { transfers, explained, blocks });
  }

  /** Forgets the run, of which no other follower has a share; its room is used for the next one. */
  begin(): void {
    this.places.clear();
    this.memory.clear();
    this.events.clear();
    this.transfers = 0;
    this.explained = 0;
    this.blocks = 0;
    this.unknownBlocks = 0;
    this.skipTo(0);
  }
}

/**
 * Follows one thread of a run and picks out the transfers that nothing explains so far: neither the code
 * (a return to its call, a linkage stub) nor what the same path did before in this run.
 */
export class TransferFollower implements TransferWatcher {
  readonly #run: RunFollower;
  readonly #blocks: BlockTable;
  readonly #calls: CallFollower;
  readonly kinds: Uint8Array;
  readonly #code: TransferCode;
  /** Where the code says that a block goes, as far as it went there; -1 = not yet. */
  #explainedTarget: Int32Array<ArrayBuffer> = new Int32Array(0);
  readonly #isKnown: (module: string, offset: number) => boolean;
  readonly #hashes: PlaceHashes;
  /** Place of a block in the run, plus one; 0 = not named yet. */
  #place: Int32Array<ArrayBuffer> = new Int32Array(4096);
  #known = 0;
  /** Blocks of the run before this thread. */
  readonly #before: number;
  #entries: Int32Array = new Int32Array(0);
  /** Transfers of the batch that were explained, returns to their calls apart. */
  #explained = 0;
  /** Hash halves of the targets of the last unexplained transfers, a ring. */
  readonly #pathLow = new Int32Array(pathKept);
  readonly #pathHigh = new Int32Array(pathKept);
  #pathEnd = 0;
  #pathKnown = 0;
  /**
   * By place in the ring: the sum of all targets before it, each times the factor to the power of its number;
   * that power of the next one, and one over it.
   */
  readonly #sumLow = new Int32Array(pathKept);
  readonly #sumHigh = new Int32Array(pathKept);
  #lowPower = 1;
  #highPower = 1;
  #lowInverse = 1;
  #highInverse = 1;
  readonly #itemsLow = new Int32Array(blockLength);
  readonly #itemsHigh = new Int32Array(blockLength);
  #rollingLow = 0;
  #rollingHigh = 0;
  /** Blocks whose targets are kept, numbered from 1 in the order in which they came; 0 = not one of them. */
  #siteOf: Int32Array<ArrayBuffer> = new Int32Array(4096);
  #sites = 0;
  /** By site: its last targets, newest first, low and high halves; and how many are known. */
  #siteLast: Int32Array<ArrayBuffer> = new Int32Array(256 * 2 * siteLength);
  #siteKnown: Uint8Array<ArrayBuffer> = new Uint8Array(256);
  /** Last blocks of the batch before, oldest first; -1 = not known. */
  readonly #tail = new Int32Array(blockLength).fill(-1);
  readonly #last = new Int32Array(blockLength);

  /**
   * @param blocks  those of `calls`, by the names that count
   * @param calls  which this watches, from the first batch on
   * @param kinds  by `Transfer` kind: 1 = predicted
   */
  constructor(
    run: RunFollower,
    blocks: BlockTable,
    calls: CallFollower,
    kinds: Uint8Array,
    code: TransferCode,
    isKnown: (module: string, offset: number) => boolean = () => true,
  ) {
    this.#run = run;
    this.#blocks = blocks;
    this.#calls = calls;
    this.kinds = kinds;
    this.#code = code;
    this.#isKnown = isKnown;
    this.#hashes = new PlaceHashes(blocks);
    // Threads of a run follow each other.
    this.#before = run.blocks;
  }

  begin({ entries }: BlockBatch): void {
    this.#extend();
    this.#entries = entries;
    this.#explained = 0;
  }

  end({ entries, length }: BlockBatch): void {
    const run = this.#run;
    const explained = this.#explainedSoFar;
    run.transfers += explained;
    run.explained += explained;
    run.blocks = this.#before + this.#calls.position + 1;
    this.#keepTail(entries, length);
  }

  /** Transfers of the batch that the code explains. */
  get #explainedSoFar(): number {
    return this.#explained + (this.kinds[Transfer.ret] === 1 ? this.#calls.returned : 0);
  }

  onMark(mark: Mark): void {
    if (mark.kind !== 'async') this.#forget();
  }

  onTransfer(from: number, to: number, kind: number, arrival: ArrivalKind, index: number): void {
    if (arrival === Arrival.unknown) return;
    // The run itself shows how it left frames; the code says where stubs lead.
    const isShown = arrival === Arrival.unwound || arrival === Arrival.returned;
    if (isShown || (kind !== Transfer.ret && this.#isExplained(from, to))) this.#explained++;
    else this.#unexplained(from, to, index, arrival);
  }

  #isExplained(from: number, to: number): boolean {
    if (this.#explainedTarget[from] === to) return true;
    if (!this.#code.mayExplain(from) || !this.#code.explains(from, to)) return false;
    this.#explainedTarget[from] = to;
    return true;
  }

  /** A block runs that training never ran. */
  onBlock(): void {
    const run = this.#run;
    const { unknownRuns } = run;
    run.unknownBlocks++;
    const position = this.#before + this.#calls.position;
    const last = unknownRuns.length - 2;
    if (last >= 0 && unknownRuns[last] + unknownRuns[last + 1] === position) {
      unknownRuns[last + 1]++;
    } else unknownRuns.push(position, 1);
  }

  /** Past a gap nothing is known. */
  #forget(): void {
    this.#pathLow.fill(0);
    this.#pathHigh.fill(0);
    this.#pathKnown = 0;
    this.#rollingLow = 0;
    this.#rollingHigh = 0;
  }

  #unexplained(from: number, to: number, index: number, arrival: ArrivalKind): void {
    const run = this.#run;
    const { low, high } = this.#hashes;
    const place = this.#place[to] === 0 ? this.#name(to) : this.#place[to] - 1;
    const targetLow = low[to];
    const targetHigh = high[to];
    const keyLow = mix(this.#rollingLow ^ low[from]);
    const keyHigh = mix(this.#rollingHigh + high[from]);
    const last = run.memory.find(keyLow, keyHigh);
    if (last === place) {
      run.memory.repeat();
    } else {
      const repeats = last < 0 ? 0 : run.memory.repeats;
      run.memory.set(keyLow, keyHigh, place);
      const site = this.#place[from] === 0 ? this.#name(from) : this.#place[from] - 1;
      const ordinal = run.transfers + this.#explainedSoFar;
      const at = this.#before + this.#calls.position - run.origin;
      const event = run.events.add(site, place, last, repeats, at, ordinal);
      const kind = this.#blocks.kind[from];
      const isMismatch = arrival === Arrival.mismatch;
      const opinion = isMismatch ? notACall : this.#code.opinion(from, to);
      run.events.kind[event] = kind;
      run.events.form[event] = isMismatch ? 0 : this.#code.formOf(from);
      run.events.into[event] = this.#blocks.lastInstruction[from];
      run.events.sort[event] = opinion.sort;
      run.events.count[event] = opinion.count;
      this.#describe(event, from, index);
    }
    run.transfers++;
    // The path, and the site's own last targets, go on.
    const end = this.#pathEnd;
    const oldest = (end - pathLength) & (pathKept - 1);
    this.#rollingLow =
      (Math.imul(this.#rollingLow, lowFactor) +
        targetLow -
        Math.imul(this.#pathLow[oldest], oldestLow)) |
      0;
    this.#rollingHigh =
      (Math.imul(this.#rollingHigh, highFactor) +
        targetHigh -
        Math.imul(this.#pathHigh[oldest], oldestHigh)) |
      0;
    this.#pathLow[end] = targetLow;
    this.#pathHigh[end] = targetHigh;
    const next = (end + 1) & (pathKept - 1);
    this.#sumLow[next] = this.#sumLow[end] + Math.imul(targetLow, this.#lowPower);
    this.#sumHigh[next] = this.#sumHigh[end] + Math.imul(targetHigh, this.#highPower);
    this.#lowPower = Math.imul(this.#lowPower, lowFactor);
    this.#highPower = Math.imul(this.#highPower, highFactor);
    this.#lowInverse = Math.imul(this.#lowInverse, lowFactorInverse);
    this.#highInverse = Math.imul(this.#highInverse, highFactorInverse);
    this.#pathEnd = next;
    if (this.#pathKnown < pathKept) this.#pathKnown++;
    const site = this.#siteOf[from] === 0 ? this.#addSite(from) : this.#siteOf[from] - 1;
    const at = site * 2 * siteLength;
    const sites = this.#siteLast;
    for (let i = at + 2 * siteLength - 1; i > at + 1; i--) sites[i] = sites[i - 2];
    sites[at] = targetLow;
    sites[at + 1] = targetHigh;
    if (this.#siteKnown[site] < siteLength) this.#siteKnown[site]++;
  }

  /** Blocks that go elsewhere than the code says are few. */
  #addSite(block: number): number {
    const site = this.#sites++;
    if (site === this.#siteKnown.length) {
      this.#siteLast = enlarged(this.#siteLast, 4 * site * siteLength);
      this.#siteKnown = enlarged(this.#siteKnown, 2 * site);
    }
    this.#siteOf[block] = site + 1;
    return site;
  }

  /** Writes the hashes of an event's contexts: of each history as far as it is known. */
  #describe(event: number, from: number, index: number): void {
    const { low, high } = this.#hashes;
    const at = event * 2 * levels;
    const { offset, lastInstruction, module } = this.#blocks;
    const instruction = offset[from] + lastInstruction[from];
    const siteLow = this.#hashes.lowOf(module[from], instruction);
    this.#write(at, 0, siteLow, this.#hashes.highOf(module[from], instruction));
    this.#write(at, 1, low[from], high[from]);
    this.#describePath(at, from);
    const itemsLow = this.#itemsLow;
    const itemsHigh = this.#itemsHigh;
    const site = this.#siteOf[from] - 1;
    const siteKnown = site < 0 ? 0 : this.#siteKnown[site];
    for (let i = 0; i < siteKnown; i++) {
      itemsLow[i] = this.#siteLast[2 * (site * siteLength + i)];
      itemsHigh[i] = this.#siteLast[2 * (site * siteLength + i) + 1];
    }
    this.#describeItems(at, from, levelsOf.site, siteKnown);
    const blocks = this.#blocksBefore(this.#entries, index, 1);
    for (let i = 0; i < blocks; i++) {
      itemsLow[i] = low[this.#last[i]];
      itemsHigh[i] = high[this.#last[i]];
    }
    this.#describeItems(at, from, levelsOf.blocks, blocks);
    // An indirect call is open already: its own block says that.
    const open = this.#calls.depth - (this.#blocks.kind[from] === Transfer.icall ? 1 : 0);
    const calls = Math.min(open, callLength);
    for (let i = 0; i < calls; i++) {
      const frame = this.#calls.callAt(open - 1 - i);
      itemsLow[i] = low[frame];
      itemsHigh[i] = high[frame];
    }
    this.#describeItems(at, from, levelsOf.calls, calls);
  }

  /**
   * The polynomial of the last targets is a difference of two sums that are kept; `#describeItems` says which
   * polynomial.
   */
  #describePath(at: number, from: number): void {
    const end = this.#pathEnd;
    for (const { level, length, lowPower, highPower } of levelsOf.path) {
      if (length > this.#pathKnown) return;
      const begin = (end - length) & (pathKept - 1);
      const low = Math.imul((this.#sumLow[end] - this.#sumLow[begin]) | 0, this.#lowInverse);
      const high = Math.imul((this.#sumHigh[end] - this.#sumHigh[begin]) | 0, this.#highInverse);
      const a = Math.imul(lowPower, (this.#hashes.low[from] + low) | 0);
      const b = Math.imul(highPower, (this.#hashes.high[from] + high) | 0);
      this.#write(at, level, a, b);
    }
  }

  /** @param known  items in `#itemsLow` and `#itemsHigh`, the newest first; longer contexts are not known */
  #describeItems(at: number, from: number, wanted: readonly PoweredLevel[], known: number): void {
    let a = this.#hashes.low[from];
    let b = this.#hashes.high[from];
    let i = 0;
    for (const { level, length } of wanted) {
      if (length > known) return;
      for (; i < length; i++) {
        a = (Math.imul(a, lowFactor) + this.#itemsLow[i]) | 0;
        b = (Math.imul(b, highFactor) + this.#itemsHigh[i]) | 0;
      }
      this.#write(at, level, a, b);
    }
  }

  #write(at: number, level: number, a: number, b: number): void {
    const out = this.#run.events.hashes;
    const x = mix(a ^ Math.imul(level + 1, 0x27d4eb2f));
    const y = mix(b + Math.imul(level + 1, 0x165667b1));
    out[at + 2 * level] = x;
    // Both 0 means that there is no context.
    out[at + 2 * level + 1] = x === 0 && y === 0 ? 1 : y;
  }

  /**
   * Fills `#last` with the blocks that ran before entry `index`, newest first.
   *
   * @param skip  newest blocks that are left out
   * @returns how many are known
   */
  #blocksBefore(entries: Int32Array, index: number, skip: number): number {
    const before = this.#last;
    let count = 0;
    let left = skip;
    for (let i = index - 1; i >= 0 && count < blockLength; i--) {
      const block = entries[i];
      if (block >= 0) {
        if (left > 0) left--;
        else before[count++] = block;
      } else if (this.#calls.marks[~block].kind !== 'async') return count;
    }
    for (let i = blockLength - 1; i >= 0 && count < blockLength; i--) {
      if (this.#tail[i] < 0) return count;
      if (left > 0) left--;
      else before[count++] = this.#tail[i];
    }
    return count;
  }

  #keepTail(entries: Int32Array, length: number): void {
    const before = this.#blocksBefore(entries, length, 0);
    for (let i = 0; i < blockLength; i++) {
      this.#tail[blockLength - 1 - i] = i < before ? this.#last[i] : -1;
    }
  }

  #name(block: number): number {
    const place = this.#run.places.intern(this.#moduleName(block), this.#blocks.offset[block]);
    this.#place[block] = place + 1;
    return place;
  }

  #moduleName(block: number): string {
    const { modules, module } = this.#blocks;
    return module[block] < 0 ? outsideImages : modules[module[block]].name;
  }

  #extend(): void {
    const { length, offset } = this.#blocks;
    if (this.#known === length) return;
    this.#hashes.extend();
    if (length > this.#place.length) {
      const room = Math.max(length, 2 * this.#place.length);
      this.#place = enlarged(this.#place, room);
      this.#siteOf = enlarged(this.#siteOf, room);
    }
    if (length > this.#explainedTarget.length) {
      this.#explainedTarget = withNone(this.#explainedTarget, this.#place.length);
    }
    for (let id = this.#known; id < length; id++) {
      if (!this.#isKnown(this.#moduleName(id), offset[id])) this.#calls.watchBlock(id);
    }
    this.#known = length;
  }
}

/** @returns a longer copy, -1 behind what was there */
function withNone(array: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  const longer = new Int32Array(length).fill(-1);
  longer.set(array);
  return longer;
}

function poweredLevels(wanted: HistoryName): readonly PoweredLevel[] {
  return historyLevels.flatMap(({ history, length }, level) =>
    history !== wanted
      ? []
      : [
          {
            level,
            length,
            lowPower: power(lowFactor, length),
            highPower: power(highFactor, length),
          },
        ],
  );
}

/** @returns a number to a power, mod 2^32 */
function power(base: number, exponent: number): number {
  let result = 1;
  for (let i = 0; i < exponent; i++) result = Math.imul(result, base);
  return result;
}

/** @returns one over an odd number, mod 2^32: by Newton's iteration, each step doubles the bits that are right */
function inverseOf(odd: number): number {
  let inverse = odd;
  for (let i = 0; i < 5; i++) inverse = Math.imul(inverse, (2 - Math.imul(odd, inverse)) | 0);
  return inverse;
}
