import { decode } from 'fast-png';
import { describe, expect, test } from 'vitest';
import { hostileReport } from '../../../test/report/hostile-report.ts';
import { madeUpReport } from '../../../test/report/made-up-report.ts';
import type { ReportData } from '../data/report-data.ts';
import { renderCloseup } from './closeup.ts';
import { svgToPng } from './png.ts';
import { renderRoc } from './roc.ts';
import { renderScatter } from './scatter.ts';
import { renderScores } from './scores.ts';
import { dark, light, type Palette } from './theme.ts';
import { renderTimeline } from './timeline.ts';

function charts(data: ReportData, palette: Palette = light): Record<string, string> {
  const detail = data.rows.find((row) => row.detail?.timeline !== undefined)?.detail;
  const options = { palette };
  return {
    roc: renderRoc(data.roc, options),
    scatter: renderScatter(data.rows, data.line, options),
    scores: renderScores(data.rows, data.rule, options),
    ...(detail?.timeline === undefined
      ? {}
      : {
          timeline: renderTimeline(detail.timeline, detail.patches, options),
          closeup: renderCloseup(detail.patches[0]!.transfers, options),
        }),
  };
}

const data = madeUpReport();

describe('as files', () => {
  // resvg reads strict XML and refuses anything else.
  test.each(Object.keys(charts(data)))('%s is well-formed and draws', async (name) => {
    for (const palette of [light, dark]) {
      const {
        width,
        height,
        data: pixels,
        channels,
      } = decode(await svgToPng(charts(data, palette)[name]!, 1));
      const colours = new Set<string>();
      for (let i = 0; i < pixels.length; i += channels) colours.add(pixels.slice(i, i + 3).join());
      expect(width * height).toBeGreaterThan(1000);
      expect(colours.size).toBeGreaterThan(8);
      const corner = [1, 3, 5].map((at) => Number.parseInt(palette.surface.slice(at, at + 2), 16));
      expect([...pixels.slice(0, 3)].map(Number)).toEqual(corner);
    }
  });

  test('hostile names do not break them', async () => {
    for (const svg of Object.values(charts(hostileReport()))) {
      expect((await svgToPng(svg, 0.5)).length).toBeGreaterThan(100);
      const tags = [...svg.matchAll(/<([a-z]+)([^>]*)>/g)];
      const elements = new Set(tags.map((tag) => tag[1]));
      const known = ['svg', 'title', 'desc', 'g', 'rect', 'circle', 'path', 'line', 'text'];
      expect([...elements].filter((name) => !known.includes(name!))).toEqual([]);
      for (const tag of tags) expect(tag[2]!.replace(/"[^"]*"/g, '')).not.toMatch(/\bon|href/);
    }
  });

  test('empty ones say why', async () => {
    const empty = { ...data, rows: [], roc: [], line: undefined };
    const drawn = charts(empty);
    expect(drawn.roc).toContain('needs labelled traces of both kinds');
    expect(drawn.scatter).toContain('no trace has both features');
    expect(drawn.scores).toContain('no trace has a score');
    for (const svg of Object.values(drawn)) {
      expect(svg).not.toMatch(/NaN|Infinity|undefined/);
      await svgToPng(svg, 0.5);
    }
  });

  test('identical and extreme values make no broken numbers', () => {
    const same = data.rows.map((row) => ({
      ...row,
      mispredictionRate: 0,
      wrongConfidence: 0,
      score: 3,
    }));
    const wild = data.rows.map((row, i) => ({
      ...row,
      mispredictionRate: [0, 1, Number.NaN, 1e-9][i % 4],
      wrongConfidence: [1, undefined, 0.5, 0][i % 4],
      score: [1e12, -5, Number.POSITIVE_INFINITY, 0][i % 4],
    }));
    for (const rows of [same, wild, same.slice(0, 1)]) {
      for (const svg of Object.values(charts({ ...data, rows }))) {
        expect(svg).not.toMatch(/NaN|Infinity|undefined/);
      }
    }
  });
});

test('text is drawn: the shipped font is found', async () => {
  const svg =
    '<svg xmlns="http://www.w3.org/2000/svg" width="80" height="20"><rect width="80" height="20" fill="#fff"/><text x="2" y="15" font-family="no such font">Wayward</text></svg>';
  const { data: pixels } = decode(await svgToPng(svg, 1));
  expect(pixels.filter((x) => x < 60).length).toBeGreaterThan(100);
});

test('the decision line separates the two sides where the classifier does', () => {
  const line = { mispredictionWeight: 10, confidenceWeight: 2, bias: -1.4 };
  const svg = renderScatter(data.rows, line);
  const [, x1, y1, x2, y2] =
    /<line x1="([\d.]+)" y1="([\d.]+)" x2="([\d.]+)" y2="([\d.]+)"[^>]*class="decision-line"/
      .exec(svg)!
      .map(Number);
  // Marks in drawing order are the rows in theirs.
  const centres = [
    ...svg
      .split('class="decision-line"')[1]!
      .matchAll(
        /<g><title>.*?<\/title><(?:circle cx="([\d.]+)" cy="([\d.]+)"|path d="M([\d.]+) ([\d.]+)l)/g,
      ),
  ].map((m) =>
    m[1] === undefined ? [Number(m[3]), Number(m[4]) + 4.8] : [Number(m[1]), Number(m[2])],
  );
  expect(centres).toHaveLength(data.rows.length);
  const side = (x: number, y: number): number => (x2! - x1!) * (y - y1!) - (y2! - y1!) * (x - x1!);
  const drawn = centres.map(([x, y]) => Math.sign(side(x!, y!)));
  const decided = data.rows.map((row) =>
    Math.sign(10 * row.mispredictionRate! + 2 * row.wrongConfidence! - 1.4),
  );
  expect(new Set(decided)).toEqual(new Set([-1, 1]));
  const same = drawn.every((sign, i) => sign === decided[i]);
  const opposite = drawn.every((sign, i) => sign === -decided[i]!);
  expect(same || opposite).toBe(true);
});

test('marks stand on a patch and on the events of a timeline', () => {
  const timeline = {
    blocks: 1000,
    lanes: [{ name: 'wrong predictions', mean: [0, 0.5, 0, 0], peak: undefined }],
    events: [{ kind: 'return-mismatch' as const, position: 500 }],
  };
  const [patch] = madeUpReport({ traces: 1 }).rows[0]!.detail!.patches;
  const { occurrences: _, ...alone } = patch!;
  const once = { ...alone, firstBlock: 250, lastBlock: 499 };
  const svg = renderTimeline(timeline, [once]);
  // The plot is 838 units wide.
  expect(svg).toContain('<rect x="209.5" y="0" width="209.5"');
  expect(svg).toContain('data-from="250" data-to="500"');
  expect(svg).toMatch(/<rect x="419" y="\d+" width="2" height="16" fill="[^"]+" data-at="500"/);
  expect(svg).toContain('d="M0 100H1V0H2V100H4V100z"');
  // A place at which the trace strayed twice has one flag, and a band for each time.
  const times = [once, { ...once, firstBlock: 600, lastBlock: 699 }];
  const twice = renderTimeline(timeline, [{ ...once, occurrences: times }]);
  expect(twice).toContain('data-from="250" data-to="500"');
  expect(twice).toContain('data-from="600" data-to="700"');
  expect(twice.match(/<g transform="[^"]*" data-at=/g)).toHaveLength(1);
});
