/**
 * The bytes that packets begin with.
 *
 * @see Intel SDM vol. 3, chapter "Intel Processor Trace", "Trace Packets and Data Types"
 */
export const Opcode = {
  pad: 0x00,
  ext: 0x02,
  mtc: 0x59,
  tsc: 0x19,
  mode: 0x99,
  trig: 0xd9,
} as const;

/** Low five bits of the packets that carry an IP; the upper three say how it is compressed. */
export const IpPacket = { tip: 0x0d, tipPge: 0x11, tipPgd: 0x01, fup: 0x1d } as const;

/** Second byte after `Opcode.ext`; PTW has its size and IP bits above its low five. */
export const Ext = {
  psb: 0x82,
  psbend: 0x23,
  pip: 0x43,
  cbr: 0x03,
  tma: 0x73,
  vmcs: 0xc8,
  ovf: 0xf3,
  traceStop: 0x83,
  tnt64: 0xa3,
  mnt: 0xc3,
  exstop: 0x62,
  exstopIp: 0xe2,
  mwait: 0xc2,
  pwre: 0x22,
  pwrx: 0xa2,
  bbp: 0x63,
  bep: 0x33,
  bepIp: 0xb3,
  cfe: 0x13,
  evd: 0x53,
} as const;

/** Second byte of TRIG. */
export const Trig = {
  /** A FUP follows that says where. */
  hasIp: 0x80,
  /** Two bytes more: instructions since the last packet of control flow. */
  hasCount: 0x40,
  /** Other triggers came at the same time. */
  isMultiple: 0x20,
} as const;

/** Bytes of IP payload by IP compression (upper three bits of the packet's first byte); -1 = reserved. */
export const ipBytes: Int8Array = Int8Array.of(0, 2, 4, 6, 6, -1, 8, -1);

/** Bytes of a PSB: 02 82, eight times. */
export const psbBytes = 16;
const psb: Uint8Array = Uint8Array.from({ length: psbBytes }, (_, i) => (i % 2 ? 0x82 : 0x02));

/** @returns offset of the next whole PSB at or after `from`; -1 when there is none */
export function findPsb(bytes: Uint8Array, from: number, to: number = bytes.length): number {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, to);
  return buffer.indexOf(psb, from);
}

/**
 * Where BEP is missing, any packet that cannot lie between BBP and BEP ends the block, too: only timing,
 * power and event packets, and the FUP of BEP can. Linux' decoder goes by the same list.
 *
 * @param before  bytes of a BIP packet before this packet
 * @returns bytes of a BIP packet after the packet at `at`; 0 outside BBP and BEP, where the same bytes are
 *   TNT packets
 */
export function itemBytesAfter(bytes: Uint8Array, at: number, before: number): number {
  const byte = bytes[at];
  if (byte !== Opcode.ext) {
    if ((byte & 1) === 0) return byte === Opcode.pad || isItem(byte) ? before : 0;
    const isTip = (byte & 3) === 1 && endsItems.includes(byte & 0x1f);
    return isTip || byte === Opcode.mode ? 0 : before;
  }
  switch (bytes[at + 1]) {
    case Ext.bbp:
      return (bytes[at + 2] & 0x80) !== 0 ? 5 : 9;
    case Ext.bep:
    case Ext.bepIp:
    case Ext.ovf:
    case Ext.psb:
    case Ext.psbend:
    case Ext.tnt64:
    case Ext.pip:
    case Ext.vmcs:
    case Ext.traceStop:
    case Ext.mwait:
      return 0;
    default:
      return (bytes[at + 1] & 0x1f) === 0x12 ? 0 : before;
  }
}
const endsItems: readonly number[] = [IpPacket.tip, IpPacket.tipPge, IpPacket.tipPgd];

/** @returns whether a BIP packet begins with `byte`, between BBP and BEP */
export function isItem(byte: number): boolean {
  return (byte & 7) === 4;
}

/**
 * BIP packets exist only between BBP and BEP and look like TNT packets, so they have no length here.
 *
 * @returns bytes of the packet at `at`, 0 when its bytes are cut off at `to`, -1 when they are no
 *   packet
 */
export function packetLength(bytes: Uint8Array, at: number, to: number): number {
  const length = nominalLength(bytes, at, to);
  return length > to - at ? 0 : length;
}

function nominalLength(bytes: Uint8Array, at: number, to: number): number {
  const byte = bytes[at];
  if ((byte & 1) === 0) {
    if (byte !== Opcode.ext) return 1;
    if (at + 1 >= to) return 0;
    return extLength(bytes, at, to);
  }
  if ((byte & 3) === 3) return cycLength(bytes, at, to);
  switch (byte & 0x1f) {
    case IpPacket.tip:
    case IpPacket.tipPge:
    case IpPacket.tipPgd:
    case IpPacket.fup: {
      const payload = ipBytes[byte >> 5];
      return payload < 0 ? -1 : 1 + payload;
    }
  }
  switch (byte) {
    case Opcode.mode:
      if (at + 1 >= to) return 0;
      return isMode(bytes[at + 1]) ? 2 : -1;
    case Opcode.mtc:
      return 2;
    case Opcode.tsc:
      return 8;
    case Opcode.trig:
      if (at + 1 >= to) return 0;
      return (bytes[at + 1] & Trig.hasCount) === 0 ? 3 : 5;
    default:
      return -1;
  }
}

/** Leaf 0 is MODE.Exec, leaf 1 MODE.TSX; both low bits together mean nothing in either. */
function isMode(payload: number): boolean {
  return payload >> 5 <= 1 && (payload & 3) !== 3;
}

function extLength(bytes: Uint8Array, at: number, to: number): number {
  const byte = bytes[at + 1];
  switch (byte) {
    case Ext.psb:
      for (let i = 2; i < psbBytes; i++) {
        if (at + i >= to) return 0;
        if (bytes[at + i] !== psb[i]) return -1;
      }
      return psbBytes;
    case Ext.psbend:
    case Ext.ovf:
    case Ext.traceStop:
    case Ext.exstop:
    case Ext.exstopIp:
    case Ext.bep:
    case Ext.bepIp:
      return 2;
    case Ext.bbp:
      return 3;
    case Ext.pip:
      return 8;
    case Ext.tnt64:
      if (at + 8 > to) return 0;
      // A stop bit, and at least one outcome below it.
      for (let i = 3; i < 8; i++) if (bytes[at + i] !== 0) return 8;
      return bytes[at + 2] > 1 ? 8 : -1;
    case Ext.cbr:
    case Ext.pwre:
    case Ext.cfe:
      return 4;
    case Ext.tma:
    case Ext.vmcs:
    case Ext.pwrx:
      return 7;
    case Ext.mwait:
      return 10;
    case Ext.evd:
      return 11;
    case Ext.mnt:
      if (at + 2 >= to) return 0;
      return bytes[at + 2] === 0x88 ? 11 : -1;
  }
  if ((byte & 0x1f) === 0x12) {
    // PTW: bits 5 and 6 give the payload's size, bit 7 says that a FUP follows.
    const size = (byte >> 5) & 3;
    return size === 0 ? 6 : size === 1 ? 10 : -1;
  }
  return -1;
}

function cycLength(bytes: Uint8Array, at: number, to: number): number {
  if ((bytes[at] & 4) === 0) return 1;
  for (let length = 2; length <= 10; length++) {
    if (at + length - 1 >= to) return 0;
    if ((bytes[at + length - 1] & 1) === 0) return length;
  }
  return -1;
}
