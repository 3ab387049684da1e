import { expect, test } from 'vitest';
import { BlockReader, emptyShape } from './block-reader.ts';
import { Transfer } from './transfer.ts';

/** @returns what a block of 64-bit code is */
function blockOf(...bytes: number[]): {
  size: number;
  instructions: number;
  kind: number;
  end: string;
} {
  const reader = new BlockReader(Uint8Array.from(bytes), 64);
  const { size, instructions, kind, end } = reader.read(0, emptyShape());
  reader.dispose();
  return { size, instructions, kind, end };
}
const nop = 0x90;
const ret = 0xc3;
const address = [1, 2, 3, 4, 5, 6, 7, 8];

test('JMPABS is a jump whose target the trace tells', () => {
  expect(blockOf(nop, 0xd5, 0x00, 0xa1, ...address, nop)).toEqual({
    size: 12,
    instructions: 2,
    kind: Transfer.ijmp,
    end: 'transfer',
  });
  // Whatever the bits are that choose registers it has not.
  expect(blockOf(0xd5, 0x77, 0xa1, ...address).kind).toBe(Transfer.ijmp);
  expect(blockOf(0x2e, 0xd5, 0x00, 0xa1, ...address).size).toBe(12);
});

test('JMPABS with a prefix that it must not have, or REX2.W, is none; cut short it is cut', () => {
  for (const prefix of [0x66, 0x67, 0xf0, 0xf2, 0xf3]) {
    expect(blockOf(prefix, 0xd5, 0x00, 0xa1, ...address).end).toBe('invalid');
  }
  expect(blockOf(0xd5, 0x08, 0xa1, ...address).end).toBe('invalid');
  expect(blockOf(0xd5, 0x00, 0xa1, 1, 2, 3).end).toBe('cut');
});

test('an instruction with REX2 has the length and the kind of the older one', () => {
  // mov r16, [r17+0x10]; call r20; jmp [r16]; add r24, imm32
  expect(blockOf(0xd5, 0x58, 0x8b, 0x41, 0x10, ret)).toMatchObject({ size: 6, instructions: 2 });
  expect(blockOf(0xd5, 0x10, 0xff, 0xd4)).toMatchObject({ size: 4, kind: Transfer.icall });
  expect(blockOf(0xd5, 0x10, 0xff, 0x20)).toMatchObject({ size: 4, kind: Transfer.ijmp });
  expect(blockOf(0xd5, 0x19, 0x81, 0xc0, 1, 2, 3, 4, ret)).toMatchObject({ size: 9 });
  expect(blockOf(0x66, 0xd5, 0x11, 0x81, 0xc0, 1, 2, ret)).toMatchObject({ size: 8 });
  // movzx of the two-byte map: REX2 stands for 0F.
  expect(blockOf(0xd5, 0xd0, 0xb6, 0xc1, ret)).toMatchObject({ size: 5, instructions: 2 });
  // Branches have no REX2.
  expect(blockOf(0xd5, 0x00, 0x74, 0x00)).toMatchObject({ size: 0, end: 'invalid' });
  expect(blockOf(0xd5, 0x80, 0x84, 0, 0, 0, 0)).toMatchObject({ size: 0, end: 'invalid' });
});

test('instructions of EVEX map 4 have their lengths', () => {
  const lengths: number[][] = [
    // add r16, r17, r18; add with SIB and disp8; imm8, imm32, imm16; test imm; push2
    [0x62, 0xec, 0x7c, 0x10, 0x01, 0xd1],
    [0x62, 0xf4, 0x7c, 0x18, 0x01, 0x44, 0x88, 0x10],
    [0x62, 0xf4, 0x7c, 0x18, 0x83, 0xc0, 0x01],
    [0x62, 0xf4, 0x7c, 0x18, 0x81, 0xc0, 1, 2, 3, 4],
    [0x62, 0xf4, 0x7d, 0x18, 0x81, 0xc0, 1, 2],
    [0x62, 0xf4, 0x7c, 0x08, 0xf7, 0xc0, 1, 2, 3, 4],
    [0x62, 0xf4, 0x7c, 0x08, 0xf7, 0xd8],
    [0x62, 0xf4, 0x7c, 0x18, 0xff, 0xf0],
    [0x62, 0xf4, 0x7c, 0x08, 0x01, 0x05, 1, 2, 3, 4],
  ];
  for (const bytes of lengths) {
    expect(blockOf(...bytes, ret)).toEqual({
      size: bytes.length + 1,
      instructions: 2,
      kind: Transfer.ret,
      end: 'transfer',
    });
  }
});

test('32-bit code has no APX: D5 is AAD, 62 BOUND', () => {
  const reader = new BlockReader(Uint8Array.of(0xd5, 0x0a, 0xa1, 1, 2, 3, 4, ret), 32);
  expect(reader.read(0, emptyShape())).toMatchObject({ size: 8, instructions: 3 });
  reader.dispose();
});
