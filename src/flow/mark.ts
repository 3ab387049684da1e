import type { Address } from '../base/address.ts';

/** Why control flow is unknown for a while. */
export type GapReason =
  /** The first packets before the first PSB, or bytes that are no packet. */
  | 'not-synchronized'
  | 'unknown-packet'
  | 'truncated'
  /** A packet that the instructions do not ask for. */
  | 'mismatch'
  /** OVF: the processor lost packets. */
  | 'overflow'
  /** Code in no image: JIT, unpacked, unmapped. */
  | 'no-code'
  /** Bytes that are no instruction. */
  | 'bad-instruction'
  | 'address-out-of-range'
  /** A loop without trace packets, longer than any real one. */
  | 'endless'
  /** More distinct blocks or marks than the decoder keeps: the rest of the trace is not decoded. */
  | 'limit'
  /** Left out by whoever followed a run while it went on, and came too late. */
  | 'skipped'
  /** Something in a log of calls that is none. */
  | 'no-call'
  /** Recorded in a stored trace by another tool. */
  | 'stored';

/** A stretch of the trace in which the executed code is not known. Windows never run across it. */
export interface Gap {
  readonly kind: 'gap';
  readonly reason: GapReason;
  /** Bytes from the start of the trace to the packet where flow was lost. */
  readonly traceOffset: number;
  /** Last known instruction address, when there is one. */
  readonly address: Address | undefined;
  /** Trace bytes skipped before flow was known again (0 when none). */
  readonly bytesLost: number;
  /** Time stamp counter at the last TSC packet before, when the trace has one. */
  readonly time?: number;
}

/**
 * Flow moved on without an instruction asking for it: an interrupt, exception or signal
 * (FUP+TIP), or tracing stopped and resumed elsewhere.
 */
export interface AsyncTransfer {
  readonly kind: 'async';
  readonly traceOffset: number;
  readonly from: Address | undefined;
  /** `undefined` where a trace ends at an event: a crash. */
  readonly to: Address | undefined;
  /** Where a trace ends: whether there is code at `from`. A jump into nowhere crashes where there is none. */
  readonly isInCode?: boolean;
  /** Time stamp counter at the last TSC packet before, when the trace has one. */
  readonly time?: number;
}

/** The flow of another thread follows, from its start. Nothing is lost, but windows end here. */
export interface ThreadSwitch {
  readonly kind: 'thread';
}

/** Something in a block stream that is no block. */
export type Mark = Gap | AsyncTransfer | ThreadSwitch;
