import { bySuspicion, evidenceTotal } from '../data/order.ts';
import type { ReportRow, RocCurve } from '../data/report-data.ts';
import { visible } from '../words/escape.ts';

/**
 * The rows as CSV (RFC 4180, CRLF, a header line), most suspicious first; unknown values are
 * empty. After the fixed columns follow the features, by key.
 */
export function rowsToCsv(rows: readonly ReportRow[]): string {
  const features = [...new Set(rows.flatMap((row) => row.features.map((f) => f.key)))];
  const head = [
    'trace',
    'file',
    'label',
    'family',
    'role',
    'verdict',
    'p_value',
    'score',
    'misprediction_rate',
    'wrong_confidence',
    'unknown_block_rate',
    'evidence',
    'blocks',
    'predictions',
    'gaps',
    'overflows',
    'bytes_lost',
    'blocks_outside_images',
    'crashed',
    'place',
    'place_fingerprint',
    ...features,
  ];
  const lines = bySuspicion(rows).map((row) => {
    const values = new Map(row.features.map((f) => [f.key, f.value]));
    return [
      row.name,
      row.file,
      row.label,
      row.family,
      row.role,
      row.verdict,
      row.pValue,
      row.score,
      row.mispredictionRate,
      row.wrongConfidence,
      row.unknownBlockRate,
      evidenceTotal(row),
      row.blocks,
      row.predictions,
      row.gaps,
      row.overflows,
      row.bytesLost,
      row.blocksOutsideImages,
      row.crashed ? 1 : 0,
      row.detail?.patches[0]?.inside,
      row.detail?.patches[0]?.fingerprint,
      ...features.map((name) => values.get(name)),
    ];
  });
  return csv([head, ...lines]);
}

/** ROC curves as CSV: one line a point, in the order of each curve. */
export function rocToCsv(curves: readonly RocCurve[]): string {
  const lines = curves.flatMap((curve) =>
    curve.points.map((point) => [
      curve.name,
      curve.data,
      // A threshold above every score is written as such, not as an empty field.
      point.threshold === Number.POSITIVE_INFINITY ? 'inf' : point.threshold,
      point.falsePositiveRate,
      point.truePositiveRate,
    ]),
  );
  return csv([
    ['curve', 'measured_on', 'threshold', 'false_positive_rate', 'true_positive_rate'],
    ...lines,
  ]);
}

function csv(lines: readonly (readonly (string | number | undefined)[])[]): string {
  return lines.map((line) => `${line.map(field).join(',')}\r\n`).join('');
}

function field(value: string | number | undefined): string {
  if (value === undefined) return '';
  if (typeof value === 'number') return Number.isNaN(value) ? '' : String(value);
  const shown = visible(value);
  // Spreadsheets run fields that start so as formulas; an apostrophe makes them text again.
  const safe = /^[=+\-@]/.test(shown) ? `'${shown}` : shown;
  return /[",\r\n]|^\s|\s$/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
