import { visible } from '../words/escape.ts';

export interface CoveredModule {
  /** Lowest address at which it was mapped. */
  readonly base: number;
  /** First address behind it. */
  readonly end: number;
  readonly path: string;
}

/** Which blocks ran, each once. */
export interface Coverage {
  readonly modules: readonly CoveredModule[];
  readonly blocks: readonly CoveredBlock[];
}

export interface CoveredBlock {
  /** Index into the modules. */
  readonly module: number;
  /** Bytes from the base of its module. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

const entryBytes = 8;
/** What the 16 bits of an entry's size and module hold. */
const largest = 0xffff;

/**
 * Which blocks ran, as DynamoRIO's drcov writes it: two lines of version, a table of modules as text,
 * a table of blocks as records of 8 bytes (`uint32` start, `uint16` size, `uint16` module). A longer
 * block is as many entries as it takes. Blocks that no entry can hold are left out: those of modules
 * behind the 65,536th, and 4 GiB or more behind their module's base.
 *
 * @see DynamoRIO, clients/drcov and ext/drcovlib (`bb_entry_t`); module table version 2, whose columns
 *   are all that readers use
 */
export function* renderDrcov({ modules, blocks }: Coverage): Generator<string | Uint8Array> {
  const kept = modules.slice(0, largest + 1);
  const held = blocks.filter(
    ({ module, offset, size }) =>
      module >= 0 && module < kept.length && offset >= 0 && offset + size <= 2 ** 32,
  );
  let entries = 0;
  for (const { size } of held) entries += Math.ceil(size / largest);
  yield 'DRCOV VERSION: 2\nDRCOV FLAVOR: drcov\n';
  yield `Module Table: version 2, count ${kept.length}\n`;
  yield 'Columns: id, base, end, entry, path\n';
  for (const [id, { base, end, path }] of kept.entries()) {
    yield `${id}, ${hex(base)}, ${hex(end)}, ${hex(0)}, ${visible(path) || '(unnamed)'}\n`;
  }
  yield `BB Table: ${entries} bbs\n`;
  const table = new DataView(new ArrayBuffer(entries * entryBytes));
  let at = 0;
  for (const { module, offset, size } of held) {
    for (let done = 0; done < size; done += largest) {
      table.setUint32(at, offset + done, true);
      table.setUint16(at + 4, Math.min(largest, size - done), true);
      table.setUint16(at + 6, module, true);
      at += entryBytes;
    }
  }
  yield new Uint8Array(table.buffer);
}

/** Sixteen digits; addresses of the upper half are doubles below zero. */
function hex(address: number): string {
  return `0x${BigInt.asUintN(64, BigInt(address)).toString(16).padStart(16, '0')}`;
}
