import { enlarged } from '../../base/bytes/typed-array.ts';
import { historyLevels } from '../../sequences/histories/levels.ts';
import { ContextIndex, contextSize, roomAfter } from './context-index.ts';

/** The arrays of a table in a file: entries stand together by context. */
export interface ContextArrays {
  /** Hashes of the contexts, `[contexts, 2]`. */
  readonly keys: Int32Array;
  /** Level of each context, and its next shorter one (-1 = none), which stands before it. */
  readonly level: Int32Array;
  readonly parent: Int32Array;
  /** First entry of each context, and the number of entries. */
  readonly starts: Int32Array;
  /** `[entries, 2]`: the target, and in how many runs it followed. */
  readonly entries: Int32Array;
}

/** Integers of a context of training behind its hash. */
export const Trained = {
  /** The next shorter context; -1 = none. */
  parent: 2,
  level: 3,
  /** The youngest entry, as `Entry`; its target is -1 where there is none. */
  youngest: 4,
  /** Where the other entries are: their number, how many there is room for, then the oldest; 0 = nowhere. */
  others: 7,
} as const;

/** Integers of an entry: a target, in how many runs it followed, and the last one that was counted. */
export const Entry = { target: 0, count: 1, mark: 2 } as const;
export const entrySize = 3;
/** Integers in front of the entries of a context that stand together. */
export const headSize = 2;

/**
 * In how many training runs contexts led where: no run counts twice, because runs are what is exchangeable,
 * not transfers.
 */
export class ContextTable extends ContextIndex {
  /** Entries but the youngest of each context, those of a context together, the oldest first. */
  entries: Int32Array<ArrayBuffer> = new Int32Array(4096);
  #entriesEnd = 1;
  /** Room that was given up, by the logarithm of the entries that it has room for. */
  readonly #free: number[][] = [];
  /** Set by `locate`: the array that holds the entry, and where. */
  list: Int32Array<ArrayBuffer> = this.contexts;
  at = 0;

  /**
   * @param arrays  that `problemOf` finds nothing wrong with; contexts that stand there twice become one,
   *   so that there are fewer then
   */
  static from({ keys, level, parent, starts, entries }: ContextArrays): ContextTable {
    const table = new ContextTable();
    table.reserve(level.length);
    for (let context = 0; context < level.length; context++) {
      const low = keys[2 * context];
      const found = table.intern(low, keys[2 * context + 1], level[context], parent[context]);
      // Each becomes the youngest.
      for (let entry = starts[context + 1] - 1; entry >= starts[context]; entry--) {
        table.add(found, entries[2 * entry], entries[2 * entry + 1], 0);
      }
    }
    return table;
  }

  /** What is wrong with arrays of unknown origin, whose sizes fit each other. */
  static problemOf(
    { level, parent, starts, entries }: ContextArrays,
    targets: number,
  ): string | undefined {
    for (let context = 0; context < level.length; context++) {
      const above = parent[context];
      if (level[context] < 0 || level[context] >= historyLevels.length) {
        return `context ${context} has no level that there is`;
      }
      const wanted = historyLevels[level[context]].parent;
      if (wanted < 0 ? above !== -1 : !(above >= 0 && above < context && level[above] === wanted)) {
        return `context ${context} has no parent of the level below`;
      }
      if (starts[context] >= starts[context + 1] || starts[context] < 0) {
        return `context ${context} has no entries`;
      }
    }
    for (let entry = 0; entry < entries.length; entry += 2) {
      if (entries[entry] < 0 || entries[entry] >= targets) return `entry ${entry / 2} is no class`;
      if (entries[entry + 1] < 1) return `entry ${entry / 2} never came`;
    }
    return undefined;
  }

  /** @returns the arrays for a file */
  toArrays(): ContextArrays {
    const { length, contexts } = this;
    const keys = new Int32Array(2 * length);
    const level = new Int32Array(length);
    const parent = new Int32Array(length);
    const starts = new Int32Array(length + 1);
    for (let context = 0; context < length; context++) {
      const at = context * contextSize;
      keys[2 * context] = contexts[at];
      keys[2 * context + 1] = contexts[at + 1];
      level[context] = contexts[at + Trained.level];
      parent[context] = contexts[at + Trained.parent];
      starts[context + 1] = starts[context] + this.#entriesOf(context);
    }
    const entries = new Int32Array(2 * starts[length]);
    for (let context = 0; context < length; context++) {
      let to = 2 * starts[context];
      this.forEach(context, (list, at) => {
        entries[to++] = list[at];
        entries[to++] = list[at + Entry.count];
      });
    }
    return { keys, level, parent, starts, entries };
  }

  /** @returns the context with this hash, made when it is new */
  intern(low: number, high: number, level: number, parent: number): number {
    const known = this.find(low, high, parent);
    if (known >= 0) return known;
    const context = this.make(low, high, parent);
    const { contexts } = this;
    const at = context * contextSize;
    contexts[at + Trained.parent] = parent;
    contexts[at + Trained.level] = level;
    contexts[at + Trained.youngest] = -1;
    contexts[at + Trained.others] = 0;
    return context;
  }

  /** Looks for a target in a context. @returns whether it is there: at `at` of `list`, as `Entry` */
  locate(context: number, target: number): boolean {
    const { contexts, entries } = this;
    const first = context * contextSize + Trained.youngest;
    if (contexts[first] === target) {
      this.list = contexts;
      this.at = first;
      return true;
    }
    const others = contexts[first + entrySize];
    if (others === 0) return false;
    const begin = others + headSize;
    for (let at = begin + entrySize * (entries[others] - 1); at >= begin; at -= entrySize) {
      if (entries[at] !== target) continue;
      this.list = entries;
      this.at = at;
      return true;
    }
    return false;
  }

  /** Adds a target to a context that never led there; it is then its youngest. */
  add(context: number, target: number, count: number, mark: number): void {
    const { contexts } = this;
    const at = context * contextSize + Trained.youngest;
    if (contexts[at] >= 0) {
      const others = this.#roomBehind(at + entrySize);
      const { entries } = this;
      const to = others + headSize + entrySize * entries[others]++;
      for (let i = 0; i < entrySize; i++) entries[to + i] = contexts[at + i];
    }
    contexts[at] = target;
    contexts[at + Entry.count] = count;
    contexts[at + Entry.mark] = mark;
  }

  /** Numbers all targets anew. */
  rename(names: Int32Array): void {
    for (let context = 0; context < this.length; context++) {
      this.forEach(context, (list, at) => {
        list[at] = names[list[at]];
      });
    }
  }

  /** @param see  gets the entries of a context, the youngest first: where each stands in which array */
  forEach(context: number, see: (list: Int32Array, at: number) => void): void {
    const { contexts, entries } = this;
    const at = context * contextSize + Trained.youngest;
    if (contexts[at] < 0) return;
    see(contexts, at);
    const others = contexts[at + entrySize];
    const begin = others + headSize;
    const end = others === 0 ? begin : begin + entrySize * entries[others];
    for (let entry = end - entrySize; entry >= begin; entry -= entrySize) see(entries, entry);
  }

  #entriesOf(context: number): number {
    const at = context * contextSize;
    const others = this.contexts[at + Trained.others];
    const isEmpty = this.contexts[at + Trained.youngest] < 0;
    return (isEmpty ? 0 : 1) + (others === 0 ? 0 : this.entries[others]);
  }

  /** @param field  that says where the entries of a context are @returns where, with room for one more */
  #roomBehind(field: number): number {
    const old = this.contexts[field];
    const length = old === 0 ? 0 : this.entries[old];
    const room = old === 0 ? 0 : this.entries[old + 1];
    if (length < room) return old;
    const size = 32 - Math.clz32(room);
    const given = this.#free[size]?.pop() ?? this.#take(1 << size);
    const { entries } = this;
    if (old > 0) {
      entries.copyWithin(given, old, old + headSize + length * entrySize);
      this.#free[size - 1] ??= [];
      this.#free[size - 1].push(old);
    }
    entries[given] = length;
    entries[given + 1] = 1 << size;
    this.contexts[field] = given;
    return given;
  }

  #take(room: number): number {
    const at = this.#entriesEnd;
    this.#entriesEnd += headSize + room * entrySize;
    while (this.#entriesEnd > this.entries.length) {
      this.entries = enlarged(this.entries, roomAfter(this.entries.length));
    }
    return at;
  }
}
