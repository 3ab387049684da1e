import { join } from 'node:path';
import { writeFileAtomic } from '../../base/files/write.ts';
import { svgToPng } from '../../report/charts/png.ts';
import { renderRoc } from '../../report/charts/roc.ts';
import { renderScatter } from '../../report/charts/scatter.ts';
import { renderScores } from '../../report/charts/scores.ts';
import type { ReportData } from '../../report/data/report-data.ts';

/**
 * Writes the charts of a report as SVG and PNG: `scatter` (the two classic features, with the decision
 * line), `scores`, and `roc` where there are labels.
 *
 * @returns the files
 */
export async function writePlots(data: ReportData, directory: string): Promise<readonly string[]> {
  const charts: [name: string, svg: string][] = [
    ['scatter', renderScatter(data.rows, data.line)],
    ['scores', renderScores(data.rows, data.rule)],
  ];
  if (data.roc.length > 0) charts.push(['roc', renderRoc(data.roc)]);
  const files: string[] = [];
  for (const [name, svg] of charts) {
    for (const [ending, content] of [
      ['svg', svg],
      ['png', await svgToPng(svg)],
    ] as const) {
      const path = join(directory, `${name}.${ending}`);
      await writeFileAtomic(path, content);
      files.push(path);
    }
  }
  return files;
}

/** Writes one chart: as PNG where the name ends so, else as SVG. */
export async function writeChart(path: string, svg: string): Promise<void> {
  await writeFileAtomic(path, path.toLowerCase().endsWith('.png') ? await svgToPng(svg) : svg);
}
