import { batchSize } from './batch-writer.ts';
import type { FlowState } from './flow-state.ts';

/** A stretch has at least as many bytes as its hash covers. */
const minBytes = 8;
/** A stretch that was followed in the code ends before it gets longer than this. */
const maxFollowedBytes = 28;
/** The longest packet of a stretch: a TIP with 48 bits. */
const maxPacketBytes = 7;
/** Stretches that follow each other are joined up to this many bytes, and blocks. */
const maxBytes = 128;
const maxRun = 1024;
/** Stretches are joined when one came after the other this many times in a row. */
const joinAfter = 16;
/** Stretches are forgotten past this many integers (32 MiB), so that memory is bounded. */
const maxPoolInts = 1 << 23;
/** Stretches that a look-up tries. */
const maxTries = 12;
/** Hashes of stretches that were met once. */
const seenSize = 1 << 17;

/** Where a stretch in the pool has what. The first cache line is enough for most look-ups. */
const Field = {
  node: 0,
  /** Bits 16..31 of the last IP, over the bitness. */
  ipUpper: 1,
  ipHigh: 2,
  /** Number of bytes. */
  size: 3,
  /** Number of blocks. */
  run: 4,
  /** Number of calls taken off, and of those put on above bit 8. */
  calls: 5,
  nextNode: 6,
  nextIpLow: 7,
  nextIpHigh: 8,
  /** The stretch that came next the last time, and how many times in a row. */
  successor: 9,
  repeats: 10,
  /** A longer stretch that begins with this one. */
  longer: 11,
  /** The stretch that this one begins with, where it was joined. */
  shorter: 13,
  /** The next stretch with the same hash. */
  other: 12,
  /** The bytes as little-endian words, then calls taken off, calls put on, blocks. */
  bytes: 14,
} as const;

/** A stretch begins at a cache line. */
const alignment = 16;

/**
 * Stretches of the trace that were followed before: from the same node, with the same last IP above
 * bit 16 and the same calls to return to, the same bytes of TNT and TIP packets run the same blocks.
 *
 * Traces repeat themselves: 24 MB of a Python program are 2 million stretches of 11 bytes, of which
 * 94 thousand are different. Stretches end where the node says so, whatever lies behind, so that two
 * passes through the same code fall into step. Those that keep following each other are joined.
 */
export class StretchCache {
  /** Position of the first stretch of a chain in the pool by hash; 0 = none. */
  #slots: Int32Array = new Int32Array(1 << 16);
  #count = 0;
  #pool: Int32Array = new Int32Array(1 << 14);
  #poolView: DataView = new DataView(this.#pool.buffer);
  /** What lies at 0 stands for none. */
  #poolLength = alignment;
  readonly #seen: Uint8Array = new Uint8Array(seenSize);
  /** The stretch before the current place; 0 = none. */
  #previous = 0;

  /** Where the stretch began that is being followed in the code; -1 = none is. */
  #from = -1;
  #fromLength = 0;
  #isKept = false;
  #node = 0;
  #ipUpper = 0;
  #ipHigh = 0;

  /**
   * Goes over known stretches, as far as there are any.
   *
   * @param bytes  the buffer that `from` and `end` count in
   * @returns offset of the first byte that was not used
   */
  advance(state: FlowState, bytes: DataView, from: number, end: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    const { calls, bitness, batch } = state;
    const out = batch.view;
    let pool = this.#pool;
    let poolView = this.#poolView;
    let { at } = state;
    let { low: ipLow, high: ipHigh } = state.ip;
    let { length } = batch;
    let offset = from;
    let previous = this.#previous;
    const last = end - maxBytes - 4;
    search: while (offset <= last) {
      const first = bytes.getInt32(offset, true);
      const second = bytes.getInt32(offset + 4, true);
      const ipUpper = (ipLow & 0xffff0000) | bitness;
      const successor = pool[previous + Field.successor];
      let entry = successor;
      let isGuess = true;
      for (let tries = 0; tries < maxTries; tries++) {
        // The successor first: it needs no look-up, and its memory comes while the run is copied.
        if (entry === 0 && isGuess) {
          isGuess = false;
          entry = slots[hash(at, first, second) & mask];
        }
        if (entry === 0) break search;
        if (
          pool[entry] !== at ||
          pool[entry + Field.bytes] !== first ||
          pool[entry + Field.bytes + 1] !== second
        ) {
          entry = isGuess ? 0 : pool[entry + Field.other];
          continue;
        }
        const size = pool[entry + Field.size];
        // Words behind the first two; the last one may be a part.
        let word = entry + Field.bytes + 2;
        let place = offset + 8;
        const whole = offset + size - 3;
        while (place < whole && pool[word] === bytes.getInt32(place, true)) {
          word++;
          place += 4;
        }
        const over = offset + size - place;
        if (
          over >= 4 ||
          (over > 0 && (pool[word++] ^ bytes.getInt32(place, true)) << (32 - (over << 3)) !== 0) ||
          pool[entry + Field.ipUpper] !== ipUpper ||
          pool[entry + Field.ipHigh] !== ipHigh
        ) {
          entry = pool[entry + (isGuess ? Field.shorter : Field.other)];
          continue;
        }
        const packed = pool[entry + Field.calls];
        const run = pool[entry + Field.run];
        if (length + run > batchSize) break search;
        if (packed !== 0) {
          const pops = word + (packed & 0xff);
          if (!calls.endsIn(pool, word, pops)) {
            entry = pool[entry + (isGuess ? Field.shorter : Field.other)];
            continue;
          }
          word = pops + (packed >>> 8);
          calls.drop(packed & 0xff);
          calls.pushAll(pool, pops, word);
        }
        // Four at a time, as doubles: one too many is overwritten, and no pair of ids is a NaN.
        const stop = (word + run) << 2;
        for (let source = word << 2, target = length << 2; source < stop; ) {
          out.setFloat64(target, poolView.getFloat64(source, true), true);
          out.setFloat64(target + 8, poolView.getFloat64(source + 8, true), true);
          source += 16;
          target += 16;
        }
        length += run;
        at = pool[entry + Field.nextNode];
        ipLow = pool[entry + Field.nextIpLow];
        ipHigh = pool[entry + Field.nextIpHigh];
        offset += size;
        const longer = pool[entry + Field.longer];
        if (entry === successor && longer === 0) {
          if (++pool[previous + Field.repeats] === joinAfter && previous !== 0) {
            this.#join(previous, entry);
            pool = this.#pool;
            poolView = this.#poolView;
          }
        } else {
          pool[previous + Field.successor] = longer !== 0 ? longer : entry;
          pool[previous + Field.repeats] = 0;
        }
        previous = entry;
        continue search;
      }
      break;
    }
    this.#previous = previous;
    state.at = at;
    state.ip.low = ipLow;
    state.ip.high = ipHigh;
    batch.length = length;
    return offset;
  }

  get isRecording(): boolean {
    return this.#from >= 0;
  }

  /** Begins to take note of a stretch at `offset`. */
  begin(state: FlowState, bytes: DataView, offset: number): void {
    this.#from = offset;
    this.#fromLength = state.batch.length;
    this.#node = state.at;
    this.#ipUpper = (state.ip.low & 0xffff0000) | state.bitness;
    this.#ipHigh = state.ip.high;
    // Only those that come again are worth their memory.
    if (offset + minBytes <= bytes.byteLength) {
      const hashed = hash(state.at, bytes.getInt32(offset, true), bytes.getInt32(offset + 4, true));
      const mark = (hashed >>> 3) & (seenSize - 1);
      this.#isKept = this.#seen[mark] !== 0;
      this.#seen[mark] = 1;
      if (this.#isKept) state.calls.mark();
    } else {
      this.#isKept = false;
    }
  }

  /** @returns whether the stretch must end at `offset`, or better does */
  isFull(state: FlowState, offset: number): boolean {
    const size = offset - this.#from;
    return size >= minBytes && (isBoundary(state.at) || size > maxFollowedBytes - maxPacketBytes);
  }

  /** What ran since `begin` cannot be repeated. */
  abandon(): void {
    this.#from = -1;
    this.#previous = 0;
  }

  /** Ends the stretch before `offset`, and keeps it. */
  end(state: FlowState, bytes: DataView, offset: number): void {
    const from = this.#from;
    this.#from = -1;
    this.#previous = 0;
    if (!this.#isKept) return;
    const { calls, batch } = state;
    const { entries } = batch;
    const size = offset - from;
    const run = batch.length - this.#fromLength;
    if (size < minBytes || size > maxFollowedBytes || run > maxRun || !calls.isPushedKnown) return;
    const entry = this.#add(size, calls.poppedLength, calls.pushedLength, run);
    const pool = this.#pool;
    pool[entry] = this.#node;
    pool[entry + Field.ipUpper] = this.#ipUpper;
    pool[entry + Field.ipHigh] = this.#ipHigh;
    pool[entry + Field.nextNode] = state.at;
    pool[entry + Field.nextIpLow] = state.ip.low;
    pool[entry + Field.nextIpHigh] = state.ip.high;
    let at = entry + Field.bytes;
    for (let i = 0; i < size; i += 4) pool[at++] = wordAt(bytes, from + i, size - i);
    for (let i = 0; i < calls.poppedLength; i++) pool[at++] = calls.popped[i];
    calls.copyPushed(pool, at);
    at += calls.pushedLength;
    const source = this.#fromLength - at;
    for (const stop = at + run; at < stop; at++) pool[at] = entries[source + at];
    this.#link(entry);
    if (++this.#count > this.#slots.length) this.#growSlots();
    this.#previous = entry;
  }

  /** Makes one stretch of two that follow each other. */
  #join(left: number, right: number): void {
    const size = this.#pool[left + Field.size] + this.#pool[right + Field.size];
    const run = this.#pool[left + Field.run] + this.#pool[right + Field.run];
    if (size > maxBytes || run > maxRun) return;
    const leftPops = this.#pool[left + Field.calls] & 0xff;
    const leftPushes = this.#pool[left + Field.calls] >>> 8;
    const rightPops = this.#pool[right + Field.calls] & 0xff;
    const rightPushes = this.#pool[right + Field.calls] >>> 8;
    // Returns of the second stretch go to calls of the first one, as far as it made any.
    const inner = Math.min(leftPushes, rightPops);
    const pops = leftPops + rightPops - inner;
    const pushes = leftPushes - inner + rightPushes;
    if (pops > 32 || pushes > 32) return;
    if (!this.#hasRoom(size, pops, pushes, run)) return;
    const entry = this.#add(size, pops, pushes, run);
    const pool = this.#pool;
    pool.copyWithin(entry, left, left + Field.size);
    pool.copyWithin(entry + Field.nextNode, right + Field.nextNode, right + Field.nextIpHigh + 1);
    let at = entry + Field.bytes;
    const leftSize = pool[left + Field.size];
    for (let i = 0; i < size; i += 4) {
      let word = 0;
      for (let j = 0; j < 4 && i + j < size; j++) {
        const k = i + j;
        const byte = k < leftSize ? byteOf(pool, left, k) : byteOf(pool, right, k - leftSize);
        word |= byte << (j << 3);
      }
      pool[at++] = word;
    }
    const leftCalls = left + Field.bytes + ((leftSize + 3) >> 2);
    const rightCalls = right + Field.bytes + ((pool[right + Field.size] + 3) >> 2);
    const leftEnd = leftCalls + leftPops + leftPushes;
    const rightEnd = rightCalls + rightPops + rightPushes;
    const pieces: [from: number, to: number][] = [
      [leftCalls, leftCalls + leftPops],
      [rightCalls + inner, rightCalls + rightPops],
      [leftCalls + leftPops, leftEnd - inner],
      [rightCalls + rightPops, rightEnd],
      [leftEnd, leftEnd + pool[left + Field.run]],
      [rightEnd, rightEnd + pool[right + Field.run]],
    ];
    for (const [from, to] of pieces) {
      pool.copyWithin(at, from, to);
      at += to - from;
    }
    pool[left + Field.longer] = entry;
    pool[entry + Field.shorter] = left;
    this.#link(entry);
  }

  /** Makes room for a stretch. @returns its position; its lengths are set, and nothing else */
  #add(size: number, pops: number, pushes: number, run: number): number {
    if (!this.#hasRoom(size, pops, pushes, run)) {
      this.#slots.fill(0);
      this.#count = 0;
      this.#poolLength = alignment;
      this.#pool.fill(0, 0, alignment);
      this.#previous = 0;
    }
    const entry = this.#poolLength;
    const end = entry + lengthOf(size, pops, pushes, run);
    this.#poolLength = (end + alignment - 1) & -alignment;
    if (this.#poolLength + 4 > this.#pool.length) {
      // In large steps: what is copied at each is little, and memory that is not touched costs nothing.
      const larger = new Int32Array(this.#pool.length * 8);
      larger.set(this.#pool);
      this.#pool = larger;
      this.#poolView = new DataView(larger.buffer);
    }
    const pool = this.#pool;
    pool[entry + Field.size] = size;
    pool[entry + Field.run] = run;
    pool[entry + Field.calls] = pops | (pushes << 8);
    pool[entry + Field.successor] = 0;
    pool[entry + Field.repeats] = 0;
    pool[entry + Field.longer] = 0;
    pool[entry + Field.shorter] = 0;
    return entry;
  }

  #hasRoom(size: number, pops: number, pushes: number, run: number): boolean {
    return this.#poolLength + lengthOf(size, pops, pushes, run) + alignment + 4 <= maxPoolInts;
  }

  /** Puts a stretch in front of all with its hash. */
  #link(entry: number): void {
    const pool = this.#pool;
    const slots = this.#slots;
    const first = pool[entry + Field.bytes];
    const slot = hash(pool[entry], first, pool[entry + Field.bytes + 1]) & (slots.length - 1);
    pool[entry + Field.other] = slots[slot];
    slots[slot] = entry;
  }

  #growSlots(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(old.length * 4);
    for (const first of old) {
      for (let entry = first; entry !== 0; ) {
        const other = this.#pool[entry + Field.other];
        this.#link(entry);
        entry = other;
      }
    }
  }
}

/** @returns whether a stretch may end at `node`: half of them, the same ones each time */
function isBoundary(node: number): boolean {
  return (Math.imul(node, 0x9e3779b1) & 0x10000000) === 0;
}

function lengthOf(size: number, pops: number, pushes: number, run: number): number {
  return Field.bytes + ((size + 3) >> 2) + pops + pushes + run;
}

/** @returns byte `index` of a stretch in the pool */
function byteOf(pool: Int32Array, entry: number, index: number): number {
  return (pool[entry + Field.bytes + (index >> 2)] >> ((index & 3) << 3)) & 0xff;
}

/** @returns up to four bytes, of which `size` count, as a little-endian word */
function wordAt(bytes: DataView, at: number, size: number): number {
  if (size >= 4) return bytes.getInt32(at, true);
  let word = 0;
  for (let i = 0; i < size; i++) word |= bytes.getUint8(at + i) << (i << 3);
  return word;
}

function hash(node: number, first: number, second: number): number {
  const mixed =
    Math.imul(node, 0x9e3779b1) ^ Math.imul(first, 0x85ebca6b) ^ Math.imul(second, 0xc2b2ae35);
  return mixed ^ (mixed >>> 15);
}
