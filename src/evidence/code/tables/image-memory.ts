import type { AddressSpace, Section } from '../../../image/address-space.ts';
import type { Image } from '../../../image/files/image.ts';

/** A run of an image's bytes, where the image itself places them. */
export interface ImageRun {
  /** First address, in the image's own space: ELF virtual address, PE RVA. */
  readonly start: number;
  /** First address behind the run. */
  readonly end: number;
  readonly bytes: Uint8Array;
  readonly isExecutable: boolean;
}

const pageSize = 4096;

/**
 * The bytes of one image by its own addresses. Every read outside them is `undefined`, so that
 * damaged tables lead nowhere instead of somewhere.
 */
export class ImageMemory {
  /** By start; where damaged headers make runs overlap, the first one stays. */
  readonly runs: readonly ImageRun[];
  readonly #views: readonly DataView[];
  #last = 0;

  constructor(runs: readonly ImageRun[]) {
    const kept: ImageRun[] = [];
    for (const run of [...runs].sort((a, b) => a.start - b.start)) {
      if (run.start >= (kept.at(-1)?.end ?? Number.NEGATIVE_INFINITY)) kept.push(run);
    }
    this.runs = kept;
    this.#views = kept.map(
      ({ bytes }) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    );
  }

  /** @returns index of the run that holds `size` bytes from `address`; -1 when none does */
  #find(address: number, size: number): number {
    const last = this.runs[this.#last];
    if (last !== undefined && address >= last.start && address + size <= last.end) {
      return this.#last;
    }
    for (let i = 0; i < this.runs.length; i++) {
      const { start, end } = this.runs[i];
      if (address >= start && address + size <= end) {
        this.#last = i;
        return i;
      }
    }
    return -1;
  }

  runAt(address: number): ImageRun | undefined {
    return this.runs[this.#find(address, 1)];
  }

  isCode(address: number): boolean {
    return this.runAt(address)?.isExecutable === true;
  }

  uint8(address: number): number | undefined {
    const run = this.#find(address, 1);
    return run < 0 ? undefined : this.#views[run].getUint8(address - this.runs[run].start);
  }

  uint16(address: number): number | undefined {
    const run = this.#find(address, 2);
    return run < 0 ? undefined : this.#views[run].getUint16(address - this.runs[run].start, true);
  }

  int16(address: number): number | undefined {
    const run = this.#find(address, 2);
    return run < 0 ? undefined : this.#views[run].getInt16(address - this.runs[run].start, true);
  }

  uint32(address: number): number | undefined {
    const run = this.#find(address, 4);
    return run < 0 ? undefined : this.#views[run].getUint32(address - this.runs[run].start, true);
  }

  int32(address: number): number | undefined {
    const run = this.#find(address, 4);
    return run < 0 ? undefined : this.#views[run].getInt32(address - this.runs[run].start, true);
  }

  /** @returns a double: exact below 2^53, and no address above */
  uint64(address: number): number | undefined {
    const run = this.#find(address, 8);
    if (run < 0) return undefined;
    const at = address - this.runs[run].start;
    const view = this.#views[run];
    return view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000;
  }

  /** @returns a pointer-sized word, unsigned */
  word(address: number, bits: 32 | 64): number | undefined {
    return bits === 64 ? this.uint64(address) : this.uint32(address);
  }

  /** @returns the characters up to the next zero; at most 4,096 */
  string(address: number): string | undefined {
    const run = this.runAt(address);
    if (run === undefined) return undefined;
    const from = address - run.start;
    const last = Math.min(run.bytes.length, from + 4096);
    let end = from;
    while (end < last && run.bytes[end] !== 0) end++;
    return Buffer.from(run.bytes.buffer, run.bytes.byteOffset + from, end - from).toString(
      'latin1',
    );
  }
}

/**
 * The bytes of a module: those of its file where that is an ELF or PE file, mapped or not (maps of
 * `perf` list code alone), else those that are mapped, as in dumps of memory.
 *
 * @param sections  the module's; all of one image, or of the dumps of its parts
 * @param base  where its lowest page is mapped
 */
export function moduleMemory(
  sections: readonly Section[],
  base: number,
): { readonly memory: ImageMemory; readonly lowest: number; readonly image: Image | undefined } {
  const image = asImage(sections[0]?.image);
  if (image !== undefined && image.kind !== 'raw') {
    const runs = image.segments.map(
      ({ address, fileOffset, length, isExecutable }): ImageRun => ({
        start: address,
        end: address + length,
        bytes: image.bytes.subarray(fileOffset, fileOffset + length),
        isExecutable,
      }),
    );
    const lowest = image.lowest - (image.lowest % pageSize);
    return { memory: new ImageMemory(runs), lowest, image };
  }
  const flat = new ImageMemory(sections.map((section) => runOf(section, base)));
  const lowest = lowestPage(flat);
  if (lowest === 0) return { memory: flat, lowest, image: undefined };
  const moved = sections.map((section) => runOf(section, base - lowest));
  return { memory: new ImageMemory(moved), lowest, image: undefined };
}

/** The sections of each module of a process, by the module's index. */
export function sectionsByModule(space: AddressSpace): Section[][] {
  const lists: Section[][] = space.modules.map(() => []);
  for (const section of space.sections) lists[section.module]?.push(section);
  return lists;
}

function runOf({ start, end, bytes, isExecutable }: Section, base: number): ImageRun {
  return { start: start - base, end: end - base, bytes, isExecutable };
}

function asImage(image: object | undefined): Image | undefined {
  return image !== undefined && 'kind' in image && 'segments' in image
    ? (image as Image)
    : undefined;
}

/** The image's own address of its lowest page, by the program headers of an ELF image in memory. */
function lowestPage(memory: ImageMemory): number {
  if (memory.uint32(0) !== 0x464c457f) return 0;
  const is64 = memory.uint8(4) === 2;
  const table = memory.word(is64 ? 32 : 28, is64 ? 64 : 32) ?? 0;
  const size = memory.uint16(is64 ? 54 : 42) ?? 0;
  const count = memory.uint16(is64 ? 56 : 44) ?? 0;
  let lowest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < count; i++) {
    const at = table + i * size;
    if (memory.uint32(at) !== 1) continue;
    lowest = Math.min(lowest, memory.word(at + (is64 ? 16 : 8), is64 ? 64 : 32) ?? lowest);
  }
  return Number.isSafeInteger(lowest) ? lowest - (lowest % pageSize) : 0;
}
