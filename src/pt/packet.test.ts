import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findPsb, itemBytesAfter, packetLength } from './packet.ts';
import { describePacket } from './packet-text.ts';

/**
 * One row for each packet: bytes as the manual's figures give them, length, name, fields.
 *
 * @see Intel SDM vol. 3, "Intel Processor Trace", "Trace Packets and Data Types"
 */
const table: [bytes: number[], length: number, name: string, fields: string][] = [
  [[0x00], 1, 'PAD', ''],
  [[0x06], 1, 'TNT', '!'],
  [[0x04], 1, 'TNT', '.'],
  [[0xfe], 1, 'TNT', '!!!!!!'],
  [[0xa2], 1, 'TNT', '.!...!'],
  [[0x02, 0xa3, 0x05, 0, 0, 0, 0, 0], 8, 'TNT', '.!'],
  [[0x0d], 1, 'TIP', 'no ip'],
  [[0x2d, 0x34, 0x12], 3, 'TIP', 'ip 0x..1234'],
  [[0x4d, 0x78, 0x56, 0x34, 0x12], 5, 'TIP', 'ip 0x..12345678'],
  [[0x6d, 1, 2, 3, 4, 5, 6], 7, 'TIP', 'ip 0x060504030201'],
  [[0x8d, 1, 2, 3, 4, 5, 6], 7, 'TIP', 'ip 0x..060504030201'],
  [[0xcd, 1, 2, 3, 4, 5, 6, 7, 8], 9, 'TIP', 'ip 0x0807060504030201'],
  [[0x31, 0x34, 0x12], 3, 'TIP.PGE', 'ip 0x..1234'],
  [[0x01], 1, 'TIP.PGD', 'no ip'],
  [[0x3d, 0x34, 0x12], 3, 'FUP', 'ip 0x..1234'],
  [[0x99, 0x01], 2, 'MODE', 'Exec 64-bit'],
  [[0x99, 0x02], 2, 'MODE', 'Exec 32-bit'],
  [[0x99, 0x00], 2, 'MODE', 'Exec 16-bit'],
  [[0x99, 0x05], 2, 'MODE', 'Exec 64-bit, interrupts'],
  [[0x99, 0x1e], 2, 'MODE', 'Exec 32-bit, interrupts'],
  [[0x99, 0x21], 2, 'MODE', 'TSX begin'],
  [[0x99, 0x22], 2, 'MODE', 'TSX abort'],
  [[0x99, 0x20], 2, 'MODE', 'TSX commit'],
  [[0x19, 1, 2, 3, 4, 5, 6, 7], 8, 'TSC', '0x07060504030201'],
  [[0x59, 0x7f], 2, 'MTC', '0x7f'],
  [[0x03], 1, 'CYC', '0x03'],
  [[0x07, 0x02], 2, 'CYC', '0x0207'],
  [[0x02, 0x43, 1, 2, 3, 4, 5, 6], 8, 'PIP', '0x060504030201'],
  [[0x02, 0x03, 0x1c, 0x00], 4, 'CBR', '0x001c'],
  [[0x02, 0x73, 1, 2, 0, 4, 5], 7, 'TMA', '0x0504000201'],
  [[0x02, 0xc8, 1, 2, 3, 4, 5], 7, 'VMCS', '0x0504030201'],
  [[0x02, 0xf3], 2, 'OVF', ''],
  [[0x02, 0x83], 2, 'TraceStop', ''],
  [[0x02, 0x23], 2, 'PSBEND', ''],
  [[0x02, 0xc3, 0x88, 1, 2, 3, 4, 5, 6, 7, 8], 11, 'MNT', '0x080706050403020188'],
  [[0x02, 0x62], 2, 'EXSTOP', ''],
  [[0x02, 0xe2], 2, 'EXSTOP', ''],
  [[0x02, 0xc2, 1, 0, 0, 0, 2, 0, 0, 0], 10, 'MWAIT', '0x0000000200000001'],
  [[0x02, 0x22, 0x80, 0x10], 4, 'PWRE', '0x1080'],
  [[0x02, 0xa2, 1, 2, 0, 0, 0], 7, 'PWRX', '0x0000000201'],
  [[0x02, 0x12, 1, 2, 3, 4], 6, 'PTW', '0x04030201'],
  [[0x02, 0x32, 1, 2, 3, 4, 5, 6, 7, 8], 10, 'PTW', '0x0807060504030201'],
  [[0x02, 0x13, 0x01, 0x20], 4, 'CFE', '0x2001'],
  [[0x02, 0x53, 0x01, 1, 2, 3, 4, 5, 6, 7, 8], 11, 'EVD', '0x080706050403020101'],
  [[0x02, 0x92, 1, 2, 3, 4], 6, 'PTW', '0x04030201'],
  [[0x02, 0xb2, 1, 2, 3, 4, 5, 6, 7, 8], 10, 'PTW', '0x0807060504030201'],
  [[0x02, 0x63, 0x84], 3, 'BBP', '0x84'],
  [[0x02, 0x33], 2, 'BEP', ''],
  [[0x02, 0xb3], 2, 'BEP', ''],
  // TRIG: IP, ICNTV and MULT in bits 7 to 5 of its second byte, which ICNTV makes two bytes longer.
  [[0xd9, 0x00, 0x16], 3, 'TRIG', '0x16'],
  [[0xd9, 0x20, 0x01], 3, 'TRIG', '0x01, multiple'],
  [[0xd9, 0x40, 0x16, 0x10, 0x01], 5, 'TRIG', '0x16, count 272'],
  [[0xd9, 0xc0, 0xff, 0, 0], 5, 'TRIG', '0xff, ip, count 0'],
];
const psb = Array.from({ length: 16 }, (_, i) => (i % 2 ? 0x82 : 0x02));

describe('packets', () => {
  test.each(table)('%j is %i bytes of %s %s', (bytes, length, name, fields) => {
    const buffer = Uint8Array.from([...bytes, 0xff]);
    expect(packetLength(buffer, 0, buffer.length)).toBe(length);
    expect(describePacket(buffer, 0, length, 7)).toEqual({ offset: 7, length, name, fields });
  });

  test.each(table)('%j cut short is recognized as cut', (bytes) => {
    for (let to = 1; to < bytes.length; to++) {
      expect(packetLength(Uint8Array.from(bytes.slice(0, to)), 0, to)).toBe(0);
    }
  });

  test('PSB is sixteen bytes, and one wrong byte makes it none', () => {
    expect(packetLength(Uint8Array.from(psb), 0, 16)).toBe(16);
    const wrong = Uint8Array.from(psb);
    wrong[13] = 0;
    expect(packetLength(wrong, 0, 16)).toBe(-1);
  });

  test('the first byte decides whether there is a packet, all 256 of them', () => {
    const ipPacket = [0x01, 0x0d, 0x11, 0x1d];
    for (let byte = 0; byte < 256; byte++) {
      const isIp = ipPacket.includes(byte & 0x1f) && byte >> 5 !== 5 && byte >> 5 !== 7;
      const isPacket =
        (byte & 1) === 0 || (byte & 3) === 3 || isIp || [0x19, 0x59, 0x99, 0xd9].includes(byte);
      // What follows is right for every packet that needs something: 02 82 ... is a PSB, 99 02 MODE.Exec.
      const bytes = Uint8Array.of(byte, byte === 2 ? 0x83 : 2, 0x82, 0, 0, 0, 0, 0, 0, 0);
      expect(packetLength(bytes, 0, 10) > 0, `0x${byte.toString(16)}`).toBe(isPacket);
    }
  });

  test('the byte after 02 does, too, and 88 after C3', () => {
    const known = [
      0x82, 0x23, 0x43, 0x03, 0x73, 0xc8, 0xf3, 0x83, 0xa3, 0x62, 0xe2, 0xc2, 0x22, 0xa2,
    ].concat([0x63, 0x33, 0xb3, 0x13, 0x53, 0x12, 0x32, 0x92, 0xb2]);
    for (let byte = 0; byte < 256; byte++) {
      const bytes = byte === 0x82 ? Uint8Array.from(psb) : Uint8Array.from({ length: 16 }, () => 2);
      bytes[0] = 0x02;
      bytes[1] = byte;
      expect(packetLength(bytes, 0, 16) > 0, `0x02 0x${byte.toString(16)}`).toBe(
        known.includes(byte),
      );
      const third = Uint8Array.of(0x02, 0xc3, byte, 1, 2, 3, 4, 5, 6, 7, 8);
      expect(packetLength(third, 0, 11)).toBe(byte === 0x88 ? 11 : -1);
    }
  });

  test('payloads that no processor writes are no packet', () => {
    // MODE leaves 2 to 7, CS.L with CS.D, begin with abort.
    for (const payload of [0x40, 0x60, 0xe1, 0x03, 0x07, 0x23]) {
      expect(packetLength(Uint8Array.of(0x99, payload), 0, 2)).toBe(-1);
    }
    // A long TNT packet without a stop bit, or without an outcome below it.
    expect(packetLength(Uint8Array.of(2, 0xa3, 0, 0, 0, 0, 0, 0), 0, 8)).toBe(-1);
    expect(packetLength(Uint8Array.of(2, 0xa3, 1, 0, 0, 0, 0, 0), 0, 8)).toBe(-1);
    expect(packetLength(Uint8Array.of(2, 0xa3, 2, 0, 0, 0, 0, 0), 0, 8)).toBe(8);
    expect(packetLength(Uint8Array.of(2, 0xa3, 0, 0, 0, 0, 0, 0x80), 0, 8)).toBe(8);
    // A CYC of more than 64 bits.
    const cyc = Uint8Array.from({ length: 12 }, () => 0x07);
    expect(packetLength(cyc, 0, 12)).toBe(-1);
    cyc[9] = 0x02;
    expect(packetLength(cyc, 0, 12)).toBe(10);
  });

  test('a PSB is found wherever it lies', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 64 }),
        fc.uint8Array({ maxLength: 64 }),
        (before, after) => {
          const bytes = Uint8Array.from([...before, ...psb, ...after]);
          const at = findPsb(bytes, 0);
          expect(at).toBeGreaterThanOrEqual(0);
          expect(at).toBeLessThanOrEqual(before.length);
          expect([...bytes.subarray(at, at + 16)]).toEqual(psb);
        },
      ),
      { seed: 4 },
    );
  });

  test('any bytes have a length that does not pass their end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 24 }), (bytes) => {
        const length = packetLength(bytes, 0, bytes.length);
        expect(length).toBeGreaterThanOrEqual(-1);
        expect(length).toBeLessThanOrEqual(bytes.length);
      }),
      { numRuns: 5000, seed: 3 },
    );
  });
});

test('between BBP and BEP there are items of 8 or 4 bytes, and their headers', () => {
  const after = (before: number, ...bytes: number[]): number =>
    itemBytesAfter(Uint8Array.from(bytes), 0, before);
  expect(after(0, 0x02, 0x63, 0x04)).toBe(9);
  expect(after(0, 0x02, 0x63, 0x84)).toBe(5);
  expect(after(5, 0x0c, 1, 2, 3, 4)).toBe(5);
  expect(after(5, 0x02, 0x33)).toBe(0);
  expect(after(9, 0x02, 0xb3)).toBe(0);
  expect(after(9, 0x02, 0xf3)).toBe(0);
  // BEP may be missing: packets of control flow end the block.
  for (const packet of [[0x06], [0x2d, 1, 2], [0x01], [0x31, 1, 2], [0x99, 1], [0x02, 0x82]]) {
    expect(after(9, ...packet)).toBe(0);
  }
  for (const packet of [
    [0x02, 0xa3],
    [0x02, 0x12],
    [0x02, 0xc2],
    [0x02, 0x43],
    [0x02, 0x23],
  ]) {
    expect(after(9, ...packet)).toBe(0);
  }
  for (const packet of [[0x00], [0x3d, 1, 2], [0x19], [0x59, 1], [0x03], [0x02, 0x03], [0xd9, 0]]) {
    expect(after(9, ...packet)).toBe(9);
  }
});
