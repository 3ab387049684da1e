import { formatCount } from './numbers.ts';
import type { ReportTransfer } from './report-data.ts';
import { type ChartOptions, chart, element, text } from './svg.ts';
import { light, type Palette } from './theme.ts';

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
    const outcome = transfer.isCorrect ? 'predicted' : transfer.isUnknown ? 'unknown' : 'wrong';
    const name = `block ${formatCount(transfer.position)}: ${outcome}`;
    content += `<g><title>${name}</title>${drawCell(transfer, x, y, palette)}</g>`;
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

type CellFacts = Pick<ReportTransfer, 'isInside' | 'isCorrect' | 'isUnknown' | 'evidence'>;

function drawCell(transfer: CellFacts, x: number, y: number, palette: Palette): string {
  const cx = x + cell / 2;
  const cy = y + cell / 2;
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
  mark += transfer.isCorrect
    ? element('circle', { cx, cy, r: 1.6, fill: palette.muted })
    : element('path', {
        d: `M${cx - 3} ${cy - 3}l6 6m0 -6l-6 6`,
        stroke: transfer.isUnknown ? palette.surface : palette.anomalous,
        'stroke-width': 1.8,
        fill: 'none',
      });
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
  return mark;
}

/** What the cells mean, for the page: one drawn cell and its words each. */
export function closeupKey(palette: Palette): string {
  const plain = { isInside: false, isCorrect: false, isUnknown: false, evidence: undefined };
  const entries: [CellFacts, string][] = [
    [{ ...plain, isCorrect: true }, 'predicted'],
    [plain, 'not predicted'],
    [{ ...plain, isUnknown: true }, 'never seen in training'],
    [{ ...plain, isCorrect: true, evidence: 'return-mismatch' }, 'evidence'],
    [{ ...plain, isCorrect: true, isInside: true }, 'inside the patch'],
  ];
  return entries
    .map(([facts, name]) => {
      const size = { width: cell, height: cell + 5, viewBox: `0 0 ${cell} ${cell + 5}` };
      const drawn = element(
        'svg',
        { ...size, 'aria-hidden': 'true' },
        drawCell(facts, 0, 5, palette),
      );
      return `<span>${drawn}${name}</span>`;
    })
    .join('');
}
