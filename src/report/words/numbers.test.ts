import { expect, test } from 'vitest';
import { formatCount, formatNumber, formatPercent, formatProbability } from './numbers.ts';

const s = '\u202f';

test.each([
  [0, '0'],
  [999, '999'],
  [1000, `1${s}000`],
  [2094603, `2${s}094${s}603`],
  [-1234, `-1${s}234`],
])('count %d', (value, shown) => expect(formatCount(value)).toBe(shown));

test.each([
  [0, `0${s}%`],
  [1, `100${s}%`],
  [0.889, `88.9${s}%`],
  [0.9999, `99.99${s}%`],
  [0.0042, `0.42${s}%`],
  [0.00022, `0.022${s}%`],
  [0.00003, `0.003${s}%`],
  [0.000003, `<0.001${s}%`],
  [Number.NaN, '–'],
  [undefined, '–'],
])('percent %s', (value, shown) => expect(formatPercent(value)).toBe(shown));

test.each([
  [0.0083, '0.0083'],
  [0.034, '0.0340'],
  [0.646, '0.646'],
  [0.00003, '3.0e-5'],
  [1, '1'],
  [undefined, '–'],
])('probability %s', (value, shown) => expect(formatProbability(value)).toBe(shown));

test.each([
  [0, '0'],
  [18.4, '18.40'],
  [0.0834, '0.0834'],
  [3004.25, '3004'],
  [12345678, `12${s}345${s}678`],
  [0.00001, '1.00e-5'],
  [Number.POSITIVE_INFINITY, '–'],
])('number %d', (value, shown) => expect(formatNumber(value)).toBe(shown));
