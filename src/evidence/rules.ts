import type { EvidenceKind } from './evidence.ts';

/** What an evidence kind is worth in a verdict, before any trace was seen. */
export interface EvidenceRule {
  /**
   * - `proof`: no code of the images makes such a transfer
   * - `hint`: unusual, but harmless programs do it
   * - `damage`: nothing is known about the program, only about the recording
   */
  readonly strength: 'proof' | 'hint' | 'damage';
  /** For people: what was expected, and what came. */
  readonly title: string;
}

export const evidenceRules: Readonly<Record<EvidenceKind, EvidenceRule>> = {
  'return-mismatch': { strength: 'proof', title: 'return that does not go back to its call' },
  'mid-instruction': { strength: 'proof', title: 'transfer into the middle of an instruction' },
  'not-a-function-entry': {
    strength: 'proof',
    title: 'indirect call into the middle of a function',
  },
  'jump-into-function': { strength: 'proof', title: 'indirect jump into the middle of a function' },
  'address-not-taken': {
    strength: 'proof',
    title: 'indirect call to a function that no pointer refers to',
  },
  'wrong-slot': {
    strength: 'proof',
    title: 'virtual call to a function that no virtual table has there',
  },
  'unlikely-target': { strength: 'hint', title: 'indirect call that its call site does not make' },
  'usual-oddity': {
    strength: 'hint',
    title: 'oddity that nominal runs show at the same place',
  },
  'outside-images': { strength: 'hint', title: 'code outside every image' },
  gap: { strength: 'damage', title: 'gap in the recording' },
};

export const evidenceKinds: readonly EvidenceKind[] = Object.keys(evidenceRules) as EvidenceKind[];
