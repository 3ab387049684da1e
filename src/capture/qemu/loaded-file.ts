import type { Address } from '../../base/address.ts';
import type { Segment } from '../../image/files/image.ts';
import { parseImage } from '../../image/files/parse-image.ts';

/** A file that QEMU maps itself: the program, or its loader. Addresses are the file's own. */
export interface LoadedFile {
  readonly path: string;
  readonly segments: readonly Segment[];
  /** Lowest address of code. */
  readonly codeStart: Address;
  readonly entry: Address;
}

/** @param bytes  of an x86 ELF file, as `elfKind` accepts it */
export function loadedFile(path: string, bytes: Uint8Array): LoadedFile {
  const { segments } = parseImage(bytes, false);
  const code = segments.filter(({ isExecutable }) => isExecutable);
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    path,
    segments,
    codeStart: Math.min(...code.map(({ address }) => address)),
    entry: head[4] === 2 ? Number(head.readBigUInt64LE(24)) : head.readUInt32LE(24),
  };
}
