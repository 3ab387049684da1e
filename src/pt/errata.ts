/**
 * Defects of processors that a decoder must know, each named after the specification update that
 * describes it first.
 *
 * Of the others that concern Intel PT, SKL014 needs the address filters (a TIP.PGD without the IP of a
 * direct branch out of the filtered range), and SKL168 disturbs nothing but cycle counts; APL11 and
 * APL12 (a TIP.PGD or FUP after OVF while tracing is off) are harmless to this decoder on every processor.
 */
export interface Errata {
  /** A PSB+ just before TIP.PGE may hold a FUP and MODE.Exec, which count only while tracing is on. */
  readonly bdm70: boolean;
  /** The branch before a transactional abort may have a wrong target. */
  readonly bdm64: boolean;
  /** OVF may replace all bytes of a CYC but its first one. */
  readonly skd007: boolean;
  /** The FUP or TIP.PGE after OVF may be missing. */
  readonly skd010: boolean;
  /** A FUP may precede the TIP.PGD of a VM entry that turns tracing off. */
  readonly skd022: boolean;
  /** A corrupted TMA is followed by a byte that belongs to nothing. */
  readonly skz84: boolean;
}

/** A processor by its CPUID signature. */
export interface Cpu {
  readonly family: number;
  readonly model: number;
  readonly stepping: number;
}

export const noErrata: Errata = {
  bdm70: false,
  bdm64: false,
  skd007: false,
  skd010: false,
  skd022: false,
  skz84: false,
};

const broadwell = [0x3d, 0x47, 0x4f, 0x56];
const skylake = [0x4e, 0x5e, 0x8e, 0x9e, 0xa5, 0xa6];
const skylakeServer = [0x55, 0x6a, 0x6c, 0x8f, 0xad, 0xae, 0xcf];
const iceLakeAndLater = [
  0x66, 0x7d, 0x7e, 0x8c, 0x8d, 0xa7, 0xa8, 0x97, 0x9a, 0xbf, 0xb7, 0xb5, 0xaa, 0xac, 0xba, 0xcc,
  0xbd, 0xc5, 0xc6,
];

/** @param text  `FAMILY/MODEL/STEPPING` or `FAMILY/MODEL`, decimal; @returns `undefined` when it is none */
export function parseCpu(text: string): Cpu | undefined {
  const match = /^(\d{1,3})\/(\d{1,3})(?:\/(\d{1,2}))?$/.exec(text);
  if (match === null) return undefined;
  const [, family, model, stepping] = match;
  return { family: Number(family), model: Number(model), stepping: Number(stepping ?? 0) };
}

/**
 * @returns the defects of `cpu`; none for processors that no specification update names
 * @see Intel's specification updates for each family; libipt has the same table
 */
export function errataOf({ family, model }: Cpu): Errata {
  if (family === 19 && model === 1) return { ...noErrata, bdm70: true, skd022: true, skz84: true };
  if (family !== 6) return noErrata;
  if (broadwell.includes(model)) return { ...noErrata, bdm70: true, bdm64: true };
  if (skylake.includes(model)) {
    return { ...noErrata, bdm70: true, skd007: true, skd010: true, skd022: true };
  }
  if (skylakeServer.includes(model)) return { ...noErrata, bdm70: true, skd022: true, skz84: true };
  if (iceLakeAndLater.includes(model)) return { ...noErrata, bdm70: true, skd022: true };
  return noErrata;
}
