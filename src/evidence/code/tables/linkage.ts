import type { ImageMemory, ImageRun } from './image-memory.ts';
import type { ImageTables } from './image-tables.ts';

/** A jump or call through a slot at a fixed place. */
export interface SlotTransfer {
  /** Address of the slot, the image's own. */
  readonly slot: number;
  /** Bytes of the instruction. */
  readonly size: number;
}

/**
 * Reads a transfer through a fixed slot, as in linkage stubs and in calls that need none:
 * `jmp [rip+x]`, `bnd jmp [rip+x]`, `call [rip+x]`, in 32-bit code `jmp [x]` and `jmp [ebx+x]`,
 * where `ebx` holds the address of the global offset table.
 *
 * @param site  address of the instruction, the image's own
 */
export function slotTransferAt(
  memory: ImageMemory,
  { bits, got, imageBase }: ImageTables,
  site: number,
): SlotTransfer | undefined {
  let at = site;
  let byte = memory.uint8(at);
  // BND, NOTRACK, then REX without effect, which Windows' stubs have.
  while (byte === 0xf2 || byte === 0x3e) byte = memory.uint8(++at);
  if (bits === 64 && byte !== undefined && (byte & 0xf0) === 0x40) byte = memory.uint8(++at);
  if (byte !== 0xff) return undefined;
  const modrm = memory.uint8(at + 1);
  const displacement = memory.int32(at + 2);
  if (modrm === undefined || displacement === undefined) return undefined;
  const size = at + 6 - site;
  if (modrm === 0x25 || modrm === 0x15) {
    if (bits === 64) return { slot: site + size + displacement, size };
    return { slot: (displacement >>> 0) - imageBase, size };
  }
  const isByRegister = bits === 32 && (modrm === 0xa3 || modrm === 0x93);
  return isByRegister && got !== undefined ? { slot: got + displacement, size } : undefined;
}

/**
 * Reads the part of a linkage stub that runs when its function is not bound yet: it pushes the
 * number of its relocation and jumps to the stub that all share.
 *
 * @param address  of the push, or of the ENDBR before it; the image's own
 * @returns the slot that the relocation names
 */
export function lazySlotAt(
  memory: ImageMemory,
  { bits, lazySlots }: ImageTables,
  address: number,
): number | undefined {
  const endbr = bits === 64 ? 0xfa1e0ff3 : 0xfb1e0ff3;
  const push = memory.uint32(address) === endbr ? address + 4 : address;
  if (memory.uint8(push) !== 0x68) return undefined;
  const jump = memory.uint8(push + 5) === 0xf2 ? push + 6 : push + 5;
  if (memory.uint8(jump) !== 0xe9) return undefined;
  const number = memory.uint32(push + 1);
  if (number === undefined) return undefined;
  // In 32-bit images the offset of the relocation, of 8 bytes each.
  return lazySlots[bits === 64 ? number : number / 8];
}

/** The bytes of a memory between two addresses, as far as one run has them. */
export function bytesBetween(
  memory: ImageMemory,
  start: number,
  end: number,
): ImageRun | undefined {
  const run = memory.runAt(start);
  if (run === undefined) return undefined;
  const last = Math.min(end, run.end);
  return {
    start,
    end: last,
    bytes: run.bytes.subarray(start - run.start, last - run.start),
    isExecutable: run.isExecutable,
  };
}

/**
 * The last jumps of routines that bind functions when they are first called, in the dynamic linker:
 * they drop what the stub pushed and jump to what was found.
 *
 * `_dl_runtime_resolve` of glibc's x86-64: `add rsp, 24; jmp r11`, with BND in older versions; its
 * variant for profiling drops more. That of 32-bit code ends in a return.
 */
export function binderJumps(memory: ImageMemory, { bits, name }: ImageTables): number[] {
  const jumps: number[] = [];
  if (bits !== 64 || name === undefined || !/^ld[-.]/.test(name)) return jumps;
  for (const { bytes, start, isExecutable } of memory.runs) {
    if (!isExecutable) continue;
    for (let i = 4; i + 3 <= bytes.length; i++) {
      if (bytes[i] !== 0x41 || bytes[i + 1] !== 0xff || bytes[i + 2] !== 0xe3) continue;
      const site = bytes[i - 1] === 0xf2 ? i - 1 : i;
      const isDrop =
        bytes[site - 4] === 0x48 && bytes[site - 3] === 0x83 && bytes[site - 2] === 0xc4;
      if (isDrop) jumps.push(start + site);
    }
  }
  return jumps;
}
