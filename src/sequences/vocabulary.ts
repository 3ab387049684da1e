import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { adler32 } from '../base/bytes/adler32.ts';
import { UserError } from '../base/errors.ts';
import { readMaybeGzip } from '../base/files/read.ts';
import { writeFileAtomic } from '../base/files/write.ts';
import { showValue } from '../base/text/format.ts';
import { isCount, isRecord, isTexts } from '../base/values.ts';
import { isCallModule } from './calls/name.ts';
import { describeSymbol, SymbolTable } from './symbol-table.ts';
import type { WindowSource } from './window-chunk.ts';
import type { ClassId } from './windows.ts';

const compress = promisify(gzip);

export interface VocabularyOptions {
  /** `learned` has a class for each block of the training set, and the unknown class 0; `hash` is the ancestor's `BBID mod N`. */
  readonly kind: 'learned' | 'hash';
  /** Classes at most, the unknown one included; for `hash` this is N. */
  readonly maxInputClasses?: number;
  readonly maxOutputClasses?: number;
}

/** Ancestor's number of classes. */
export const defaultHashClasses = 1024;

/** Source block x target block as one number: fewer than 2^26 blocks are known. */
const transferFactor = 2 ** 26;

/**
 * What training has seen: its blocks, most frequent first, the targets of its predicted transfers,
 * and the transfers themselves.
 *
 * A symbol table made by `makeTable` numbers the known blocks 0, 1, ... in this order, so that a
 * symbol is known exactly when it is below `blocks`.
 */
export class Vocabulary {
  readonly kind: 'learned' | 'hash';
  readonly inputClasses: number;
  readonly outputClasses: number;
  /** Known blocks. */
  readonly blocks: number;
  readonly fingerprint: string;
  readonly #content: Content;
  readonly #inputClass: Int32Array;
  readonly #outputClass: Int32Array;
  readonly #blockOfOutput: Int32Array;
  readonly #transfers: ReadonlySet<number>;
  /** Known blocks by name, made on first use. */
  #own: SymbolTable | undefined;

  private constructor(content: Content) {
    this.#content = content;
    this.kind = content.kind;
    this.inputClasses = content.inputClasses;
    this.outputClasses = content.outputClasses;
    this.blocks = content.offset.length;
    this.fingerprint = createHash('sha256').update(serialize(content)).digest('hex').slice(0, 16);
    this.#inputClass = new Int32Array(this.blocks);
    this.#outputClass = new Int32Array(this.blocks);
    this.#blockOfOutput = new Int32Array(this.outputClasses).fill(-1);
    if (content.kind === 'learned') {
      const known = Math.min(this.blocks, this.inputClasses - 1);
      for (let block = 0; block < known; block++) this.#inputClass[block] = block + 1;
      for (let i = 0; i < content.target.length; i++) {
        this.#outputClass[content.target[i]] = i + 1;
        this.#blockOfOutput[i + 1] = content.target[i];
      }
    }
    this.#transfers = new Set(content.from.map((from, i) => from * transferFactor + content.to[i]));
  }

  /**
   * @param symbolCounts  how often each symbol of `table` ran in the training set
   * @param source  the training set's windows
   */
  static learn(
    table: SymbolTable,
    symbolCounts: Float64Array,
    source: WindowSource,
    options: VocabularyOptions,
  ): Vocabulary {
    const n = source.windowLength;
    const targetCounts = new Float64Array(table.length);
    const transfers = new Map<number, number>();
    for (const { length, symbols, targets, counts } of source.chunks()) {
      for (let i = 0; i < length; i++) {
        const from = symbols[i * n + n - 1];
        const target = targets[i];
        targetCounts[target] += counts[i];
        transfers.set(from * transferFactor + target, target);
      }
    }
    // A target that ended the last trace ran as a block, too; symbols that never ran are unknown.
    const byFrequency = rank(symbolCounts, table.length);
    const blockOf = new Int32Array(table.length).fill(-1);
    byFrequency.forEach((symbol, block) => {
      blockOf[symbol] = block;
    });
    const maxOutput = options.maxOutputClasses ?? Number.POSITIVE_INFINITY;
    const targets = rank(targetCounts, table.length).filter((symbol) => blockOf[symbol] >= 0);
    const isLearned = options.kind === 'learned';
    const kept = isLearned ? targets.slice(0, maxOutput - 1) : [];
    const pairs = [...transfers].map(([key, target]) => [
      blockOf[Math.floor(key / transferFactor)],
      blockOf[target],
    ]);
    pairs.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    const hashInputs = options.maxInputClasses ?? defaultHashClasses;
    return new Vocabulary({
      schemaVersion: 1,
      kind: options.kind,
      inputClasses: isLearned
        ? Math.min(byFrequency.length + 1, options.maxInputClasses ?? Number.POSITIVE_INFINITY)
        : hashInputs,
      outputClasses: isLearned ? kept.length + 1 : (options.maxOutputClasses ?? hashInputs),
      modules: table.modules,
      paths: table.paths,
      module: byFrequency.map((symbol) => table.module[symbol]),
      offset: byFrequency.map((symbol) => table.offset[symbol]),
      target: kept.map((symbol) => blockOf[symbol]),
      from: pairs.map(([from]) => from),
      to: pairs.map(([, to]) => to),
    });
  }

  /** @returns a table in which symbol i is known block i, and new symbols come after them */
  makeTable(): SymbolTable {
    const table = new SymbolTable();
    const { modules, paths, module, offset } = this.#content;
    modules.forEach((name, i) => {
      table.internModule(name, paths[i]);
    });
    for (let block = 0; block < this.blocks; block++) table.intern(module[block], offset[block]);
    return table;
  }

  /** Input class by symbol of any table. */
  inputClassesOf(table: SymbolTable): Int32Array {
    return this.#classesOf(table, this.#inputClass, this.inputClasses);
  }

  outputClassesOf(table: SymbolTable): Int32Array {
    return this.#classesOf(table, this.#outputClass, this.outputClasses);
  }

  /** @returns whether training saw this block make a predicted transfer to that one */
  hasTransfer(from: number, to: number): boolean {
    return (
      from < this.blocks && to < this.blocks && this.#transfers.has(from * transferFactor + to)
    );
  }

  /** How many transfers between known blocks training saw. */
  get transfers(): number {
    return this.#transfers.size;
  }

  /** Learned from logs of calls, not from traces. */
  get isOfCalls(): boolean {
    return this.#content.modules.some(isCallModule);
  }

  /** `libc.so.6+0x2a1b0`, or what else an output class stands for. */
  describeOutput(output: ClassId): string {
    if (this.kind === 'hash') return `BBID mod ${this.outputClasses} = ${output}`;
    const place = this.placeOfOutput(output);
    if (place !== undefined) return describeSymbol(place.module, place.offset);
    return `a ${this.isOfCalls ? 'call' : 'block'} that training never saw`;
  }

  /** Module name and offset of an output class; `undefined` for the unknown class and for `hash`. */
  placeOfOutput(output: ClassId): { readonly module: string; readonly offset: number } | undefined {
    const block = this.#blockOfOutput[output] ?? -1;
    if (block < 0) return undefined;
    const { modules, module, offset } = this.#content;
    return { module: modules[module[block]], offset: offset[block] };
  }

  /** @returns whether training ran this block */
  knows(module: string, offset: number): boolean {
    this.#own ??= this.makeTable();
    return this.#own.find(module, offset) >= 0;
  }

  /** @returns the output class of a block; 0 when it is the target of none that training saw */
  outputOf(module: string, offset: number): ClassId {
    this.#own ??= this.makeTable();
    const block = this.#own.find(module, offset);
    return block < 0 ? 0 : this.#outputClass[block];
  }

  /** Offsets of the blocks that training ran, ascending, by module. */
  offsetsByModule(): ReadonlyMap<string, readonly number[]> {
    const { modules, module, offset } = this.#content;
    const offsets = new Map<string, number[]>(modules.map((name) => [name, []]));
    for (let block = 0; block < this.blocks; block++) {
      offsets.get(modules[module[block]])?.push(offset[block]);
    }
    for (const list of offsets.values()) list.sort((a, b) => a - b);
    return offsets;
  }

  /** Modules whose blocks training ran. */
  get modules(): readonly string[] {
    return this.#content.modules;
  }

  /** What `save` writes, not compressed. */
  get serialized(): string {
    return serialize(this.#content);
  }

  async save(path: string): Promise<void> {
    await writeFileAtomic(path, await compress(this.serialized));
  }

  /** @throws UserError when the file is no vocabulary of this version */
  static async load(path: string): Promise<Vocabulary> {
    return Vocabulary.parse(await readMaybeGzip(path), path);
  }

  /**
   * @param bytes  what `serialized` gave
   * @param path  file that they come from
   * @throws UserError `vocabulary-damaged`
   */
  static parse(bytes: Uint8Array, path: string): Vocabulary {
    let value: unknown;
    try {
      value = JSON.parse(Buffer.from(bytes).toString('utf8'));
    } catch (cause) {
      throw damaged(path, 'is no JSON', cause);
    }
    const problem = problemOf(value);
    if (problem !== undefined) throw damaged(path, problem);
    return new Vocabulary(value as Content);
  }

  #classesOf(table: SymbolTable, classOfBlock: Int32Array, classes: number): Int32Array {
    const result = new Int32Array(table.length);
    if (this.kind === 'learned') {
      this.#own ??= this.makeTable();
      for (let symbol = 0; symbol < table.length; symbol++) {
        const block = this.#own.find(table.modules[table.module[symbol]], table.offset[symbol]);
        if (block >= 0) result[symbol] = classOfBlock[block];
      }
      return result;
    }
    // BBID = adler32(path) * 2^32 + offset; N need not divide 2^32.
    // A preprocessed trace holds ids as they were made, by one Python's checksum or the other's.
    const high = table.paths.map((path, module) => {
      const checksum = table.checksums[module] ?? adler32(path);
      return Number((BigInt(checksum) << 32n) % BigInt(classes));
    });
    for (let symbol = 0; symbol < table.length; symbol++) {
      const offset = table.offset[symbol] % classes;
      const sum = high[table.module[symbol]] + (offset < 0 ? offset + classes : offset);
      result[symbol] = sum % classes;
    }
    return result;
  }
}

/** Of input and of output: tables of them are kept. */
export const mostClasses: number = 2 ** 24;

/** The file's content; see docs/formats.md. */
interface Content {
  readonly schemaVersion: 1;
  readonly kind: 'learned' | 'hash';
  readonly inputClasses: number;
  readonly outputClasses: number;
  readonly modules: readonly string[];
  readonly paths: readonly string[];
  /** Module and offset of each known block, most frequent first. */
  readonly module: readonly number[];
  readonly offset: readonly number[];
  /** Block of each output class from 1 on. */
  readonly target: readonly number[];
  /** Transfers that training saw, as pairs of blocks. */
  readonly from: readonly number[];
  readonly to: readonly number[];
}

function serialize(content: Content): string {
  return JSON.stringify(content);
}

/** Symbols that occurred, most frequent first; ties in the order of their numbers. */
function rank(counts: Float64Array, length: number): number[] {
  const seen: number[] = [];
  for (let symbol = 0; symbol < length; symbol++) if (counts[symbol] > 0) seen.push(symbol);
  return seen.sort((a, b) => counts[b] - counts[a] || a - b);
}

function problemOf(value: unknown): string | undefined {
  if (!isRecord(value)) return 'is no vocabulary';
  const c: Readonly<Partial<Record<keyof Content, unknown>>> = value;
  if (c.schemaVersion !== 1) return `has schema version ${showValue(c.schemaVersion)}, not 1`;
  if (c.kind !== 'learned' && c.kind !== 'hash') return 'has no known kind';
  if (!isTexts(c.modules) || !isTexts(c.paths)) return 'has no list of modules';
  const modules = c.modules.length;
  if (c.paths.length !== modules) return 'has other numbers of modules and paths';
  const isNumbers = (list: unknown): list is readonly number[] =>
    Array.isArray(list) && list.every(Number.isSafeInteger);
  const lists = [c.module, c.offset, c.target, c.from, c.to].filter(isNumbers);
  if (lists.length < 5) {
    return 'has a list that is missing or holds other things than whole numbers';
  }
  const [module, offset, target, from, to] = lists;
  const blocks = offset.length;
  const isBelow = (limit: number) => (n: number) => n >= 0 && n < limit;
  if (module.length !== blocks || !module.every(isBelow(modules))) return 'has bad module numbers';
  if (from.length !== to.length) return 'has half a transfer';
  if (![target, from, to].every((list) => list.every(isBelow(blocks)))) {
    return 'names a block that it does not have';
  }
  const isSize = (n: unknown): n is number => isCount(n, mostClasses) && n >= 1;
  if (!isSize(c.inputClasses) || !isSize(c.outputClasses)) return 'has no numbers of classes';
  if (c.kind === 'learned') {
    if (c.inputClasses > blocks + 1) return 'has more input classes than blocks';
    if (c.outputClasses !== target.length + 1) return 'has more output classes than targets';
  }
  return undefined;
}

function damaged(path: string, problem: string, cause?: unknown): UserError {
  return new UserError('vocabulary-damaged', problem, { category: 'input', path, cause });
}
