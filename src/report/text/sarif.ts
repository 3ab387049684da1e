import { pathToFileURL } from 'node:url';
import { bySuspicion, evidenceEntries } from '../data/order.ts';
import type { ReportData, ReportPatch, ReportRow } from '../data/report-data.ts';
import { visible } from '../words/escape.ts';
import { evidenceNames, evidenceOrder } from '../words/evidence-names.ts';
import { formatProbability } from '../words/numbers.ts';

/** CI systems show the first few thousand characters of a message. */
const messageLimit = 4000;

/**
 * The flagged traces as SARIF 2.1.0, for CI systems that show analysis results.
 *
 * One result a flagged trace, at its first patch; further patches are related locations. The file
 * of a result is the raw trace, its region the byte where the patch starts, its logical location the
 * function. A code flow tells the calls that were open, the oldest first, then the transfers of the
 * patch; `stacks` has the calls alone. Fingerprints name modules and offsets, and hold wherever they
 * are loaded. Skipped samples are notifications.
 *
 * @see OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0"
 */
export function reportToSarif(data: ReportData): string {
  const [name, version] = splitGenerator(data.generator);
  const flagged = bySuspicion(data.rows).filter((row) => row.verdict === 'anomalous');
  const document = {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            name,
            ...(version === undefined ? {} : { version }),
            rules: [
              {
                id: 'anomalous-control-flow',
                name: 'AnomalousControlFlow',
                shortDescription: { text: 'A run strayed from the nominal control flow.' },
                fullDescription: { text: visible(data.rule.summary) || 'Anomalous.' },
                defaultConfiguration: { level: 'warning' },
              },
              ...evidenceOrder.map((kind) => ({
                id: kind,
                shortDescription: { text: sentence(evidenceNames[kind].one) },
                fullDescription: { text: evidenceNames[kind].meaning },
                defaultConfiguration: {
                  level: kind === 'gap' || kind === 'usual-oddity' ? 'note' : 'error',
                },
              })),
            ],
          },
        },
        automationDetails: { description: { text: visible(data.title) || 'Wayward' } },
        invocations: [
          {
            executionSuccessful: true,
            toolExecutionNotifications: data.skipped.map((s) => ({
              level: 'warning',
              message: { text: text(`${s.name} was skipped: ${s.reason}`) },
            })),
          },
        ],
        columnKind: 'utf16CodeUnits',
        results: flagged.map(result),
      },
    ],
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

function result(row: ReportRow): object {
  // What the trace proves by itself names the result; a verdict by prediction alone is the general rule.
  const proof = evidenceEntries(row).find(([kind]) => kind !== 'gap' && kind !== 'unlikely-target');
  const ruleId = proof === undefined ? 'anomalous-control-flow' : proof[0];
  const patches = row.detail?.patches ?? [];
  const reasons = row.reasons.length === 0 ? ['This trace was flagged.'] : row.reasons;
  const p = row.pValue === undefined ? '' : ` p-value ${formatProbability(row.pValue)}.`;
  return {
    ruleId,
    level: proof === undefined ? 'warning' : 'error',
    message: { text: text(`${row.name}: ${reasons.join(' ')}${p}`) },
    locations: [location(row, patches[0])],
    ...(patches.length > 1
      ? {
          relatedLocations: patches
            .slice(1, 10)
            .map((patch, id) => ({ id, ...location(row, patch) })),
        }
      : {}),
    ...flowOf(patches[0]),
    partialFingerprints: {
      'trace/v1': text(row.name),
      ...(patches[0]?.fingerprint === undefined
        ? {}
        : { 'place/v1': text(patches[0].fingerprint) }),
    },
    ...(row.pValue === undefined || Number.isNaN(row.pValue)
      ? {}
      : { rank: Math.round(10000 * (1 - row.pValue)) / 100 }),
    properties: {
      label: row.label ?? null,
      family: row.family ?? null,
      pValue: finite(row.pValue),
      score: finite(row.score),
      mispredictionRate: finite(row.mispredictionRate),
      unknownBlockRate: finite(row.unknownBlockRate),
      gaps: row.gaps,
      evidence: row.evidenceCounts,
    },
  };
}

/** Transfers of a code flow at most. */
const mostSteps = 50;

function flowOf(patch: ReportPatch | undefined): object {
  if (patch === undefined) return {};
  const stack = patch.callStack ?? [];
  const steps = [
    ...stack.toReversed().map((place) => step(place, 'calls')),
    ...patch.transfers
      .filter(({ isInside }) => isInside)
      .slice(0, mostSteps)
      .map(({ from, came, expected }) => {
        const instead = expected === undefined || expected === came ? '' : `, not to ${expected}`;
        return step(from === '' ? 'unknown code' : from, `goes to ${came}${instead}`);
      }),
  ];
  if (steps.length === 0) return {};
  return {
    codeFlows: [{ threadFlows: [{ locations: steps.map((location) => ({ location })) }] }],
    ...(stack.length === 0
      ? {}
      : { stacks: [{ frames: stack.map((place) => ({ location: step(place, 'calls') })) }] }),
  };
}

function step(place: string, message: string): object {
  return {
    logicalLocations: [{ fullyQualifiedName: text(place), kind: 'function' }],
    message: { text: text(message) },
  };
}

function location(row: ReportRow, patch: ReportPatch | undefined): object {
  const places = [patch?.inside, patch?.before].filter((place) => place !== undefined);
  return {
    physicalLocation: {
      artifactLocation: { uri: uriOf(row) },
      ...(patch?.traceOffset === undefined ? {} : { region: { byteOffset: patch.traceOffset } }),
    },
    ...(patch === undefined
      ? {}
      : { message: { text: `blocks ${patch.firstBlock} to ${patch.lastBlock}` } }),
    ...(places.length === 0
      ? {}
      : {
          logicalLocations: places
            .slice(0, 1)
            .map((place) => ({ fullyQualifiedName: text(place), kind: 'function' })),
        }),
  };
}

function uriOf(row: ReportRow): string {
  if (row.directory === '') return `${encodeURIComponent(row.name.toWellFormed())}/trace_0`;
  return `${pathToFileURL(row.directory).href}/trace_0`;
}

function splitGenerator(generator: string): [string, string | undefined] {
  const match = /^(.+) (\d\S*)$/.exec(generator);
  return match === null ? [visible(generator) || 'Wayward', undefined] : [match[1], match[2]];
}

function sentence(words: string): string {
  return `${words[0].toUpperCase()}${words.slice(1)}.`;
}

function text(words: string): string {
  const shown = visible(words);
  return shown.length <= messageLimit
    ? shown
    : `${shown.slice(0, messageLimit - 1).toWellFormed()}…`;
}

function finite(value: number | undefined): number | null {
  return value === undefined || !Number.isFinite(value) ? null : value;
}
