import { formatAddress } from '../../base/address.ts';
import type { NominalComparison, Parting } from '../../likeness/nominal-comparison.ts';
import type { NominalRuns, Place } from '../../likeness/nominal-runs.ts';
import type { ReportComparison, ReportPatch, ReportTransfer } from './report-data.ts';

/** Partings that are told, those that the fewest nominal runs share. */
const mostPartings = 8;

/** What names places of this trace, and what is known of nominal runs. */
interface Sources {
  readonly nominal?: { readonly runs: NominalRuns };
  readonly nameOf?: (module: string, offset: number) => string | undefined;
}

/** Puts the comparison with the nearest nominal run into plain values. */
export function comparisonOf(
  { runs, nearest, onlyHere, partings }: NominalComparison,
  { nameOf }: Sources,
): ReportComparison {
  const name = ({ module, offset }: Place): string =>
    nameOf?.(module, offset) ??
    (module === '' ? formatAddress(offset) : `${module}+${formatAddress(offset)}`);
  return {
    runs,
    nearest: nearest.name,
    similarity: nearest.similarity,
    onlyHere,
    onlyThere: nearest.onlyThere,
    partings: rarest(partings).map(({ position, from, to, running }) => ({
      ...{ position, from: name(from), to: name(to), running },
    })),
    partingsTotal: partings.length,
  };
}

function rarest(partings: readonly Parting[]): Parting[] {
  return partings
    .toSorted((a, b) => a.running - b.running || a.position - b.position)
    .slice(0, mostPartings)
    .sort((a, b) => a.position - b.position);
}

/** How many nominal runs ran the blocks of a stretch. */
export function nominalBlocks(
  blocks: readonly Place[],
  runs: NominalRuns,
): NonNullable<ReportPatch['nominal']> {
  const distinct = new Map(blocks.map((block) => [`${block.module}+${block.offset}`, block]));
  const counts = [...distinct.values()].map(({ module, offset }) => runs.running(module, offset));
  return {
    runs: runs.count,
    blocks: counts.length,
    inAll: counts.filter((count) => count === runs.count).length,
    inNone: counts.filter((count) => count === 0).length,
  };
}

/** How many nominal runs make a transfer, and run where it came to. */
export function nominalTransfer(
  from: Place | undefined,
  to: Place | undefined,
  { nominal }: Sources,
): Pick<ReportTransfer, 'nominal'> {
  if (nominal === undefined || from === undefined || to === undefined) return {};
  const { runs } = nominal;
  const running = runs.running(to.module, to.offset);
  return { nominal: { runs: runs.count, going: runs.going(from, to), running } };
}
