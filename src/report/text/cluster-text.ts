import type { ClusterData, NeighbourRow } from '../data/cluster-data.ts';
import type { EvidenceKind } from '../data/report-data.ts';
import { shorten, visible } from '../words/escape.ts';
import { evidenceNames } from '../words/evidence-names.ts';
import { familiesOf, sliceName } from '../words/slice-names.ts';

/** Raised by one when a field changes its meaning or goes; new fields do not raise it. */
const clusterSchemaVersion = 1;

/** What was found as one JSON document; charts are left out. */
export function clustersToJson(data: ClusterData): string {
  const document = { schemaVersion: clusterSchemaVersion, kind: 'wayward-clusters', ...data };
  return JSON.stringify(
    document,
    (key, value) => (key === 'picture' ? undefined : value === undefined ? null : value),
    2,
  );
}

/** What was found as plain text. Every name is made visible; lines end in no newline. */
export function clusterLines(data: ClusterData): string[] {
  const lines: string[] = [];
  const section = (title: string, body: readonly string[]): void => {
    if (body.length === 0) return;
    if (lines.length > 0) lines.push('');
    lines.push(title, ...body);
  };
  section(
    'Neighbours',
    table(
      ['slice', 'family', 'distance', 'nearest', 'its family'],
      data.neighbours.flatMap(neighbourCells),
    ),
  );
  section(
    data.method === undefined ? 'Clusters' : `Clusters: ${visible(data.method)}`,
    data.clusters.flatMap((cluster, number) => {
      const members = cluster.members.map((item) => data.slices[item]);
      const traits = [
        ...cluster.evidence.map(({ name }) => evidenceNames[name as EvidenceKind]?.short ?? name),
        ...cluster.functions.map(({ name }) => name),
      ];
      return [
        `${number + 1}  ${members.length} slices, ${familiesOf(members)}; silhouette ${cluster.silhouette.toFixed(2)}; most typical: ${sliceName(data.slices[cluster.medoid])}`,
        ...(traits.length === 0
          ? []
          : [
              `   shared: ${traits
                .slice(0, 6)
                .map((name) => visible(shorten(name, 60)))
                .join(', ')}`,
            ]),
        `   ${members.map(sliceName).join(', ')}`,
      ];
    }),
  );
  const alone = data.slices.filter(({ cluster }) => cluster === undefined);
  if (data.method !== undefined && alone.length > 0) {
    lines.push(`-  in no cluster: ${alone.map(sliceName).join(', ')}`);
  }
  if (data.families !== undefined) {
    const { traces, adjustedRand, nearestAccuracy } = data.families;
    section('Against the known families', [
      `of ${traces} traces: adjusted Rand index ${adjustedRand.toFixed(2)}, nearest neighbour right ${(100 * nearestAccuracy).toFixed(0)} %`,
    ]);
  }
  section(
    'Without a slice',
    data.withoutSlices.map((name) => `  ${visible(name)}`),
  );
  section(
    'Left out',
    data.skipped.map(({ name, reason }) => `  ${visible(name)}: ${visible(reason)}`),
  );
  const counts = [
    `${data.slices.length} slices compared (${visible(data.compared)})`,
    ...(data.added.length > 0 ? [`${data.added.length} samples added`] : []),
    ...(data.removed.length > 0 ? [`${data.removed.length} removed`] : []),
    `kept in ${visible(data.store)}`,
  ];
  if (lines.length > 0) lines.push('');
  lines.push(counts.join('; '));
  return lines;
}

function neighbourCells(row: NeighbourRow): string[][] {
  const own = [sliceName(row), visible(row.family ?? row.label ?? '')];
  if (row.nearest.length === 0) return [[...own, '', 'none that shares anything', '']];
  return row.nearest.map(({ distance, ...near }, i) => [
    ...(i === 0 ? own : ['', '']),
    distance.toFixed(3),
    sliceName(near),
    visible(near.family ?? near.label ?? ''),
  ]);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  if (rows.length === 0) return [];
  const all = [head, ...rows];
  const widths = head.map((_, i) =>
    all.reduce((widest, row) => Math.max(widest, row[i].length), 0),
  );
  return all.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]))
      .join('  ')
      .trimEnd(),
  );
}
