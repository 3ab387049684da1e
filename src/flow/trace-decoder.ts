import type { Address } from '../base/address.ts';
import type { AddressSpace } from '../image/address-space.ts';
import { type MtcRate, PtClock } from '../pt/clock.ts';
import { type Errata, noErrata } from '../pt/errata.ts';
import {
  Ext,
  findPsb,
  IpPacket,
  isItem,
  itemBytesAfter,
  Opcode,
  packetLength,
  psbBytes,
  Trig,
} from '../pt/packet.ts';
import { Transfer } from '../x86/transfer.ts';
import type { BlockSink, BlockSource, BlockTable, ReadOptions, TraceSummary } from './blocks.ts';
import { CodeCache } from './code-cache.ts';
import { CodeWalker, Walk } from './code-walker.ts';
import { ControlFlowGraph } from './control-flow-graph.ts';
import { FlowState } from './flow-state.ts';
import { GapLog } from './gap-log.ts';
import type { GapReason, Mark } from './mark.ts';
import { PacketContext, Reset } from './packet-context.ts';
import { StretchCache } from './stretch-cache.ts';

export interface TraceDecoderOptions {
  readonly space: AddressSpace;
  /** The raw trace; chunks may be cut anywhere. */
  readonly input: Uint8Array | AsyncIterable<Uint8Array>;
  /** Shared by the traces of a corpus; a private one when absent. */
  readonly codeCache?: CodeCache;
  /** The trace is one thread's part of what a processor ran: calls of other threads were returned from, too. */
  readonly sharesProcessor?: boolean;
  /** Defects of the processor that recorded the trace; none when absent. */
  readonly errata?: Errata;
  /** How MTC packets count, where that is known; else it is worked out from the trace. */
  readonly mtc?: MtcRate | undefined;
  /** End a batch at each packet that tells the time, so that the time of a batch is that of its blocks. */
  readonly isTimed?: boolean;
  /** Past so many distinct blocks or marks the rest of the trace is one gap, so that memory is bounded. */
  readonly maxBlocks?: number;
  readonly maxMarks?: number;
  /**
   * Whoever reads the last marks has read those before: so many are kept, and `maxMarks` does not count. For traces
   * without end. By default all are kept.
   */
  readonly keptMarks?: number;
}

/** Bytes of an input in memory between two looks at the signal. */
const sliceBytes = 1 << 22;
/** Blocks that one packet or stretch may add before the batch is looked at again. */
const packetRoom = 1 << 12;

/** Outcomes of each piece that a long TNT packet is cut into. */
const pieceBits = 24;

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
  readonly #log: GapLog;
  readonly #input: TraceDecoderOptions['input'];
  readonly #sharesProcessor: boolean;
  readonly #errata: Errata;
  readonly #space: AddressSpace;
  readonly #isTimed: boolean;
  readonly #clock: PtClock;
  readonly #maxBlocks: number;
  readonly #maxMarks: number;
  /** `maxBlocks` or `maxMarks` is reached. */
  #isFull = false;

  #time: number | undefined;
  /** MODE.Exec has come. */
  #isModeKnown = false;

  readonly #state: FlowState = new FlowState();
  readonly #walker: CodeWalker;
  /** Trace offset of the packet that the walker follows. */
  #walkOffset = 0;
  readonly #stretches: StretchCache = new StretchCache();
  /** Outcome bits that wait for a TIP, oldest first. */
  #queue: number[] = [];

  readonly #context: PacketContext = new PacketContext();
  /** Trace offset of byte 0 of the current buffer. */
  #bufferOffset = 0;
  /** Bytes that are kept from the buffer before, and how many of them are used: a PSB may have begun in them. */
  #rest: Uint8Array = new Uint8Array(0);
  #used = 0;
  /** Offset at which synchronisation was lost. */
  #lostAt = 0;

  #overflows = 0;
  #crashed = false;
  #asyncTransfers = 0;

  constructor(options: TraceDecoderOptions) {
    this.#graph = new ControlFlowGraph(options.space, options.codeCache ?? new CodeCache());
    this.#input = options.input;
    this.#sharesProcessor = options.sharesProcessor ?? false;
    this.#space = options.space;
    this.#errata = options.errata ?? noErrata;
    this.#isTimed = options.isTimed ?? false;
    this.#clock = new PtClock(options.mtc);
    this.#maxBlocks = options.maxBlocks ?? 1 << 19;
    this.#maxMarks = options.maxMarks ?? 1 << 18;
    this.#log = new GapLog(options.keptMarks ?? Number.MAX_SAFE_INTEGER);
    this.#walker = new CodeWalker(this.#graph, this.#state, () => this.#flush(this.#walkOffset));
  }

  /** The rest of the trace is not decoded: it has more distinct blocks, or marks, than are kept. */
  get isFull(): boolean {
    return this.#isFull;
  }

  get blocks(): BlockTable {
    return this.#graph;
  }

  get marks(): readonly Mark[] {
    return this.#log.marks;
  }

  async run(sink: BlockSink, options: ReadOptions = {}): Promise<TraceSummary> {
    this.begin(sink);
    if (!(this.#input instanceof Uint8Array)) {
      for await (const chunk of this.#input) {
        options.signal?.throwIfAborted();
        this.push(chunk);
        await options.pace?.();
      }
      return this.end();
    }
    const end = this.#input.length;
    for (let stop = 0; stop < end; ) {
      options.signal?.throwIfAborted();
      stop = Math.min(end, Math.max(this.#used, stop) + sliceBytes);
      this.#used = this.#consume(this.#input, this.#used, stop);
      // Whoever holds the signal must come to run.
      if (stop < end) await nextTurn();
      await options.pace?.();
    }
    this.#rest = this.#input;
    return this.end();
  }

  /** For bytes that come by themselves: call `push` with each piece, and `end`, instead of `run`. */
  begin(sink: BlockSink): void {
    this.#state.batch.sink = sink;
  }

  /** @param chunk  cut anywhere; kept until the next one */
  push(chunk: Uint8Array): void {
    const buffer = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const used = this.#consume(buffer, this.#used, buffer.length);
    const from = Math.max(0, used - psbBytes + 1);
    this.#bufferOffset += from;
    this.#rest = buffer.slice(from);
    this.#used = used - from;
  }

  /** Hands on the blocks that are known so far. What the next packets decide is not among them. */
  handOn(): void {
    this.#flush(this.#bufferOffset + this.#used);
  }

  /** Between two pieces, bytes were left out, of which a piece may begin anywhere. */
  skip(): void {
    const at = this.#bufferOffset + this.#rest.length;
    this.#bufferOffset = at;
    this.#rest = new Uint8Array(0);
    this.#used = 0;
    if (this.#context.isSynchronized) this.#lose('skipped', at);
  }

  /** No more bytes come. */
  end(): TraceSummary {
    const traceBytes = this.#bufferOffset + this.#rest.length;
    this.#finish(this.#bufferOffset + this.#used, traceBytes);
    return this.summary;
  }

  /** What was in the trace so far. */
  get summary(): TraceSummary {
    return {
      traceBytes: this.#bufferOffset + this.#rest.length,
      blocks: this.#state.batch.blockCount,
      distinctBlocks: this.#graph.length,
      gaps: this.#log.gaps,
      overflows: this.#overflows,
      bytesLost: this.#log.bytesLost,
      asyncTransfers: this.#asyncTransfers,
      crashed: this.#crashed,
    };
  }

  /** Decodes whole packets that begin in `bytes[from..stop)`. @returns offset of the first byte not used */
  #consume(bytes: Uint8Array, from: number, stop: number): number {
    const end = bytes.length;
    const state = this.#state;
    const stretches = this.#stretches;
    const context = this.#context;
    const view = new DataView(bytes.buffer, bytes.byteOffset, end);
    let offset = from;
    while (offset < stop) {
      if (!context.isSynchronized) {
        if (this.#isFull) return stop;
        const found = findPsb(bytes, offset);
        if (found < 0) return Math.max(offset, end - psbBytes + 1);
        offset = found;
        this.#synchronize(this.#bufferOffset + offset);
      }
      const byte = bytes[offset];
      if (context.itemBytes > 0) {
        if (isItem(byte)) {
          if (offset + context.itemBytes > end) break;
          offset += context.itemBytes;
          continue;
        }
        if (packetLength(bytes, offset, end) > 0) {
          context.itemBytes = itemBytesAfter(bytes, offset, context.itemBytes);
        }
      }
      const isOutcomes = (byte & 1) === 0 && byte > Opcode.ext;
      if (isOutcomes || (byte & 0x1f) === IpPacket.tip) {
        context.fupIsBound = false;
        if (context.inPsb) this.#endPsb(this.#bufferOffset + offset);
        if (state.at >= 0 && this.#queue.length === 0 && context.fup === undefined) {
          if (stretches.isRecording && stretches.isFull(state, offset)) {
            stretches.end(state, view, offset);
          }
          if (!stretches.isRecording) {
            const next = stretches.advance(state, view, offset, end);
            if (next > offset) {
              offset = next;
              continue;
            }
            if (!state.batch.hasRoom(packetRoom)) this.#flush(this.#bufferOffset + offset);
            if (this.#isOverLimit()) {
              this.#giveUp(this.#bufferOffset + offset);
              continue;
            }
            stretches.begin(state, view, offset);
          }
        }
        if (isOutcomes) {
          this.#outcomes(byte >> 1, this.#bufferOffset + offset);
          offset++;
          continue;
        }
        if (state.at >= 0 && context.fup === undefined && byte < 0x80 && offset + 7 <= end) {
          const size = state.ip.update(bytes, offset);
          if (size > 1) {
            this.#transfer(this.#bufferOffset + offset);
            // Where flow is lost, the PSB from which it goes on may begin in what was no TIP.
            offset += context.isSynchronized ? size : 1;
            continue;
          }
        }
      } else {
        if (stretches.isRecording) this.#endStretch(view, offset);
        if (byte === Opcode.pad) {
          offset++;
          continue;
        }
      }
      let length = packetLength(bytes, offset, end);
      if (length > 0 && this.#errata !== noErrata) length = this.#trueLength(bytes, offset, length);
      if (length === 0) break;
      if (length < 0) {
        this.#lose('unknown-packet', this.#bufferOffset + offset);
        // A packet that was cut off may have taken the beginning of a PSB for its own end.
        offset = Math.max(0, offset - psbBytes + 1);
        continue;
      }
      this.#packet(bytes, offset);
      offset += context.isSynchronized ? length : 1;
      if (this.#isOverLimit()) this.#giveUp(this.#bufferOffset + offset);
    }
    if (stretches.isRecording) this.#endStretch(view, offset);
    return offset;
  }

  /** Bytes of a packet that a defect of the processor made longer or shorter; 0 when it is cut. */
  #trueLength(bytes: Uint8Array, offset: number, length: number): number {
    const byte = bytes[offset];
    const { skd007, skz84 } = this.#errata;
    if (skd007 && length === 2 && (byte & 7) === 7 && bytes[offset + 1] === Opcode.ext) {
      if (offset + 2 >= bytes.length) return 0;
      // The first byte of a CYC, and an OVF in place of the others.
      if (bytes[offset + 2] === Ext.ovf) return 1;
    }
    if (skz84 && byte === Opcode.ext && bytes[offset + 1] === Ext.tma) {
      const isCorrupted = bytes[offset + 4] !== 0 || (bytes[offset + 6] & 0xfe) !== 0;
      if (isCorrupted) return offset + length < bytes.length ? length + 1 : 0;
    }
    return length;
  }

  #isOverLimit(): boolean {
    return this.#graph.length > this.#maxBlocks || this.#log.marks.length > this.#maxMarks;
  }

  /** The rest of the trace is not decoded. */
  #giveUp(traceOffset: number): void {
    if (this.#isFull) return;
    this.#isFull = true;
    this.#lose('limit', traceOffset);
  }

  /** Keeps the stretch before `offset` where it can be repeated: flow is known, and nothing waits. */
  #endStretch(bytes: DataView, offset: number): void {
    if (this.#state.at < 0 || this.#queue.length > 0) this.#stretches.abandon();
    else this.#stretches.end(this.#state, bytes, offset);
  }

  #outcomes(outcomes: number, traceOffset: number): void {
    if (this.#takesOutcomes(traceOffset)) this.#follow(outcomes, traceOffset);
  }

  /** @returns whether outcomes may come now; a loss is told */
  #takesOutcomes(traceOffset: number): boolean {
    if (this.#isLostAfterOverflow) {
      this.#context.reset(Reset.settled);
      return false;
    }
    // No outcomes come while tracing is off, while others wait for a TIP, or between FUP and TIP.
    if (this.#state.at >= 0 && this.#queue.length === 0 && this.#context.fup === undefined)
      return true;
    this.#lose('mismatch', traceOffset);
    return false;
  }

  /** Follows `outcomes`; those that have to wait for a TIP go to the queue. */
  #follow(outcomes: number, traceOffset: number): void {
    this.#walkOffset = traceOffset;
    const end = this.#walker.follow(outcomes);
    if (end === Walk.done) return;
    if (end !== Walk.stall) {
      this.#lose(end === Walk.endless ? 'endless' : 'mismatch', traceOffset);
    } else if (this.#graph.kind[this.#state.at] === Transfer.none) {
      this.#lose(this.#graph.deadReason(this.#state.at), traceOffset);
    } else {
      this.#queue.push(this.#walker.rest);
    }
  }

  /**
   * Goes on to the next transfer that needs the trace.
   *
   * @returns its node; -1 when flow is lost
   */
  #toDecision(traceOffset: number): number {
    this.#walkOffset = traceOffset;
    if (this.#walker.toDecision() !== Walk.done) {
      this.#lose('endless', traceOffset);
      return -1;
    }
    const { at } = this.#state;
    if (this.#graph.kind[at] !== Transfer.none) return at;
    this.#lose(this.#graph.deadReason(at), traceOffset);
    return -1;
  }

  #nodeAt(address: Address): number {
    // Until MODE.Exec comes, which some tracers leave out, the image says what its code is.
    if (!this.#isModeKnown) this.#state.bitness = this.#space.find(address)?.bits ?? 64;
    return this.#graph.nodeAt(address, this.#state.bitness);
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
      this.#mode(bytes[offset + 1], traceOffset);
    } else if ((byte & 3) === 3 || byte === Opcode.tsc || byte === Opcode.mtc) {
      this.#tick(bytes, offset, traceOffset);
    } else if (byte === Opcode.trig) {
      this.#context.fupIsBound = (bytes[offset + 1] & Trig.hasIp) !== 0;
    }
  }

  /** A packet that tells the time, or goes on from it. */
  #tick(bytes: Uint8Array, offset: number, traceOffset: number): void {
    const clock = this.#clock;
    clock.packet(bytes, offset);
    if (clock.time < 0 || clock.time === this.#time) return;
    this.#time = clock.time;
    if (this.#isTimed) this.#flush(traceOffset);
    this.#state.batch.setTime(clock.time);
  }

  #mode(payload: number, traceOffset: number): void {
    // While tracing is off, MODE belongs to the TIP.PGE that follows, and in PSB+ it is status.
    const isBound = !this.#context.inPsb && (this.#state.at >= 0 || this.#context.afterOverflow);
    if (payload >> 5 === 0) {
      this.#state.bitness = payload & 1 ? 64 : payload & 2 ? 32 : 16;
      this.#isModeKnown = true;
      // Event trace: the interrupt flag changed without a branch. Between FUP and TIP it is the TIP's.
      if (isBound && this.#context.fup === undefined) this.#context.fupIsBound = true;
      if (this.#context.inPsb) this.#statusMode(traceOffset);
    } else if (isBound) {
      // MODE.TSX: begin and commit only say where; an abort is an asynchronous branch.
      this.#context.isAbort = (payload & 2) !== 0;
      this.#context.fupIsBound = !this.#context.isAbort;
    }
  }

  /** PSB+ may tell the mode after the address of the code that it is the mode of. */
  #statusMode(traceOffset: number): void {
    const status = this.#context.statusIp;
    const { at, bitness } = this.#state;
    if (status === undefined || at < 0 || this.#graph.bitnessOf(at) === bitness) return;
    if (!this.#isFresh()) this.#loseToStatus(status, traceOffset);
    this.#restart(status, traceOffset);
  }

  #ipPacket(bytes: Uint8Array, offset: number, byte: number, traceOffset: number): void {
    const { ip: last } = this.#state;
    const ip = last.update(bytes, offset) === 1 ? undefined : last.address;
    if (ip !== undefined && !Number.isSafeInteger(ip)) {
      this.#lose('address-out-of-range', traceOffset);
      return;
    }
    switch (byte & 0x1f) {
      case IpPacket.tip:
        this.#tip(ip, byte >> 5, traceOffset);
        break;
      case IpPacket.tipPge:
        this.#enable(ip, traceOffset);
        break;
      case IpPacket.tipPgd:
        this.#disable(ip, traceOffset);
        break;
      case IpPacket.fup:
        this.#flowUpdate(ip, traceOffset);
        break;
    }
  }

  #tip(ip: Address | undefined, compression: number, traceOffset: number): void {
    if (this.#isLostAfterOverflow) {
      // The last IP is not known, either.
      if (ip !== undefined && (compression === 3 || compression === 6))
        this.#restart(ip, traceOffset);
      return;
    }
    if (this.#context.fup !== undefined) {
      const from = this.#context.fup;
      const isAbort = this.#context.isAbort;
      this.#context.reset(Reset.settled);
      if (ip === undefined || this.#queue.length > 0) {
        this.#lose('mismatch', traceOffset);
        return;
      }
      // BDM64: the target of the branch before the abort is wrong; its block has not been emitted yet.
      if (isAbort && this.#errata.bdm64 && this.#state.at >= 0 && !this.#walker.walkTo(from)) {
        this.#state.at = this.#nodeAt(from);
      }
      if (!this.#walkTo(from, traceOffset)) return;
      this.#interrupt(from, ip, traceOffset);
      this.#state.at = this.#nodeAt(ip);
      return;
    }
    if (this.#state.at < 0) {
      this.#lose('mismatch', traceOffset);
      return;
    }
    // The IP is left out only where the target lies in code that is not traced.
    if (ip === undefined) {
      if (this.#toDecision(traceOffset) >= 0) this.#lose('mismatch', traceOffset);
      return;
    }
    this.#transfer(traceOffset);
  }

  /** Takes the next indirect transfer to the last IP. */
  #transfer(traceOffset: number): void {
    const state = this.#state;
    const at = this.#toDecision(traceOffset);
    if (at < 0) return;
    const kind = this.#graph.kind[at];
    if (kind === Transfer.jcc) {
      this.#lose('mismatch', traceOffset);
      return;
    }
    this.#emit(at, traceOffset);
    if (kind === Transfer.icall) state.calls.push(at);
    else if (kind === Transfer.ret && this.#sharesProcessor) {
      this.#returned(state.ip.address);
    }
    state.at = this.#graph.nodeAtHalves(state.ip.low, state.ip.high, state.bitness);
    if (this.#queue.length > 0) this.#drain(traceOffset);
  }

  /**
   * Threads that take turns on a processor share its stack of calls: where another thread's lie on top,
   * a return is not compressed, and here, where each thread has its own stack, takes its call off.
   */
  #returned(to: Address): void {
    const { calls } = this.#state;
    const call = calls.pop();
    if (call >= 0 && this.#graph.address[call] + this.#graph.size[call] === to) return;
    if (call >= 0) calls.push(call);
    // With other calls on the stack, it would go another way.
    this.#stretches.abandon();
  }

  /** @returns whether `ip` is that of the far transfer that ends the block */
  #isFarTransfer(ip: Address): boolean {
    const { kind, address, lastInstruction } = this.#graph;
    const at = this.#state.at;
    return kind[at] === Transfer.far && ip === address[at] + lastInstruction[at];
  }

  /** Uses the bits that waited for a TIP. */
  #drain(traceOffset: number): void {
    const queue = this.#queue;
    for (let key = queue.shift(); key !== undefined; key = queue.shift()) {
      const waiting = queue.splice(0);
      this.#follow(key, traceOffset);
      if (!this.#context.isSynchronized) return;
      const isStalled = queue.length > 0;
      queue.push(...waiting);
      if (isStalled) return;
    }
  }

  #enable(ip: Address | undefined, traceOffset: number): void {
    this.#context.reset(Reset.tipPge);
    this.#endPsb(traceOffset);
    if (ip === undefined) {
      this.#lose('mismatch', traceOffset);
      return;
    }
    if (this.#state.at >= 0 && !this.#isFresh()) {
      // Tracing is on: the packet that turned it off is missing.
      this.#startGap('mismatch', traceOffset, this.#graph.address[this.#state.at]);
      this.#dropState(Reset.missing);
    }
    const node = this.#nodeAt(ip);
    let paused = this.#context.pausedAt;
    if (paused !== undefined && !this.#graph.startsAt(paused.node, paused.ip)) {
      // No event comes in the middle of an instruction.
      this.#startGap('mismatch', traceOffset, paused.ip);
      this.#dropState(Reset.missing);
      paused = undefined;
    }
    const { leftByBranch } = this.#context;
    this.#context.reset(Reset.resume);
    if (paused !== undefined && paused.ip === ip) {
      // Execution goes on where it was interrupted; the block has not ended in between.
      const isSame = this.#graph.bitnessOf(paused.node) === this.#state.bitness;
      this.#state.at = isSame ? paused.node : node;
    } else if (paused !== undefined && this.#isServed(paused, ip)) {
      this.#emit(paused.node, traceOffset);
      this.#state.at = node;
    } else {
      if (paused !== undefined) this.#interrupt(paused.ip, ip, traceOffset, paused.node);
      else if (leftByBranch) this.#resume(ip, traceOffset);
      this.#state.at = node;
    }
    this.#log.end(traceOffset);
  }

  /** @returns whether INT n, whose TIP.PGD has a FUP, was left for the kernel and came back behind it */
  #isServed(paused: { readonly ip: Address; readonly node: number }, ip: Address): boolean {
    const { kind, address, lastInstruction, size } = this.#graph;
    const { node } = paused;
    const isLast = paused.ip === address[node] + lastInstruction[node];
    if (kind[node] !== Transfer.syscall || !isLast || ip !== address[node] + size[node])
      return false;
    // SYSCALL and SYSENTER have no FUP: that is of an event before them.
    const section = this.#space.find(paused.ip);
    return section?.bytes[paused.ip - section.start] !== 0x0f;
  }

  /** @returns whether execution stands where the last status said, and nothing ran since */
  #isFresh(): boolean {
    const { at, batch } = this.#state;
    return at === this.#statusNode && batch.total === this.#statusCount;
  }

  /** Flow is known again at `ip`: a status, or where tracing went on after an overflow. */
  #restart(ip: Address, traceOffset: number): void {
    const { batch } = this.#state;
    this.#context.reset(Reset.restart);
    this.#state.at = this.#nodeAt(ip);
    this.#statusNode = this.#state.at;
    this.#statusCount = batch.total;
    if (!this.#context.inPsb) this.#log.end(traceOffset);
  }

  #statusNode = -1;
  #statusCount = 0;

  /** SKD010: neither FUP nor TIP.PGE may tell where flow goes on after an overflow. */
  get #isLostAfterOverflow(): boolean {
    return this.#context.afterOverflow && this.#errata.skd010;
  }

  #resume(to: Address, traceOffset: number): void {
    this.#asyncTransfers++;
    this.#mark({ kind: 'async', traceOffset, from: undefined, to }, traceOffset);
  }

  /** @param ip  where flow went, which tracing does not follow; only address filters give it */
  #disable(ip: Address | undefined, traceOffset: number): void {
    const from = this.#context.fup;
    this.#context.reset(Reset.tipPgd);
    this.#endPsb(traceOffset);
    if (this.#state.at < 0 && from === undefined) {
      // It is off: the packet that turned it on is missing, unless there was an overflow (APL11).
      if (this.#context.isOff) {
        this.#startGap('mismatch', traceOffset, undefined);
        this.#dropState(Reset.missing);
      }
      this.#context.isOff = !this.#log.isOpen && this.#context.isSynchronized;
      return;
    }
    if (this.#queue.length > 0) {
      this.#lose('mismatch', traceOffset);
      return;
    }
    if (from !== undefined) {
      // Whether that is where an instruction starts is looked at when tracing goes on: an end is told anyway.
      if (!this.#walkTo(from, traceOffset, false)) return;
      // SKD022: an instruction that turns tracing off by itself, and has ended.
      if (!(this.#errata.skd022 && this.#isFarTransfer(from))) {
        this.#pause(from, true);
        return;
      }
    } else if (ip !== undefined && this.#walker.walkTo(ip)) {
      // A direct jump or call left the traced code, or execution ran on past its end.
      this.#pause(ip, false);
      return;
    }
    const at = this.#toDecision(traceOffset);
    if (at < 0) return;
    const kind = this.#graph.kind[at];
    if (kind === Transfer.jcc && ip !== undefined) {
      const { address } = this.#graph;
      const ends = [address[this.#graph.targetOf(at)], address[this.#graph.nextOf(at)]];
      if (!ends.includes(ip)) {
        this.#lose('mismatch', traceOffset);
        return;
      }
    }
    this.#emit(at, traceOffset);
    if (kind === Transfer.icall) this.#state.calls.push(at);
    this.#state.at = -1;
    this.#context.isOff = true;
    this.#context.leftByBranch = kind !== Transfer.syscall && kind !== Transfer.far;
  }

  /** Tracing stops at `ip`, in the block that execution has reached. */
  #pause(ip: Address, isEvent: boolean): void {
    this.#context.pausedAt = { ip, node: this.#state.at, isEvent };
    this.#state.at = -1;
    this.#context.isOff = true;
    this.#context.leftByBranch = false;
  }

  #flowUpdate(ip: Address | undefined, traceOffset: number): void {
    if (ip === undefined) return;
    if (this.#context.inPsb) {
      this.#status(ip, traceOffset);
      return;
    }
    const isBound = this.#context.fupIsBound;
    this.#context.fupIsBound = false;
    if (this.#context.afterOverflow) this.#restart(ip, traceOffset);
    else if (!isBound) {
      // The TIP of the one before is missing.
      if (this.#context.fup !== undefined) this.#lose('mismatch', traceOffset);
      else this.#context.fup = ip;
    } else if (this.#state.at >= 0) {
      // It tells where something happened, and flow must get there without any more packets.
      if (this.#queue.length > 0) this.#lose('mismatch', traceOffset);
      else this.#walkTo(ip, traceOffset);
    }
  }

  /**
   * PSB+ says where execution stands. While flow is known it must get there without any more packets;
   * where it does not, part of the trace is missing, and flow starts anew.
   */
  #status(ip: Address, traceOffset: number): void {
    // Hypervisors' tracers repeat the status of a guest that was stopped there and still is.
    if (this.#context.pausedAt?.ip === ip) return;
    // BDM70: the status belongs to the TIP.PGE that follows.
    if (this.#context.isOff && this.#errata.bdm70) return;
    this.#context.statusIp = ip;
    if (this.#state.at >= 0 && this.#queue.length === 0) {
      if (this.#isSameMode() && this.#walkTo(ip, traceOffset)) return;
      this.#loseToStatus(ip, traceOffset);
    } else if (this.#state.at >= 0 || this.#context.isOff) {
      // Bits still wait for a TIP, or tracing was off: a packet is missing before this PSB.
      this.#loseToStatus(ip, traceOffset);
    }
    this.#restart(ip, traceOffset);
  }

  /** @returns whether the code that flow goes through has the mode that PSB+ told, as far as it told one */
  #isSameMode(): boolean {
    const { at, bitness } = this.#state;
    return this.#graph.bitnessOf(at) === bitness;
  }

  /** Flow is lost, but this PSB+ says where it goes on, and may tell the mode behind that. */
  #loseToStatus(status: Address, traceOffset: number): void {
    this.#lose('mismatch', traceOffset);
    this.#context.isSynchronized = true;
    this.#context.inPsb = true;
    this.#context.statusIp = status;
  }

  #extPacket(bytes: Uint8Array, offset: number, traceOffset: number): void {
    const byte = bytes[offset + 1];
    switch (byte) {
      case Ext.psb:
        // A batch ends here, so that its offset points at most one PSB period before its blocks.
        this.#flush(traceOffset);
        this.#state.ip.reset();
        this.#context.reset(Reset.psb);
        this.#context.inPsb = true;
        return;
      case Ext.psbend:
        this.#endPsb(traceOffset);
        return;
      case Ext.ovf:
        this.#overflow(traceOffset);
        return;
      case Ext.tma:
      case Ext.cbr:
        this.#tick(bytes, offset, traceOffset);
        return;
      case Ext.tnt64:
        this.#longTnt(bytes, offset, traceOffset);
        return;
      case Ext.exstopIp:
        this.#context.fupIsBound = true;
        return;
      case Ext.bepIp:
        this.#context.fupIsBound = true;
        return;
      case Ext.bbp:
        this.#context.itemBytes = itemBytesAfter(bytes, offset, this.#context.itemBytes);
        return;
      case Ext.cfe:
        // Without the bit, a FUP is that of the event's TIP or TIP.PGD.
        this.#context.fupIsBound = (bytes[offset + 2] & 0x80) !== 0;
        return;
    }
    if ((byte & 0x1f) === 0x12) this.#context.fupIsBound = (byte & 0x80) !== 0;
  }

  /** Packets that PSB+ does not hold end it, where PSBEND is missing. */
  #endPsb(traceOffset: number): void {
    if (!this.#context.inPsb) return;
    this.#context.reset(Reset.psbEnd);
    if (this.#state.at >= 0) this.#log.end(traceOffset);
  }

  /** 47 outcomes at most, under a stop bit, oldest highest. */
  #longTnt(bytes: Uint8Array, offset: number, traceOffset: number): void {
    if (!this.#takesOutcomes(traceOffset)) return;
    const keys: number[] = [];
    let key = 0;
    for (let bit = 47; bit >= 0; bit--) {
      const value = (bytes[offset + 2 + (bit >> 3)] >> (bit & 7)) & 1;
      if (key === 0) {
        key = value;
        continue;
      }
      key = (key << 1) | value;
      if (key >= 1 << pieceBits) {
        keys.push(key);
        key = 1;
      }
    }
    if (key !== 1) keys.push(key);
    this.#queue.push(...keys);
    this.#drain(traceOffset);
  }

  #overflow(traceOffset: number): void {
    this.#overflows++;
    this.#clock.lose();
    const at = this.#context.pausedAt?.node ?? this.#state.at;
    this.#dropState(Reset.ovf);
    // IPs are compressed anew.
    this.#state.ip.reset();
    this.#startGap('overflow', traceOffset, at < 0 ? undefined : this.#graph.address[at]);
    this.#context.afterOverflow = true;
  }

  /**
   * Emits blocks up to the one that holds `ip`.
   *
   * @param isExact  an event comes between two instructions; elsewhere flow is lost
   * @returns whether it lies on the way
   */
  #walkTo(ip: Address, traceOffset: number, isExact: boolean = true): boolean {
    if (this.#state.at < 0) {
      this.#lose('mismatch', traceOffset);
      return false;
    }
    this.#walkOffset = traceOffset;
    const isReached = this.#walker.walkTo(ip);
    if (isReached && (!isExact || this.#graph.startsAt(this.#state.at, ip))) return true;
    const { at } = this.#state;
    const isDead = this.#graph.kind[at] === Transfer.none;
    this.#lose(isDead ? this.#graph.deadReason(at) : 'mismatch', traceOffset);
    return false;
  }

  /** Flow moved from the middle of block `node` (or its start) to somewhere else. */
  #interrupt(from: Address, to: Address, traceOffset: number, node: number = this.#state.at): void {
    if (from > this.#graph.address[node]) this.#emit(node, traceOffset);
    this.#asyncTransfers++;
    this.#mark({ kind: 'async', traceOffset, from, to }, traceOffset);
  }

  #emit(node: number, traceOffset: number): void {
    const { batch } = this.#state;
    if (!batch.hasRoom(1)) this.#flush(traceOffset);
    batch.add(node);
  }

  #mark(untimed: Mark, traceOffset: number): void {
    const { batch } = this.#state;
    const mark = this.#time === undefined ? untimed : { ...untimed, time: this.#time };
    if (!batch.hasRoom(1)) this.#flush(traceOffset);
    batch.addMark(this.#log.add(mark));
  }

  #flush(traceOffset: number): void {
    this.#stretches.abandon();
    this.#state.batch.flush(traceOffset, this.#time);
  }

  /** What execution did so far says nothing about what comes. @param parts  one of `Reset` */
  #dropState(parts: number): void {
    this.#stretches.abandon();
    this.#state.at = -1;
    this.#queue.length = 0;
    this.#state.calls.clear();
    this.#context.reset(parts);
  }

  /** Flow is lost until the next PSB. */
  #lose(reason: GapReason, traceOffset: number): void {
    const address = this.#state.at >= 0 ? this.#graph.address[this.#state.at] : undefined;
    this.#startGap(reason, traceOffset, address);
    this.#dropState(Reset.loss);
    this.#lostAt = traceOffset;
  }

  #startGap(reason: GapReason, traceOffset: number, address: Address | undefined): void {
    const gap = this.#log.begin(reason, traceOffset, address);
    if (gap !== undefined) this.#mark(gap, traceOffset);
  }

  #synchronize(traceOffset: number): void {
    if (!this.#log.isOpen && traceOffset > this.#lostAt) {
      this.#startGap('not-synchronized', this.#lostAt, undefined);
    }
    this.#context.isSynchronized = true;
  }

  /**
   * Flow ends at an event from which it never came back: a crash, or a run that was killed. Nothing of
   * the trace is lost, but that it ended so must be seen, and where, if no code is known there.
   */
  #endAtEvent(end: number): void {
    // TIP.PGD is missing where the trace ends before the processor wrote it.
    const fup = this.#context.fup;
    if (fup !== undefined) {
      this.#context.reset(Reset.settled);
      if (this.#queue.length > 0 || !this.#walkTo(fup, end)) return;
      this.#pause(fup, true);
    }
    const paused = this.#context.pausedAt;
    if (paused === undefined || !paused.isEvent) return;
    const { address, size } = this.#graph;
    const { ip, node } = paused;
    if (ip > address[node]) this.#emit(node, end);
    this.#crashed = true;
    const isInCode = ip < address[node] + size[node];
    this.#mark({ kind: 'async', traceOffset: end, from: ip, to: undefined, isInCode }, end);
  }

  /** @param used  offset of the first byte that no packet is made of, @param end  of the trace */
  #finish(used: number, end: number): void {
    if (!this.#context.isSynchronized && !this.#log.isOpen && end > 0) {
      this.#startGap('not-synchronized', 0, undefined);
    } else if (this.#context.isSynchronized && used < end) {
      this.#startGap('truncated', used, undefined);
    } else if (!this.#log.isOpen) {
      this.#endAtEvent(end);
      const { at } = this.#state;
      // The last packet led to code that is not known, and none came that would have had to follow it.
      if (at >= 0 && this.#graph.kind[at] === Transfer.none) {
        this.#startGap(this.#graph.deadReason(at), end, this.#graph.address[at]);
      }
    }
    this.#log.end(end);
    this.#flush(end);
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
