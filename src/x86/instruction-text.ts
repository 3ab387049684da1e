import { Decoder, DecoderError, DecoderOptions, Formatter, FormatterSyntax } from 'iced-x86';
import { type Address, addressToBigInt } from '../base/address.ts';
import type { Bitness } from './block-reader.ts';

/** One instruction as people read it. */
export interface InstructionText {
  readonly address: Address;
  readonly size: number;
  /** Intel syntax: `mov rax,[rbp-8]`. */
  readonly text: string;
}

/** @returns the instructions in `bytes`, which begin at `address`; up to the first that is none */
export function readInstructions(
  bytes: Uint8Array,
  address: Address,
  bitness: Bitness,
): InstructionText[] {
  const decoder = new Decoder(bitness, bytes, DecoderOptions.None);
  const formatter = new Formatter(FormatterSyntax.Intel);
  formatter.hexPrefix = '0x';
  formatter.hexSuffix = '';
  formatter.uppercaseHex = false;
  formatter.spaceAfterOperandSeparator = true;
  decoder.ip = addressToBigInt(address);
  const list: InstructionText[] = [];
  try {
    let at = 0;
    while (decoder.canDecode) {
      const instruction = decoder.decode();
      if (decoder.lastError !== DecoderError.None) {
        instruction.free();
        break;
      }
      list.push({
        address: address + at,
        size: instruction.length,
        text: formatter.format(instruction),
      });
      at += instruction.length;
      instruction.free();
    }
  } finally {
    formatter.free();
    decoder.free();
  }
  return list;
}
