import {
  CC_a,
  CC_ae,
  CC_be,
  CC_e,
  CC_g,
  CC_ge,
  CC_ne,
  Decoder,
  DecoderError,
  DecoderOptions,
  Formatter,
  FormatterSyntax,
} from 'iced-x86';
import { type Address, addressToBigInt } from '../base/address.ts';
import type { Bitness } from './block-reader.ts';

/** One instruction as people read it. */
export interface InstructionText {
  readonly address: Address;
  readonly size: number;
  /** Intel syntax: `mov rax,[rbp-8]`. */
  readonly text: string;
}

/**
 * @param names  those of Intel's manual (`jne short 0x...`), or of its XED (`jnz 0x...`)
 * @returns the instructions in `bytes`, which begin at `address`; up to the first that is none
 */
export function readInstructions(
  bytes: Uint8Array,
  address: Address,
  bitness: Bitness,
  names: 'manual' | 'xed' = 'manual',
): InstructionText[] {
  const decoder = new Decoder(bitness, bytes, DecoderOptions.None);
  const formatter = new Formatter(FormatterSyntax.Intel);
  formatter.hexPrefix = '0x';
  formatter.hexSuffix = '';
  formatter.uppercaseHex = false;
  formatter.spaceAfterOperandSeparator = true;
  formatter.branchLeadingZeros = false;
  if (names === 'xed') {
    formatter.showBranchSize = false;
    formatter.cc_e = CC_e.z;
    formatter.cc_ne = CC_ne.nz;
    formatter.cc_ae = CC_ae.nb;
    formatter.cc_be = CC_be.be;
    formatter.cc_a = CC_a.nbe;
    formatter.cc_g = CC_g.nle;
    formatter.cc_ge = CC_ge.nl;
  }
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
