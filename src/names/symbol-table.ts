import { demangle } from '../image/demangle.ts';
import type { ImageSymbol } from '../image/files/image.ts';

/** Symbols looked at, backwards, for a function that reaches over a label inside it. */
const mostSteps = 16;

/** The symbols of an image, from wherever they are known, by the image's own addresses. */
export class SymbolTable {
  readonly #symbols: readonly ImageSymbol[];

  /** Of several names for one address the one is kept that people know best. */
  constructor(symbols: readonly ImageSymbol[]) {
    const kept: ImageSymbol[] = [];
    for (const symbol of symbols.toSorted((a, b) => a.address - b.address)) {
      const last = kept.at(-1);
      if (last?.address !== symbol.address) kept.push(symbol);
      else if (isBetterKnown(symbol, last)) kept[kept.length - 1] = symbol;
    }
    this.#symbols = kept;
  }

  /** @returns the function, else the label, whose size reaches over `address` */
  over(address: number): ImageSymbol | undefined {
    const index = this.#lastUpTo(address);
    const covers = ({ address: start, size }: ImageSymbol): boolean =>
      address < start + Math.max(size, 1);
    const least = Math.max(0, index - mostSteps);
    for (let i = index; i >= least; i--) {
      const symbol = this.#symbols[i];
      if (symbol?.isFunction && covers(symbol)) return symbol;
    }
    const nearest = this.#symbols[index];
    return nearest !== undefined && covers(nearest) ? nearest : undefined;
  }

  /** @returns the last symbol that begins at or before `address` */
  before(address: number): ImageSymbol | undefined {
    return this.#symbols[this.#lastUpTo(address)];
  }

  #lastUpTo(address: number): number {
    let low = 0;
    let high = this.#symbols.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#symbols[middle].address <= address) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

/** @returns a symbol's name as people write it */
export function nameOf({ name }: ImageSymbol): string {
  return demangle(name);
}

/** Functions before labels, `malloc` before `__libc_malloc`; the rest only makes the choice certain. */
function isBetterKnown(a: ImageSymbol, b: ImageSymbol): boolean {
  const order =
    Number(b.isFunction) - Number(a.isFunction) ||
    underscoresOf(a.name) - underscoresOf(b.name) ||
    Number(b.size > 0) - Number(a.size > 0) ||
    a.name.length - b.name.length;
  return order < 0 || (order === 0 && a.name < b.name);
}

/** Underscores before a name, but not the one that mangled names begin with. */
function underscoresOf(name: string): number {
  return /^_[ZR]/.test(name) ? 0 : (/^_*/.exec(name)?.[0].length ?? 0);
}
