import { gzipSync } from 'node:zlib';
import { adler32 } from '../base/bytes/adler32.ts';
import { assert } from '../base/errors.ts';
import { appendSync, writeFileParts } from '../base/files/write.ts';
import type { BlockSource, TraceSummary } from '../flow/blocks.ts';
import type { AddressSpace } from '../image/address-space.ts';
import { lastInstructionOf } from './block-text.ts';

/** Records are compressed in pieces of this size, each a gzip member. */
const pieceSize = 1 << 20;

/**
 * Reads a trace and writes it as the ancestor's `trace_parsed.gz`. The format has no place for the
 * block before a gap unless another follows it, nor for why a gap came about.
 *
 * @throws UserError `write-failed`, and what the source throws
 */
export async function writeParsedTrace(
  path: string,
  source: BlockSource,
  options: {
    readonly signal?: AbortSignal;
    readonly space?: AddressSpace | undefined;
    readonly accept?: (summary: TraceSummary) => boolean;
  } = {},
): Promise<TraceSummary> {
  let summary: TraceSummary | undefined;
  await writeFileParts(path, async (file) => {
    const put = (bytes: Uint8Array): void => appendSync(file, path, gzipSync(bytes, { level: 1 }));
    summary = await writeRecords(put, source, options);
    return options.accept?.(summary) ?? true;
  });
  assert(summary !== undefined, 'the writer ran');
  return summary;
}

/** @param put  takes records; keeps none of the bytes */
async function writeRecords(
  put: (records: Uint8Array) => void,
  source: BlockSource,
  options: { readonly signal?: AbortSignal; readonly space?: AddressSpace | undefined },
): Promise<TraceSummary> {
  const piece = Buffer.alloc(pieceSize);
  let length = 0;
  const { blocks: table } = source;
  /** High halves of the ids, by module + 1. */
  const checksums: number[] = [];
  const highOf = (block: number): number => {
    const module = table.module[block];
    checksums[module + 1] ??= adler32(table.modules[module]?.path ?? '');
    return checksums[module + 1];
  };
  const texts: Buffer[] = [];
  let before = -1;
  const summary = await source.run(
    ({ entries, length: count }) => {
      for (let i = 0; i < count; i++) {
        const block = entries[i];
        if (block < 0) {
          before = -1;
          continue;
        }
        if (before >= 0) texts[before] ??= lastInstruction(source, before, options.space);
        const text = before < 0 ? start : texts[before];
        if (length + 18 + text.length > pieceSize) {
          put(piece.subarray(0, length));
          length = 0;
        }
        piece.writeUInt16LE(16 + text.length, length);
        piece.writeUInt32LE(before < 0 ? 0 : table.offset[before] >>> 0, length + 2);
        piece.writeUInt32LE(before < 0 ? 0 : highOf(before), length + 6);
        piece.writeUInt32LE(table.offset[block] >>> 0, length + 10);
        piece.writeUInt32LE(highOf(block), length + 14);
        text.copy(piece, length + 18);
        length += 18 + text.length;
        before = block;
      }
    },
    options.signal === undefined ? {} : { signal: options.signal },
  );
  put(piece.subarray(0, length));
  return summary;
}

/** Lengths of mnemonic and text, number of parts, then both. */
function body(mnemonic: string, text: string): Buffer {
  const parts = text === '' ? 0 : text.split(' ').length;
  const name = mnemonic.slice(0, 255);
  const full = text.slice(0, 255);
  return Buffer.concat([
    Buffer.from([name.length, full.length, parts]),
    Buffer.from(name + full, 'latin1'),
  ]);
}

const start = body('', '');

function lastInstruction(
  { blocks }: BlockSource,
  block: number,
  space: AddressSpace | undefined,
): Buffer {
  const text = lastInstructionOf(blocks, block, space, 'xed') ?? '';
  if (text === '') return start;
  const mnemonic = text.split(' ').find((word) => !instructionPrefix.test(word)) ?? '';
  // The ancestor's lines end in a space where there are no operands.
  return body(mnemonic, text === mnemonic ? `${text} ` : text);
}

const instructionPrefix = /^(?:bnd|notrack|lock|rep|repn?[ez]|xacquire|xrelease|data16|addr32)$/;
