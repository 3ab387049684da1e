import { UserError } from '../../../base/errors.ts';
import type { MtcRate } from '../../../pt/clock.ts';
import { PerfClock } from './clock.ts';
import { number64, type PerfFacts, SampleField } from './file.ts';

/** `type` of AUXTRACE_INFO: which hardware traced. */
const tracers: Readonly<Record<number, string>> = {
  2: 'Intel BTS',
  3: 'Arm CoreSight',
  4: 'Arm SPE',
  5: 'S/390 CPU measurement sampling',
  6: 'HiSilicon PTT',
};
const intelPt = 1;
/** What AUXTRACE_INFO says about the trace. */
export interface PtInfo {
  readonly pmuType: number;
  /** `undefined` when the trace has no time, or perf's clock cannot be converted to it. */
  readonly clock: PerfClock | undefined;
  readonly mtc: MtcRate | undefined;
  /** How perf learned of context switches: 0 not at all, 1 by a tracepoint, 2 and 3 by records. */
  readonly switches: number;
  readonly isSnapshot: boolean;
  readonly isPerCpu: boolean;
  readonly hasKernel: boolean;
  /** Returns that go back to their call are written as one bit. */
  readonly compressesReturns: boolean;
}

/**
 * @param body  of the AUXTRACE_INFO record: type, a reserved word, then 64-bit words as the kernel's
 *   `tools/perf/util/intel-pt.h` numbers them
 * @returns `undefined` where the record has not even a type
 * @throws UserError `perf-other-trace`, `perf-damaged`
 */
export function parsePtInfo(body: Buffer, file: PerfFacts): PtInfo | undefined {
  if (body.length < 8) return undefined;
  const type = body.readUInt32LE(0);
  const fail = (code: string, message: string): UserError =>
    new UserError(code, message, { category: 'input', path: file.path });
  if (type !== intelPt) {
    throw fail(
      'perf-other-trace',
      `holds a trace of ${tracers[type] ?? `tracer ${type}`}, not Intel PT`,
    );
  }
  if (body.length < 8 + 8 * 10) throw fail('perf-damaged', 'its AUXTRACE_INFO record is too short');
  const word = (index: number): number =>
    body.length >= 16 + 8 * index ? number64(body, 8 + 8 * index) : 0;
  const attr = file.attrs.find(({ type: pmu }) => pmu === word(0));
  const config = attr?.config ?? 0;
  const hasTime = hasBits(config, word(5)) && word(4) !== 0 && word(2) > 0;
  const timesRecords = attr?.sampleType === undefined || (attr.sampleType & SampleField.time) !== 0;
  const isUsable = hasTime && timesRecords && attr?.usesClockId !== true;
  const zero = body.readBigUInt64LE(8 + 8 * 3);
  return {
    pmuType: word(0),
    clock: isUsable ? new PerfClock(word(1), word(2), zero) : undefined,
    mtc: mtcRate(config, word(10), word(11), word(12), word(13)),
    switches: word(7),
    isSnapshot: word(8) !== 0,
    isPerCpu: word(9) !== 0,
    hasKernel: !(attr?.excludeKernel ?? false),
    compressesReturns: !hasBits(config, word(6)),
  };
}

/** The event's period field says how often MTC packets come. */
function mtcRate(
  config: number,
  mtcBit: number,
  frequencyBits: number,
  numerator: number,
  denominator: number,
): MtcRate | undefined {
  if (!hasBits(config, mtcBit) || numerator === 0 || denominator === 0) return undefined;
  let shift = 0;
  if (frequencyBits > 0) {
    const low = BigInt(frequencyBits) & -BigInt(frequencyBits);
    shift = Number((BigInt(config) & BigInt(frequencyBits)) / low);
  }
  return { shift: Math.min(shift, 15), ratio: numerator / denominator };
}

function hasBits(config: number, bits: number): boolean {
  return bits > 0 && (BigInt(config) & BigInt(bits)) !== 0n;
}
