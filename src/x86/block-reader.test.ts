import { expect, test } from 'vitest';
import { type Bitness, BlockReader, type BlockShape, emptyShape } from './block-reader.ts';
import { Transfer } from './transfer.ts';

function read(bitness: Bitness, ...bytes: number[]): BlockShape {
  const reader = new BlockReader(Uint8Array.from(bytes), bitness);
  const shape = reader.read(0, emptyShape());
  reader.dispose();
  return shape;
}

/** @see Intel SDM vol. 2, JMP, Jcc, CALL, LOOP: displacements are signed and count from the next instruction */
test.each<[string, Bitness, number[], number, number]>([
  ['jmp rel8, 64-bit', 64, [0xeb, 0xfc], Transfer.jmp, -2],
  ['jmp rel8, 32-bit', 32, [0xeb, 0xfc], Transfer.jmp, -2],
  ['jmp rel8, 16-bit', 16, [0xeb, 0xfc], Transfer.jmp, -2],
  ['jmp rel16, 16-bit', 16, [0xe9, 0xf0, 0xff], Transfer.jmp, -13],
  ['call rel32, 64-bit', 64, [0xe8, 0x00, 0x01, 0x00, 0x00], Transfer.call, 261],
  ['call rel32, 32-bit', 32, [0xe8, 0xfb, 0xff, 0xff, 0xff], Transfer.call, 0],
  ['jnz rel32, 64-bit', 64, [0x0f, 0x85, 0xfa, 0xff, 0xff, 0xff], Transfer.jcc, 0],
  ['loop after nop, 64-bit', 64, [0x90, 0xe2, 0xfd], Transfer.jcc, 0],
])('%s', (_, bitness, bytes, kind, target) => {
  expect(read(bitness, ...bytes)).toMatchObject({
    kind,
    target,
    size: bytes.length,
    end: 'transfer',
  });
});
