import type { BlockStream } from '../src/evidence/follow/call-follower.ts';
import type { BlockBatch, BlockTable } from '../src/flow/blocks.ts';
import type { Mark } from '../src/flow/mark.ts';
import type { AddressSpace, Section } from '../src/image/address-space.ts';
import { Transfer, type TransferKind } from '../src/x86/transfer.ts';

/** For tests: a block of the one module, 4 bytes long unless said otherwise. */
export interface ExampleBlock {
  readonly at: number;
  readonly kind: TransferKind;
  readonly size?: number;
  /** Where the last instruction starts; the last byte unless said otherwise. */
  readonly lastInstruction?: number;
  readonly module?: number;
  /** Its bytes in hexadecimal, padded with NOPs in front; some instruction of its kind unless given. */
  readonly code?: string;
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

const someCode: Readonly<Partial<Record<TransferKind, string>>> = {
  [Transfer.call]: 'ffd0',
  [Transfer.icall]: 'ffd0',
  [Transfer.ijmp]: 'ffe0',
  [Transfer.ret]: 'c3',
  [Transfer.syscall]: '0f05',
  [Transfer.jmp]: 'eb00',
  [Transfer.jcc]: '7400',
};

/** For tests: an address space that knows the bytes of the given blocks, and nothing else. */
export function exampleSpace(blocks: readonly ExampleBlock[]): AddressSpace {
  const size = Math.max(0, ...blocks.filter(isInImage).map((block) => block.at + sizeOf(block)));
  const bytes = new Uint8Array(size + 16).fill(0x90);
  for (const block of blocks.filter(isInImage)) {
    const code = Buffer.from(block.code ?? someCode[block.kind] ?? '', 'hex');
    bytes.set(code, block.at + Math.max(0, sizeOf(block) - code.length));
  }
  const section: Section = {
    start: exampleBase,
    end: exampleBase + bytes.length,
    bytes,
    module: 0,
    isExecutable: true,
    image: {},
    imageOffset: 0,
  };
  const find = (address: number): Section | undefined =>
    address >= section.start && address < section.end ? section : undefined;
  return {
    modules: [{ path: '/bin/program', name: 'program', base: exampleBase }],
    sections: [section],
    find,
    moduleAt: (address) => (find(address) === undefined ? -1 : 0),
    isExecutable: (address) => find(address)?.isExecutable,
    symbolAt: () => undefined,
    isFunctionEntry: () => undefined,
    missing: [],
    flat: [],
  };
}

function sizeOf({ size = 4 }: ExampleBlock): number {
  return size;
}

function isInImage({ module = 0 }: ExampleBlock): boolean {
  return module >= 0;
}
