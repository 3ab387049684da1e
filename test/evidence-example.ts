import type { BlockStream } from '../src/evidence/collector.ts';
import type { BlockBatch, BlockTable } from '../src/flow/blocks.ts';
import type { Mark } from '../src/flow/mark.ts';
import type { AddressSpace } from '../src/image/address-space.ts';
import type { TransferKind } from '../src/x86/transfer.ts';

/** For tests: a block of the one module, 4 bytes long unless said otherwise. */
export interface ExampleBlock {
  readonly at: number;
  readonly kind: TransferKind;
  readonly size?: number;
  /** Where the last instruction starts; the last byte unless said otherwise. */
  readonly lastInstruction?: number;
  readonly module?: number;
}

export const exampleBase = 0x10000;

/** For tests: a stream over the given blocks. */
export function exampleStream(
  blocks: readonly ExampleBlock[],
  marks: readonly Mark[] = [],
): BlockStream {
  const table: BlockTable = {
    length: blocks.length,
    modules: [{ path: '/bin/program', name: 'program', base: exampleBase }],
    module: Int32Array.from(blocks, (block) => block.module ?? 0),
    offset: Float64Array.from(blocks, (block) => block.at),
    lastInstruction: Int32Array.from(
      blocks,
      (block) => block.lastInstruction ?? (block.size ?? 4) - 1,
    ),
    size: Int32Array.from(blocks, (block) => block.size ?? 4),
    instructions: Int32Array.from(blocks, () => 2),
    kind: Uint8Array.from(blocks, (block) => block.kind),
  };
  return { blocks: table, marks };
}

export function exampleBatch(entries: readonly number[], traceOffset = 0): BlockBatch {
  return {
    entries: Int32Array.from(entries),
    length: entries.length,
    traceOffset,
    time: undefined,
  };
}

/** An address space that knows nothing but the given function names. */
export function exampleSpace(symbols: Readonly<Record<number, string>>): AddressSpace {
  return {
    modules: [],
    sections: [],
    find: () => undefined,
    moduleAt: () => -1,
    isExecutable: () => undefined,
    symbolAt: (address) => {
      const name = symbols[address - exampleBase];
      return name === undefined ? undefined : { name, offset: 0 };
    },
    isFunctionEntry: (address) => (symbols[address - exampleBase] === undefined ? undefined : true),
    missing: [],
    flat: [],
  };
}
