import { join } from 'node:path';
import { version } from '../base/version.ts';
import { type ClassifyResult, defaultJudging } from '../commands/classify.ts';
import { type ReportOptions, report as writeReport } from '../commands/report.ts';
import { findEvaluations } from '../commands/run/path.ts';
import { type CallOptions, call, checkPath } from './call.ts';

export interface ReportSettings
  extends CallOptions,
    Partial<Omit<ReportOptions, 'path' | 'version' | 'output'>> {
  /** File of the page; where nothing is said, `report.html` in the run's folder. */
  readonly output?: string;
}

export interface ReportResult extends ClassifyResult {
  /** The file that was written. */
  readonly page: string;
}

/**
 * Writes one HTML page of all that was judged: verdicts, error rates, and where traces strayed.
 *
 * @param run  folder of a run of `learn` or `judge`, or a folder of evaluations
 * @throws UserError; the signal's reason
 */
export async function report(run: string, options: ReportSettings = {}): Promise<ReportResult> {
  checkPath(run, 'the run');
  const { signal, onProgress, onMessage, output, ...settings } = options;
  return call(options, async (context) => {
    const found = await findEvaluations(run);
    const page = output ?? join(found.run ?? found.evaluation, 'report.html');
    const usual = { ...defaultJudging, detailed: 25, patches: 5, pictures: undefined };
    const result = await writeReport(
      { ...usual, ...settings, path: run, version, output: page },
      context,
    );
    return { ...result, page };
  });
}
