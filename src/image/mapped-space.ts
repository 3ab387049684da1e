import type { Address } from '../base/address.ts';
import { UserError } from '../base/errors.ts';
import type { AddressSpace, Module, Section, SymbolAt } from './address-space.ts';
import { demangle } from './demangle.ts';
import type { Image, ImageSymbol, Segment } from './files/image.ts';
import type { ImageSource } from './image-store.ts';
import type { MemoryMap } from './maps/memory-map.ts';
import { isMadeCode, qualifiedName } from './maps/module-name.ts';
import type { Region, RegionTable } from './maps/region-table.ts';
import { ModuleIndex } from './module-index.ts';

const pageSize = 4096;
/** Real processes have thousands; hostile headers could ask for millions in each of many regions. */
const mostSections = 1 << 20;

/**
 * Puts the images of a memory map where the map has them.
 *
 * `/proc/PID/maps` says which part of a file lies where, so parts are mapped as they are, whatever
 * the file is. `ldrmodules` gives base addresses only: PE and ELF files are laid out by their
 * headers there, other files flat.
 */
export async function buildAddressSpace(map: MemoryMap, store: ImageSource): Promise<AddressSpace> {
  const files: MappedFile[] = [];
  for (const path of map.regions.paths) files.push(mappedFile(path, await store.find(path)));
  const space = new MappedSpace(map.regions);
  for (let i = 0; i < map.regions.length; i++) {
    const region = map.regions.at(i);
    const file = files[map.regions.pathOf(i)];
    const module = space.moduleFor(i, file);
    const { image } = file;
    const isUnknown = image === undefined || (image.kind === 'raw' && !file.isMade);
    if (isUnknown && region.isExecutable !== false) file.lacksHeader = true;
    if (image === undefined) continue;
    if (region.fileOffset !== undefined)
      space.mapPart(region, region.fileOffset, image, store, module);
    else space.mapSegments(region, image, store, module);
  }
  const lacking = files.filter(({ path, lacksHeader }) => path !== '' && lacksHeader);
  const pathsOf = (found: readonly MappedFile[]): string[] => found.map(({ path }) => path);
  space.settle(
    pathsOf(lacking.filter(({ image }) => image === undefined)),
    pathsOf(lacking.filter(({ image }) => image !== undefined)),
  );
  return space;
}

/** A path of a map, and where it was found mapped so far. */
interface MappedFile {
  readonly path: string;
  readonly image: Image | undefined;
  readonly name: string;
  /** Code that a program made itself. */
  readonly isMade: boolean;
  /** It is mapped for code, and there is no image of it, or one that does not say where its code is. */
  lacksHeader: boolean;
  /** Where the last region so far lies that shows the file from its beginning. */
  beginning: Address | undefined;
}

function mappedFile(path: string, image: Image | undefined): MappedFile {
  return {
    path,
    image,
    name: qualifiedName(path),
    isMade: isMadeCode(path),
    lacksHeader: false,
    beginning: undefined,
  };
}

class MappedSpace implements AddressSpace {
  readonly modules: Module[] = [];
  sections: Section[] = [];
  missing: readonly string[] = [];
  flat: readonly string[] = [];
  readonly #regions: RegionTable;
  readonly #regionModules: Int32Array<ArrayBuffer>;
  readonly #moduleIndex: ModuleIndex = new ModuleIndex();
  /** One a module. */
  readonly #images: (Image | undefined)[] = [];
  #starts: Float64Array = new Float64Array(0);
  #last: Section | undefined;

  constructor(regions: RegionTable) {
    this.#regions = regions;
    this.#regionModules = new Int32Array(regions.length).fill(-1);
  }

  /**
   * Finds or makes the module of a region. Call once for each region, in order.
   *
   * @returns its index; -1 for code that belongs to no file
   */
  moduleFor(index: number, file: MappedFile): number {
    if (file.isMade) return -1;
    const region = this.#regions.at(index);
    if (region.fileOffset === 0) file.beginning = region.start;
    const base = baseOf(region, file);
    const module = this.#moduleIndex.numberOf(this.#regions.pathOf(index), base);
    if (module === this.modules.length) {
      this.modules.push({ path: file.path, name: file.name, base });
      this.#images.push(file.image);
    }
    this.#regionModules[index] = module;
    return module;
  }

  mapPart(
    region: Region,
    fileOffset: number,
    image: Image,
    store: ImageSource,
    module: number,
  ): void {
    const length = Math.min(region.end - region.start, image.bytes.length - fileOffset);
    if (length <= 0) return;
    this.#add({
      start: region.start,
      end: region.start + length,
      bytes: store.part(image, fileOffset, length),
      module,
      isExecutable: region.isExecutable !== false,
      ...(image.bits === undefined ? {} : { bits: image.bits }),
      image,
      imageOffset: fileOffset,
    });
  }

  mapSegments(region: Region, image: Image, store: ImageSource, module: number): void {
    let free = region.start;
    for (const segment of image.segments) {
      const start = region.start + (segment.address - pageFloor(image.lowest));
      const end = Math.min(start + segment.length, region.end);
      // Hostile headers can make segments overlap; the first one stays.
      if (start < free || end <= start) continue;
      this.#add({
        start,
        end,
        bytes: store.part(image, segment.fileOffset, end - start),
        module,
        isExecutable: segment.isExecutable,
        ...(image.bits === undefined ? {} : { bits: image.bits }),
        image,
        imageOffset: segment.fileOffset,
      });
      free = end;
    }
  }

  #add(section: Section): void {
    if (this.sections.length === mostSections) {
      throw new UserError(
        'map-too-large',
        `the memory map and the headers of its files ask for more than ${mostSections} sections`,
        { category: 'input', path: this.modules[section.module]?.path ?? '' },
      );
    }
    this.sections.push(section);
  }

  settle(missing: readonly string[], flat: readonly string[]): void {
    const bits = commonBits(this.sections);
    for (const [index, section] of this.sections.entries()) {
      if (section.bits === undefined && bits !== undefined) {
        this.sections[index] = { ...section, bits };
      }
    }
    this.sections.sort((a, b) => a.start - b.start);
    this.#starts = Float64Array.from(this.sections, ({ start }) => start);
    this.missing = missing;
    this.flat = flat;
  }

  find(address: Address): Section | undefined {
    const last = this.#last;
    if (last !== undefined && address >= last.start && address < last.end) return last;
    const section = this.sections[lastAtOrBelow(this.#starts, address)];
    if (section === undefined || address >= section.end) return undefined;
    this.#last = section;
    return section;
  }

  moduleAt(address: Address): number {
    const region = this.#regions.find(address);
    return region < 0 ? -1 : this.#regionModules[region];
  }

  isExecutable(address: Address): boolean | undefined {
    const section = this.find(address);
    if (section !== undefined) return section.isExecutable;
    const region = this.#regions.find(address);
    return region < 0 ? undefined : this.#regions.at(region).isExecutable;
  }

  symbolAt(address: Address): SymbolAt | undefined {
    const found = this.#symbol(address);
    if (found === undefined) return undefined;
    const { symbol, offset } = found;
    if (symbol.size > 0 && offset >= symbol.size) return undefined;
    return { name: demangle(symbol.name), offset };
  }

  isFunctionEntry(address: Address): boolean | undefined {
    const found = this.#symbol(address);
    if (found === undefined || !found.symbol.isFunction) return undefined;
    if (found.offset === 0) return true;
    return found.offset < found.symbol.size ? false : undefined;
  }

  #symbol(address: Address): { readonly symbol: ImageSymbol; readonly offset: number } | undefined {
    const section = this.find(address);
    const image = section === undefined ? undefined : this.#images[section.module];
    if (section === undefined || image === undefined) return undefined;
    const own = ownAddress(
      image,
      section.imageOffset + (address - section.start),
      section.isExecutable,
    );
    const symbols = image.symbols();
    let low = 0;
    let high = symbols.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (symbols[middle].address <= own) low = middle + 1;
      else high = middle;
    }
    // Of several names for one address, the first is a function's where there is one.
    let index = low - 1;
    while (index > 0 && symbols[index - 1].address === symbols[index]?.address) index--;
    const symbol = symbols[index];
    return symbol === undefined ? undefined : { symbol, offset: own - symbol.address };
  }
}

/**
 * Lowest address at which the image would be mapped whole, so that offsets from it are the same
 * whether a map lists all parts of a file or its code alone.
 */
function baseOf(region: Region, { image, beginning }: MappedFile): Address {
  if (region.fileOffset === undefined) return region.start;
  const own = segmentOf(image, region);
  if (own !== undefined && image !== undefined) {
    const address = own.address - own.fileOffset + region.fileOffset;
    return region.start - (address - pageFloor(image.lowest));
  }
  if (region.fileOffset === 0) return region.start;
  // Data that no segment explains, or a missing file.
  return beginning ?? region.start - region.fileOffset;
}

/** The segment that a region of a file shows; loaders map whole pages. */
function segmentOf(image: Image | undefined, region: Region): Segment | undefined {
  if (image === undefined || image.kind === 'raw' || region.fileOffset === undefined)
    return undefined;
  const at = region.fileOffset;
  const shown = image.segments.filter(
    (s) => pageFloor(s.fileOffset) <= at && at < s.fileOffset + s.length,
  );
  return shown.find((s) => s.isExecutable === region.isExecutable) ?? shown.at(-1);
}

/** From a position in the file to the image's own address. */
function ownAddress(image: Image, fileOffset: number, isExecutable: boolean): number {
  const holds = (s: Segment): boolean =>
    fileOffset >= pageFloor(s.fileOffset) && fileOffset < s.fileOffset + s.length;
  const segment =
    image.segments.find((s) => s.isExecutable === isExecutable && holds(s)) ??
    image.segments.find(holds);
  return segment === undefined ? fileOffset : segment.address + (fileOffset - segment.fileOffset);
}

/** @returns the width that all images with a header have; `undefined` where they differ, or none has one */
function commonBits(sections: readonly Section[]): 32 | 64 | undefined {
  const known = new Set(sections.flatMap(({ bits }) => (bits === undefined ? [] : [bits])));
  return known.size === 1 ? [...known][0] : undefined;
}

function pageFloor(address: number): number {
  return address - (((address % pageSize) + pageSize) % pageSize);
}

/** @returns index of the last of the ascending `starts` that is at most `address`; -1 when none is */
function lastAtOrBelow(starts: Float64Array, address: Address): number {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (starts[middle] <= address) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
