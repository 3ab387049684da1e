import { evidenceOrder } from '../words/evidence-names.ts';
import { formatCount } from '../words/numbers.ts';
import type { EvidenceKind, ReportRow } from './report-data.ts';

/**
 * Most suspicious first: by p-value, then score, then misprediction rate; rows without any of them
 * last. Ties keep the order of names, so that a report does not depend on the order of its input.
 */
export function bySuspicion(rows: readonly ReportRow[]): ReportRow[] {
  return [...rows].sort(
    (a, b) =>
      rank(a) - rank(b) ||
      compare(a.pValue, b.pValue, 1) ||
      compare(a.score, b.score, -1) ||
      compare(a.mispredictionRate, b.mispredictionRate, -1) ||
      (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  );
}

/** Flagged rows stand above all others, whatever the features say; those without a verdict below. */
function rank(row: ReportRow): number {
  return row.verdict === 'anomalous' ? 0 : row.verdict === 'nominal' ? 1 : 2;
}

/** @param order  1 ascending, -1 descending; `undefined` and NaN come last in both */
function compare(a: number | undefined, b: number | undefined, order: 1 | -1): number {
  const hasA = a !== undefined && !Number.isNaN(a);
  const hasB = b !== undefined && !Number.isNaN(b);
  if (hasA && hasB) return a < b ? -order : a > b ? order : 0;
  return hasA === hasB ? 0 : hasA ? -1 : 1;
}

/** How a verdict stands to the label: `false alarm`, `missed`, or nothing. */
export function verdictError(row: ReportRow): string | undefined {
  if (row.label === 'nominal' && row.verdict === 'anomalous') return 'false alarm';
  if (row.label === 'anomalous' && row.verdict === 'nominal') return 'missed';
  return undefined;
}

/** Pieces of evidence that are more than lost packets and what nominal runs show at the same places. */
export function evidenceTotal(row: ReportRow): number {
  return evidenceEntries(row)
    .filter(([kind]) => kind !== 'gap' && kind !== 'usual-oddity')
    .reduce((sum, [, count]) => sum + count, 0);
}

export function evidenceEntries(row: ReportRow): [EvidenceKind, number][] {
  return evidenceOrder.flatMap((kind): [EvidenceKind, number][] => {
    const count = row.evidenceCounts[kind] ?? 0;
    return count > 0 ? [[kind, count]] : [];
  });
}

/** What stands where a verdict would: `no verdict`, or why there is none. */
export function verdictText(row: ReportRow): string {
  if (row.verdict !== undefined) return row.verdict;
  return row.role === 'test' ? 'no verdict' : row.role;
}

/** `3 of 40 traces flagged`, and a sentence on rows without a verdict, empty when there are none. */
export function countVerdicts(rows: readonly ReportRow[]): { headline: string; rest: string } {
  const flagged = rows.filter((row) => row.verdict === 'anomalous').length;
  const judged = rows.filter((row) => row.verdict !== undefined).length;
  const of = (role: ReportRow['role']): number =>
    rows.filter((row) => row.verdict === undefined && row.role === role).length;
  const plural = (count: number, noun: string): string =>
    `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
  const others = (['calibration', 'training'] as const)
    .filter((role) => of(role) > 0)
    .map((role) => plural(of(role), `${role} trace`));
  const rest = [
    ...(of('test') > 0 ? [`${plural(of('test'), 'trace')} could not be judged.`] : []),
    ...(others.length > 0 ? [`Also listed: ${others.join(' and ')}.`] : []),
  ];
  return {
    headline: `${formatCount(flagged)} of ${plural(judged, 'trace')} flagged`,
    rest: rest.join(' '),
  };
}
