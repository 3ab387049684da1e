import { batchSize } from './batch-writer.ts';
import type { FlowState } from './flow-state.ts';

/** A stretch has at least as many bytes as its hash covers. */
export const minBytes = 8;
/** With its header, a stretch of this many bytes fills a cache line. */
const maxBytes = 32;
/** The longest packet of a stretch: a TIP with 48 bits. */
const maxPacketBytes = 7;
/** Longer runs of blocks are not worth their memory. */
const maxRun = 1024;
/** Stretches are forgotten past this many integers (32 MiB), so that memory is bounded. */
const maxPoolInts = 1 << 23;
/** Slots that a look-up tries. */
const probes = 8;

const seenSize = 1 << 17;

/** A stretch in the pool. */
const Field = {
  node: 0,
  /** Bits 16..31 of the last IP, over the bitness. */
  ipUpper: 1,
  ipHigh: 2,
  /** Number of bytes, and the length of the run above bit 8. */
  lengths: 3,
  nextNode: 4,
  nextIpLow: 5,
  nextIpHigh: 6,
  /** Number of calls taken off, and of those put on above bit 8. */
  calls: 7,
  /** The bytes as little-endian words, then calls taken off, calls put on, blocks. */
  bytes: 8,
} as const;

/** A stretch begins at a cache line. */
const alignment = 16;

/**
 * Stretches of the trace that were followed before: from the same node, with the same last IP above
 * bit 16 and the same calls to return to, the same bytes of TNT and TIP packets run the same blocks.
 *
 * Traces repeat themselves: in 24 MB of a Python program there are 1.4 million stretches of 17 bytes
 * on average, and 86 thousand different ones. Stretches end where the node says so, whatever lies
 * behind, so that two passes through the same code fall into step.
 */
export class StretchCache {
  /** Position in the pool by hash; 0 = free. */
  #slots: Int32Array = new Int32Array(1 << 12);
  #count = 0;
  #pool: Int32Array = new Int32Array(1 << 14);
  #poolView = new DataView(this.#pool.buffer);
  #poolLength = alignment;

  /** Where the stretch that is being followed began; -1 = none is. */
  #from = -1;
  #fromOut = 0;
  #isKept = false;
  /** Hashes of stretches that were met: only those that come again are kept. */
  readonly #seen: Uint8Array = new Uint8Array(seenSize);
  #node = 0;
  #ipUpper = 0;
  #ipHigh = 0;

  /** @returns whether a stretch may end at `node`: a quarter of them, the same ones each time */
  static #isBoundary(node: number): boolean {
    return (Math.imul(node, 0x9e3779b1) & 0x10000000) === 0;
  }

  /**
   * Goes over known stretches, as far as there are any.
   *
   * @param bytes  the buffer that `from` and `end` count in
   * @returns offset of the first byte that was not used
   */
  follow(state: FlowState, bytes: DataView, from: number, end: number): number {
    const slots = this.#slots;
    const pool = this.#pool;
    const mask = slots.length - 1;
    const { calls, bitness } = state;
    const { batch } = state;
    const out = batch.view;
    const poolView = this.#poolView;
    let { at, ipLow, ipHigh } = state;
    let { length: outLength } = batch;
    let offset = from;
    const last = end - maxBytes;
    search: while (offset <= last) {
      const first = bytes.getInt32(offset, true);
      const second = bytes.getInt32(offset + 4, true);
      const ipUpper = (ipLow & 0xffff0000) | bitness;
      let slot = hash(at, first, second) & mask;
      for (let probe = 0; ; probe++) {
        const entry = slots[slot];
        if (entry === 0 || probe === probes) break search;
        slot = (slot + 1) & mask;
        if (
          pool[entry] !== at ||
          pool[entry + Field.bytes] !== first ||
          pool[entry + Field.bytes + 1] !== second ||
          pool[entry + Field.ipUpper] !== ipUpper ||
          pool[entry + Field.ipHigh] !== ipHigh
        ) {
          continue;
        }
        const lengths = pool[entry + Field.lengths];
        const size = lengths & 0xff;
        // Words behind the first two; the last one may be a part.
        let word = entry + Field.bytes + 2;
        let place = offset + 8;
        const whole = offset + size - 3;
        while (place < whole && pool[word] === bytes.getInt32(place, true)) {
          word++;
          place += 4;
        }
        if (place < whole) continue;
        const over = offset + size - place;
        if (over > 0) {
          const part = (1 << (over << 3)) - 1;
          if (pool[word] !== (bytes.getInt32(place, true) & part)) continue;
          word++;
        }
        const packed = pool[entry + Field.calls];
        if (packed !== 0) {
          const pops = word + (packed & 0xff);
          if (pops > word && !calls.endsIn(pool, word, pops)) continue;
          word = pops + (packed >>> 8);
          if (outLength + (lengths >>> 8) > batchSize) break search;
          calls.drop(packed & 0xff);
          calls.pushAll(pool, pops, word);
        } else if (outLength + (lengths >>> 8) > batchSize) break search;
        const run = lengths >>> 8;
        // Four at a time, as doubles: one too many is overwritten, and no pair of ids is a NaN.
        const stop = (word + run) << 2;
        for (
          let source = word << 2, target = outLength << 2;
          source < stop;
          source += 16, target += 16
        ) {
          out.setFloat64(target, poolView.getFloat64(source, true), true);
          out.setFloat64(target + 8, poolView.getFloat64(source + 8, true), true);
        }
        outLength += run;
        at = pool[entry + Field.nextNode];
        ipLow = pool[entry + Field.nextIpLow];
        ipHigh = pool[entry + Field.nextIpHigh];
        offset += size;
        continue search;
      }
    }
    state.at = at;
    state.ipLow = ipLow;
    state.ipHigh = ipHigh;
    batch.length = outLength;
    return offset;
  }

  get isRecording(): boolean {
    return this.#from >= 0;
  }

  /** Begins to take note of a stretch at `offset`. */
  begin(state: FlowState, bytes: DataView, offset: number): void {
    const mark =
      offset + 8 > bytes.byteLength
        ? 0
        : (hash(state.at, bytes.getInt32(offset, true), bytes.getInt32(offset + 4, true)) >>> 2) &
          (seenSize - 1);
    this.#isKept = this.#seen[mark] !== 0;
    this.#seen[mark] = 1;
    this.#from = offset;
    this.#fromOut = state.batch.length;
    this.#node = state.at;
    this.#ipUpper = (state.ipLow & 0xffff0000) | state.bitness;
    this.#ipHigh = state.ipHigh;
    state.calls.mark();
  }

  /** @returns whether the stretch must end at `offset`, or better does */
  isFull(state: FlowState, offset: number): boolean {
    const size = offset - this.#from;
    return (
      size >= minBytes && (StretchCache.#isBoundary(state.at) || size > maxBytes - maxPacketBytes)
    );
  }

  /** What ran since `begin` cannot be repeated. */
  abandon(): void {
    this.#from = -1;
  }

  /** Ends the stretch before `offset`, and keeps it. */
  end(state: FlowState, bytes: DataView, offset: number): void {
    const from = this.#from;
    this.#from = -1;
    if (!this.#isKept) return;
    const size = offset - from;
    const run = state.batch.length - this.#fromOut;
    const { calls, batch } = state;
    const { entries } = batch;
    if (size < minBytes || size > maxBytes || run > maxRun || !calls.isPushedKnown) return;
    const words = (size + 3) >> 2;
    const length = Field.bytes + words + calls.poppedLength + calls.pushedLength + run;
    this.#reserve(length);
    const pool = this.#pool;
    const entry = this.#poolLength;
    this.#poolLength = (entry + length + alignment - 1) & -alignment;
    pool[entry] = this.#node;
    pool[entry + Field.ipUpper] = this.#ipUpper;
    pool[entry + Field.ipHigh] = this.#ipHigh;
    pool[entry + Field.lengths] = size | (run << 8);
    pool[entry + Field.nextNode] = state.at;
    pool[entry + Field.nextIpLow] = state.ipLow;
    pool[entry + Field.nextIpHigh] = state.ipHigh;
    pool[entry + Field.calls] = calls.poppedLength | (calls.pushedLength << 8);
    let at = entry + Field.bytes;
    for (let i = 0; i < size; i += 4) pool[at++] = wordAt(bytes, from + i, size - i);
    for (let i = 0; i < calls.poppedLength; i++) pool[at++] = calls.popped[i];
    calls.copyPushed(pool, at);
    at += calls.pushedLength;
    for (let i = this.#fromOut; i < state.batch.length; i++) pool[at++] = entries[i];
    this.#insert(entry);
  }

  #insert(entry: number): void {
    const pool = this.#pool;
    const slots = this.#slots;
    const mask = slots.length - 1;
    const first = pool[entry + Field.bytes];
    let slot = hash(pool[entry], first, pool[entry + Field.bytes + 1]) & mask;
    for (let probe = 1; slots[slot] !== 0 && probe < probes; probe++) slot = (slot + 1) & mask;
    if (slots[slot] === 0) this.#count++;
    slots[slot] = entry;
  }

  #reserve(length: number): void {
    if (this.#poolLength + length + 4 > maxPoolInts) {
      this.#slots.fill(0);
      this.#count = 0;
      this.#poolLength = alignment;
    }
    if (this.#poolLength + length + 4 > this.#pool.length) {
      // In large steps: what is copied at each is little, and memory that is not touched costs nothing.
      const larger = new Int32Array(this.#pool.length * 8);
      larger.set(this.#pool);
      this.#pool = larger;
      this.#poolView = new DataView(larger.buffer);
    }
    if (this.#count * 2 >= this.#slots.length) {
      const old = this.#slots;
      this.#slots = new Int32Array(old.length * 4);
      this.#count = 0;
      for (const entry of old) if (entry !== 0) this.#insert(entry);
    }
  }
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
