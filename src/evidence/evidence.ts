import type { Address } from '../base/address.ts';

/** Control-flow facts that a trace proves by itself, without any model. */
export type EvidenceKind =
  /** A return that did not go to the instruction after its call. */
  | 'return-mismatch'
  /** A transfer into the middle of an instruction that the code around it executes whole. */
  | 'mid-instruction'
  /** An indirect call to an address that is no function entry. */
  | 'not-a-function-entry'
  /** An indirect jump out of its function to something that is no function entry. */
  | 'jump-into-function'
  /** An indirect call or jump to a function whose address nothing in the images takes. */
  | 'address-not-taken'
  /** A virtual call to a function that no virtual table holds at the position that is called. */
  | 'wrong-slot'
  /** An indirect call to a target that its call site, as training knows it, does not call. */
  | 'unlikely-target'
  /** Code outside every image, or in memory that the map says is not executable. */
  | 'outside-images'
  /** What would be a proof, at a place where nominal runs of training do the same. */
  | 'usual-oddity'
  | 'gap';

export interface Evidence {
  readonly kind: EvidenceKind;
  /** Block index (blocks only, from 0) of the block that made the transfer. */
  readonly position: number;
  readonly traceOffset: number;
  /** How many transfers in a row this stands for, where they would all say the same (default 1). */
  readonly count?: number;
  /** For graded kinds: how far-fetched a harmless explanation is, in nats. */
  readonly weight?: number;
  /** Where the transfer should have gone, when that is one place. */
  readonly expected?: Address;
  /** How many nominal runs of training hold it at the same place, and how many there were. */
  readonly nominal?: { readonly holding: number; readonly runs: number };
  /** Where it went. */
  readonly actual?: Address;
}
