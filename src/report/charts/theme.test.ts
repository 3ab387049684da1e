import { describe, expect, test } from 'vitest';
import { contrast, dark, light } from './theme.ts';

test('contrast is that of WCAG 2.2', () => {
  expect(contrast('#000000', '#ffffff')).toBeCloseTo(21, 10);
  // Published examples: #777777 on white just fails AA, #767676 just passes.
  expect(contrast('#777777', '#ffffff')).toBeCloseTo(4.48, 2);
  expect(contrast('#767676', '#ffffff')).toBeCloseTo(4.54, 2);
});

describe.each([
  ['light', light],
  ['dark', dark],
])('%s palette', (_, palette) => {
  const behind = ['page', 'surface', 'tint'] as const;
  const textRoles = ['text', 'muted', 'link', 'nominal', 'anomalous'] as const;
  const pairs = textRoles.flatMap((role) => behind.map((back) => [role, back] as const));

  test.each(pairs)('%s can be read on %s (AA text, 4.5:1)', (role, back) => {
    expect(contrast(palette[role], palette[back])).toBeGreaterThanOrEqual(4.5);
  });

  test.each([
    ['edge', 'surface'],
    ['edge', 'page'],
    ['nominal', 'surface'],
    ['anomalous', 'surface'],
    ['unknown', 'surface'],
  ] as const)('%s can be seen on %s (AA graphics, 3:1)', (role, back) => {
    expect(contrast(palette[role], palette[back])).toBeGreaterThanOrEqual(3);
  });

  test('text can be read on a patch, and a number on its flag', () => {
    expect(contrast(palette.text, palette.patch)).toBeGreaterThanOrEqual(4.5);
    expect(contrast(palette.surface, palette.anomalous)).toBeGreaterThanOrEqual(4.5);
  });

  test('nominal and anomalous stay apart for readers with a colour vision deficiency', () => {
    for (const simulate of [protanopia, deuteranopia, tritanopia]) {
      expect(distance(simulate(palette.nominal), simulate(palette.anomalous))).toBeGreaterThan(25);
    }
  });
});

type Linear = readonly [number, number, number];

// Matrices for full dichromacy, in linear RGB.
// See Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color
// Vision Deficiency", IEEE TVCG 15(6), 2009, table of severity 1.0.
const protanopia = simulation([
  [0.152286, 1.052583, -0.204868],
  [0.114503, 0.786281, 0.099216],
  [-0.003882, -0.048116, 1.051998],
]);
const deuteranopia = simulation([
  [0.367322, 0.860646, -0.227968],
  [0.280085, 0.672501, 0.047413],
  [-0.01182, 0.04294, 0.968881],
]);
const tritanopia = simulation([
  [1.255528, -0.076749, -0.178779],
  [-0.078411, 0.930809, 0.147602],
  [0.004733, 0.691367, 0.3039],
]);

function simulation(matrix: readonly Linear[]): (colour: string) => Linear {
  return (colour) => {
    const rgb = [1, 3, 5].map((at) => {
      const c = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return matrix.map((row) =>
      Math.min(1, Math.max(0, row[0] * rgb[0]! + row[1] * rgb[1]! + row[2] * rgb[2]!)),
    ) as unknown as Linear;
  };
}

/** CIE 1976 colour difference of two linear sRGB colours; about 2 is just seen side by side. */
function distance(a: Linear, b: Linear): number {
  const lab = ([r, g, blue]: Linear): Linear => {
    const f = (t: number): number => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116);
    const x = f((0.4124 * r + 0.3576 * g + 0.1805 * blue) / 0.9505);
    const y = f(0.2126 * r + 0.7152 * g + 0.0722 * blue);
    const z = f((0.0193 * r + 0.1192 * g + 0.9505 * blue) / 1.089);
    return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
  };
  const [p, q] = [lab(a), lab(b)];
  return Math.hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]);
}
