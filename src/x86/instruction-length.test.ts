import { Decoder, DecoderError, DecoderOptions } from 'iced-x86';
import { expect, test } from 'vitest';
import { Random } from '../base/random.ts';
import { BlockReader, emptyShape } from './block-reader.ts';
import { InstructionLength } from './instruction-length.ts';
import { Transfer } from './transfer.ts';

const prefixes = [[], [0x66], [0xf3], [0xf2], [0x64], [0x3e], [0x66, 0xf2], [0xf3, 0x66]];

/** Every opcode with every ModRM byte, behind prefixes, then noise. */
function* encodings(is64: boolean): Generator<Uint8Array> {
  const random = new Random(3);
  const rexes = is64 ? [[], [0x48], [0x41], [0x4f]] : [[]];
  for (const prefix of prefixes) {
    for (const rex of rexes) {
      for (const map of [[], [0x0f]]) {
        for (let opcode = 0; opcode < 256; opcode++) {
          for (let modrm = 0; modrm < 256; modrm++) {
            // All of ModRM's 256 values behind no prefix, some of them behind prefixes.
            if (modrm % 11 !== 4 && prefix.length + rex.length > 0) continue;
            const tail = Array.from({ length: 12 }, () => random.below(256));
            yield Uint8Array.from([...prefix, ...rex, ...map, opcode, modrm, ...tail]);
          }
        }
      }
    }
  }
}

test.each([32, 64] as const)('lengths of %s-bit instructions are those of iced', (bitness) => {
  const lengths = new InstructionLength();
  let known = 0;
  let all = 0;
  const wrong: string[] = [];
  for (const bytes of encodings(bitness === 64)) {
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
