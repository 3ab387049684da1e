import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { decode } from 'fast-png';
import { describe, expect, test } from 'vitest';
import { hostileStrings } from '../../../test/report/hostile-report.ts';
import { madeUpReport } from '../../../test/report/made-up-report.ts';
import { makeClusters } from '../../likeness/clusters/clusters.ts';
import { DistanceMatrix } from '../../likeness/clusters/distances.ts';
import { mapOfDistances } from '../../likeness/clusters/embedding.ts';
import type { ClusterData, ClusterSlice } from '../data/cluster-data.ts';
import { clusterLines, clustersToJson } from '../text/cluster-text.ts';
import { renderClusterReport } from './clusters.ts';
import { renderReport } from './html-report.ts';

/** Two clusters of three, one slice that is like no other; every string comes from `say`. */
function madeUpClusters(say: () => string): ClusterData {
  const places = [0, 0.01, 0.02, 0.5, 0.51, 0.52, 1];
  const distances = DistanceMatrix.from(7, (i, j) => Math.abs(places[i]! - places[j]!));
  const clustering = makeClusters(distances, { method: 'dbscan', radius: 0.05, least: 2 });
  const slices = places.map((_, i): ClusterSlice => {
    const cluster = clustering.clusterOf[i]!;
    return {
      sample: say(),
      rank: 1 + (i % 2),
      file: say(),
      label: 'anomalous',
      family: say(),
      start: 100 * i,
      end: 100 * i + 10,
      points: 3,
      cluster: cluster < 0 ? undefined : cluster,
    };
  });
  const term = { name: say(), inside: 1, outside: 0.25 };
  const identity = { sample: say(), rank: 1, label: 'anomalous', family: say() } as const;
  return {
    title: say(),
    created: say(),
    generator: say(),
    compared: say(),
    store: say(),
    added: [say()],
    removed: [say()],
    slices,
    clusters: clustering.clusters.map((cluster) => ({
      ...cluster,
      modules: [term],
      functions: [term],
      evidence: [term, { ...term, name: 'return-mismatch' }],
    })),
    method: say(),
    silhouette: clustering.silhouette,
    neighbours: [
      { ...identity, nearest: [{ ...identity, distance: 0.25 }] },
      { ...identity, nearest: [] },
    ],
    withoutSlices: [say()],
    skipped: [{ name: say(), reason: say() }],
    families: { traces: 7, adjustedRand: 0.75, nearestAccuracy: 0.5 },
    picture: { distances, merges: clustering.merges, ...mapOfDistances(distances) },
  };
}

function counted(): () => string {
  let next = 0;
  return () => `string ${next++}`;
}

describe('the page of clusters', () => {
  const data = madeUpClusters(counted());
  const page = renderClusterReport(data);

  test('names no other file or host, has unique ids, and every link leads to one', () => {
    expect([...page.matchAll(/https?:[^'"\s<]*|\ssrc=|@import|url\(/g)].map((m) => m[0])).toEqual([
      'http://www.w3.org/2000/svg',
    ]);
    const ids = [...page.matchAll(/\sid="([^"]*)"/g)].map((m) => m[1]!);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [, target] of page.matchAll(/\shref="#([^"]*)"/g)) expect(ids).toContain(target);
  });

  test('says what the clusters are, and that one slice is in none', () => {
    expect(page).toContain('2 clusters of 7 slices');
    expect(page).toContain('Cluster 2: 3 slices');
    expect(page).toContain('1 are like no other');
    expect(page).toContain('return mismatch');
    expect(page).toContain('none that shares anything');
  });

  test('the heat map shows every distance, darkest on the diagonal', () => {
    const packed = /data:image\/png;base64,([A-Za-z0-9+/=]+)/.exec(page)?.[1] ?? '';
    const { width, height, data: pixels } = decode(Buffer.from(packed, 'base64'));
    expect([width, height]).toEqual([7, 7]);
    const red = (row: number, column: number): number => pixels[3 * (7 * row + column)]!;
    for (let i = 0; i < 7; i++) {
      expect(red(i, i)).toBe(18);
      for (let j = 0; j < 7; j++) expect(red(i, j)).toBe(red(j, i));
    }
    // The loner is at one end of the tree, farthest from the first cluster.
    expect(Math.max(...pixels.filter((_, i) => i % 3 === 0))).toBe(244);
  });

  test('one mark for each slice on the map, none on another', () => {
    const map = /<svg[^>]*class="map"[\s\S]*?<\/svg>/.exec(page)![0];
    const circles = [...map.matchAll(/<circle cx="([^"]*)" cy="([^"]*)"/g)].map(
      (m) => [Number(m[1]), Number(m[2])] as const,
    );
    expect(circles).toHaveLength(6);
    for (const [i, a] of circles.entries()) {
      for (const b of circles.slice(i + 1))
        expect(Math.hypot(a[0] - b[0], a[1] - b[1])).toBeGreaterThan(17);
    }
  });

  test('stands in a report on traces, too, with links to their pages', () => {
    const report = madeUpReport();
    const names = report.rows.map((row) => row.name);
    const slices = data.slices.map((slice, i) => ({ ...slice, sample: names[i % 3]! }));
    const whole = renderReport({ ...report, clusters: { ...data, slices } });
    const ids = [...whole.matchAll(/\sid="([^"]*)"/g)].map((m) => m[1]!);
    expect(new Set(ids).size).toBe(ids.length);
    const [section = ''] = /<section id="clusters"[\s\S]*?<\/section>/.exec(whole) ?? [];
    const links = [...section.matchAll(/\shref="#([^"]*)"/g)].map((m) => m[1]!);
    expect(new Set(links).size).toBe(3);
    for (const target of links) expect(ids).toContain(target);
    expect(whole).toContain('<a href="#clusters">Clusters</a>');
    expect(renderReport(report)).not.toContain('#clusters');
  });

  test('works with nothing to show', () => {
    const bare = {
      ...data,
      slices: [],
      clusters: [],
      neighbours: [],
      withoutSlices: [],
      skipped: [],
      families: undefined,
      picture: undefined,
      method: undefined,
      silhouette: undefined,
    };
    expect(renderClusterReport(bare)).toContain('0 clusters of 0 slices');
    expect(clusterLines(bare).at(-1)).toContain('0 slices compared');
  });

  test('no string becomes markup (fuzz)', () => {
    const skeleton = (html: string): string =>
      [...html.matchAll(/<\/?[a-zA-Z][^>]*>/g)]
        .map((m) => m[0].replace(/"[^"]*"/g, '""'))
        .join('')
        .replaceAll('<wbr>', '')
        .replace(/ title=""/g, '');
    const render = (strings: readonly string[]): string => {
      let next = 0;
      const html = renderClusterReport(
        madeUpClusters(() => `x${strings[next++ % strings.length]!}`),
      );
      return createHash('sha256').update(skeleton(html)).digest('hex');
    };
    const plain = render(['y']);
    for (const text of hostileStrings) expect(render([text]), text).toBe(plain);
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'binary', maxLength: 40 }), { minLength: 1, maxLength: 5 }),
        (strings) => {
          expect(render(strings)).toBe(plain);
        },
      ),
      { seed: 5, numRuns: 10 },
    );
  });

  test('text for terminals shows what would act; JSON keeps what it says', () => {
    const hostile = madeUpClusters(() => 'a\u001b[31mb\u202ec\n');
    const lines = clusterLines(hostile);
    for (const line of lines) expect(line).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(lines.join('\n')).toContain('\\u{1b}[31mb\\u{202e}c');
    const json = JSON.parse(clustersToJson(hostile)) as Record<string, unknown>;
    expect(json.schemaVersion).toBe(1);
    expect(json.store).toBe('a\u001b[31mb\u202ec\n');
    expect(json).not.toHaveProperty('picture');
  });
});
