import { describe, expect, test } from 'vitest';
import { Random } from '../base/random.ts';
import { type MtcRate, PtClock } from './clock.ts';
import { tscPacket } from './encoder.ts';

/** A processor: 100 ticks of its time stamp counter for each of its crystal clock, MTC every 8 of these. */
const rate: MtcRate = { shift: 3, ratio: 100 };
const mtcTicks = rate.ratio * 2 ** rate.shift;
const psbTicks = 50_000;

interface Timed {
  readonly packet: Uint8Array;
  /** Ticks when it was made. */
  readonly at: number;
}

const cbr = (ratio: number): Uint8Array => Uint8Array.of(0x02, 0x03, ratio, 0);

function tma(at: number): Uint8Array {
  const crystal = Math.floor(at / rate.ratio);
  const fast = at % rate.ratio;
  return Uint8Array.of(2, 0x73, crystal & 255, (crystal >> 8) & 255, 0, fast & 255, fast >> 8);
}

function cyc(cycles: number): Uint8Array {
  const bytes = [3 | ((cycles & 31) << 3)];
  let rest = Math.floor(cycles / 32);
  if (rest > 0) bytes[0] |= 4;
  for (; rest > 0; rest = Math.floor(rest / 128)) {
    bytes.push(((rest & 127) << 1) | (rest >= 128 ? 1 : 0));
  }
  return Uint8Array.from(bytes);
}

/** What a processor writes from tick `from` on: TSC and TMA at each PSB, MTC, and CYC if asked for. */
function packets(
  random: Random,
  from: number,
  ticks: number,
  options: { readonly cycles?: boolean; readonly slowAt?: number } = {},
): Timed[] {
  const made: Timed[] = [{ packet: cbr(24), at: from }];
  let nextPsb = from;
  let nextMtc = Math.ceil(from / mtcTicks) * mtcTicks;
  let cycles = 0;
  let pace = 1.25;
  for (let at = from; at < from + ticks; ) {
    const step = Math.min(1 + random.below(150), nextPsb - at || 1, nextMtc - at || 1);
    // It comes before the packets that it is of.
    if (options.cycles && Math.floor(cycles) > 0) {
      made.push({ packet: cyc(Math.floor(cycles)), at });
      cycles -= Math.floor(cycles);
    }
    if (at === nextPsb) {
      made.push({ packet: tscPacket(at), at }, { packet: tma(at), at });
      nextPsb += psbTicks;
    }
    if (at === nextMtc) {
      made.push({ packet: Uint8Array.of(0x59, (at / mtcTicks) & 255), at });
      nextMtc += mtcTicks;
    }
    if (options.slowAt !== undefined && at >= options.slowAt && pace !== 0.625) {
      pace = 0.625;
      made.push({ packet: cbr(12), at });
    }
    at += step;
    cycles += step * pace;
  }
  return made;
}

/** @returns the largest difference from the true time, after `settled` ticks */
function worst(clock: PtClock, made: readonly Timed[], settled: number): number {
  let error = 0;
  let before = -1;
  for (const { packet, at } of made) {
    clock.packet(packet, 0);
    expect(clock.time).toBeGreaterThanOrEqual(before);
    before = clock.time;
    if (at >= settled && clock.time >= 0) error = Math.max(error, Math.abs(clock.time - at));
  }
  return error;
}

describe('the time between TSC packets', () => {
  const from = 123_456_789;
  const length = 10 * psbTicks;

  test('is that of MTC packets where the rate is known', () => {
    const made = packets(new Random(1), from, length);
    expect(worst(new PtClock(rate), made, from)).toBe(0);
  });

  test('is that of MTC packets where the rate has to be found, once it is', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const start = from + seed * 777_777;
      const made = packets(new Random(seed), start, length);
      // A pair of TMA and MTC gives the shift, two TMA packets more give the ratio.
      expect(worst(new PtClock(), made, start + 4 * psbTicks)).toBeLessThanOrEqual(1);
    }
  });

  test('goes on with the cycles', () => {
    const made = packets(new Random(3), from, length, { cycles: true });
    // A hundredth of what lies between two MTC packets.
    expect(worst(new PtClock(rate), made, from + 40 * mtcTicks)).toBeLessThan(mtcTicks / 100);
  });

  test('and with cycles when the core slows down, which CBR tells', () => {
    const options = { cycles: true, slowAt: from + length / 2 };
    const made = packets(new Random(4), from, length, options);
    expect(worst(new PtClock(rate), made, from + 2 * mtcTicks)).toBeLessThan(250);
  });

  test('survives packets that are missing, and does not count over an overflow', () => {
    const made = packets(new Random(5), from, length);
    const fewer = made.filter(({ packet }) => packet[0] !== 0x59 || packet[1] % 5 === 0);
    expect(worst(new PtClock(rate), fewer, from)).toBe(0);
    const clock = new PtClock(rate);
    for (const { packet } of made.slice(0, 200)) clock.packet(packet, 0);
    const { time } = clock;
    clock.packet(Uint8Array.of(0x02, 0xf3), 0);
    clock.packet(Uint8Array.of(0x59, 0), 0);
    clock.packet(cyc(1000), 0);
    expect(clock.time).toBe(time);
  });

  test('is never wrong by much, whatever bytes come between', () => {
    const clock = new PtClock();
    const random = new Random(6);
    for (let i = 0; i < 100_000; i++) {
      const packet = [tscPacket(i * 1000), tma(i), cyc(i), cbr(random.below(256))][random.below(4)];
      clock.packet(random.below(3) > 0 ? packet : Uint8Array.of(0x59, random.below(256)), 0);
      expect(Number.isFinite(clock.time)).toBe(true);
    }
  });
});
