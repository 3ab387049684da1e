import { Ext, IpPacket, ipBytes, Opcode, Trig } from './packet.ts';

/** A packet as people read it. */
export interface PacketText {
  readonly offset: number;
  readonly length: number;
  /** The manual's name: `TIP.PGE`. */
  readonly name: string;
  /** Fields: `ip 0x..9d0`, `!..!!`. Empty where there are none. */
  readonly fields: string;
}

const extNames: Readonly<Record<number, string>> = {
  [Ext.psb]: 'PSB',
  [Ext.psbend]: 'PSBEND',
  [Ext.pip]: 'PIP',
  [Ext.cbr]: 'CBR',
  [Ext.tma]: 'TMA',
  [Ext.vmcs]: 'VMCS',
  [Ext.ovf]: 'OVF',
  [Ext.traceStop]: 'TraceStop',
  [Ext.tnt64]: 'TNT',
  [Ext.mnt]: 'MNT',
  [Ext.exstop]: 'EXSTOP',
  [Ext.exstopIp]: 'EXSTOP',
  [Ext.mwait]: 'MWAIT',
  [Ext.pwre]: 'PWRE',
  [Ext.pwrx]: 'PWRX',
  [Ext.bbp]: 'BBP',
  [Ext.bep]: 'BEP',
  [Ext.bepIp]: 'BEP',
  [Ext.cfe]: 'CFE',
  [Ext.evd]: 'EVD',
};

const ipNames: Readonly<Record<number, string>> = {
  [IpPacket.tip]: 'TIP',
  [IpPacket.tipPge]: 'TIP.PGE',
  [IpPacket.tipPgd]: 'TIP.PGD',
  [IpPacket.fup]: 'FUP',
};

/**
 * Describes the packet of `length` bytes at `at`. IPs are shown as the packet has them: `..` stands
 * for the upper bytes that it takes from the IP before.
 *
 * @param offset  of the packet in the trace
 */
export function describePacket(
  bytes: Uint8Array,
  at: number,
  length: number,
  offset: number,
): PacketText {
  const byte = bytes[at];
  const named = (name: string, fields = ''): PacketText => ({ offset, length, name, fields });
  const hex = (from: number, count: number): string =>
    Buffer.from(bytes.subarray(from, from + count))
      .reverse()
      .toString('hex');
  if (byte === Opcode.pad) return named('PAD');
  if (byte === Opcode.ext) {
    const second = bytes[at + 1];
    if (second === Ext.tnt64) return named('TNT', outcomes(BigInt(`0x${hex(at + 2, 6)}`)));
    if ((second & 0x1f) === 0x12) return named('PTW', `0x${hex(at + 2, length - 2)}`);
    const name = extNames[second] ?? 'unknown';
    const payload = length > 2 && second !== Ext.psb ? `0x${hex(at + 2, length - 2)}` : '';
    return named(name, payload);
  }
  if ((byte & 1) === 0) return named('TNT', outcomes(BigInt(byte >> 1)));
  if ((byte & 3) === 3) return named('CYC', `0x${hex(at, length)}`);
  const ipName = ipNames[byte & 0x1f];
  if (ipName !== undefined) {
    const size = ipBytes[byte >> 5];
    if (size === 0) return named(ipName, 'no ip');
    return named(ipName, `ip 0x${size < 6 || byte >> 5 === 4 ? '..' : ''}${hex(at + 1, size)}`);
  }
  if (byte === Opcode.mode) return named('MODE', modeText(bytes[at + 1]));
  if (byte === Opcode.tsc) return named('TSC', `0x${hex(at + 1, 7)}`);
  if (byte === Opcode.mtc) return named('MTC', `0x${hex(at + 1, 1)}`);
  if (byte === Opcode.trig) return named('TRIG', triggerText(bytes, at));
  return named('unknown', `0x${hex(at, length)}`);
}

/** `!` taken, `.` not taken, oldest first. */
function outcomes(bits: bigint): string {
  return bits.toString(2).slice(1).replaceAll('1', '!').replaceAll('0', '.');
}

function triggerText(bytes: Uint8Array, at: number): string {
  const flags = bytes[at + 1];
  const parts = [`0x${bytes[at + 2].toString(16).padStart(2, '0')}`];
  if (flags & Trig.hasIp) parts.push('ip');
  if (flags & Trig.hasCount) parts.push(`count ${bytes[at + 3] | (bytes[at + 4] << 8)}`);
  if (flags & Trig.isMultiple) parts.push('multiple');
  return parts.join(', ');
}

function modeText(payload: number): string {
  if (payload >> 5 === 1) {
    return `TSX ${payload & 2 ? 'abort' : payload & 1 ? 'begin' : 'commit'}`;
  }
  if (payload >> 5 !== 0) return `0x${payload.toString(16)}`;
  const interrupts = payload & 4 ? ', interrupts' : '';
  return `Exec ${payload & 1 ? 64 : payload & 2 ? 32 : 16}-bit${interrupts}`;
}
