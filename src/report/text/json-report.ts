import { bySuspicion } from '../data/order.ts';
import type { ReportData } from '../data/report-data.ts';

/** Raised by one when a field changes its meaning or goes; new fields do not raise it. */
const reportSchemaVersion = 1;

/**
 * The report as one JSON document: `ReportData` with `schemaVersion`, rows most suspicious first.
 * Unknown values and NaN are `null`, infinite thresholds strings; timelines and pictures are left
 * out, because the evaluations hold what they show.
 */
export function reportToJson(data: ReportData): string {
  const document = { schemaVersion: reportSchemaVersion, kind: 'wayward-report', ...data };
  const rows = bySuspicion(data.rows);
  return `${documentText({ ...document, rows })}\n`;
}

/** @returns a document with places as JSON, in the form that its schema describes; see `reportToJson` */
export function documentText(document: object): string {
  return JSON.stringify(document, replace, 2);
}

function replace(key: string, value: unknown): unknown {
  if (key === 'timeline' || key === 'picture') return undefined;
  if (value === undefined) return null;
  if (typeof value === 'number' && !Number.isFinite(value)) {
    return Number.isNaN(value) ? null : value > 0 ? 'Infinity' : '-Infinity';
  }
  return value;
}
