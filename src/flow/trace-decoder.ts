import type { Address } from '../base/address.ts';
import type { AddressSpace } from '../image/address-space.ts';
import { Ext, findPsb, IpPacket, ipBytes, Opcode, packetLength, psbBytes } from '../pt/packet.ts';
import type { Bitness } from '../x86/block-reader.ts';
import { Transfer } from '../x86/transfer.ts';
import type { BlockSink, BlockSource, BlockTable, TraceSummary } from './blocks.ts';
import { CodeCache } from './code-cache.ts';
import { ControlFlowGraph, isDirect } from './control-flow-graph.ts';
import type { Gap, GapReason, Mark } from './mark.ts';

export interface TraceDecoderOptions {
  readonly space: AddressSpace;
  /** The raw trace; chunks may be cut anywhere. */
  readonly input: Uint8Array | AsyncIterable<Uint8Array>;
  /** Shared by the traces of a corpus; a private one when absent. */
  readonly codeCache?: CodeCache;
}

/** Room for blocks in one batch. */
const batchSize = 1 << 16;
/** Direct jumps and calls in a row without any trace packet, past which a loop cannot end by itself. */
const maxDirectRun = 1 << 14;
/** Compressed returns reach this many calls back. SDM "RET compression". */
const returnStackSize = 64;
/** Bits of one short TNT packet, and of each piece that a long one is cut into. */
const keyBits = 6;
/** Keys are outcome bits under a stop bit: 1 = no bit left. */
const emptyKey = 1;
const keySpace = 1 << (keyBits + 1);
/** Walks, and their index, are forgotten past this many integers (32 MiB) each, so that memory is bounded. */
const maxWalkInts = 1 << 23;

/** How a memoised walk ended. */
const Walk = {
  /** All bits used: `next` starts the block that comes next. */
  done: 0,
  /** At a compressed return whose call lies before the walk: pop, then go on with `rest`. */
  pop: 1,
  /** `next` needs a TIP (or its code is missing), with `rest` still to use. */
  stall: 2,
  /** A compressed return was not taken, which cannot be. */
  mismatch: 3,
  /** Too many direct transfers in a row. */
  endless: 4,
} as const;

/**
 * A walk in `#walks`: next node, packed status and lengths, number of pushes; then the emitted blocks,
 * then the pushed calls. All in one place, because a look-up costs cache misses more than anything.
 */
const walkHeader = 3;
/** Packed: status in bits 0..2, key of the rest in bits 3..9, number of emitted blocks above. */
const statusMask = 7;
const restShift = 3;
const lengthShift = restShift + keyBits + 1;

/**
 * Reconstructs executed blocks from Intel PT.
 *
 * The decoder stands at the start of a block that execution reached (`at`) and has emitted
 * everything before it. A packet moves it on: TNT bits over conditional branches and compressed
 * returns, TIP over other indirect transfers. Direct transfers cost nothing, so that a FUP can still
 * stop the walk anywhere before the next decision.
 *
 * Walks are memoised: a pair of node and TNT byte always emits the same run of blocks, up to a
 * return whose call lies outside of it.
 *
 * @see Intel SDM vol. 3, "Intel Processor Trace"; the rules for returns and deferred TIPs are in
 *   "Change of Flow Instruction Tracing"
 */
export class TraceDecoder implements BlockSource {
  readonly #graph: ControlFlowGraph;
  readonly #marks: Mark[] = [];
  readonly #input: TraceDecoderOptions['input'];
  #sink: BlockSink = () => {};

  readonly #out: Int32Array = new Int32Array(batchSize);
  #outLength = 0;
  #batchMarks = 0;
  /** Trace offset of the first packet of the current batch. */
  #batchOffset = 0;
  #batchTime: number | undefined;
  #time: number | undefined;

  /** Node that execution has reached; -1 while tracing is off. */
  #at = -1;
  #bitness: Bitness = 64;
  /** Outcome bits that wait for a TIP, oldest first. */
  #queue: number[] = [];

  readonly #returns: Int32Array = new Int32Array(returnStackSize);
  #returnTop = 0;
  #returnDepth = 0;

  /** Last IP: bits 0..31, and the rest as a multiple of 2^32. */
  #ipLow = 0;
  #ipHigh = 0;

  /** First walk of a node in `#walkIndex`; -1 = none yet. */
  #walkBase = new Int32Array(4096).fill(-1);
  /** Position of a walk in `#walks` by node base and key; 0 = not walked yet. */
  #walkIndex = new Int32Array(keySpace * 1024);
  #walkIndexLength = 0;
  #walks = new Int32Array(1 << 16);
  /** 0 stands for a walk not made yet. */
  #walksLength = 1;

  /** Where the last TIP of a node went: address and node. */
  #tipAddress = new Float64Array(4096).fill(Number.NaN);
  #tipNode = new Int32Array(4096);

  /** Trace offset of byte 0 of the current buffer. */
  #bufferOffset = 0;
  #isSynchronized = false;
  /** Offset at which synchronisation was lost. */
  #lostAt = 0;
  #inPsb = false;
  /** A FUP that waits for the packet that says what it is for. */
  #fup: Address | undefined;
  /** The next FUP belongs to a packet that only tells where it happened. */
  #fupIsBound = false;
  #afterOverflow = false;

  #openGap: { mark: number; gap: Gap; from: number } | undefined;
  #blockCount = 0;
  #overflows = 0;
  #bytesLost = 0;
  #asyncTransfers = 0;
  #gaps = 0;

  constructor(options: TraceDecoderOptions) {
    this.#graph = new ControlFlowGraph(options.space, options.codeCache ?? new CodeCache());
    this.#input = options.input;
  }

  get blocks(): BlockTable {
    return this.#graph;
  }

  get marks(): readonly Mark[] {
    return this.#marks;
  }

  async run(
    sink: BlockSink,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<TraceSummary> {
    this.#sink = sink;
    let end = 0;
    if (this.#input instanceof Uint8Array) {
      const used = this.#consume(this.#input);
      this.#bufferOffset = used;
      end = this.#input.length;
    } else {
      let rest: Uint8Array = new Uint8Array(0);
      for await (const chunk of this.#input) {
        options.signal?.throwIfAborted();
        const buffer = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
        const used = this.#consume(buffer);
        this.#bufferOffset += used;
        rest = buffer.slice(used);
      }
      end = this.#bufferOffset + rest.length;
    }
    this.#finish(end);
    return {
      traceBytes: end,
      blocks: this.#blockCount,
      distinctBlocks: this.#graph.length,
      gaps: this.#gaps,
      overflows: this.#overflows,
      bytesLost: this.#bytesLost,
      asyncTransfers: this.#asyncTransfers,
    };
  }

  /** Decodes whole packets from `bytes`. @returns how many bytes it used */
  #consume(bytes: Uint8Array): number {
    const end = bytes.length;
    let offset = 0;
    while (offset < end) {
      if (!this.#isSynchronized) {
        const found = findPsb(bytes, offset);
        if (found < 0) return Math.max(offset, end - psbBytes + 1);
        offset = found;
        this.#synchronize(this.#bufferOffset + offset);
      }
      const byte = bytes[offset];
      if ((byte & 1) === 0 && byte > Opcode.ext) {
        offset = this.#consumeTnts(bytes, offset, end);
        continue;
      }
      if (byte === Opcode.pad) {
        offset++;
        continue;
      }
      const length = packetLength(bytes, offset, end);
      if (length === 0) return offset;
      if (length < 0) {
        this.#lose('unknown-packet', this.#bufferOffset + offset);
        // The byte is skipped, so that a PSB cut by it is still found.
        offset++;
        continue;
      }
      this.#packet(bytes, offset);
      // A packet that broke the flow is looked at again for the PSB that may begin there.
      offset += length;
    }
    return offset;
  }

  /** The hot loop: short TNT packets in a row. @returns offset of the first byte that is none */
  #consumeTnts(bytes: Uint8Array, from: number, end: number): number {
    let offset = from;
    this.#fup = undefined;
    const entries = this.#out;
    while (offset < end) {
      if (this.#at < 0 || this.#queue.length > 0) {
        // Bits while tracing is off, or while others wait for a TIP: they do not fit the code.
        const byte = bytes[offset];
        if ((byte & 1) !== 0 || byte <= Opcode.ext || !this.#isSynchronized) return offset;
        this.#lose('mismatch', this.#bufferOffset + offset);
        return offset + 1;
      }
      // Whole bytes whose walk is known and ends at a block: nothing but look-ups.
      const bases = this.#walkBase;
      const index = this.#walkIndex;
      const walks = this.#walks;
      let at = this.#at;
      let out = this.#outLength;
      let byte = 0;
      for (; offset < end; offset++) {
        byte = bytes[offset];
        if ((byte & 1) !== 0 || byte <= Opcode.ext) break;
        const base = bases[at];
        if (base < 0) break;
        const walk = index[base + (byte >> 1)];
        if (walk === 0) break;
        const packed = walks[walk + 1];
        if ((packed & statusMask) !== Walk.done) break;
        const stop = walk + walkHeader + (packed >>> lengthShift);
        if (out + stop - walk > batchSize) break;
        for (let i = walk + walkHeader; i < stop; i++) entries[out++] = walks[i];
        if (walks[walk + 2] > 0) this.#push(walks, stop, walks[walk + 2]);
        at = walks[walk];
      }
      this.#at = at;
      this.#outLength = out;
      if (offset === end || (byte & 1) !== 0 || byte <= Opcode.ext) return offset;
      offset++;
      this.#bits(byte >> 1, offset - 1);
      if (!this.#isSynchronized) return offset;
    }
    return offset;
  }

  /** Follows the outcomes in `key`; what has to wait for a TIP goes to the queue. */
  #bits(key: number, offset: number): void {
    let at = this.#at;
    let rest = key;
    for (;;) {
      const base = this.#walkBase[at];
      let walk = base < 0 ? 0 : this.#walkIndex[base + rest];
      if (walk === 0) walk = this.#walk(at, rest);
      const walks = this.#walks;
      const packed = walks[walk + 1];
      const length = packed >>> lengthShift;
      if (this.#outLength + length > batchSize) this.#flush(this.#bufferOffset + offset);
      const entries = this.#out;
      let out = this.#outLength;
      const stop = walk + walkHeader + length;
      for (let i = walk + walkHeader; i < stop; i++) entries[out++] = walks[i];
      this.#outLength = out;
      const pushes = walks[walk + 2];
      if (pushes > 0) this.#push(walks, stop, pushes);
      const status = packed & statusMask;
      at = walks[walk];
      if (status === Walk.done) {
        this.#at = at;
        return;
      }
      rest = (packed >> restShift) & (keySpace - 1);
      if (status === Walk.pop) {
        if (this.#returnDepth === 0) {
          this.#lose('mismatch', this.#bufferOffset + offset);
          return;
        }
        this.#returnDepth--;
        this.#returnTop = (this.#returnTop - 1) & (returnStackSize - 1);
        const call = this.#returns[this.#returnTop];
        const next = this.#graph.next[call];
        at = next >= 0 ? next : this.#nextOf(call);
        if (rest === emptyKey) {
          this.#at = at;
          return;
        }
        continue;
      }
      this.#at = at;
      if (status === Walk.stall) {
        if (this.#graph.kind[at] === Transfer.none) {
          this.#lose(this.#graph.deadReason(at), this.#bufferOffset + offset);
        } else if (rest !== emptyKey) {
          this.#queue.push(rest);
        }
        return;
      }
      this.#lose(status === Walk.endless ? 'endless' : 'mismatch', this.#bufferOffset + offset);
      return;
    }
  }

  #push(calls: Int32Array, from: number, count: number): void {
    let top = this.#returnTop;
    for (let i = 0; i < count; i++) {
      this.#returns[top] = calls[from + i];
      top = (top + 1) & (returnStackSize - 1);
    }
    this.#returnTop = top;
    this.#returnDepth = Math.min(returnStackSize, this.#returnDepth + count);
  }

  /**
   * Walks from `start` over the outcomes in `key` and remembers the way. With `emptyKey` it goes up
   * to the next transfer that needs the trace.
   *
   * @returns position in `#walks`
   */
  #walk(start: number, key: number): number {
    const graph = this.#graph;
    const run: number[] = [];
    const pushes: number[] = [];
    let at = start;
    let rest = key;
    let status: number = Walk.done;
    let direct = 0;
    for (;;) {
      const kind = graph.kind[at];
      if (isDirect(kind)) {
        if (++direct > maxDirectRun) {
          status = Walk.endless;
          break;
        }
        const next = graph.targetOf(at);
        run.push(at);
        // `call` to the next instruction only reads the instruction pointer; no return will match it.
        if (kind === Transfer.call && graph.address[next] !== graph.address[at] + graph.size[at]) {
          pushes.push(at);
        }
        at = next;
        // A run must fit a batch.
        if (rest === emptyKey) continue;
      } else if (rest === emptyKey) {
        status = Walk.stall;
        break;
      } else if (kind === Transfer.jcc) {
        run.push(at);
        const isTaken = topBit(rest);
        rest = dropTopBit(rest);
        at = isTaken ? graph.targetOf(at) : graph.nextOf(at);
      } else if (kind === Transfer.ret) {
        if (!topBit(rest)) {
          status = Walk.mismatch;
          break;
        }
        rest = dropTopBit(rest);
        run.push(at);
        const call = pushes.pop();
        if (call === undefined) {
          status = Walk.pop;
          break;
        }
        at = graph.nextOf(call);
      } else {
        status = Walk.stall;
        break;
      }
      if (rest === emptyKey && key !== emptyKey) {
        status = Walk.done;
        break;
      }
    }
    this.#growNodes();
    return this.#remember(start, key, [status, run, pushes, at, rest]);
  }

  #remember(
    start: number,
    key: number,
    [status, run, pushes, next, rest]: [number, number[], number[], number, number],
  ): number {
    if (this.#walkIndexLength >= maxWalkInts || this.#walksLength >= maxWalkInts) {
      // Damaged traces reach ever new code; walks are only a memory of what the graph knows.
      this.#walkBase.fill(-1);
      this.#walkIndex.fill(0, 0, this.#walkIndexLength);
      this.#walkIndexLength = 0;
      this.#walksLength = 1;
    }
    if (this.#walkBase[start] < 0) {
      this.#walkBase[start] = this.#walkIndexLength;
      this.#walkIndexLength += keySpace;
      this.#walkIndex = grown(this.#walkIndex, this.#walkIndexLength);
    }
    const walk = this.#walksLength;
    this.#walksLength += walkHeader + run.length + pushes.length;
    this.#walks = grown(this.#walks, this.#walksLength);
    const walks = this.#walks;
    walks[walk] = next;
    walks[walk + 1] = status | (rest << restShift) | (run.length << lengthShift);
    walks[walk + 2] = pushes.length;
    walks.set(run, walk + walkHeader);
    walks.set(pushes, walk + walkHeader + run.length);
    this.#walkIndex[this.#walkBase[start] + key] = walk;
    return walk;
  }

  /** Goes on to the next transfer that needs the trace, emitting what lies between. @returns its node */
  #toDecision(offset: number): number {
    const at = this.#at;
    const kind = this.#graph.kind[at];
    if (!isDirect(kind)) return at;
    this.#bits(emptyKey, offset);
    return this.#at;
  }

  /** A node whose tables may not have grown yet. */
  #nextOf(node: number): number {
    const next = this.#graph.nextOf(node);
    this.#growNodes();
    return next;
  }

  #nodeAt(address: Address): number {
    const node = this.#graph.nodeAt(address, this.#bitness);
    this.#growNodes();
    return node;
  }

  #growNodes(): void {
    const nodes = this.#graph.length;
    if (nodes <= this.#walkBase.length) return;
    const size = this.#graph.kind.length;
    const base = new Int32Array(size).fill(-1);
    base.set(this.#walkBase);
    this.#walkBase = base;
    const tips = new Float64Array(size).fill(Number.NaN);
    tips.set(this.#tipAddress);
    this.#tipAddress = tips;
    const nodesOfTips = new Int32Array(size);
    nodesOfTips.set(this.#tipNode);
    this.#tipNode = nodesOfTips;
  }

  /** Any packet but PAD and short TNT. */
  #packet(bytes: Uint8Array, offset: number): void {
    const byte = bytes[offset];
    const traceOffset = this.#bufferOffset + offset;
    switch (byte & 0x1f) {
      case IpPacket.tip:
      case IpPacket.tipPge:
      case IpPacket.tipPgd:
      case IpPacket.fup:
        if ((byte & 3) === 3) break;
        this.#ipPacket(bytes, offset, byte, traceOffset);
        return;
    }
    if (byte === Opcode.ext) {
      this.#extPacket(bytes, offset, traceOffset);
      return;
    }
    if (byte === Opcode.mode) {
      this.#mode(bytes[offset + 1]);
    } else if (byte === Opcode.tsc) {
      const view = new DataView(bytes.buffer, bytes.byteOffset + offset + 1, 7);
      this.#time =
        view.getUint32(0, true) + (view.getUint16(4, true) + view.getUint8(6) * 65536) * 2 ** 32;
      this.#batchTime ??= this.#time;
    }
  }

  #mode(payload: number): void {
    switch (payload >> 5) {
      case 0:
        this.#bitness = payload & 1 ? 64 : payload & 2 ? 32 : 16;
        break;
      case 1:
        // MODE.TSX: begin and commit only say where; an abort is an asynchronous branch.
        // In PSB+ it is status, and no FUP belongs to it.
        if (!this.#inPsb) this.#fupIsBound = (payload & 2) === 0;
        break;
    }
  }

  #ipPacket(bytes: Uint8Array, offset: number, byte: number, traceOffset: number): void {
    const size = ipBytes[byte >> 5];
    const view = bytes;
    const p = offset + 1;
    switch (size) {
      case 2:
        this.#ipLow = ((this.#ipLow & ~0xffff) | view[p] | (view[p + 1] << 8)) >>> 0;
        break;
      case 4:
        this.#ipLow =
          (view[p] | (view[p + 1] << 8) | (view[p + 2] << 16) | (view[p + 3] << 24)) >>> 0;
        break;
      case 6: {
        this.#ipLow =
          (view[p] | (view[p + 1] << 8) | (view[p + 2] << 16) | (view[p + 3] << 24)) >>> 0;
        const high = view[p + 4] | (view[p + 5] << 8);
        const isUpdate = byte >> 5 === 4;
        const sign = isUpdate ? Math.floor(this.#ipHigh / 65536) : high & 0x8000 ? -1 : 0;
        this.#ipHigh = sign * 65536 + high;
        break;
      }
      case 8:
        this.#ipLow =
          (view[p] | (view[p + 1] << 8) | (view[p + 2] << 16) | (view[p + 3] << 24)) >>> 0;
        this.#ipHigh = view[p + 4] | (view[p + 5] << 8) | (view[p + 6] << 16) | (view[p + 7] << 24);
        break;
    }
    const ip = size === 0 ? undefined : this.#ipHigh * 0x1_0000_0000 + this.#ipLow;
    if (ip !== undefined && !Number.isSafeInteger(ip)) {
      this.#lose('address-out-of-range', traceOffset);
      return;
    }
    switch (byte & 0x1f) {
      case IpPacket.tip:
        this.#tip(ip, traceOffset);
        break;
      case IpPacket.tipPge:
        this.#enable(ip, traceOffset);
        break;
      case IpPacket.tipPgd:
        this.#disable(traceOffset);
        break;
      case IpPacket.fup:
        this.#flowUpdate(ip, traceOffset);
        break;
    }
  }

  #tip(ip: Address | undefined, traceOffset: number): void {
    if (this.#fup !== undefined) {
      const from = this.#fup;
      this.#fup = undefined;
      if (ip === undefined) {
        this.#lose('mismatch', traceOffset);
        return;
      }
      if (!this.#walkTo(from, traceOffset)) return;
      if (!this.#isFarTransfer(from)) {
        this.#interrupt(from, ip, traceOffset);
        this.#at = this.#nodeAt(ip);
        return;
      }
    }
    if (this.#at < 0) {
      this.#lose('mismatch', traceOffset);
      return;
    }
    const at = this.#toDecision(traceOffset - this.#bufferOffset);
    if (!this.#isSynchronized) return;
    const kind = this.#graph.kind[at];
    if (kind === Transfer.none) {
      this.#lose(this.#graph.deadReason(at), traceOffset);
      return;
    }
    // The IP is left out only where the target lies in code that is not traced.
    if (kind === Transfer.jcc || ip === undefined) {
      this.#lose('mismatch', traceOffset);
      return;
    }
    this.#emit(at, traceOffset);
    if (kind === Transfer.icall) this.#pushCall(at);
    if (this.#tipAddress[at] === ip && this.#graph.bitnessOf(this.#tipNode[at]) === this.#bitness) {
      this.#at = this.#tipNode[at];
    } else {
      this.#at = this.#nodeAt(ip);
      this.#tipAddress[at] = ip;
      this.#tipNode[at] = this.#at;
    }
    this.#drain(traceOffset);
  }

  /** Event trace also gives a FUP to IRET and others, whose TIP is an ordinary one. */
  #isFarTransfer(ip: Address): boolean {
    const { kind, address, lastInstruction } = this.#graph;
    const at = this.#at;
    return kind[at] === Transfer.far && ip === address[at] + lastInstruction[at];
  }

  /** Uses the bits that waited for a TIP. */
  #drain(traceOffset: number): void {
    const queue = this.#queue;
    while (queue.length > 0 && this.#isSynchronized) {
      const key = queue.shift()!;
      const waiting = queue.splice(0);
      this.#bits(key, traceOffset - this.#bufferOffset);
      const isStalled = queue.length > 0;
      queue.push(...waiting);
      if (isStalled) return;
    }
  }

  #pushCall(node: number): void {
    this.#returns[this.#returnTop] = node;
    this.#returnTop = (this.#returnTop + 1) & (returnStackSize - 1);
    this.#returnDepth = Math.min(returnStackSize, this.#returnDepth + 1);
  }

  #enable(ip: Address | undefined, traceOffset: number): void {
    this.#settleFup();
    this.#afterOverflow = false;
    if (ip === undefined) {
      this.#lose('mismatch', traceOffset);
      return;
    }
    const node = this.#nodeAt(ip);
    const paused = this.#pausedAt;
    this.#pausedAt = undefined;
    if (paused !== undefined && paused.ip === ip) {
      // Execution goes on where it was interrupted; the block has not ended in between.
      this.#at = paused.node;
    } else {
      if (paused !== undefined) this.#interrupt(paused.ip, ip, traceOffset, paused.node);
      else if (this.#leftByBranch) this.#resume(ip, traceOffset);
      this.#at = node;
    }
    this.#leftByBranch = false;
    this.#closeGap(traceOffset);
  }

  /**
   * A return or an indirect branch led to code that is not traced (an address filter): what runs
   * next in traced code is not where that branch went.
   */
  #leftByBranch = false;

  #resume(to: Address, traceOffset: number): void {
    this.#asyncTransfers++;
    this.#mark({ kind: 'async', traceOffset, from: undefined, to }, traceOffset);
  }

  /** Where an asynchronous event turned tracing off. */
  #pausedAt: { readonly ip: Address; readonly node: number } | undefined;

  #disable(traceOffset: number): void {
    if (this.#fup !== undefined) {
      const from = this.#fup;
      this.#fup = undefined;
      if (!this.#walkTo(from, traceOffset)) return;
      this.#pausedAt = { ip: from, node: this.#at };
      this.#at = -1;
      return;
    }
    if (this.#at < 0) return;
    const at = this.#toDecision(traceOffset - this.#bufferOffset);
    if (!this.#isSynchronized) return;
    const kind = this.#graph.kind[at];
    if (kind === Transfer.none) {
      this.#lose(this.#graph.deadReason(at), traceOffset);
      return;
    }
    this.#emit(at, traceOffset);
    if (kind === Transfer.icall) this.#pushCall(at);
    if (this.#queue.length > 0) {
      this.#lose('mismatch', traceOffset);
      return;
    }
    this.#at = -1;
    this.#leftByBranch = kind !== Transfer.syscall && kind !== Transfer.far;
  }

  #flowUpdate(ip: Address | undefined, traceOffset: number): void {
    if (ip === undefined) return;
    if (this.#inPsb) {
      this.#status(ip, traceOffset);
      return;
    }
    if (this.#afterOverflow) {
      this.#afterOverflow = false;
      this.#at = this.#nodeAt(ip);
      this.#closeGap(traceOffset);
      return;
    }
    if (this.#fupIsBound) {
      this.#fupIsBound = false;
      return;
    }
    this.#settleFup();
    this.#fup = ip;
  }

  /**
   * PSB+ says where execution stands. While flow is known it must get there without any more packets;
   * where it does not, part of the trace is missing, and flow starts anew.
   */
  #status(ip: Address, traceOffset: number): void {
    // Hypervisors' tracers repeat the status of a guest that was stopped there and still is.
    if (this.#pausedAt?.ip === ip) return;
    if (this.#at >= 0 && this.#queue.length === 0) {
      if (this.#walkTo(ip, traceOffset)) return;
    } else if (this.#at >= 0 || this.#pausedAt !== undefined) {
      // Bits still wait for a TIP, or tracing was off: a packet is missing before this PSB.
      this.#lose('mismatch', traceOffset);
    }
    this.#isSynchronized = true;
    this.#inPsb = true;
    this.#at = this.#nodeAt(ip);
  }

  /** A FUP that no TIP or PGD followed only told where something happened. */
  #settleFup(): void {
    this.#fup = undefined;
  }

  #extPacket(bytes: Uint8Array, offset: number, traceOffset: number): void {
    const byte = bytes[offset + 1];
    switch (byte) {
      case Ext.psb:
        // A batch ends here, so that its offset points at most one PSB period before its blocks.
        this.#flush(traceOffset);
        this.#ipLow = 0;
        this.#ipHigh = 0;
        this.#inPsb = true;
        return;
      case Ext.psbend:
        this.#inPsb = false;
        if (this.#at >= 0) this.#closeGap(traceOffset);
        return;
      case Ext.ovf:
        this.#overflow(traceOffset);
        return;
      case Ext.tnt64:
        this.#longTnt(bytes, offset, traceOffset);
        return;
      case Ext.exstopIp:
      case Ext.bepIp:
        this.#fupIsBound = true;
        return;
      case Ext.cfe:
        // Its FUP also belongs to the TIP or TIP.PGD of the event, if one follows.
        return;
    }
    if ((byte & 0x1f) === 0x12) this.#fupIsBound = (byte & 0x80) !== 0;
  }

  /** 47 outcomes at most, under a stop bit, oldest highest. */
  #longTnt(bytes: Uint8Array, offset: number, traceOffset: number): void {
    if (this.#fup !== undefined) this.#settleFup();
    if (this.#at < 0 || this.#queue.length > 0) {
      this.#lose('mismatch', traceOffset);
      return;
    }
    const keys: number[] = [];
    let key = 0;
    for (let bit = 47; bit >= 0; bit--) {
      const value = (bytes[offset + 2 + (bit >> 3)] >> (bit & 7)) & 1;
      if (key === 0) {
        key = value;
        continue;
      }
      key = (key << 1) | value;
      if (key >= keySpace >> 1) {
        keys.push(key);
        key = emptyKey;
      }
    }
    if (key === 0) {
      this.#lose('unknown-packet', traceOffset);
      return;
    }
    if (key !== emptyKey) keys.push(key);
    this.#queue.push(...keys);
    this.#drain(traceOffset);
  }

  #overflow(traceOffset: number): void {
    this.#overflows++;
    this.#fup = undefined;
    this.#pausedAt = undefined;
    this.#dropState();
    this.#startGap('overflow', traceOffset, undefined);
    this.#afterOverflow = true;
    this.#inPsb = false;
  }

  /** Emits blocks up to the one that holds `ip`. @returns whether it lies on the way */
  #walkTo(ip: Address, traceOffset: number): boolean {
    if (this.#at < 0) {
      this.#lose('mismatch', traceOffset);
      return false;
    }
    const graph = this.#graph;
    for (let steps = 0; steps < maxDirectRun; steps++) {
      const at = this.#at;
      const into = ip - graph.address[at];
      if (into >= 0 && (into < graph.size[at] || (into === 0 && graph.size[at] === 0))) return true;
      const kind = graph.kind[at];
      if (!isDirect(kind)) break;
      this.#emit(at, traceOffset);
      this.#at = graph.targetOf(at);
      this.#growNodes();
      if (kind === Transfer.call && this.#at !== graph.nextOf(at)) this.#pushCall(at);
      this.#growNodes();
    }
    const isDead = graph.kind[this.#at] === Transfer.none;
    this.#lose(isDead ? graph.deadReason(this.#at) : 'mismatch', traceOffset);
    return false;
  }

  /** Flow moved from the middle of block `node` (or its start) to somewhere else. */
  #interrupt(from: Address, to: Address, traceOffset: number, node: number = this.#at): void {
    if (from > this.#graph.address[node]) this.#emit(node, traceOffset);
    this.#asyncTransfers++;
    this.#mark({ kind: 'async', traceOffset, from, to }, traceOffset);
  }

  #emit(node: number, traceOffset: number): void {
    if (this.#outLength === batchSize) this.#flush(traceOffset);
    this.#out[this.#outLength++] = node;
  }

  #mark(mark: Mark, traceOffset: number): void {
    const index = this.#marks.push(mark) - 1;
    this.#emit(~index, traceOffset);
    this.#batchMarks++;
  }

  #flush(traceOffset: number): void {
    const length = this.#outLength;
    this.#outLength = 0;
    if (length > 0) {
      this.#blockCount += length - this.#batchMarks;
      this.#batchMarks = 0;
      this.#sink({
        entries: this.#out,
        length,
        traceOffset: this.#batchOffset,
        time: this.#batchTime,
      });
    }
    this.#batchOffset = traceOffset;
    this.#batchTime = this.#time;
  }

  #dropState(): void {
    this.#at = -1;
    this.#queue.length = 0;
    this.#returnDepth = 0;
  }

  /** Flow is lost until the next PSB. */
  #lose(reason: GapReason, traceOffset: number): void {
    const address = this.#at >= 0 ? this.#graph.address[this.#at] : undefined;
    this.#startGap(reason, traceOffset, address);
    this.#dropState();
    this.#pausedAt = undefined;
    this.#fup = undefined;
    this.#fupIsBound = false;
    this.#afterOverflow = false;
    this.#inPsb = false;
    this.#isSynchronized = false;
    this.#lostAt = traceOffset;
  }

  #startGap(reason: GapReason, traceOffset: number, address: Address | undefined): void {
    // Damage inside a gap makes it longer, not more.
    if (this.#openGap !== undefined) return;
    this.#gaps++;
    const gap: Gap = { kind: 'gap', reason, traceOffset, address, bytesLost: 0 };
    this.#openGap = { mark: this.#marks.length, gap, from: traceOffset };
    this.#mark(gap, traceOffset);
  }

  #closeGap(traceOffset: number): void {
    if (this.#openGap === undefined) return;
    const { mark, gap, from } = this.#openGap;
    const bytesLost = traceOffset - from;
    this.#marks[mark] = { ...gap, bytesLost };
    this.#bytesLost += bytesLost;
    this.#openGap = undefined;
  }

  #synchronize(traceOffset: number): void {
    if (this.#openGap === undefined && traceOffset > this.#lostAt) {
      this.#startGap('not-synchronized', this.#lostAt, undefined);
    }
    this.#isSynchronized = true;
  }

  #finish(end: number): void {
    if (!this.#isSynchronized && this.#openGap === undefined && end > 0) {
      this.#startGap('not-synchronized', 0, undefined);
    } else if (this.#isSynchronized && this.#bufferOffset < end) {
      this.#startGap('truncated', this.#bufferOffset, undefined);
    }
    this.#closeGap(end);
    this.#flush(end);
  }
}

function topBit(key: number): boolean {
  return ((key >> (30 - Math.clz32(key))) & 1) === 1;
}

/** Takes the oldest outcome away; the stop bit moves down. */
function dropTopBit(key: number): number {
  const stop = 1 << (31 - Math.clz32(key));
  const below = stop >> 1;
  return (key & (below - 1)) | below;
}

function grown(array: Int32Array, length: number): Int32Array<ArrayBuffer> {
  if (length <= array.length) return array as Int32Array<ArrayBuffer>;
  const larger = new Int32Array(Math.max(length, array.length * 2));
  larger.set(array);
  return larger;
}
