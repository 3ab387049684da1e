import type { BlockTable } from '../flow/blocks.ts';

/** Places in code, named so that they are the same in every run; struct of arrays. */
export interface PlaceColumns {
  readonly modules: readonly string[];
  /** Index into `modules`; -1 = outside every image. */
  readonly module: Int32Array;
  readonly offset: Float64Array;
}

/** What one nominal run did. */
export interface NominalBehaviour {
  readonly name: string;
  /** Blocks that it ran, a list for each thread. */
  readonly blocks: readonly PlaceColumns[];
  /** Its transfers that the code alone does not explain: indices of `places`. */
  readonly transfers: {
    readonly places: PlaceColumns;
    readonly site: Int32Array;
    readonly target: Int32Array;
  };
}

/** The run that another one is most like. */
export interface NearestRun {
  readonly name: string;
  /** Blocks that both ran, as a share of those that either did. */
  readonly similarity: number;
  /** Blocks that only it ran. */
  readonly onlyThere: number;
  ran(module: string, offset: number): boolean;
}

/** Two places as one number: a corpus has fewer than 2^26. */
const pairFactor = 2 ** 26;

/** What nominal runs did, for saying of a run which one it is like, and what none of them does. */
export class NominalRuns {
  readonly #ids: Map<string, Map<number, number>> = new Map();
  readonly #names: string[] = [];
  /** By run: ids of the blocks that it ran, each once. */
  readonly #blocks: Int32Array[] = [];
  /** By id: runs that ran the block. */
  readonly #ranIn: number[] = [];
  readonly #wentIn: Map<number, number> = new Map();

  /** How many runs there are. */
  get count(): number {
    return this.#names.length;
  }

  add({ name, blocks, transfers }: NominalBehaviour): void {
    const own = new Set<number>();
    for (const list of blocks) {
      list.offset.forEach((offset, i) => {
        own.add(this.#intern(list.modules[list.module[i]], offset));
      });
    }
    for (const id of own) this.#ranIn[id]++;
    const { places, site, target } = transfers;
    const ids = Array.from(places.offset, (offset, i) =>
      this.#intern(places.modules[places.module[i]], offset),
    );
    const pairs = new Set<number>();
    site.forEach((from, i) => {
      pairs.add(ids[from] * pairFactor + ids[target[i]]);
    });
    for (const pair of pairs) this.#wentIn.set(pair, (this.#wentIn.get(pair) ?? 0) + 1);
    this.#names.push(name);
    this.#blocks.push(Int32Array.from(own));
  }

  /** @returns how many runs ran this block */
  running(module: string, offset: number): number {
    const id = this.#find(module, offset);
    return id === undefined ? 0 : this.#ranIn[id];
  }

  /** @returns how many runs went from one block to another where the code does not say so */
  going(from: Place, to: Place): number {
    const site = this.#find(from.module, from.offset);
    const target = this.#find(to.module, to.offset);
    if (site === undefined || target === undefined) return 0;
    return this.#wentIn.get(site * pairFactor + target) ?? 0;
  }

  /** @returns the run that ran most of what these blocks are, and least else; the first of several */
  nearest(
    blocks: Pick<BlockTable, 'length' | 'module' | 'modules' | 'offset'>,
  ): NearestRun | undefined {
    const own = new Set<number>();
    for (let block = 0; block < blocks.length; block++) {
      const id = this.#find(blocks.modules[blocks.module[block]]?.name, blocks.offset[block]);
      if (id !== undefined) own.add(id);
    }
    let best:
      | { readonly run: number; readonly similarity: number; readonly common: number }
      | undefined;
    for (const [run, list] of this.#blocks.entries()) {
      let common = 0;
      for (const id of list) if (own.has(id)) common++;
      const similarity = common / Math.max(1, list.length + blocks.length - common);
      if (best === undefined || similarity > best.similarity) best = { run, similarity, common };
    }
    if (best === undefined) return undefined;
    const { run, similarity, common } = best;
    const its = new Set(this.#blocks[run]);
    return {
      name: this.#names[run],
      similarity,
      onlyThere: its.size - common,
      ran: (module, offset) => its.has(this.#find(module, offset) ?? -1),
    };
  }

  #find(module: string | undefined, offset: number): number | undefined {
    return this.#ids.get(module ?? '')?.get(offset);
  }

  #intern(module: string | undefined, offset: number): number {
    const name = module ?? '';
    let ids = this.#ids.get(name);
    if (ids === undefined) {
      ids = new Map();
      this.#ids.set(name, ids);
    }
    let id = ids.get(offset);
    if (id === undefined) {
      id = this.#ranIn.push(0) - 1;
      ids.set(offset, id);
    }
    return id;
  }
}

/** A block by the name of its module, empty outside every image, and its offset there. */
export interface Place {
  readonly module: string;
  readonly offset: number;
}
