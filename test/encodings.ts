import { Random } from '../src/base/random.ts';

/** What stands before an opcode, and how many of the 256 ModRM bytes come behind such opcodes. */
export interface EncodingPlan {
  readonly prefixes: readonly (readonly number[])[];
  /** REX prefixes of 64-bit code; the empty list stands for none. */
  readonly rexes: readonly (readonly number[])[];
  /** Every how many-th ModRM byte comes where something stands before a one-byte opcode. */
  readonly every: number;
  /** Whether all ModRM bytes come behind two-byte opcodes, too. */
  readonly allOfTwo: boolean;
  readonly seed: number;
}

/**
 * For tests: every opcode of one and two bytes with many ModRM bytes, behind prefixes, then noise.
 *
 * @returns the same array again and again, overwritten
 */
export function* encodings(plan: EncodingPlan, is64: boolean): Generator<Uint8Array> {
  const random = new Random(plan.seed);
  for (const prefix of plan.prefixes) {
    for (const rex of is64 ? plan.rexes : [[]]) {
      for (const map of [[], [0x0f]]) {
        const head = [...prefix, ...rex, ...map];
        const isAll = prefix.length + rex.length === 0 && (plan.allOfTwo || map.length === 0);
        const bytes = Uint8Array.from([...head, ...Array(14).fill(0)]);
        for (let opcode = 0; opcode < 256; opcode++) {
          for (let modrm = 0; modrm < 256; modrm++) {
            if (!isAll && modrm % plan.every !== 4) continue;
            bytes[head.length] = opcode;
            bytes[head.length + 1] = modrm;
            for (let at = head.length + 2; at < bytes.length; at++) bytes[at] = random.uint32();
            yield bytes;
          }
        }
      }
    }
  }
}
