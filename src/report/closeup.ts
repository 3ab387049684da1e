import { formatCount } from './numbers.ts';
import type { ReportTransfer } from './report-data.ts';
import { type ChartOptions, chart, element, text } from './svg.ts';
import { light } from './theme.ts';

const cell = 15;
const perRow = 60;

/**
 * The transfers in and around a patch, one cell each in trace order: a dot was predicted, a cross
 * was not, a filled cell is a target that no training trace has; a bar above marks the patch, a
 * ring evidence.
 */
export function renderCloseup(
  transfers: readonly ReportTransfer[],
  options: ChartOptions = {},
): string {
  const palette = options.palette ?? light;
  const rows = Math.max(1, Math.ceil(transfers.length / perRow));
  const width = Math.max(1, Math.min(perRow, transfers.length)) * cell + 2;
  const height = rows * (cell + 9) + 2;
  let content = '';
  transfers.forEach((transfer, index) => {
    const x = 1 + (index % perRow) * cell;
    const y = 7 + Math.floor(index / perRow) * (cell + 9);
    const name = `block ${formatCount(transfer.position)}: ${transfer.isCorrect ? 'predicted' : transfer.isUnknown ? 'unknown' : 'wrong'}`;
    let mark = '';
    if (transfer.isInside) {
      mark += element('rect', { x, y: y - 5, width: cell, height: 3, fill: palette.anomalous });
    }
    mark += element('rect', {
      x: x + 0.5,
      y: y + 0.5,
      width: cell - 1,
      height: cell - 1,
      fill: transfer.isUnknown ? palette.unknown : palette.surface,
      stroke: palette.line,
    });
    const cx = x + cell / 2;
    const cy = y + cell / 2;
    if (transfer.isCorrect) {
      mark += element('circle', { cx, cy, r: 1.6, fill: palette.muted });
    } else {
      mark += element('path', {
        d: `M${cx - 3} ${cy - 3}l6 6m0 -6l-6 6`,
        stroke: transfer.isUnknown ? palette.surface : palette.anomalous,
        'stroke-width': 1.8,
        fill: 'none',
      });
    }
    if (transfer.evidence !== undefined) {
      mark += element('rect', {
        x: x + 1.5,
        y: y + 1.5,
        width: cell - 3,
        height: cell - 3,
        fill: 'none',
        stroke: palette.text,
        'stroke-width': 2,
      });
    }
    content += `<g><title>${name}</title>${mark}</g>`;
  });
  if (transfers.length === 0) content += text('–', { x: 2, y: 14 });
  const wrong = transfers.filter((t) => !t.isCorrect).length;
  return chart(
    { width, height },
    {
      title: 'Transfers in and around the patch',
      description: `${transfers.length} transfers, ${wrong} not predicted, ${transfers.filter((t) => t.isInside).length} inside the patch.`,
      className: 'closeup',
    },
    options,
    content,
  );
}
