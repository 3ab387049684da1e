import { enlarged } from '../../base/typed-array.ts';
import { historyLevels } from '../../sequences/histories/levels.ts';

/** The arrays of a table in a file: entries stand together by context. */
export interface ContextArrays {
  /** Hashes of the contexts, `[contexts, 2]`. */
  readonly keys: Int32Array;
  /** Level of each context, and its next shorter one (-1 = none), which stands before it. */
  readonly level: Int32Array;
  readonly parent: Int32Array;
  /** Runs that had each context. */
  readonly runs: Int32Array;
  /** First entry of each context, and the number of entries. */
  readonly starts: Int32Array;
  /** `[entries, 3]`: the target, in how many runs it followed, in how many contexts that are one longer. */
  readonly entries: Int32Array;
}

/**
 * How many runs had which contexts, and where they went from there. Contexts are known by 64 bits of hash,
 * in open addressing; no run counts twice, because runs are what is exchangeable, not transfers.
 */
export class ContextTable {
  contexts = 0;
  entries = 0;
  keys: Int32Array<ArrayBuffer> = new Int32Array(2 * 4096);
  level: Uint8Array<ArrayBuffer> = new Uint8Array(4096);
  parent: Int32Array<ArrayBuffer> = new Int32Array(4096);
  runs: Int32Array<ArrayBuffer> = new Int32Array(4096);
  head: Int32Array<ArrayBuffer> = new Int32Array(4096);
  /** Where each context led the last time; of a run's own table only. */
  last: Int32Array<ArrayBuffer> = new Int32Array(4096);
  /** Last run that was counted. */
  stamp: Int32Array<ArrayBuffer> = new Int32Array(4096);
  target: Int32Array<ArrayBuffer> = new Int32Array(4096);
  targetRuns: Int32Array<ArrayBuffer> = new Int32Array(4096);
  next: Int32Array<ArrayBuffer> = new Int32Array(4096);
  kinds: Int32Array<ArrayBuffer> = new Int32Array(4096);
  entryStamp: Int32Array<ArrayBuffer> = new Int32Array(4096);
  /** Context + 1 by slot; 0 = free. */
  #slots: Int32Array<ArrayBuffer> = new Int32Array(16384);

  /**
   * @param arrays  that `problemOf` finds nothing wrong with; contexts that stand there twice become one,
   *   so that there are fewer then
   */
  static from({ keys, level, parent, runs, starts, entries }: ContextArrays): ContextTable {
    const table = new ContextTable();
    for (let context = 0; context < level.length; context++) {
      const found = table.intern(
        keys[2 * context],
        keys[2 * context + 1],
        level[context],
        parent[context],
      );
      table.runs[found] = runs[context];
      // Entries are put in front of each other.
      for (let entry = starts[context + 1] - 1; entry >= starts[context]; entry--) {
        const added = table.addEntry(found, entries[3 * entry]);
        table.targetRuns[added] = entries[3 * entry + 1];
        table.kinds[added] = entries[3 * entry + 2];
      }
    }
    return table;
  }

  /** What is wrong with arrays of unknown origin, whose sizes fit each other. */
  static problemOf(
    { level, parent, runs, starts, entries }: ContextArrays,
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
      if (runs[context] < 1) return `context ${context} was never seen`;
      if (starts[context] > starts[context + 1] || starts[context] < 0) {
        return `context ${context} has no entries`;
      }
    }
    for (let entry = 0; entry < entries.length; entry += 3) {
      if (entries[entry] < 0 || entries[entry] >= targets) return `entry ${entry / 3} is no class`;
      if (entries[entry + 1] < 1 || entries[entry + 2] < 0) {
        return `entry ${entry / 3} has counts that are none`;
      }
    }
    return undefined;
  }

  /** @returns the context with this hash, or -1 */
  find(low: number, high: number): number {
    const slots = this.#slots;
    const keys = this.keys;
    const mask = slots.length - 1;
    let slot = low & mask;
    for (;;) {
      const context = slots[slot] - 1;
      if (context < 0) return -1;
      if (keys[2 * context] === low && keys[2 * context + 1] === high) return context;
      slot = (slot + 1) & mask;
    }
  }

  /** @returns the context with this hash, made when it is new */
  intern(low: number, high: number, level: number, parent: number): number {
    const slots = this.#slots;
    const keys = this.keys;
    const mask = slots.length - 1;
    let slot = low & mask;
    for (;;) {
      const context = slots[slot] - 1;
      if (context < 0) break;
      if (keys[2 * context] === low && keys[2 * context + 1] === high) return context;
      slot = (slot + 1) & mask;
    }
    const context = this.contexts++;
    if (context === this.level.length) this.#growContexts();
    this.keys[2 * context] = low;
    this.keys[2 * context + 1] = high;
    this.level[context] = level;
    this.parent[context] = parent;
    this.runs[context] = 0;
    this.head[context] = -1;
    this.stamp[context] = -1;
    this.last[context] = -1;
    slots[slot] = context + 1;
    if (this.contexts * 2 > slots.length) this.#rehash(2 * slots.length);
    return context;
  }

  /** @returns the entry of a target in a context, or -1 */
  entryOf(context: number, target: number): number {
    let entry = this.head[context];
    while (entry >= 0 && this.target[entry] !== target) entry = this.next[entry];
    return entry;
  }

  /** @returns a new entry: the context never led to this target before */
  addEntry(context: number, target: number): number {
    const entry = this.entries++;
    if (entry === this.target.length) this.#growEntries();
    this.target[entry] = target;
    this.targetRuns[entry] = 0;
    this.kinds[entry] = 0;
    this.entryStamp[entry] = -1;
    this.next[entry] = this.head[context];
    this.head[context] = entry;
    return entry;
  }

  /** Bytes held. */
  get memory(): number {
    return this.level.length * 25 + this.target.length * 20 + this.#slots.byteLength;
  }

  #growContexts(): void {
    const room = Math.ceil(1.5 * this.level.length);
    this.keys = enlarged(this.keys, 2 * room);
    this.level = enlarged(this.level, room);
    this.parent = enlarged(this.parent, room);
    this.runs = enlarged(this.runs, room);
    this.head = enlarged(this.head, room);
    this.stamp = enlarged(this.stamp, room);
    this.last = enlarged(this.last, room);
  }

  #growEntries(): void {
    const room = Math.ceil(1.5 * this.target.length);
    this.target = enlarged(this.target, room);
    this.targetRuns = enlarged(this.targetRuns, room);
    this.next = enlarged(this.next, room);
    this.kinds = enlarged(this.kinds, room);
    this.entryStamp = enlarged(this.entryStamp, room);
  }

  #rehash(size: number): void {
    this.#slots = new Int32Array(size);
    const mask = size - 1;
    for (let context = 0; context < this.contexts; context++) {
      let slot = this.keys[2 * context] & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = context + 1;
    }
  }
}
