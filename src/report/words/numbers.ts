const narrowSpace = '\u202f';

/** @returns `1 234 567`, with narrow no-break spaces, which no locale reads as a decimal sign */
export function formatCount(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+(?!\d))/g, narrowSpace);
}

/**
 * @returns `12.3 %`; rates near 0 and 1 keep more digits, down to thousandths of a percent, so
 *   that few is not shown as none and nearly all not as all
 */
export function formatPercent(rate: number | undefined): string {
  if (rate === undefined || !Number.isFinite(rate)) return '–';
  const percent = rate * 100;
  if (percent === 0 || percent === 100) return `${percent}${narrowSpace}%`;
  if (percent > 0 && percent < 0.001) return `<0.001${narrowSpace}%`;
  const isHigh = percent > 50 && percent < 100;
  const small = Math.max(1e-6, Math.abs(isHigh ? 100 - percent : percent));
  const digits = small >= 1 ? 1 : small >= 0.1 ? 2 : 1 - Math.floor(Math.log10(small));
  return `${percent.toFixed(Math.min(3, isHigh ? Math.max(1, digits - 1) : digits))}${narrowSpace}%`;
}

/** @returns a p-value, never `< 0.001`: the smallest possible one is a fact about the calibration */
export function formatProbability(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '–';
  if (value === 0 || value === 1) return String(value);
  return value < 0.001 ? value.toExponential(1) : value.toFixed(value < 0.1 ? 4 : 3);
}

/** @returns a number with about four significant digits */
export function formatNumber(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '–';
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e15) return formatCount(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(2);
  return size >= 1000
    ? value.toFixed(0)
    : size >= 100
      ? value.toFixed(1)
      : value.toFixed(size >= 1 ? 2 : 4);
}
