import type { EvidenceKind } from '../data/report-data.ts';

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
  'jump-into-function': {
    short: 'jump into function',
    one: 'indirect jump into the middle of another function',
    many: 'indirect jumps into the middle of other functions',
    meaning:
      'A jump through a register or memory left its function and landed inside another one. Compilers jump so only to the starts of functions; jump-oriented programming does it all the time.',
  },
  'address-not-taken': {
    short: 'address not taken',
    one: 'indirect transfer to a function whose address nothing takes',
    many: 'indirect transfers to functions whose address nothing takes',
    meaning:
      'An indirect call or jump reached a function to which no pointer exists in the images, so the program itself cannot have chosen it.',
  },
  'wrong-slot': {
    short: 'wrong slot',
    one: 'virtual call to a function that no virtual table has at that position',
    many: 'virtual calls to functions that no virtual table has at that position',
    meaning:
      'In the nominal traces this call site took every target from one position of virtual tables. What it called here stands at that position in no table, so the object or its table was not one of the program’s own.',
  },
  'unlikely-target': {
    short: 'unlikely target',
    one: 'indirect call to a target its call site does not call',
    many: 'indirect calls to targets their call sites do not call',
    meaning:
      'As far as the nominal traces know this call site, it does not call that function. It is the one kind of evidence that rests on training, so it weighs by how far-fetched a harmless explanation is.',
  },
  'usual-oddity': {
    short: 'usual oddity',
    one: 'transfer that the code does not explain, as in nominal runs',
    many: 'transfers that the code does not explain, as in nominal runs',
    meaning:
      'The code of the images makes no such transfer, but nominal runs of training do the same at the same place: an oddity of the program, and no proof of anything.',
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
  'jump-into-function',
  'address-not-taken',
  'not-a-function-entry',
  'wrong-slot',
  'unlikely-target',
  'usual-oddity',
  'gap',
];
