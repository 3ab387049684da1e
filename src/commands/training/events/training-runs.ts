import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { ByteReader, Damage } from '../../../base/bytes/byte-reader.ts';
import { ByteWriter } from '../../../base/bytes/byte-writer.ts';
import { failureOf, messageOf, UserError } from '../../../base/errors.ts';
import { seal, unseal } from '../../../base/files/sealed.ts';
import { isRecord, isTexts } from '../../../base/values.ts';
import type { SampleIdentity } from '../../../evaluation/evaluation.ts';
import { targetSorts, transferForms } from '../../../evidence/transfer-code.ts';
import { contextSize } from '../../../model/histories/context-index.ts';
import { type ContextTable, Trained } from '../../../model/histories/context-table.ts';
import { ContextList, chainLength } from '../../../sequences/histories/context-list.ts';
import type { TransferEvents } from '../../../sequences/histories/events.ts';
import { historyLevels } from '../../../sequences/histories/levels.ts';
import { SymbolTable } from '../../../sequences/symbol-table.ts';
import { Transfer } from '../../../x86/transfer.ts';
import type { BlockList, ReadRun } from './events-reader.ts';

/**
 * `WAYRUNS` and the version; then parts, each its length (u32) and its bytes compressed with Zstandard: places
 * and contexts first, then runs; sealed. See docs/formats.md.
 */
const magic = Buffer.from('WAYRUNS\x01', 'latin1');
/** Of a part, unpacked; a run is in one part. */
const mostBytes = 1 << 30;
/** A part ends with the run that makes it so long: few bytes wait to be compressed. */
const usualBytes = 1 << 22;
const longestText = 1 << 26;
const kinds = Math.max(...Object.values(Transfer));
const width = 2 * historyLevels.length;

/** One run that training learned from: enough to learn from it again, without its recording. */
export interface TrainingRun extends ReadRun {
  readonly sample: SampleIdentity;
}

/** Packs training runs one after the other, so that what is learned can be learned anew with others beside them. */
export class TrainingRunPacker {
  readonly #places = new SymbolTable();
  readonly #contexts: ContextTable;
  #runs = new ByteWriter();
  readonly #parts: Buffer[] = [];
  #isTooLarge = false;

  /** @param contexts  in which the runs were counted */
  constructor(contexts: ContextTable) {
    this.#contexts = contexts;
  }

  /** @param longest  `[events, histories]`: the longest context of each; -1 = none is known */
  add({ sample, proofs, blocks, events }: TrainingRun, longest: Int32Array): void {
    const out = this.#runs;
    text(out, JSON.stringify({ sample, proofs }));
    out.varint(blocks.length);
    for (const list of blocks) this.#blocks(list);
    this.#events(events, longest);
    if (out.length > usualBytes) this.#endPart();
  }

  /** @returns the file; `undefined` where a run is too large for one */
  finish(): Uint8Array | undefined {
    this.#endPart();
    const parts = [this.#pack(this.#head()), ...this.#parts];
    if (this.#isTooLarge) return undefined;
    const lengths = parts.map(({ length }) => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(length);
      return bytes;
    });
    return seal(magic, ...parts.flatMap((part, i) => [lengths[i], part]));
  }

  #endPart(): void {
    if (this.#runs.length === 0) return;
    this.#parts.push(this.#pack(this.#runs));
    this.#runs = new ByteWriter();
  }

  #pack({ bytes }: ByteWriter): Buffer {
    if (bytes.length > mostBytes) this.#isTooLarge = true;
    const params = { [constants.ZSTD_c_compressionLevel]: 3 };
    return this.#isTooLarge ? Buffer.alloc(0) : zstdCompressSync(bytes, { params });
  }

  #head(): ByteWriter {
    const head = new ByteWriter();
    const { modules, paths, module, offset, length } = this.#places;
    head.varint(modules.length);
    modules.forEach((name, i) => {
      text(head, name);
      text(head, paths[i]);
    });
    head.varint(length);
    for (let place = 0; place < length; place++) {
      head.varint(module[place]);
      head.float64(offset[place]);
    }
    const { contexts, length: count } = this.#contexts;
    head.varint(count);
    for (let at = 0; at < count * contextSize; at += contextSize) {
      head.uint8(contexts[at + Trained.level]);
      head.varint(contexts[at + Trained.parent] + 1);
      head.uint32(contexts[at] >>> 0);
      head.uint32(contexts[at + 1] >>> 0);
    }
    return head;
  }

  #blocks({ modules, paths, module, offset }: BlockList): void {
    const out = this.#runs;
    const own = modules.map((name, i) => this.#places.internModule(name, paths[i]));
    out.varint(own.length);
    for (const index of own) out.varint(index);
    out.varint(offset.length);
    let before = 0;
    offset.forEach((at, i) => {
      // Code outside every image has no module: such places stand by themselves.
      out.varint(module[i] + 1);
      if (module[i] < 0) out.float64(at);
      else {
        const place = this.#places.intern(own[module[i]], at);
        signed(out, place - before);
        before = place;
      }
    });
  }

  #events(events: TransferEvents, longest: Int32Array): void {
    const out = this.#runs;
    const { length, places } = events;
    text(out, JSON.stringify(places.modules));
    out.varint(places.length);
    for (let place = 0; place < places.length; place++) {
      out.varint(places.module[place]);
      out.float64(places.offset[place]);
    }
    for (const n of [events.transfers, events.explained, events.blocks, length]) out.varint(n);
    let position = 0;
    let ordinal = 0;
    for (let i = 0; i < length; i++) {
      out.varint(events.site[i]);
      out.varint(events.target[i]);
      out.varint(events.last[i] + 1);
      out.varint(events.repeats[i]);
      signed(out, events.position[i] - position);
      signed(out, events.ordinal[i] - ordinal);
      position = events.position[i];
      ordinal = events.ordinal[i];
      out.uint8(events.kind[i]);
      out.uint8(events.form[i]);
      out.uint8(events.sort[i]);
      out.varint(events.into[i]);
      out.float64(events.count[i]);
      for (let history = 0; history < chainLength; history++) {
        out.varint(longest[i * chainLength + history] + 1);
      }
    }
  }
}

/**
 * Unpacks training runs in their order.
 *
 * @param path  for messages only
 * @param part  `places`: events without `hashes`, which take most of the time and of the memory; who learns needs them
 * @throws UserError `file-damaged`, `training-runs-damaged`
 */
export function* unpackTrainingRuns(
  bytes: Buffer,
  path: string,
  part: 'whole' | 'places' = 'whole',
): Generator<TrainingRun> {
  const damaged = (why: string, cause?: unknown): UserError =>
    new UserError('training-runs-damaged', why, { category: 'input', path, cause });
  if (!bytes.subarray(0, magic.length).equals(magic)) {
    throw damaged('holds no training runs of this version');
  }
  try {
    const parts = new ByteReader(unseal(bytes, path).subarray(magic.length));
    const nextPart = (): Uint8Array =>
      zstdDecompressSync(parts.raw(parts.uint32()), { maxOutputLength: mostBytes });
    const reader = new RunReader(nextPart(), part === 'whole');
    while (parts.left > 0) yield* reader.runsIn(nextPart());
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    const isOurs = cause instanceof Damage || cause instanceof SyntaxError;
    if (!isOurs && failureOf(cause) === undefined) throw cause;
    throw damaged(`cannot be unpacked: ${messageOf(cause)}`, cause);
  }
}

/** Reads what `TrainingRunPacker` wrote, from bytes that nobody vouches for. */
class RunReader {
  /** Of the part under way. */
  #in: ByteReader;
  readonly #places = new SymbolTable();
  readonly #contexts = new ContextList();
  readonly #hasHashes: boolean;

  /** @param head  the first part */
  constructor(head: Uint8Array, hasHashes: boolean) {
    this.#in = new ByteReader(head);
    this.#hasHashes = hasHashes;
    const modules = this.#below(longestText);
    for (let i = 0; i < modules; i++) {
      if (this.#places.internModule(this.#text(), this.#text()) !== i) {
        throw new Damage('names a module twice');
      }
    }
    const places = this.#below(2 ** 31);
    for (let i = 0; i < places; i++) {
      const module = this.#below(modules);
      if (this.#places.intern(module, this.#in.float64()) !== i) {
        throw new Damage('names a place twice');
      }
    }
    const contexts = hasHashes ? this.#below(2 ** 31) : 0;
    for (let i = 0; i < contexts; i++) this.#context();
  }

  *runsIn(part: Uint8Array): Generator<TrainingRun> {
    this.#in = new ByteReader(part);
    while (this.#in.left > 0) {
      const { sample, proofs } = factsIn(this.#text());
      const blocks: BlockList[] = [];
      for (let left = this.#below(2 ** 20); left > 0; left--) blocks.push(this.#blocks());
      yield { sample, proofs, blocks, events: this.#events() };
    }
  }

  #context(): void {
    const level = this.#in.uint8();
    const parent = this.#in.varint() - 1;
    if (!this.#contexts.canHave(level, parent)) throw new Damage('has a context without a parent');
    const low = this.#in.uint32() | 0;
    this.#contexts.append(low, this.#in.uint32() | 0, level, parent);
  }

  #blocks(): BlockList {
    const own = Array.from({ length: this.#below(this.#in.left + 1) }, () =>
      this.#below(this.#places.modules.length),
    );
    // Two bytes a block or more.
    const length = this.#below(this.#in.left / 2 + 1);
    const module = new Int32Array(length);
    const offset = new Float64Array(length);
    let place = 0;
    for (let i = 0; i < length; i++) {
      module[i] = this.#below(own.length + 1) - 1;
      if (module[i] < 0) offset[i] = this.#in.float64();
      else {
        place += this.#signed();
        if (!(place >= 0 && place < this.#places.length)) throw new Damage('names no place');
        offset[i] = this.#places.offset[place];
      }
    }
    return {
      modules: own.map((index) => this.#places.modules[index]),
      paths: own.map((index) => this.#places.paths[index]),
      module,
      offset,
    };
  }

  #events(): TransferEvents {
    const modules = stringsIn(this.#text());
    const places = this.#below(this.#in.left / 9 + 1);
    const module = new Int32Array(places);
    const offset = new Float64Array(places);
    for (let place = 0; place < places; place++) {
      module[place] = this.#below(modules.length);
      offset[place] = this.#in.float64();
    }
    const [transfers, explained, blocks] = [this.#count(), this.#count(), this.#count()];
    // Twenty bytes an event or more; with its hashes it takes twelve times as much.
    const length = this.#below(this.#in.left / 20 + 1);
    const longest = new Int32Array(chainLength);
    const ints = (): Int32Array<ArrayBuffer> => new Int32Array(length);
    const bytes = (): Uint8Array<ArrayBuffer> => new Uint8Array(length);
    const events = {
      ...{
        length,
        hashes: new Int32Array(this.#hasHashes ? length * width : 0),
        site: ints(),
        target: ints(),
      },
      ...{ last: ints(), repeats: ints(), position: ints(), ordinal: ints() },
      ...{ kind: bytes(), form: bytes(), sort: bytes(), into: ints() },
      ...{ count: new Float64Array(length), places: { length: places, modules, module, offset } },
      ...{ transfers, explained, blocks },
    };
    for (let i = 0; i < length; i++) {
      events.site[i] = this.#below(places);
      events.target[i] = this.#below(places);
      events.last[i] = this.#below(places + 1) - 1;
      events.repeats[i] = this.#below(2 ** 31);
      events.position[i] = (i === 0 ? 0 : events.position[i - 1]) + this.#signed();
      events.ordinal[i] = (i === 0 ? 0 : events.ordinal[i - 1]) + this.#signed();
      events.kind[i] = this.#byteBelow(kinds + 1);
      events.form[i] = this.#byteBelow(transferForms.length);
      events.sort[i] = this.#byteBelow(targetSorts.length);
      events.into[i] = this.#below(2 ** 31);
      events.count[i] = this.#in.float64();
      if (!(events.count[i] > 0)) throw new Damage('has a target that the code does not allow');
      const most = this.#hasHashes ? this.#contexts.length + 1 : 2 ** 31;
      for (let history = 0; history < chainLength; history++) {
        longest[history] = this.#below(most) - 1;
      }
      if (this.#hasHashes) this.#contexts.restore(longest, 0, events.hashes, i * width);
    }
    return events;
  }

  #below(limit: number): number {
    const value = this.#in.varint();
    if (value < limit) return value;
    throw new Damage('has a number that is too large');
  }

  #byteBelow(limit: number): number {
    const value = this.#in.uint8();
    if (value < limit) return value;
    throw new Damage('has a sort of transfer that there is not');
  }

  #count(): number {
    return this.#below(Number.MAX_SAFE_INTEGER);
  }

  #signed(): number {
    const value = this.#in.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  #text(): string {
    return Buffer.from(this.#in.raw(this.#below(longestText))).toString();
  }
}

function text(out: ByteWriter, words: string): void {
  const bytes = Buffer.from(words);
  out.varint(bytes.length);
  out.raw(bytes);
}

/** Zigzag: small numbers of either sign are short. */
function signed(out: ByteWriter, value: number): void {
  out.varint(value >= 0 ? 2 * value : -2 * value - 1);
}

function stringsIn(json: string): readonly string[] {
  const value: unknown = JSON.parse(json);
  if (Array.isArray(value) && value.every((item): item is string => typeof item === 'string')) {
    return value;
  }
  throw new Damage('has modules without names');
}

function factsIn(json: string): Pick<TrainingRun, 'sample' | 'proofs'> {
  const facts: unknown = JSON.parse(json);
  const { sample, proofs } = isRecord(facts) ? facts : {};
  const isProof = (proof: unknown): boolean => {
    const { told, place } = isRecord(proof) ? proof : {};
    if (!isRecord(told) || !isRecord(place)) return false;
    const words = [told.kind, place.kind, place.site, place.target];
    return Number.isSafeInteger(told.position) && isTexts(words);
  };
  const isWhole =
    isRecord(sample) &&
    isTexts([sample.name, sample.directory]) &&
    Array.isArray(proofs) &&
    proofs.every(isProof);
  if (!isWhole) throw new Damage('has a run that does not say what it is');
  // Members that are looked at are of their types: just checked.
  return facts as Pick<TrainingRun, 'sample' | 'proofs'>;
}
