import type { Figure, FigureData } from '../data/report-data.ts';
import { formatNumber, formatPercent } from './numbers.ts';

/** @returns `96.0 %`, or a plain number for areas and the like */
export function figureText(figure: Figure): string {
  return figure.unit === 'rate' ? formatPercent(figure.value) : formatNumber(figure.value);
}

/** @returns `93.0 % to 99.8 %`, or nothing */
export function intervalText(figure: Figure): string {
  if (figure.low === undefined || figure.high === undefined) return '';
  const format = figure.unit === 'rate' ? formatPercent : formatNumber;
  return `${format(figure.low)} to ${format(figure.high)}`;
}

/** What a figure was measured on. */
export function dataText(data: FigureData): string {
  return data === 'fitted'
    ? 'on fitted data'
    : data === 'held-out'
      ? 'held-out'
      : 'cross-validated';
}
