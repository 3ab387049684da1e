import type { Address } from '../base/address.ts';
import { adler32 } from '../base/bytes/adler32.ts';
import { enlarged } from '../base/bytes/typed-array.ts';
import { UserError } from '../base/errors.ts';
import { streamMaybeGzip } from '../base/files/read.ts';
import type {
  BlockSink,
  BlockSource,
  BlockTable,
  ReadOptions,
  TraceSummary,
} from '../flow/blocks.ts';
import type { Mark } from '../flow/mark.ts';
import type { Module } from '../image/address-space.ts';
import { qualifiedName } from '../image/maps/module-name.ts';
import type { RegionTable } from '../image/maps/region-table.ts';
import { Transfer, type TransferKind } from '../x86/transfer.ts';

const batchSize = 1 << 15;

/**
 * Reads the ancestor's `trace_parsed.gz` as blocks.
 *
 * A record holds a source block, a target block, and the instruction that ends the source. So the
 * blocks of a trace are the sources in order; a record whose source is not the target before it
 * begins after a gap.
 *
 * A block that ends in different transfers at different times (overlapping decodes of the ancestor)
 * is one block for each of them.
 */
export class ParsedTrace implements BlockSource {
  readonly #path: string;
  readonly #table: ParsedBlocks;
  readonly #marks: Mark[] = [];

  /** @param maps  name the modules; others are named by their checksum */
  constructor(path: string, maps: readonly RegionTable[]) {
    this.#path = path;
    this.#table = new ParsedBlocks(maps);
  }

  get blocks(): BlockTable {
    return this.#table;
  }

  get marks(): readonly Mark[] {
    return this.#marks;
  }

  async run(sink: BlockSink, options: ReadOptions = {}): Promise<TraceSummary> {
    const reader = new RecordReader(this.#table, this.#marks, sink);
    let rest: Buffer = Buffer.alloc(0);
    for await (const chunk of streamMaybeGzip(this.#path)) {
      options.signal?.throwIfAborted();
      await options.pace?.();
      const bytes =
        rest.length === 0
          ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
          : Buffer.concat([rest, chunk]);
      let at = 0;
      while (at + 2 <= bytes.length) {
        const size = 2 + bytes.readUInt16LE(at);
        if (at + size > bytes.length) break;
        if (!reader.take(bytes, at + 2, size - 2)) {
          throw this.#damaged(reader.offset, 'a record is shorter than its parts');
        }
        at += size;
      }
      rest = bytes.subarray(at);
    }
    if (rest.length > 0) throw this.#damaged(reader.offset, 'the last record is cut off');
    return reader.finish();
  }

  #damaged(offset: number, cause: string): UserError {
    return new UserError(
      'parsed-trace-damaged',
      `at byte ${offset} of the inflated data, ${cause}`,
      {
        category: 'input',
        path: this.#path,
        place: `byte ${offset}`,
      },
    );
  }
}

/** Makes blocks of records, in batches. */
class RecordReader {
  /** Bytes of the records so far. */
  offset = 0;
  readonly #table: ParsedBlocks;
  readonly #marks: Mark[];
  readonly #sink: BlockSink;
  readonly #kinds: Map<string, TransferKind> = new Map();
  readonly #entries: Int32Array = new Int32Array(batchSize);
  #length = 0;
  #batchOffset = 0;
  #blocks = 0;
  #gaps = 0;
  #isFirst = true;
  /** Target of the record before, in halves. */
  #lastHigh = 0;
  #lastLow = 0;

  constructor(table: ParsedBlocks, marks: Mark[], sink: BlockSink) {
    this.#table = table;
    this.#marks = marks;
    this.#sink = sink;
  }

  /** @returns whether the record of `size` bytes at `at` is whole */
  take(bytes: Buffer, at: number, size: number): boolean {
    if (size < 19) return false;
    const mnemonicLength = bytes[at + 16];
    const textEnd = 19 + mnemonicLength + bytes[at + 17];
    if (textEnd > size) return false;
    const low = bytes.readUInt32LE(at);
    const high = bytes.readUInt32LE(at + 4);
    // Zero in the first record, and in the first after the ancestor's decoder lost its way.
    const isStart = low === 0 && high === 0;
    if (!this.#isFirst && (isStart || low !== this.#lastLow || high !== this.#lastHigh)) {
      this.#gap();
    }
    if (!isStart) {
      const text = bytes.toString('latin1', at + 19, at + textEnd);
      this.#block(high, low, this.#kindOf(text, mnemonicLength));
    }
    this.#isFirst = false;
    this.#lastLow = bytes.readUInt32LE(at + 8);
    this.#lastHigh = bytes.readUInt32LE(at + 12);
    this.offset += 2 + size;
    return true;
  }

  finish(): TraceSummary {
    if (!this.#isFirst && (this.#lastLow !== 0 || this.#lastHigh !== 0)) {
      this.#block(this.#lastHigh, this.#lastLow, Transfer.none);
    }
    this.#flush();
    return {
      traceBytes: this.offset,
      blocks: this.#blocks,
      distinctBlocks: this.#table.length,
      gaps: this.#gaps,
      overflows: 0,
      bytesLost: 0,
      asyncTransfers: 0,
      crashed: false,
    };
  }

  #kindOf(text: string, mnemonicLength: number): TransferKind {
    let kind = this.#kinds.get(text);
    if (kind === undefined) {
      kind = kindOf(text.slice(0, mnemonicLength), text.slice(mnemonicLength));
      this.#kinds.set(text, kind);
    }
    return kind;
  }

  #block(high: number, low: number, kind: TransferKind): void {
    this.#blocks++;
    this.#emit(this.#table.intern(high, low, kind));
  }

  #gap(): void {
    this.#gaps++;
    const gap: Mark = {
      kind: 'gap',
      reason: 'stored',
      traceOffset: this.offset,
      address: undefined,
      bytesLost: 0,
    };
    this.#emit(~(this.#marks.push(gap) - 1));
  }

  #emit(entry: number): void {
    this.#entries[this.#length++] = entry;
    if (this.#length === batchSize) this.#flush();
  }

  #flush(): void {
    const [length, traceOffset] = [this.#length, this.#batchOffset];
    this.#length = 0;
    if (length > 0) this.#sink({ entries: this.#entries, length, traceOffset, time: undefined });
    this.#batchOffset = this.offset;
  }
}

/** From the ancestor's text: XED's mnemonics and operands. */
function kindOf(mnemonic: string, text: string): TransferKind {
  const name = mnemonic.trim().toLowerCase();
  // Behind the mnemonic, which prefixes may precede: `notrack jmp rax`.
  const operand = text.toLowerCase().trim().split(/\s+/).slice(1).join(' ').replace(`${name} `, '');
  // Through a register or memory; the ancestor itself looked for the word "ptr" and missed `call rax`.
  const isIndirect = !/^(?:short |near )?(?:0x)?[0-9a-f]+h?$/.test(operand);
  const isFar = /^far /.test(operand);
  if (/^ret/.test(name))
    return name.startsWith('retf') || name === 'ret_far' ? Transfer.far : Transfer.ret;
  if (isFar) return Transfer.far;
  if (name === 'call') return isIndirect ? Transfer.icall : Transfer.call;
  if (name === 'jmp') return isIndirect ? Transfer.ijmp : Transfer.jmp;
  if (/^(call|jmp)/.test(name) || /^(iret|sysret|sysexit)/.test(name)) return Transfer.far;
  if (/^(syscall|sysenter|int)/.test(name)) return Transfer.syscall;
  if (/^(j|loop)/.test(name)) return Transfer.jcc;
  return Transfer.none;
}

/** Blocks by BBID: `adler32(path) * 2^32 + offset`. */
class ParsedBlocks implements BlockTable {
  readonly modules: Module[] = [];
  length = 0;
  module: Int32Array<ArrayBuffer> = new Int32Array(4096);
  offset: Float64Array<ArrayBuffer> = new Float64Array(4096);
  lastInstruction: Int32Array<ArrayBuffer> = new Int32Array(4096);
  size: Int32Array<ArrayBuffer> = new Int32Array(4096);
  instructions: Int32Array<ArrayBuffer> = new Int32Array(4096);
  kind: Uint8Array<ArrayBuffer> = new Uint8Array(4096);
  readonly #moduleByChecksum: Map<number, number> = new Map();
  readonly #byModule: Map<number, number>[] = [];
  readonly #known: Map<number, { readonly path: string; readonly base: Address }> = new Map();

  constructor(maps: readonly RegionTable[]) {
    for (const regions of maps) this.#nameModules(regions);
  }

  /** Where the first row of each path says that its file begins. */
  #nameModules(regions: RegionTable): void {
    let seen = 0;
    for (let i = 0; i < regions.length && seen < regions.paths.length; i++) {
      // Paths are numbered in the order of their first rows.
      if (regions.pathOf(i) < seen) continue;
      seen++;
      const { path, start, fileOffset } = regions.at(i);
      const checksum = adler32(path);
      const place = { path, base: start - (fileOffset ?? 0) };
      if (!this.#known.has(checksum)) this.#known.set(checksum, place);
      // Python 2 took the checksum as signed and made it absolute.
      const absolute = Math.abs(checksum | 0);
      if (!this.#known.has(absolute)) this.#known.set(absolute, place);
    }
  }

  intern(checksum: number, offset: number, kind: TransferKind): number {
    let module = this.#moduleByChecksum.get(checksum);
    if (module === undefined) {
      module = this.modules.length;
      this.#moduleByChecksum.set(checksum, module);
      const place = this.#known.get(checksum);
      const path = place?.path ?? `adler32:${checksum.toString(16).padStart(8, '0')}`;
      this.modules.push({ path, name: qualifiedName(path), base: place?.base ?? 0, checksum });
      this.#byModule.push(new Map());
    }
    const blocks = this.#byModule[module];
    const key = offset * 16 + kind;
    const known = blocks.get(key);
    if (known !== undefined) return known;
    const id = this.length++;
    if (id === this.kind.length) this.#grow();
    this.module[id] = module;
    this.offset[id] = offset;
    this.kind[id] = kind;
    blocks.set(key, id);
    return id;
  }

  #grow(): void {
    const size = this.kind.length * 2;
    this.module = enlarged(this.module, size);
    this.offset = enlarged(this.offset, size);
    this.lastInstruction = enlarged(this.lastInstruction, size);
    this.size = enlarged(this.size, size);
    this.instructions = enlarged(this.instructions, size);
    this.kind = enlarged(this.kind, size);
  }
}
