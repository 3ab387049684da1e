import { expect, test } from 'vitest';
import { ip, psb } from '../../../test/packet-streams.ts';
import type { Piece } from './piece.ts';
import { PieceCutter } from './piece-cutter.ts';

const fup = ip(0x1d, 4, 3);
const psbend = [0x02, 0x23];
/** PSB, MODE.Exec, FUP, PSBEND. */
const status = [...psb, 0x99, 0x01, ...fup, ...psbend];
const tnt = (count: number): number[] => Array.from({ length: count }, () => 0x06);

function cut(bytes: readonly number[], size: number, step = bytes.length): Piece[] {
  const cutter = new PieceCutter(size);
  const pieces: Piece[] = [];
  for (let at = 0; at < bytes.length; at += step) {
    pieces.push(...cutter.push(Uint8Array.from(bytes.slice(at, at + step))));
  }
  return [...pieces, ...cutter.end()];
}

const shown = (pieces: readonly Piece[]): number[][] =>
  pieces.map(({ offset, bytes, head }) => [offset, bytes.length, head]);

test('a piece goes on to the end of the PSB+ that the next one begins with', () => {
  const bytes = [...tnt(100), ...status, ...tnt(50), ...status, ...tnt(3)];
  const n = status.length;
  const expected = [
    [0, 100 + n, 0],
    [100, n + 50 + n, n],
    [150 + n, n + 3, n],
  ];
  expect(shown(cut(bytes, 64))).toEqual(expected);
  // However the bytes come.
  for (const step of [1, 7, 40]) expect(shown(cut(bytes, 64, step))).toEqual(expected);
});

test.each([
  ['tracing is off', [...psb, 0x99, 0x01, ...psbend]],
  ['the FUP has no IP', [...psb, 0x1d, ...psbend]],
  ['packets of flow come before PSBEND', [...psb, ...fup, 0x06, ...psbend]],
  ['an overflow ends it', [...psb, ...fup, 0x02, 0xf3, ...psbend]],
  ['TIP.PGE comes before PSBEND', [...psb, ...ip(0x11, 4, 3), ...psbend]],
  ['a byte is no packet', [...psb, ...fup, 0xd1, ...psbend]],
  ['PSBEND is cut off', [...psb, ...fup, 0x02]],
])('nothing is cut where %s', (_, head) => {
  const bytes = [...tnt(100), ...head];
  expect(shown(cut(bytes, 64))).toEqual([[0, bytes.length, 0]]);
});

test('without a PSB, pieces are as long as their slab', () => {
  const pieces = cut(tnt(2000), 64, 1000);
  expect(pieces.every(({ head, bytes }) => head === 0 && bytes.length <= 512)).toBe(true);
  expect(pieces.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBe(2000);
});
