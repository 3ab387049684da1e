import { elfBits, parseElf } from './elf.ts';
import type { Image } from './image.ts';
import { parsePe, peBits } from './pe.ts';

/**
 * Tells by content what an image file is. What does not parse as ELF or PE is a raw dump, mapped
 * flat.
 *
 * @param isRaw  do not look, map flat
 */
export function parseImage(bytes: Uint8Array, isRaw: boolean): Image {
  const parsed = isRaw ? undefined : (parseElf(bytes) ?? parsePe(bytes));
  return parsed ?? rawImage(bytes);
}

function rawImage(bytes: Uint8Array): Image {
  const segment = { address: 0, fileOffset: 0, length: bytes.length, isExecutable: true };
  return {
    kind: 'raw',
    bytes,
    bits: elfBits(bytes) ?? peBits(bytes),
    segments: [segment],
    lowest: 0,
    symbols: () => [],
  };
}
