import { gzipSync } from 'node:zlib';
import { writeFileAtomic } from '../base/files.ts';
import { adler32 } from '../base/hash.ts';
import type { BlockSource, TraceSummary } from '../flow/blocks.ts';
import type { AddressSpace } from '../image/address-space.ts';
import { readInstructions } from '../x86/instruction-text.ts';

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
  const pieces: Buffer[] = [];
  let piece = Buffer.alloc(pieceSize);
  let length = 0;
  const ids: bigint[] = [];
  const texts: Buffer[] = [];
  const checksums = new Map<number, bigint>();
  const idOf = (block: number): bigint => {
    const { module, modules, offset } = source.blocks;
    let checksum = checksums.get(module[block]);
    if (checksum === undefined) {
      checksum = BigInt(adler32(modules[module[block]]?.path ?? '')) << 32n;
      checksums.set(module[block], checksum);
    }
    return checksum + BigInt.asUintN(32, BigInt(offset[block]));
  };
  let before = -1;
  const summary = await source.run(
    ({ entries, length: count }) => {
      for (let i = 0; i < count; i++) {
        const block = entries[i];
        if (block < 0) {
          before = -1;
          continue;
        }
        ids[block] ??= idOf(block);
        if (before >= 0) texts[before] ??= lastInstruction(source, before, options.space);
        const text = before < 0 ? start : texts[before];
        if (length + 18 + text.length > pieceSize) {
          pieces.push(gzipSync(piece.subarray(0, length)));
          piece = Buffer.alloc(pieceSize);
          length = 0;
        }
        piece.writeUInt16LE(16 + text.length, length);
        piece.writeBigUInt64LE(before < 0 ? 0n : ids[before], length + 2);
        piece.writeBigUInt64LE(ids[block], length + 10);
        text.copy(piece, length + 18);
        length += 18 + text.length;
        before = block;
      }
    },
    options.signal === undefined ? {} : { signal: options.signal },
  );
  if (options.accept !== undefined && !options.accept(summary)) return summary;
  pieces.push(gzipSync(piece.subarray(0, length)));
  await writeFileAtomic(path, Buffer.concat(pieces));
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
  const base = blocks.module[block] < 0 ? 0 : blocks.modules[blocks.module[block]].base;
  const address = base + blocks.offset[block] + blocks.lastInstruction[block];
  const section = space?.find(address);
  if (section === undefined) return start;
  const from = address - section.start;
  const size = blocks.size[block] - blocks.lastInstruction[block];
  const bytes = section.bytes.subarray(from, from + size);
  const bitness = section.end > 0x1_0000_0000 ? 64 : 32;
  const text = readInstructions(bytes, address, bitness)[0]?.text ?? '';
  return body(text.split(' ')[0], text);
}
