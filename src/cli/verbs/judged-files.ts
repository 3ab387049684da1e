import { join, parse } from 'node:path';
import { writeFileAtomic } from '../../base/files/write.ts';
import { version } from '../../base/version.ts';
import type { JudgeResult } from '../../commands/judge.ts';
import type { RunContext } from '../../model/first-layer.ts';
import type { ReportData } from '../../report/data/report-data.ts';
import { namesOf } from '../options/name-flags.ts';

/** Which files `judge` writes beside its lines. */
export interface JudgedFiles {
  readonly report: string | undefined;
  readonly sarif: string | undefined;
  readonly csv: string | undefined;
  readonly fpr: number;
  readonly debugDir: readonly string[] | undefined;
}

/** Writes what was asked for. @returns the pages: one for each profile's run, the second one as `page-2.html` */
export async function writeJudged(
  { folders }: JudgeResult,
  files: JudgedFiles,
  context: RunContext,
): Promise<readonly string[]> {
  const pages: string[] = [];
  if (files.report !== undefined) {
    const { dir, name, ext } = parse(files.report);
    for (const [index, { root }] of folders.entries()) {
      const page = index === 0 ? files.report : join(dir, `${name}-${index + 1}${ext}`);
      await writePage(root, page, files, context);
      pages.push(page);
    }
  }
  if (files.sarif === undefined && files.csv === undefined) return pages;
  const reports: ReportData[] = [];
  for (const { root } of folders) reports.push(await reportOf(root, files, context));
  if (files.sarif !== undefined) await writeFileAtomic(files.sarif, await sarifOf(reports));
  if (files.csv !== undefined) await writeFileAtomic(files.csv, await csvOf(reports));
  return pages;
}

// Pages, charts and what draws them are loaded for those who want them.

async function writePage(
  run: string,
  output: string,
  { fpr, debugDir }: JudgedFiles,
  context: RunContext,
): Promise<void> {
  const { report } = await import('../../commands/report.ts');
  const { defaultJudging } = await import('../../commands/classify.ts');
  await report(
    {
      ...{ ...defaultJudging, path: run, fpr, version, output, names: namesOf(debugDir) },
      ...{ detailed: 25, patches: 5, pictures: undefined },
    },
    context,
  );
}

async function reportOf(
  run: string,
  { fpr, debugDir }: JudgedFiles,
  context: RunContext,
): Promise<ReportData> {
  const { withPlaces } = await import('../../commands/report.ts');
  const { classify, defaultJudging } = await import('../../commands/classify.ts');
  const options = { ...defaultJudging, path: run, fpr, version, names: namesOf(debugDir) };
  const { report } = await withPlaces(await classify(options, context), options, context);
  return report;
}

/** @returns one document with a run for each profile */
async function sarifOf(reports: readonly ReportData[]): Promise<string> {
  const { reportToSarif } = await import('../../report/text/sarif.ts');
  const documents = reports.map((report) => JSON.parse(reportToSarif(report)));
  const runs = documents.flatMap((document: { runs: unknown[] }) => document.runs);
  return `${JSON.stringify({ ...documents[0], runs }, undefined, 2)}\n`;
}

/** @returns one table of the samples of all profiles; what calibrates them is left out */
async function csvOf(reports: readonly ReportData[]): Promise<string> {
  const { rowsToCsv } = await import('../../report/text/csv.ts');
  const rows = reports.flatMap((report) => report.rows);
  return rowsToCsv(rows.filter(({ role }) => role === 'test'));
}
