import { evaluationsIn } from '../../src/evaluation/folder.ts';
import { evidenceRules } from '../../src/evidence/rules.ts';
import { findPatches } from '../../src/verdict/patches.ts';

/** What an evaluation file holds that the command line does not print. */
export interface Look {
  /** Transfers that the code makes next to impossible, by kind. */
  readonly proofs: Readonly<Record<string, number>>;
  /** Where the first ones are, as block indices. */
  readonly proofBlocks: readonly number[];
  /** The worst place: block index of its first block, and of the one after its last. */
  readonly worst: { readonly start: number; readonly end: number } | undefined;
}

/** The one place where this benchmark knows how Wayward keeps evidence. */
export async function lookInto(folder: string): Promise<ReadonlyMap<string, Look>> {
  const looks = new Map<string, Look>();
  for await (const entry of evaluationsIn(folder)) {
    if ('skipped' in entry) throw new Error(`${entry.path}: ${entry.skipped}`);
    const { value } = entry;
    const proofs: Record<string, number> = {};
    const proofBlocks: number[] = [];
    for (const { kind, position, count } of value.evidence) {
      if (evidenceRules[kind].strength !== 'proof') continue;
      proofs[kind] = (proofs[kind] ?? 0) + (count ?? 1);
      if (proofBlocks.length < 16) proofBlocks.push(position);
    }
    const [worst] = findPatches(value, { most: 1, withEvidence: true });
    looks.set(value.sample.name, {
      proofs,
      proofBlocks,
      worst: worst === undefined ? undefined : { start: worst.start, end: worst.end },
    });
  }
  return looks;
}
