/** Control-flow facts that a trace proves by itself, without any model. */
export type EvidenceKind =
  /** A return that did not go to the instruction after its call. */
  | 'return-mismatch'
  /** A transfer into the middle of an instruction that the code around it executes whole. */
  | 'mid-instruction'
  /** An indirect call to an address that is no function entry. */
  | 'not-a-function-entry'
  /** Code outside every image, or in memory that the map says is not executable. */
  | 'outside-images'
  | 'gap';

export interface Evidence {
  readonly kind: EvidenceKind;
  /** Block index (blocks only, from 0) of the block that made the transfer. */
  readonly position: number;
  readonly traceOffset: number;
}
