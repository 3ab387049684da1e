import type { BlockTable, TraceSummary } from '../flow/blocks.ts';
import type { Mark } from '../flow/mark.ts';
import type { Module } from '../image/address-space.ts';
import { transferNames } from '../x86/transfer.ts';
import { blockBytes, headerLength, type StoredChunk } from './stored-trace-format.ts';
import { isTraceOrigin, type TraceOrigin } from './trace-origin.ts';

/** What a stored trace holds beside its chunks. */
export interface Dictionary {
  readonly modules: readonly Module[];
  readonly marks: readonly Mark[];
  readonly summary: TraceSummary;
  readonly origin: TraceOrigin | undefined;
  readonly chunks: readonly StoredChunk[];
  readonly table: BlockTable;
}

/**
 * @param bytes  inflated
 * @param end  chunks end before this offset of the file
 * @throws Error saying what is wrong
 */
export function parseDictionary(bytes: Buffer, end: number): Dictionary {
  const textLength = bytes.readUInt32LE(0);
  const { modules, marks, summary, chunks, blocks, origin, bitness } = JSON.parse(
    bytes.toString('utf8', 4, 4 + textLength),
  ) as Omit<Dictionary, 'table'> & { readonly blocks: number; readonly bitness?: unknown };
  let at = 4 + textLength;
  if (!isWhole(blocks) || bytes.length - at !== blocks * blockBytes) {
    throw new Error('sizes do not fit');
  }
  if (
    !(Array.isArray(modules) && modules.every(isModule)) ||
    !(Array.isArray(marks) && marks.every(isMark)) ||
    !isSummary(summary) ||
    !(origin === undefined || isTraceOrigin(origin))
  ) {
    throw new Error('a field is missing or wrong');
  }
  if (!Array.isArray(chunks) || !areInOrder(chunks, end, summary.blocks)) {
    throw new Error('chunks do not follow each other');
  }
  const copy = (size: number): ArrayBuffer => {
    const part = new Uint8Array(size * blocks);
    part.set(bytes.subarray(at, at + part.length));
    at += part.length;
    return part.buffer;
  };
  const table: BlockTable = {
    length: blocks,
    modules,
    offset: new Float64Array(copy(8)),
    module: new Int32Array(copy(4)),
    lastInstruction: new Int32Array(copy(4)),
    size: new Int32Array(copy(4)),
    instructions: new Int32Array(copy(4)),
    kind: new Uint8Array(copy(1)),
    ...(bitness === undefined ? {} : { bitness: spread(bitness, blocks) }),
  };
  for (let id = 0; id < blocks; id++) {
    const module = table.module[id];
    const base = module < 0 ? 0 : modules[module]?.base;
    if (module < -1 || base === undefined) throw new Error('a block lies in no module');
    if (!Number.isSafeInteger(base + table.offset[id])) throw new Error('a block lies nowhere');
    if (table.kind[id] >= transferNames.length) throw new Error('a block ends in no transfer');
    const last = table.lastInstruction[id];
    if (last < 0 || last > table.size[id] || table.instructions[id] < 0) {
      throw new Error('a block has a size that cannot be');
    }
  }
  return {
    modules,
    marks,
    summary: { ...summary, crashed: summary.crashed ?? false },
    origin,
    chunks,
    table,
  };
}

/** @param runs  pairs of the first id and the width, ascending. @throws Error */
function spread(runs: unknown, blocks: number): Uint8Array {
  const bitness = new Uint8Array(blocks);
  let last = -1;
  for (const run of Array.isArray(runs) ? runs : [undefined]) {
    const [from, bits] = Array.isArray(run) ? run : [];
    if (!isWhole(from) || from <= last || from >= blocks || ![16, 32, 64].includes(bits)) {
      throw new Error('the widths of the code make no sense');
    }
    bitness.fill(bits, from);
    last = from;
  }
  return bitness;
}

/** @returns whether a parsed value is a whole number that is not negative */
export function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function isModule(value: Module | null): boolean {
  const isText = typeof value?.path === 'string' && typeof value.name === 'string';
  return isText && Number.isSafeInteger(value.base);
}

function isMark(value: Mark | null): boolean {
  const isAddress = (one: unknown): boolean => one === undefined || Number.isSafeInteger(one);
  if (value?.kind === 'thread') return true;
  if (!isWhole(value?.traceOffset)) return false;
  if (value.kind === 'async') return isAddress(value.from) && isAddress(value.to);
  return (
    value.kind === 'gap' &&
    typeof value.reason === 'string' &&
    /^[a-z-]{1,40}$/.test(value.reason) &&
    isAddress(value.address) &&
    isWhole(value.bytesLost)
  );
}

function isSummary(value: TraceSummary | null | undefined): value is TraceSummary {
  // Files of the first release do not say.
  if (!['boolean', 'undefined'].includes(typeof value?.crashed)) return false;
  return [
    value?.traceBytes,
    value?.blocks,
    value?.distinctBlocks,
    value?.gaps,
    value?.overflows,
    value?.bytesLost,
    value?.asyncTransfers,
  ].every(isWhole);
}

/** Listing a chunk twice would make a small file a long trace. */
function areInOrder(chunks: readonly StoredChunk[], end: number, blocks: number): boolean {
  let offset = headerLength;
  let block = 0;
  for (const chunk of chunks) {
    if (![chunk?.offset, chunk?.length, chunk?.crc, chunk?.firstBlock].every(isWhole)) return false;
    if (chunk.offset < offset || chunk.firstBlock < block) return false;
    offset = chunk.offset + chunk.length;
    block = chunk.firstBlock;
  }
  return offset <= end && block <= blocks && (chunks[0]?.firstBlock ?? blocks) === 0;
}
