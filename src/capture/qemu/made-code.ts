import type { Address } from '../../base/address.ts';
import type { TranslationTable } from './block-encoder.ts';
import { type GuestMap, pageFloor, type Range } from './guest-map.ts';

const pageSize = 4096;

/** Code that lay in no file, or not as the file has it: made, unpacked or patched by the program. */
export interface MadeCode {
  readonly start: Address;
  /** Whole pages. Bytes that never ran are those of the file, or zero. */
  readonly bytes: Uint8Array;
}

export interface MadeCodeFound {
  readonly regions: readonly MadeCode[];
  /** Pages whose code changed after it had run; the region holds what came last. */
  readonly rewrittenPages: number;
}

interface Page {
  readonly bytes: Uint8Array;
  /** 1 where a byte has run. */
  readonly ran: Uint8Array;
  isRewritten: boolean;
}

/**
 * Compares the code that ran with the files that lay there.
 *
 * @param fileOf  the bytes of a mapped file; `undefined` when it cannot be read
 */
export function findMadeCode(
  table: TranslationTable,
  map: GuestMap,
  fileOf: (path: string) => Uint8Array | undefined,
): MadeCodeFound {
  const pages = new Map<Address, Page>();
  let range: Range | undefined;
  for (const [id, bytes] of table.bytes.entries()) {
    // Ids of a backend need not be dense.
    if (bytes === undefined || bytes.length === 0) continue;
    const start = table.start[id];
    if (range === undefined || start < range.start || start >= range.end) range = map.find(start);
    const file = range === undefined || range.path === '' ? undefined : fileOf(range.path);
    const inFile = range === undefined ? 0 : range.offset - range.start;
    const isAsInFile =
      file !== undefined &&
      Buffer.compare(bytes, file.subarray(inFile + start, inFile + start + bytes.length)) === 0;
    if (isAsInFile) continue;
    for (let i = 0; i < bytes.length; i++) {
      const address = start + i;
      const base = pageFloor(address);
      let page = pages.get(base);
      if (page === undefined) {
        page = newPage(file?.subarray(inFile + base, inFile + base + pageSize));
        pages.set(base, page);
      }
      const at = address - base;
      if (page.ran[at] === 1 && page.bytes[at] !== bytes[i]) page.isRewritten = true;
      page.ran[at] = 1;
      page.bytes[at] = bytes[i];
    }
  }
  return {
    regions: joined(pages),
    rewrittenPages: [...pages.values()].filter(({ isRewritten }) => isRewritten).length,
  };
}

function newPage(file: Uint8Array | undefined): Page {
  const bytes = new Uint8Array(pageSize);
  if (file !== undefined) bytes.set(file);
  return { bytes, ran: new Uint8Array(pageSize), isRewritten: false };
}

/** Joins neighbouring pages. */
function joined(pages: ReadonlyMap<Address, Page>): MadeCode[] {
  const regions: { start: Address; parts: Uint8Array[] }[] = [];
  for (const [start, { bytes }] of [...pages].sort(([a], [b]) => a - b)) {
    const before = regions.at(-1);
    if (before !== undefined && before.start + before.parts.length * pageSize === start) {
      before.parts.push(bytes);
    } else regions.push({ start, parts: [bytes] });
  }
  return regions.map(({ start, parts }) => ({ start, bytes: Buffer.concat(parts) }));
}
