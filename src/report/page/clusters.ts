import type { SharedTerm } from '../../likeness/clusters/clusters.ts';
import { mostHeatMapSlices, renderHeatMap } from '../charts/cluster-heat-map.ts';
import { renderClusterMap } from '../charts/cluster-map.ts';
import { clusterMark } from '../charts/cluster-marks.ts';
import { element } from '../charts/svg.ts';
import { variables } from '../charts/theme.ts';
import type {
  ClusterData,
  ClusterSlice,
  ClusterSummary,
  NeighbourRow,
} from '../data/cluster-data.ts';
import type { EvidenceKind } from '../data/report-data.ts';
import { evidenceNames } from '../words/evidence-names.ts';
import { formatCount } from '../words/numbers.ts';
import { familiesOf, sliceName } from '../words/slice-names.ts';
import { renderFrame } from './frame.ts';
import { code, name, words } from './html.ts';

/**
 * One HTML page: a map of the slices, their distances as a heat map, what describes each cluster,
 * and the nearest neighbours. What holds for `renderReport` holds here.
 */
export function renderClusterReport(data: ClusterData): string {
  return renderFrame({
    title: data.title,
    generator: data.generator,
    created: data.created,
    pages: [
      ['traces', 'Clusters'],
      ['neighbours', 'Neighbours'],
      ['reading', 'How to read'],
      ['run', 'Run'],
    ],
    content: [
      clustersSection(data, 'traces', noLink),
      neighboursPage(data),
      readingPage,
      runPage(data),
    ].join('\n'),
  });
}

/** Where the page of a sample is; `undefined` when there is none. */
export type SampleLink = (sample: string) => string | undefined;

const noLink: SampleLink = () => undefined;

/** The clusters as one page of a report on traces. */
export function renderClustersPage(data: ClusterData, link: SampleLink): string {
  return clustersSection(
    data,
    'clusters',
    link,
    `<details><summary>How to read this</summary><div class="prose">${terms}</div></details>`,
  );
}

function clustersSection(data: ClusterData, id: string, link: SampleLink, more = ''): string {
  const alone = data.slices.filter(({ cluster }) => cluster === undefined);
  const samples = new Set(data.slices.map(({ sample }) => sample)).size;
  const headline = `${plural(data.clusters.length, 'cluster')} of ${plural(data.slices.length, 'slice')}`;
  const how =
    data.method === undefined
      ? 'No clusters: they need three slices at least, and not too many.'
      : `${data.method}. ${alone.length === 0 ? 'Every slice is in one.' : `${formatCount(alone.length)} are like no other.`}`;
  const keys = [
    ...(data.silhouette === undefined ? [] : [['mean silhouette', data.silhouette.toFixed(2)]]),
    ...(data.families === undefined
      ? []
      : [
          ['adjusted Rand index against the known families', data.families.adjustedRand.toFixed(2)],
          [
            'nearest neighbour of the same family',
            `${Math.round(100 * data.families.nearestAccuracy)}\u202f%`,
          ],
        ]),
  ]
    .map(([title, value]) => `<div><dd>${value}</dd><dt>${title}</dt></div>`)
    .join('');
  return `<section id="${id}" class="page" aria-labelledby="${id}-h">
<div class="lead"><div><h2 id="${id}-h" class="count" tabindex="-1">${headline}</h2>
<p>From ${plural(samples, 'trace')}. ${words(how)}</p></div><dl class="keys">${keys}</dl></div>
${more}${charts(data)}
${data.clusters.map((cluster, number) => clusterSection(data, cluster, number, link)).join('\n')}
${memberList('Like no other', 'In no cluster: each is a case of its own, or there are too few of its kind.', alone, link)}
${nameList('Without a slice', 'Nothing in these traces stands out enough to be compared.', data.withoutSlices)}
</section>`;
}

function charts(data: ClusterData): string {
  const { picture } = data;
  if (picture === undefined) return '';
  const look = { palette: variables, target: 'page' as const };
  const heat =
    data.slices.length > mostHeatMapSlices
      ? ''
      : `<figure class="panel wide"><figcaption>Distances<span>Every slice against every other one, the darker the more alike. Dark squares on the diagonal are groups; the tree says at which distance they meet.</span></figcaption><div class="strip" tabindex="0" role="group" aria-label="Distances">${renderHeatMap(data, picture, look)}</div></figure>`;
  return `<div class="panels"><figure class="panel wide"><figcaption>Map<span>Slices that are alike lie close together. Numbers are clusters, squares are in none; hover for names.</span></figcaption><div class="strip" tabindex="0" role="group" aria-label="Map">${renderClusterMap(data, picture, look)}</div></figure>
${heat}</div>`;
}

function clusterSection(
  data: ClusterData,
  cluster: ClusterSummary,
  number: number,
  link: SampleLink,
): string {
  const members = cluster.members.map((item) => data.slices[item]);
  const rows = [
    ['Most typical', linked(data.slices[cluster.medoid], link)],
    ['Silhouette', cluster.silhouette.toFixed(2)],
    [
      'Evidence that they share',
      shared(cluster.evidence, (kind) => words(evidenceNames[kind as EvidenceKind]?.short ?? kind)),
    ],
    ['Modules', shared(cluster.modules, code)],
    ['Functions', shared(cluster.functions, code)],
  ]
    .map(([title, value]) => `<tr><th scope="row">${title}</th><td>${value}</td></tr>`)
    .join('');
  const mark = element(
    'svg',
    { width: 22, height: 22, viewBox: '0 0 22 22', 'aria-hidden': 'true' },
    clusterMark(11, 11, number, variables, false),
  );
  return `<h3 id="c${number + 1}">Cluster ${number + 1}: ${plural(members.length, 'slice')}</h3>
<p class="key"><span>${mark}${words(familiesOf(members))}</span></p>
<div class="scroll"><table><tbody>${rows}</tbody></table></div>
<details><summary>${plural(members.length, 'member')}</summary>${memberTable(members, link)}</details>`;
}

function linked(slice: ClusterSlice, link: SampleLink): string {
  const to = link(slice.sample);
  const shown = name(sliceName(slice));
  return to === undefined ? shown : element('a', { href: to }, shown);
}

/** What most members have; how many of the others do is said where that is worth saying. */
function shared(terms: readonly SharedTerm[], show: (text: string) => string): string {
  if (terms.length === 0) return '<span class="muted">none</span>';
  const percent = (share: number): string => `${Math.round(100 * share)}\u202f%`;
  return terms
    .map(
      ({ name: text, inside, outside }) =>
        `${show(text)} <span class="muted">(${percent(inside)} here, ${percent(outside)} elsewhere)</span>`,
    )
    .join('<br>');
}

function memberTable(members: readonly ClusterSlice[], link: SampleLink): string {
  const rows = members
    .map(
      (slice) =>
        `<tr><th scope="row">${linked(slice, link)}</th><td>${name(slice.family ?? slice.label ?? '')}</td><td>${name(slice.file)}</td><td class="n">${formatCount(slice.start)}</td><td class="n">${formatCount(slice.end - slice.start)}</td></tr>`,
    )
    .join('');
  return `<div class="scroll"><table><thead><tr><th scope="col">Slice</th><th scope="col">Family</th><th scope="col">File</th><th scope="col" class="n">First block</th><th scope="col" class="n">Blocks</th></tr></thead><tbody>${rows}</tbody></table></div>`;
}

function memberList(
  title: string,
  text: string,
  members: readonly ClusterSlice[],
  link: SampleLink,
): string {
  if (members.length === 0) return '';
  return `<h3>${title}</h3><p class="muted">${text}</p>${memberTable(members, link)}`;
}

function nameList(title: string, text: string, names: readonly string[]): string {
  if (names.length === 0) return '';
  return `<h3>${title}</h3><p class="muted">${text}</p><ul>${names.map((item) => `<li>${name(item)}</li>`).join('')}</ul>`;
}

function neighboursPage(data: ClusterData): string {
  const rows = data.neighbours.map(neighbourRow).join('\n');
  const table =
    data.neighbours.length === 0
      ? '<p class="muted">None were asked for.</p>'
      : `<div class="scroll"><table><thead><tr><th scope="col">Slice</th><th scope="col">Family</th><th scope="col" class="n">Distance</th><th scope="col">Nearest</th><th scope="col">Its family</th></tr></thead><tbody>${rows}</tbody></table></div>`;
  return `<section id="neighbours" class="page" aria-labelledby="neighbours-h"><h2 id="neighbours-h" tabindex="-1">Nearest neighbours</h2>
<p class="muted">Slices of other traces that are most like each one. Distance 0: the same; 1: nothing in common.</p>${table}</section>`;
}

function neighbourRow(row: NeighbourRow): string {
  const span = Math.max(1, row.nearest.length);
  const head = `<th scope="row" rowspan="${span}">${name(sliceName(row))}</th><td rowspan="${span}">${name(row.family ?? row.label ?? '')}</td>`;
  if (row.nearest.length === 0) {
    return `<tr>${head}<td></td><td class="muted">none that shares anything</td><td></td></tr>`;
  }
  return row.nearest
    .map(
      (near, i) =>
        `<tr>${i === 0 ? head : ''}<td class="n">${near.distance.toFixed(3)}</td><td>${name(sliceName(near))}</td><td>${name(near.family ?? near.label ?? '')}</td></tr>`,
    )
    .join('');
}

const terms = `<dl>
<dt>Slice</dt><dd>A stretch of a trace that strays, as the report of the trace shows it. A trace can have several; the first one goes by the name of the trace, the others by <code>#2</code>, <code>#3</code>.</dd>
<dt>Distance</dt><dd>1 minus the cosine of the angle between two slices&#39; vectors. 0: the same; 1: nothing in common. What the vectors count (functions, evidence, transfers) is under Run.</dd>
<dt>Cluster</dt><dd>Slices that are alike. A cluster says that something happened again, not that it is an attack: read its most typical member first, then what its members share.</dd>
<dt>Here, elsewhere</dt><dd>How many of the cluster&#39;s members have something, and how many of all other slices. What nearly all have here and few elsewhere makes the cluster what it is.</dd>
<dt>Silhouette</dt><dd>How much closer members are to their own cluster than to the nearest other one: 1 is clear, 0 is between two, below 0 is in the wrong one.</dd>
<dt>Map</dt><dd>Two directions cannot show all differences; the axes say how much of them they show. Close on the map and far in the heat map means: far.</dd>
<dt>Adjusted Rand index</dt><dd>Where families are known: how well the clusters fit them. 1: the same; 0: no better than by chance. The families were not used to make the clusters.</dd>
</dl>`;

const readingPage = `<section id="reading" class="page" aria-labelledby="reading-h"><h2 id="reading-h" tabindex="-1">How to read</h2><div class="prose">${terms}</div></section>`;

function runPage(data: ClusterData): string {
  const facts = [
    ['Compared', data.compared],
    ['Kept in', data.store],
    ['Report made', data.created],
    ['By', data.generator],
  ]
    .map(([title, value]) => `<tr><th scope="row">${title}</th><td>${words(value)}</td></tr>`)
    .join('');
  const skipped =
    data.skipped.length === 0
      ? '<p class="muted">None.</p>'
      : `<div class="scroll"><table><thead><tr><th scope="col">Sample</th><th scope="col">Why</th></tr></thead><tbody>${data.skipped
          .map(
            (item) =>
              `<tr><th scope="row">${name(item.name)}</th><td>${words(item.reason)}</td></tr>`,
          )
          .join('')}</tbody></table></div>`;
  return `<section id="run" class="page" aria-labelledby="run-h"><h2 id="run-h" tabindex="-1">Run</h2>
<h3>How this came about</h3><div class="scroll"><table><tbody>${facts}</tbody></table></div>
<h3>Left out</h3>${skipped}</section>`;
}

function plural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
}
