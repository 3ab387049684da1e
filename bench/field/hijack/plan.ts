import type { Random } from '../../../src/base/random.ts';
import type { Write } from './families.ts';

/** What `hijack.c` reads: see its `struct plan`. */
export interface Plan {
  readonly isDry: boolean;
  /** Number of the allocation, from 1 on; 0: never. */
  readonly fire: number;
  readonly dumps: boolean;
  readonly writes: readonly Write[];
}

const mostWrites = 64;

/** @throws RangeError for more writes than the library makes */
export function encodePlan(plan: Plan): Buffer {
  if (plan.writes.length > mostWrites) throw new RangeError('too many writes for one plan');
  const bytes = Buffer.alloc(32 + 16 * mostWrites);
  bytes.write('HIJACK01', 'latin1');
  bytes.writeBigUInt64LE(plan.isDry ? 1n : 0n, 8);
  bytes.writeBigUInt64LE(BigInt(plan.fire), 16);
  bytes.writeBigUInt64LE(plan.dumps ? 1n : 0n, 24);
  for (const [index, { address, value }] of plan.writes.entries()) {
    bytes.writeBigUInt64LE(BigInt(address), 32 + 16 * index);
    bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), 40 + 16 * index);
  }
  return bytes;
}

/** Writes for a dry plan: as many as an attack's, of words that look like addresses. */
export function dryWrites(random: Random): Write[] {
  const word = (): number => 0x4000000000 + random.below(0x10000000) * 8;
  return Array.from({ length: 1 + random.below(40) }, () => ({ address: word(), value: word() }));
}
