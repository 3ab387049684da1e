import type { EvidenceKind } from './report-data.ts';

/** What each kind of evidence is called, and what it means to a reader who has not met it. */
export const evidenceNames: Readonly<
  Record<
    EvidenceKind,
    {
      readonly short: string;
      readonly one: string;
      readonly many: string;
      readonly meaning: string;
    }
  >
> = {
  'return-mismatch': {
    short: 'return mismatch',
    one: 'return that did not go to its call',
    many: 'returns that did not go to their call',
    meaning:
      'A return went somewhere other than the instruction after its call. A program that overwrites return addresses (return-oriented programming) does this; so, rarely, do exceptions and longjmp, which are recognised and left out.',
  },
  'mid-instruction': {
    short: 'mid-instruction',
    one: 'transfer into the middle of an instruction',
    many: 'transfers into the middle of an instruction',
    meaning:
      'Execution went on inside bytes that the code around them executes as one instruction. Compilers do not write such code; gadgets found by searching bytes look like it.',
  },
  'not-a-function-entry': {
    short: 'not a function entry',
    one: 'indirect call to an address that is no function entry',
    many: 'indirect calls to addresses that are no function entries',
    meaning:
      'A call through a pointer landed where no function starts. Corrupted function pointers and jump-oriented programming do this.',
  },
  'outside-images': {
    short: 'outside images',
    one: 'entry into code outside every image',
    many: 'entries into code outside every image',
    meaning:
      'Code ran that belongs to no mapped file, or lies in memory that the map calls not executable: injected code, or code generated at run time.',
  },
  gap: {
    short: 'gap',
    one: 'gap',
    many: 'gaps',
    meaning:
      'The trace does not say what ran here: the processor lost packets, or the code was not available. What ran inside a gap is not known and not guessed.',
  },
};

/** Most telling first. */
export const evidenceOrder: readonly EvidenceKind[] = [
  'return-mismatch',
  'mid-instruction',
  'outside-images',
  'not-a-function-entry',
  'gap',
];
