import type { AddressSpace } from '../src/image/address-space.ts';
import { packetLength } from '../src/pt/packet.ts';
import { type Bitness, BlockReader, type BlockShape, emptyShape } from '../src/x86/block-reader.ts';
import { Transfer } from '../src/x86/transfer.ts';

interface Block extends BlockShape {
  readonly address: bigint;
  readonly mode: Bitness;
}

/**
 * Intel PT decoded the plain way: one bit at a time, addresses as 64-bit integers, nothing remembered but
 * blocks, every instruction decoded in full. The judge of `TraceDecoder` in tests; a thousand times slower.
 */
export class PlainTraceDecoder {
  /** Addresses of blocks; `gap REASON OFFSET LOST`, `async FROM TO` in hexadecimal. */
  readonly flow: string[] = [];
  readonly #space: AddressSpace;
  readonly #bytes: Uint8Array;
  readonly #blocks: Map<string, Block> = new Map();

  #at: Block | undefined;
  #mode: Bitness = 64;
  #lastIp = 0n;
  #calls: Block[] = [];
  #waiting: number[] = [];
  #fup: bigint | undefined;
  #isFupBound = false;
  #isSynchronized = false;
  #inPsb = false;
  #afterOverflow = false;
  #isOff = false;
  #leftByBranch = false;
  #paused: { readonly ip: bigint; readonly block: Block; readonly isEvent: boolean } | undefined;
  #itemBytes = 0;
  #statusIp: bigint | undefined;
  #status: { readonly block: Block; readonly blocks: number } | undefined;
  #gap: { readonly index: number; readonly reason: string; readonly offset: number } | undefined;
  #blockCount = 0;
  /** Offset of the current packet. */
  #offset = 0;

  constructor(space: AddressSpace, bytes: Uint8Array) {
    this.#space = space;
    this.#bytes = bytes;
  }

  run(): string[] {
    const bytes = this.#bytes;
    const psb = Buffer.from('0282'.repeat(8), 'hex');
    while (this.#offset < bytes.length) {
      if (!this.#isSynchronized) {
        const found = Buffer.from(bytes).indexOf(psb, this.#offset);
        if (found < 0) break;
        if (found > 0) this.#startGap('not-synchronized', 0);
        this.#offset = found;
        this.#isSynchronized = true;
      }
      const first = bytes[this.#offset];
      const isItem = this.#itemBytes > 0 && (first & 7) === 4;
      if (!isItem && !mayLieAmongItems(bytes[this.#offset], bytes[this.#offset + 1])) {
        this.#itemBytes = 0;
      }
      const length = isItem ? this.#itemBytes : packetLength(bytes, this.#offset, bytes.length);
      if (length === 0 || this.#offset + length > bytes.length) break;
      if (length < 0) {
        this.#lose('unknown-packet');
        this.#offset = Math.max(0, this.#offset - 15);
        continue;
      }
      if (!isItem) this.#packet(bytes.subarray(this.#offset, this.#offset + length));
      this.#offset += this.#isSynchronized ? length : 1;
    }
    if (bytes.length > 0) {
      if (!this.#isSynchronized) this.#startGap('not-synchronized', 0);
      else if (this.#offset < bytes.length) this.#startGap('truncated', this.#offset);
      else if (this.#gap === undefined) {
        this.#endAtEvent();
        if (this.#at?.kind === Transfer.none) this.#startGap(deadReason(this.#at), bytes.length);
      }
    }
    this.#closeGap(bytes.length);
    return this.flow;
  }

  #packet(packet: Uint8Array): void {
    const [first] = packet;
    if (first === 0x02) {
      this.#extended(packet);
      return;
    }
    if ((first & 1) === 0) {
      if (first > 0) this.#outcomes(bitsOf(BigInt(first) >> 1n));
      return;
    }
    if ((first & 3) === 3) return;
    if (first === 0x99) {
      const value = packet[1];
      const isOn = this.#at !== undefined || this.#afterOverflow;
      if (value >> 5 === 0) {
        this.#mode = value & 1 ? 64 : value & 2 ? 32 : 16;
        if (this.#inPsb) this.#checkStatusMode();
        else if (isOn && this.#fup === undefined) this.#isFupBound = true;
      } else if (isOn && !this.#inPsb) this.#isFupBound = (value & 2) === 0;
      return;
    }
    if (first === 0xd9) this.#isFupBound = packet[1] >= 0x80;
    const opcode = first & 0x1f;
    if (![0x0d, 0x11, 0x01, 0x1d].includes(opcode)) return;
    if (opcode !== 0x1d) this.#endStatus();
    const ip = this.#ip(first >> 5, packet.subarray(1));
    if (ip !== undefined && !Number.isSafeInteger(Number(ip))) {
      this.#lose('address-out-of-range');
    } else if (opcode === 0x0d) this.#tip(ip);
    else if (opcode === 0x11) this.#enable(ip);
    else if (opcode === 0x01) this.#disable(ip);
    else if (ip !== undefined) this.#flowUpdate(ip);
  }

  #extended(packet: Uint8Array): void {
    const kind = packet[1];
    if (kind === 0x82) {
      this.#lastIp = 0n;
      this.#inPsb = true;
      this.#statusIp = undefined;
      this.#isFupBound = false;
    } else if (kind === 0x23) {
      this.#endStatus(false);
    } else if (kind === 0xf3) {
      this.#fup = undefined;
      this.#dropState();
      this.#lastIp = 0n;
      this.#isFupBound = false;
      this.#startGap('overflow', this.#offset);
      this.#afterOverflow = true;
      this.#inPsb = false;
    } else if (kind === 0xa3) {
      const payload = Buffer.from(packet).readBigUInt64LE() >> 16n;
      this.#outcomes(bitsOf(payload));
    } else if (kind === 0x63) {
      this.#itemBytes = packet[2] & 0x80 ? 5 : 9;
    } else if (kind === 0x13) {
      this.#isFupBound = packet[2] >= 0x80;
    } else if (kind === 0xe2 || kind === 0xb3) {
      this.#isFupBound = true;
    } else if ((kind & 0x1f) === 0x12) {
      this.#isFupBound = kind >= 0x80;
    }
  }

  /** The IP of a packet, signed. SDM, "IP Compression". */
  #ip(compression: number, payload: Uint8Array): bigint | undefined {
    if (payload.length === 0) return undefined;
    const value = BigInt(`0x${Buffer.from(payload).reverse().toString('hex')}`);
    const kept = compression === 3 || compression === 6 ? 64n : BigInt(payload.length * 8);
    const upper = (BigInt.asUintN(64, this.#lastIp) >> kept) << kept;
    this.#lastIp =
      compression === 3
        ? BigInt.asIntN(48, value)
        : BigInt.asIntN(64, kept === 64n ? value : upper | value);
    return this.#lastIp;
  }

  /** INT n whose way into the kernel has a FUP, and from which flow came back behind it. */
  #isServed({ kind, address, lastInstruction, size }: Block, from: bigint, to: bigint): boolean {
    const section = this.#space.find(Number(from));
    return (
      kind === Transfer.syscall &&
      from === address + BigInt(lastInstruction) &&
      to === address + BigInt(size) &&
      section?.bytes[Number(from) - section.start] !== 0x0f
    );
  }

  /** PSB+ ends, and with any packet of control flow what a FUP was said to belong to. */
  #endStatus(isFlow: boolean = true): void {
    if (isFlow) this.#isFupBound = false;
    if (!this.#inPsb) return;
    this.#inPsb = false;
    if (this.#at !== undefined) this.#closeGap(this.#offset);
  }

  /** MODE.Exec after the FUP in PSB+. */
  #checkStatusMode(): void {
    if (this.#statusIp === undefined || this.#at === undefined) return;
    if (this.#at.mode === this.#mode) return;
    if (!this.#isFresh()) this.#loseToStatus();
    this.#restart(this.#statusIp);
  }

  #loseToStatus(): void {
    const status = this.#statusIp;
    this.#lose('mismatch');
    this.#isSynchronized = true;
    this.#inPsb = true;
    this.#statusIp = status;
  }

  #isFresh(): boolean {
    return this.#at === this.#status?.block && this.#blockCount === this.#status?.blocks;
  }

  #outcomes(bits: readonly number[]): void {
    this.#endStatus();
    const fits = this.#at !== undefined && this.#waiting.length === 0 && this.#fup === undefined;
    if (fits) this.#follow(bits);
    else this.#lose('mismatch');
  }

  #follow(bits: readonly number[]): void {
    for (const [i, bit] of bits.entries()) {
      const block = this.#toDecision();
      if (block === undefined) return;
      if (block.kind === Transfer.jcc) {
        this.#emit(block);
        this.#at = bit ? this.#targetOf(block) : this.#nextOf(block);
      } else if (block.kind === Transfer.ret) {
        if (!bit) {
          this.#lose('mismatch');
          return;
        }
        this.#emit(block);
        const call = this.#calls.pop();
        if (call === undefined) {
          this.#lose('mismatch');
          return;
        }
        this.#at = this.#nextOf(call);
      } else {
        this.#waiting = bits.slice(i);
        return;
      }
    }
  }

  /** Follows direct jumps and calls. @returns the block whose end needs the trace, unless flow is lost */
  #toDecision(): Block | undefined {
    const blocks = this.#directRun();
    if (blocks === undefined) {
      this.#lose('endless');
      return undefined;
    }
    const last = blocks.pop();
    for (const block of blocks) this.#pass(block);
    this.#at = last;
    if (last?.kind === Transfer.none) {
      this.#lose(deadReason(last));
      return undefined;
    }
    return last;
  }

  /** @returns blocks from where execution stands to the next decision; `undefined` when there is none */
  #directRun(): Block[] | undefined {
    const blocks: Block[] = [];
    for (let at = this.#at; at !== undefined; at = this.#targetOf(at)) {
      blocks.push(at);
      if (at.kind !== Transfer.jmp && at.kind !== Transfer.call) return blocks;
      if (blocks.length > 10_000) return undefined;
    }
    return undefined;
  }

  /** Executes a block that ends in a direct jump or call. */
  #pass(block: Block): void {
    this.#emit(block);
    if (block.kind === Transfer.call && block.target !== block.size) this.#call(block);
  }

  #call(block: Block): void {
    this.#calls.push(block);
    if (this.#calls.length > 64) this.#calls.shift();
  }

  /** Goes on to `ip` without any decision. @returns whether it lies on the way; a loss is reported */
  #walkTo(ip: bigint, isExact: boolean = true): boolean {
    if (this.#at === undefined) {
      this.#lose('mismatch');
      return false;
    }
    if (this.#reach(ip) && (!isExact || this.#startsAt(this.#at as Block, ip))) return true;
    this.#lose(this.#at?.kind === Transfer.none ? deadReason(this.#at) : 'mismatch');
    return false;
  }

  /** Decodes the block up to `ip`, one instruction at a time. */
  #startsAt({ address, mode }: Block, ip: bigint): boolean {
    const section = this.#space.find(Number(address));
    const into = Number(ip - address);
    if (section === undefined || into === 0) return true;
    const from = Number(address) - section.start;
    const reader = new BlockReader(section.bytes.subarray(from, from + into), mode, false);
    const { size } = reader.read(0, emptyShape());
    reader.dispose();
    return size === into;
  }

  #reach(ip: bigint): boolean {
    const holds = ({ address, size, kind }: Block): boolean =>
      ip >= address && ip < address + BigInt(size + (kind === Transfer.none ? 1 : 0));
    const passed: Block[] = [];
    let at = this.#at;
    while (at !== undefined && !holds(at) && at.kind !== Transfer.none) {
      if ((at.kind !== Transfer.jmp && at.kind !== Transfer.call) || passed.length > 10_000) {
        return false;
      }
      passed.push(at);
      at = this.#targetOf(at);
    }
    for (const block of passed) this.#pass(block);
    this.#at = at;
    return at !== undefined && holds(at);
  }

  #tip(ip: bigint | undefined): void {
    const from = this.#fup;
    this.#fup = undefined;
    if (from !== undefined) {
      if (ip === undefined || this.#waiting.length > 0) {
        this.#lose('mismatch');
        return;
      }
      if (!this.#walkTo(from)) return;
      this.#interrupt(from, ip, this.#at as Block);
      this.#at = this.#blockAt(ip);
      return;
    }
    if (this.#at === undefined) {
      this.#lose('mismatch');
      return;
    }
    const block = this.#toDecision();
    if (block === undefined) return;
    if (block.kind === Transfer.jcc || ip === undefined) {
      this.#lose('mismatch');
      return;
    }
    this.#emit(block);
    if (block.kind === Transfer.icall) this.#call(block);
    this.#at = this.#blockAt(ip);
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#follow(waiting);
  }

  #enable(ip: bigint | undefined): void {
    this.#fup = undefined;
    this.#afterOverflow = false;
    if (ip === undefined) {
      this.#lose('mismatch');
      return;
    }
    if (this.#at !== undefined && !this.#isFresh()) {
      this.#startGap('mismatch', this.#offset);
      this.#dropState();
    }
    let paused = this.#paused;
    if (paused !== undefined && !this.#startsAt(paused.block, paused.ip)) {
      this.#startGap('mismatch', this.#offset);
      this.#dropState();
      paused = undefined;
    }
    this.#paused = undefined;
    if (paused?.ip === ip) this.#at = this.#blockAt(paused.block.address, this.#mode);
    else if (paused !== undefined && this.#isServed(paused.block, paused.ip, ip)) {
      this.#emit(paused.block);
      this.#at = this.#blockAt(ip);
    } else {
      if (paused !== undefined) this.#interrupt(paused.ip, ip, paused.block);
      else if (this.#leftByBranch) this.flow.push(`async ? ${hex(ip)}`);
      this.#at = this.#blockAt(ip);
    }
    this.#isOff = false;
    this.#leftByBranch = false;
    this.#closeGap(this.#offset);
  }

  #disable(ip: bigint | undefined): void {
    const from = this.#fup;
    this.#fup = undefined;
    if (this.#at === undefined && from === undefined) {
      if (this.#isOff) {
        this.#startGap('mismatch', this.#offset);
        this.#dropState();
      }
      this.#isOff = this.#gap === undefined;
      return;
    }
    if (this.#waiting.length > 0) {
      this.#lose('mismatch');
      return;
    }
    if (from !== undefined) {
      if (this.#walkTo(from, false)) this.#pause(from, true);
      return;
    }
    if (ip !== undefined && this.#reach(ip)) {
      this.#pause(ip, false);
      return;
    }
    const block = this.#toDecision();
    if (block === undefined) return;
    if (block.kind === Transfer.jcc && ip !== undefined) {
      const ends = [this.#targetOf(block).address, this.#nextOf(block).address];
      if (!ends.includes(ip)) {
        this.#lose('mismatch');
        return;
      }
    }
    this.#emit(block);
    if (block.kind === Transfer.icall) this.#call(block);
    this.#at = undefined;
    this.#isOff = true;
    this.#leftByBranch = block.kind !== Transfer.syscall && block.kind !== Transfer.far;
  }

  #endAtEvent(): void {
    const fup = this.#fup;
    if (fup !== undefined) {
      if (this.#waiting.length > 0 || !this.#walkTo(fup)) return;
      this.#pause(fup, true);
    }
    const paused = this.#paused;
    if (paused === undefined || !paused.isEvent) return;
    if (paused.ip > paused.block.address) this.#emit(paused.block);
    this.flow.push(`async ${hex(paused.ip)} ?`);
  }

  #pause(ip: bigint, isEvent: boolean): void {
    this.#paused = { ip, block: this.#at as Block, isEvent };
    this.#at = undefined;
    this.#isOff = true;
    this.#leftByBranch = false;
  }

  #flowUpdate(ip: bigint): void {
    if (this.#inPsb) {
      if (this.#paused?.ip === ip) return;
      this.#statusIp = ip;
      if (this.#at !== undefined && this.#waiting.length === 0) {
        if (this.#at.mode === this.#mode && this.#walkTo(ip)) return;
        this.#loseToStatus();
      } else if (this.#at !== undefined || this.#isOff) this.#loseToStatus();
      this.#restart(ip);
    } else if (this.#afterOverflow) {
      this.#isFupBound = false;
      this.#restart(ip);
      this.#closeGap(this.#offset);
    } else if (this.#isFupBound) {
      this.#isFupBound = false;
      if (this.#at !== undefined) {
        if (this.#waiting.length > 0) this.#lose('mismatch');
        else this.#walkTo(ip);
      }
    } else if (this.#fup !== undefined) this.#lose('mismatch');
    else this.#fup = ip;
  }

  #restart(ip: bigint): void {
    this.#afterOverflow = false;
    this.#isOff = false;
    this.#leftByBranch = false;
    this.#at = this.#blockAt(ip);
    this.#status = { block: this.#at, blocks: this.#blockCount };
  }

  #interrupt(from: bigint, to: bigint, block: Block): void {
    if (from > block.address) this.#emit(block);
    this.flow.push(`async ${hex(from)} ${hex(to)}`);
  }

  #emit(block: Block): void {
    this.#blockCount++;
    this.flow.push(hex(block.address));
  }

  #lose(reason: string): void {
    this.#startGap(reason, this.#offset);
    this.#dropState();
    this.#fup = undefined;
    this.#isFupBound = false;
    this.#afterOverflow = false;
    this.#inPsb = false;
    this.#isSynchronized = false;
  }

  #dropState(): void {
    this.#at = undefined;
    this.#waiting = [];
    this.#calls = [];
    this.#paused = undefined;
    this.#isOff = false;
    this.#leftByBranch = false;
    this.#itemBytes = 0;
  }

  #startGap(reason: string, offset: number): void {
    if (this.#gap !== undefined) return;
    this.#gap = { index: this.flow.push('') - 1, reason, offset };
  }

  #closeGap(end: number): void {
    if (this.#gap === undefined) return;
    const { index, reason, offset } = this.#gap;
    this.flow[index] = `gap ${reason} ${offset} ${end - offset}`;
    this.#gap = undefined;
  }

  #targetOf(block: Block): Block {
    return this.#blockAt(block.address + BigInt(block.target), block.mode);
  }

  #nextOf(block: Block): Block {
    return this.#blockAt(block.address + BigInt(block.size), block.mode);
  }

  #blockAt(ip: bigint, mode: Bitness = this.#mode): Block {
    const key = `${mode} ${ip}`;
    let block = this.#blocks.get(key);
    if (block === undefined) {
      const section = this.#space.find(Number(ip));
      const shape = emptyShape();
      if (section !== undefined) {
        const reader = new BlockReader(section.bytes, mode, false);
        reader.read(Number(ip) - section.start, shape);
        reader.dispose();
      }
      block = { ...shape, address: ip, mode };
      this.#blocks.set(key, block);
    }
    return block;
  }
}

/** @returns whether a packet may lie between BBP and BEP; PAD, timing, power, events, and FUP */
function mayLieAmongItems(first: number, second: number): boolean {
  if (first === 0x02) {
    return [0x63, 0x03, 0x73, 0xc3, 0x62, 0xe2, 0x22, 0xa2, 0x13, 0x53].includes(second);
  }
  if ((first & 1) === 0) return first === 0;
  return (first & 3) === 3 || (first & 0x1f) === 0x1d || [0x19, 0x59, 0xd9].includes(first);
}

function deadReason({ end }: Block): string {
  return end === 'cut' ? 'no-code' : end === 'long' ? 'endless' : 'bad-instruction';
}

/** Outcomes under a stop bit, oldest first. */
function bitsOf(value: bigint): number[] {
  return [...value.toString(2).slice(1)].map(Number);
}

function hex(address: bigint): string {
  return address.toString(16);
}
