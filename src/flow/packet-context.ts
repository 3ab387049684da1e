import type { Address } from '../base/address.ts';

/** Parts of what earlier packets said. */
const Part = {
  /** A FUP that waits for the packet that it belongs to, and that this is an abort. */
  fup: 1,
  /** The next FUP belongs to a packet that only tells where it happened. */
  binding: 2,
  /** Packets were lost, and where flow goes on has not come. */
  overflow: 4,
  /** The packets of PSB+. */
  psb: 8,
  /** Where PSB+ says that execution stands. */
  status: 16,
  /** Tracing was turned off, and by what. */
  off: 32,
  /** Where it was turned off within a block. */
  pause: 64,
  /** The group of BIP packets. */
  items: 128,
  /** Where packets begin is known. */
  synchronization: 256,
} as const;

type ResetEvent =
  | 'psb'
  | 'psbEnd'
  | 'tipPge'
  | 'tipPgd'
  | 'settled'
  | 'ovf'
  | 'restart'
  | 'resume'
  | 'missing'
  | 'loss';

/**
 * What each packet or event ends of what packets before it said. The last IP is reset by PSB and OVF,
 * blocks and calls by OVF and loss; they belong to
 * `FlowState`. TNT and TIP end the binding of a FUP; the decoder's loop does that by itself, since it does so for
 * every packet.
 *
 * @see Intel SDM vol. 3, "Intel Processor Trace", packet definitions: PSB, OVF, TIP.PGE, TIP.PGD, MODE
 */
export const Reset: Readonly<Record<ResetEvent, number>> = {
  psb: Part.binding | Part.status,
  /** PSBEND, or a packet that PSB+ does not hold. */
  psbEnd: Part.psb,
  tipPge: Part.fup | Part.binding | Part.overflow,
  tipPgd: Part.fup | Part.binding,
  /** The packet that a FUP waited for has come. */
  settled: Part.fup,
  ovf: Part.fup | Part.binding | Part.psb | Part.off | Part.pause | Part.items,
  /** Flow is known from an address on: PSB+, or what comes behind OVF. */
  restart: Part.overflow | Part.off,
  /** TIP.PGE that stands behind TIP.PGD as it should. */
  resume: Part.off | Part.pause,
  /** A packet is missing, but flow goes on at once. */
  missing: Part.off | Part.pause | Part.items,
  /** Nothing is known before the next PSB. */
  loss:
    Part.fup |
    Part.binding |
    Part.overflow |
    Part.psb |
    Part.status |
    Part.off |
    Part.pause |
    Part.items |
    Part.synchronization,
};

/** Where tracing was turned off within a block. */
export interface Pause {
  readonly ip: Address;
  readonly node: number;
  /** By an asynchronous event, not by an address filter. */
  readonly isEvent: boolean;
}

/** What packets mean depends on those before them; this is what has to be remembered of those. */
export class PacketContext {
  isSynchronized = false;
  inPsb = false;
  statusIp: Address | undefined;
  fup: Address | undefined;
  /** FUP and TIP of a transaction that was aborted come next. */
  isAbort = false;
  fupIsBound = false;
  afterOverflow = false;
  /** TIP.PGD turned tracing off, and nothing is lost since. */
  isOff = false;
  /**
   * A return or an indirect branch led to code that is not traced (an address filter): what runs
   * next in traced code is not where that branch went.
   */
  leftByBranch = false;
  pausedAt: Pause | undefined;
  /** Bytes of a BIP packet between BBP and BEP; 0 elsewhere, where the same bytes are TNT packets. */
  itemBytes = 0;

  /** @param parts  one of `Reset` */
  reset(parts: number): void {
    if ((parts & Part.fup) !== 0) {
      this.fup = undefined;
      this.isAbort = false;
    }
    if ((parts & Part.binding) !== 0) this.fupIsBound = false;
    if ((parts & Part.overflow) !== 0) this.afterOverflow = false;
    if ((parts & Part.psb) !== 0) this.inPsb = false;
    if ((parts & Part.status) !== 0) this.statusIp = undefined;
    if ((parts & Part.off) !== 0) {
      this.isOff = false;
      this.leftByBranch = false;
    }
    if ((parts & Part.pause) !== 0) this.pausedAt = undefined;
    if ((parts & Part.items) !== 0) this.itemBytes = 0;
    if ((parts & Part.synchronization) !== 0) this.isSynchronized = false;
  }
}
