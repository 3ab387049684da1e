const narrowSpace = '\u202f';

/** @returns `1 234 567`, with narrow no-break spaces, which no locale reads as a decimal sign */
export function formatCount(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+(?!\d))/g, narrowSpace);
}

/** @returns `12.3 %`; small rates keep two significant digits, so that 0.01 % is not shown as 0 */
export function formatPercent(rate: number | undefined): string {
  if (rate === undefined || !Number.isFinite(rate)) return '–';
  const percent = rate * 100;
  if (percent === 0 || percent === 100) return `${percent}${narrowSpace}%`;
  const digits = percent < 0.1 ? 2 - Math.ceil(Math.log10(percent)) : percent < 1 ? 2 : 1;
  return `${percent.toFixed(Math.min(digits, 6))}${narrowSpace}%`;
}

/** @returns a p-value: `0.004`, `< 0.001` is not used: the smallest possible one is a fact */
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
