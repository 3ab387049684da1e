import type { Address } from '../base/address.ts';
import type { AddressRange, ProcessCode } from '../evidence/code/process-code.ts';
import { addressIn } from '../image/address-space.ts';
import { demangle } from '../image/demangle.ts';
import type { Image, ImageSymbol } from '../image/files/image.ts';
import type { ImageNames, NameSources } from './name-sources.ts';
import { nameOf, SymbolTable } from './symbol-table.ts';

/** What an address of a process is called. */
export interface NamedPlace {
  /** Name of the file; empty outside every one. */
  readonly module: string;
  /** Bytes from the start of the file as it is mapped. */
  readonly offset: number;
  readonly function: NamedFunction | undefined;
  /** The last name before the place, where nothing tells whether it reaches so far. */
  readonly near: string | undefined;
}

export interface NamedFunction {
  /** `inflate`; `malloc@plt` for a linkage stub; `sub_3ef00` where only its bounds are known. */
  readonly name: string;
  /** Bytes from where it begins. */
  readonly offset: number;
  /** What names it: a symbol, what a stub leads to, or where unwind tables let it begin. */
  readonly by: 'symbol' | 'stub' | 'bounds';
}

/** An address with what its image says about it. */
interface Site {
  readonly address: Address;
  /** The image's own address. */
  readonly own: number;
  readonly symbols: SymbolTable;
  readonly range: AddressRange | undefined;
  /** Process address minus the image's own. */
  readonly bias: number;
}

const noSymbols = new SymbolTable([]);

/**
 * Names the places of a process, stripped files included: by symbols of every kind, linkage stubs by what
 * they lead to, functions without any name by where unwind tables let them begin.
 */
export class PlaceNames {
  readonly #code: ProcessCode;
  readonly #tables: (SymbolTable | undefined)[] = [];
  readonly #images: ReadonlyMap<number, ImageNames>;

  /** @param images  by the index of their module */
  private constructor(code: ProcessCode, images: ReadonlyMap<number, ImageNames>) {
    this.#code = code;
    this.#images = images;
  }

  /**
   * @param sources  also looks for MiniDebugInfo and debug files
   * @param isWanted  whether places of a module will be asked for; others have the names that they export
   */
  static async open(
    code: ProcessCode,
    sources: NameSources,
    isWanted: (module: number) => boolean = () => true,
  ): Promise<PlaceNames> {
    const images = new Map<number, ImageNames>();
    for (const { module, image } of code.space.sections) {
      if (module < 0 || images.has(module) || !isImage(image) || !isWanted(module)) continue;
      images.set(module, await sources.namesOf(image, code.space.modules[module].path));
    }
    return new PlaceNames(code, images);
  }

  /** @returns what `address` is called, as far as anything tells */
  at(address: Address): NamedPlace {
    const { space } = this.#code;
    const index = space.moduleAt(address);
    const module = space.modules[index];
    if (module === undefined) return nowhere(address);
    const name = module.name === '' ? '(unnamed)' : module.name;
    const offset = address - module.base;
    const place = this.#code.place(address);
    if (place === undefined) return { module: name, offset, function: undefined, near: undefined };
    const site: Site = {
      address,
      own: place.own,
      symbols: this.#symbolsOf(index),
      range: this.#code.functionRange(address),
      bias: place.bias,
    };
    const named = bySymbol(site) ?? this.#byStub(site) ?? byBounds(site, module.base);
    const isNamed = named !== undefined && named.by !== 'bounds';
    const before = isNamed ? undefined : site.symbols.before(site.own);
    return {
      module: name,
      offset,
      function: named,
      near: before === undefined ? undefined : nameOf(before),
    };
  }

  /** `libz.so.1!inflate+0x12`; `libz.so.1+0x3a12 (near inflate)` where the function is not known. */
  textAt(address: Address): string {
    return describePlace(this.at(address));
  }

  /** As `textAt`, of a place in a file; `undefined` where the process maps no file of this name. */
  textIn(module: string, offset: number): string | undefined {
    const address = addressIn(this.#code.space, module, offset);
    return address === undefined ? undefined : this.textAt(address);
  }

  /** The image at an address that lines of source are known of. */
  linesAt(address: Address): { readonly file: string; readonly own: number } | undefined {
    const file = this.#images.get(this.#code.space.moduleAt(address))?.lines;
    const place = file === undefined ? undefined : this.#code.place(address);
    return file === undefined || place === undefined ? undefined : { file, own: place.own };
  }

  #symbolsOf(module: number): SymbolTable {
    const known = this.#images.get(module)?.symbols ?? this.#tables[module];
    if (known !== undefined) return known;
    const code = this.#code.images[module];
    // A dump of memory has no other names than those that it gives to other images.
    const exported = [...(code?.tables.definitions ?? [])].flatMap(([name, list]) =>
      list
        .filter(({ kind, forwarder }) => kind !== 'data' && forwarder === undefined)
        .map(({ address }): ImageSymbol => ({ address, size: 0, name, isFunction: true })),
    );
    const table = exported.length === 0 ? noSymbols : new SymbolTable(exported);
    this.#tables[module] = table;
    return table;
  }

  /** Stubs stand at multiples of eight; a jump through a slot elsewhere ends some function. */
  #byStub({ address, own }: Site): NamedFunction | undefined {
    if (own % 8 === 0) {
      const name = this.#leadsTo(this.#code.stubTargets(address));
      if (name !== undefined) return { name: `${name}@plt`, offset: 0, by: 'stub' };
    }
    const name = this.#leadsTo(this.#code.lazyBinding(address));
    return name === undefined ? undefined : { name: `${name}@plt`, offset: own % 16, by: 'stub' };
  }

  #leadsTo(targets: readonly Address[] | undefined): string | undefined {
    for (const target of targets ?? []) {
      const place = this.#code.place(target);
      const symbol =
        place === undefined ? undefined : this.#symbolsOf(place.module).before(place.own);
      if (symbol !== undefined && symbol.address === place?.own) return nameOf(symbol);
      const [exported] = this.#code.exportedNames(target);
      if (exported !== undefined) return demangle(exported);
    }
    return undefined;
  }
}

/** `libz.so.1!inflate+0x12` and its lesser forms; an address outside every file. */
function describePlace({ module, offset, function: known, near }: NamedPlace): string {
  if (module === '') return `0x${offset.toString(16)}`;
  if (known !== undefined) return `${module}!${describeFunction(known)}`;
  return `${module}${hex(offset)}${near === undefined ? '' : ` (near ${near})`}`;
}

/** `inflate+0x12` */
function describeFunction({ name, offset }: NamedFunction): string {
  return `${name}${hex(offset)}`;
}

function hex(offset: number): string {
  return offset === 0 ? '' : `+0x${offset.toString(16)}`;
}

function nowhere(address: Address): NamedPlace {
  return { module: '', offset: address, function: undefined, near: undefined };
}

function isImage(image: object): image is Image {
  return 'kind' in image && 'symbols' in image;
}

/** A symbol that reaches over the place, or one without a size in the same function. */
function bySymbol({ own, symbols, range, bias }: Site): NamedFunction | undefined {
  const over = symbols.over(own);
  const symbol = over ?? symbols.before(own);
  if (symbol === undefined) return undefined;
  const start = range === undefined ? undefined : range.start - bias;
  const isInside =
    start !== undefined &&
    (symbol.address === start || (symbol.size === 0 && symbol.address >= start));
  if (over === undefined && !isInside) return undefined;
  return { name: nameOf(symbol), offset: own - symbol.address, by: 'symbol' };
}

function byBounds({ address, range }: Site, base: Address): NamedFunction | undefined {
  if (range === undefined) return undefined;
  const name = `sub_${(range.start - base).toString(16)}`;
  return { name, offset: address - range.start, by: 'bounds' };
}
