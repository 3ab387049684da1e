import type { CodeReferences } from './tables/code-references.ts';
import type { ImageMemory } from './tables/image-memory.ts';
import type { Binding, ImageTables } from './tables/image-tables.ts';

/** What of an image's facts says where its tables are. */
export interface TableSources {
  readonly tables: Pick<ImageTables, 'pointers' | 'bindings' | 'bits'>;
  readonly memory: Pick<ImageMemory, 'isCode' | 'word'>;
  readonly references: Pick<CodeReferences, 'data'>;
}

/** Where tables of functions of an image, or data that holds some, may begin, and all that may stand in them. */
export interface FunctionTables {
  /** Ascending. */
  readonly beginnings: Float64Array;
  /** By beginning: 1 = that of a virtual table. */
  readonly isVirtual: Uint8Array;
  /** Pointers to functions of the image, by ascending place. */
  readonly functions: { readonly places: Float64Array; readonly targets: Float64Array };
  /** Pointers that the loader binds to functions by name, by ascending place. */
  readonly names: { readonly places: Float64Array; readonly names: readonly string[] };
}

const kinds = { data: 0, function: 1 } as const;

/** What a place holds once the loader is done: a pointer to a function, or to data. */
class PointerKinds {
  /** Ascending. */
  readonly places: Float64Array;
  /** By place: `kinds`. */
  readonly kind: Uint8Array;

  constructor({ tables, memory }: TableSources, bound: readonly BoundPlace[]) {
    const { places, targets } = tables.pointers;
    this.places = new Float64Array(places.length + bound.length);
    this.kind = new Uint8Array(this.places.length);
    let length = 0;
    let next = 0;
    for (let i = 0; i <= places.length; i++) {
      const limit = i < places.length ? places[i] : Number.POSITIVE_INFINITY;
      for (; next < bound.length && bound[next].place < limit; next++) {
        this.kind[length] = isFunctionName(bound[next].binding) ? kinds.function : kinds.data;
        this.places[length++] = bound[next].place;
      }
      if (i === places.length) break;
      // What a pointer holds counts before what its place is bound to.
      if (next < bound.length && bound[next].place === limit) next++;
      this.kind[length] = memory.isCode(targets[i]) ? kinds.function : kinds.data;
      this.places[length++] = limit;
    }
    this.places = this.places.subarray(0, length);
  }

  /** @returns what is at a place near entry `index`; -1 = no pointer */
  near(index: number, place: number): number {
    const { places } = this;
    let at = Math.min(index, places.length - 1);
    while (at > 0 && places[at] > place) at--;
    while (at < places.length && places[at] < place) at++;
    return places[at] === place ? this.kind[at] : -1;
  }
}

/** Looks for the tables once, for all positions in them. */
export function findFunctionTables(code: TableSources): FunctionTables {
  const { tables, memory, references } = code;
  const word = tables.bits / 8;
  const bound = boundPlaces(tables.bindings);
  const pointers = new PointerKinds(code, bound);
  const found: number[] = [];
  for (let i = 0; i < pointers.places.length; i++) {
    const place = pointers.places[i];
    if (pointers.kind[i] === kinds.function) {
      if (pointers.near(i, place - word) !== kinds.function) found.push(place);
      continue;
    }
    // The distance to the top of the object, type information, no function.
    const isAlone = pointers.near(i, place + word) < 0 && pointers.near(i, place - word) < 0;
    if (isAlone && memory.word(place + word, tables.bits) === 0) found.push(place + word);
  }
  const beginnings = mergedAscending(references.data, Float64Array.from(found).sort());
  const isVirtual = new Uint8Array(beginnings.length);
  let at = 0;
  for (let i = 0; i < beginnings.length; i++) {
    const place = beginnings[i];
    while (at < pointers.places.length && pointers.places[at] < place) at++;
    // Type information, and before it the distance to the top of the object: a number.
    const isBehindType = pointers.near(at, place - word) === kinds.data;
    if (isBehindType && pointers.near(at, place - 2 * word) < 0) isVirtual[i] = 1;
  }
  const { places, targets } = tables.pointers;
  const isFunction = (_: number, i: number): boolean => memory.isCode(targets[i]);
  const named = bound.filter(({ binding }) => isFunctionName(binding));
  return {
    beginnings,
    isVirtual,
    functions: {
      places: places.filter(isFunction),
      targets: targets.filter(isFunction),
    },
    names: {
      places: Float64Array.from(named, ({ place }) => place),
      names: named.map(({ binding }) => binding.name),
    },
  };
}

export function isFunctionName(binding: Binding): binding is NameBinding {
  return binding.kind === 'name' && binding.isData !== true;
}

type NameBinding = Binding & { readonly kind: 'name' };

interface BoundPlace {
  readonly place: number;
  readonly binding: NameBinding;
}

/** @returns the places that are bound by name, ascending */
function boundPlaces(bindings: ReadonlyMap<number, Binding>): readonly BoundPlace[] {
  const bound: BoundPlace[] = [];
  for (const [place, binding] of bindings)
    if (binding.kind === 'name') bound.push({ place, binding });
  return bound.sort((a, b) => a.place - b.place);
}

/** @returns all numbers of two ascending lists, each once */
function mergedAscending(a: Float64Array, b: Float64Array): Float64Array {
  const merged = new Float64Array(a.length + b.length);
  let length = 0;
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    const value = j === b.length || a[i] < b[j] ? a[i++] : b[j++];
    if (length === 0 || merged[length - 1] !== value) merged[length++] = value;
  }
  return merged.subarray(0, length);
}
