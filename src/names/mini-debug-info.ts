import { createRequire } from 'node:module';
import { bytesOf, readElfSections } from '../image/files/elf-sections.ts';
import { readElfSymbols } from '../image/files/elf-symbols.ts';
import type { ImageSymbol } from '../image/files/image.ts';

/** Distributions' own are below 1 MiB; a bomb is a thousand times as large as it looks. */
const mostBytes = 64 * 1024 * 1024;

/**
 * Reads MiniDebugInfo: an ELF file with a symbol table and little else, compressed, in the section
 * `.gnu_debugdata` of a stripped one. Fedora and its kin ship it.
 *
 * @returns nothing where there is none, or it is damaged
 * @see GDB manual, "Debugging information in a special section"
 */
export async function readMiniDebugInfo(image: Uint8Array): Promise<readonly ImageSymbol[]> {
  const file = bytesOf(image);
  const section = readElfSections(file)?.sections.find(({ name }) => name === '.gnu_debugdata');
  const packed = section === undefined ? undefined : file.read(section.offset, section.size);
  if (packed === undefined) return [];
  const bytes = await unpackXz(
    new Uint8Array(packed.buffer, packed.byteOffset, packed.byteLength),
  ).catch(() => undefined);
  return bytes === undefined ? [] : readElfSymbols(bytesOf(bytes));
}

interface Xz {
  readonly XzReadableStream: new (packed: ReadableStream<Uint8Array>) => ReadableStream<Uint8Array>;
}

/** @returns `undefined` for more than `mostBytes`. @throws where the data is damaged */
async function unpackXz(packed: Uint8Array): Promise<Uint8Array | undefined> {
  const source = new ReadableStream<Uint8Array>({
    start: (controller) => {
      // The decoder keeps what it is given: a copy, so that it can never write to the image.
      controller.enqueue(packed.slice());
      controller.close();
    },
  });
  const pieces: Uint8Array[] = [];
  let length = 0;
  // Few images need it, and it is made for bundlers: a module of before there were any.
  const { XzReadableStream } = createRequire(import.meta.url)('xz-decompress') as Xz;
  const reader = new XzReadableStream(source).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(pieces, length);
    length += value.length;
    if (length > mostBytes) {
      await reader.cancel();
      return undefined;
    }
    pieces.push(Uint8Array.from(value));
  }
}
