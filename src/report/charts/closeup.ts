import type { ReportTransfer } from '../data/report-data.ts';
import { type Attributes, type ChartOptions, chart, element, text } from './svg.ts';
import { light, type Palette } from './theme.ts';

const cell = 15;
const rowHeight = cell + 9;
const perRow = 60;

/**
 * The transfers in and around a patch, one cell each in trace order: a dot was predicted, a cross
 * was not, a filled cell is a target that no training trace has; a bar above marks the patch, a
 * frame evidence.
 */
export function renderCloseup(
  transfers: readonly ReportTransfer[],
  options: ChartOptions = {},
): string {
  const palette = options.palette ?? light;
  const rows = Math.max(1, Math.ceil(transfers.length / perRow));
  const width = Math.max(1, Math.min(perRow, transfers.length)) * cell + 2;
  const size = { width, height: rows * rowHeight + 2 };
  const content =
    transfers.length === 0 ? text('–', { x: 2, y: 14 }) : drawCells(transfers, palette);
  const wrong = transfers.filter((t) => !t.isCorrect).length;
  const inside = transfers.filter((t) => t.isInside).length;
  const names = {
    title: 'Transfers in and around the patch',
    description: `${transfers.length} transfers, ${wrong} not predicted, ${inside} inside the patch.`,
    className: 'closeup',
    margin: 4,
  };
  return chart(size, names, options, content);
}

type CellFacts = Pick<ReportTransfer, 'isInside' | 'isCorrect' | 'isUnknown' | 'evidence'>;

/** One path for each kind of mark rather than elements for each cell: reports hold thousands of cells. */
function drawCells(transfers: readonly CellFacts[], palette: Palette): string {
  let bars = '';
  let grid = '';
  let filled = '';
  let dots = '';
  let wrong = '';
  let wrongUnknown = '';
  let frames = '';
  transfers.forEach((transfer, index) => {
    const x = 1 + (index % perRow) * cell;
    const y = 7 + Math.floor(index / perRow) * rowHeight;
    if (transfer.isInside) bars += `M${x} ${y - 4}h${cell}`;
    const square = `M${x + 0.5} ${y + 0.5}h${cell - 1}v${cell - 1}h${1 - cell}z`;
    grid += square;
    if (transfer.isUnknown) filled += square;
    const cross = `M${x + 4.5} ${y + 4.5}l6 6m0 -6l-6 6`;
    if (transfer.isCorrect) dots += `M${x + 7.5} ${y + 7.5}h0`;
    else if (transfer.isUnknown) wrongUnknown += cross;
    else wrong += cross;
    if (transfer.evidence !== undefined) frames += `M${x + 1.5} ${y + 1.5}h12v12h-12z`;
  });
  const draw = (d: string, look: Attributes): string =>
    d === '' ? '' : element('path', { d, fill: 'none', ...look });
  return (
    draw(bars, { stroke: palette.anomalous, 'stroke-width': 3 }) +
    draw(filled, { fill: palette.unknown }) +
    draw(grid, { stroke: palette.line }) +
    draw(dots, { stroke: palette.muted, 'stroke-width': 3.2, 'stroke-linecap': 'round' }) +
    draw(wrong, { stroke: palette.anomalous, 'stroke-width': 1.8 }) +
    draw(wrongUnknown, { stroke: palette.surface, 'stroke-width': 1.8 }) +
    draw(frames, { stroke: palette.text, 'stroke-width': 2 })
  );
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
      const size = { width: cell + 2, height: rowHeight, viewBox: `0 0 ${cell + 2} ${rowHeight}` };
      const drawn = element('svg', { ...size, 'aria-hidden': 'true' }, drawCells([facts], palette));
      return `<span>${drawn}${name}</span>`;
    })
    .join('');
}
