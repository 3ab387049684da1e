import { assert } from '../../base/errors.ts';
import type { ReportRow } from '../../report/data/report-data.ts';
import { reportOfNominal } from '../../report/data/report-of.ts';
import { classifyNominal, type NominalOptions } from '../../verdict/classify-nominal.ts';
import type { TraceFeatures } from '../../verdict/features/features.ts';

/** @returns what is told of one trace that is compared with the calibration traces alone */
export function verdictRow(
  trace: TraceFeatures,
  calibration: readonly TraceFeatures[],
  options: NominalOptions,
  unit: 'block' | 'call',
): ReportRow {
  const verdicts = classifyNominal([...calibration, trace], options);
  const frame = { title: '', created: '', generator: '', run: [], unit } as const;
  const row = reportOfNominal(verdicts, frame).rows[calibration.length];
  assert(row !== undefined, 'each trace has a row');
  return row;
}
