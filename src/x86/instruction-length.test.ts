import { Decoder, DecoderError, DecoderOptions } from 'iced-x86';
import { expect, test } from 'vitest';
import { encodings } from '../../test/encodings.ts';
import { BlockReader, emptyShape } from './block-reader.ts';
import { InstructionLength } from './instruction-length.ts';
import { Transfer } from './transfer.ts';

/** ModRM bytes: all behind no prefix, some of them behind prefixes. */
const plan = {
  prefixes: [[], [0x66], [0xf3], [0xf2], [0x64], [0x3e], [0x66, 0xf2], [0xf3, 0x66]],
  rexes: [[], [0x48], [0x41], [0x4f]],
  ...{ every: 11, allOfTwo: true, seed: 3 },
};

test.each([32, 64] as const)('lengths of %s-bit instructions are those of iced', (bitness) => {
  const lengths = new InstructionLength();
  let known = 0;
  let all = 0;
  const wrong: string[] = [];
  for (const bytes of encodings(plan, bitness === 64)) {
    all++;
    const placed = Uint8Array.from([0x0f, ...bytes]);
    const moved = all % 7 === 0 ? lengths.read(placed, 1, bitness === 64) : 0;
    const movedKind = lengths.kind;
    const length = lengths.read(bytes, 0, bitness === 64);
    // What stands before it does not matter.
    if (all % 7 === 0 && (moved !== length || movedKind !== lengths.kind)) wrong.push('moved');
    if (length === 0) continue;
    known++;
    const { kind, displacement } = lengths;
    const decoder = new Decoder(bitness, bytes, DecoderOptions.None);
    const instruction = decoder.decode();
    const isValid = decoder.lastError === DecoderError.None;
    if (!isValid || instruction.length !== length) wrong.push(Buffer.from(bytes).toString('hex'));
    else if (kind !== Transfer.none) {
      // The reader decodes the whole with iced when the fast way is closed.
      const shape = new BlockReader(bytes, bitness, false).read(0, emptyShape());
      const target = kind <= Transfer.jmp || kind === Transfer.call ? length + displacement : 0;
      if (shape.kind !== kind || shape.target !== target) {
        wrong.push(`${Buffer.from(bytes).toString('hex')} ${kind} ${shape.kind}`);
      }
    } else if (
      new BlockReader(bytes.subarray(0, length), bitness, false).read(0, emptyShape()).kind !==
      Transfer.none
    ) {
      wrong.push(`${Buffer.from(bytes).toString('hex')} is a transfer`);
    }
    instruction.free();
    decoder.free();
  }
  expect(wrong.slice(0, 20)).toEqual([]);
  expect(known / all).toBeGreaterThan(0.2);
});
