import { type BlockTable, bitnessOf } from '../flow/blocks.ts';
import type { AddressSpace } from '../image/address-space.ts';
import { type InstructionText, readInstructions } from '../x86/instruction-text.ts';

/** Whose names instructions have; see `readInstructions`. */
type Names = 'manual' | 'xed';

/**
 * @returns the instructions of a block, in the mode that they ran in; empty where their bytes are not at
 *   hand
 */
export function instructionsOf(
  blocks: BlockTable,
  block: number,
  space: AddressSpace | undefined,
  names: Names = 'manual',
): InstructionText[] {
  return read(blocks, block, 0, space, names);
}

/** @returns the text of the instruction that ends a block; `undefined` where its bytes are not at hand */
export function lastInstructionOf(
  blocks: BlockTable,
  block: number,
  space: AddressSpace | undefined,
  names: Names = 'manual',
): string | undefined {
  return read(blocks, block, blocks.lastInstruction[block], space, names)[0]?.text;
}

/** @param from  bytes of the block that are left out */
function read(
  blocks: BlockTable,
  block: number,
  from: number,
  space: AddressSpace | undefined,
  names: Names,
): InstructionText[] {
  const module = blocks.module[block];
  const base = module < 0 ? 0 : blocks.modules[module].base;
  const address = base + blocks.offset[block] + from;
  const section = space?.find(address);
  if (section === undefined) return [];
  const at = address - section.start;
  const bytes = section.bytes.subarray(at, at + blocks.size[block] - from);
  return readInstructions(bytes, address, bitnessOf(blocks, block, section), names);
}
