import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import * as wayward from '../src/index.ts';

/** What others may build on: a name less, or another meaning, breaks what they have. */
const values = [
  'UserError',
  'accept',
  'checkSets',
  'classify',
  'cluster',
  'decode',
  'examineMachine',
  'exportFormats',
  'exportSample',
  'guard',
  'guardFollow',
  'guardPerfPipe',
  'importRecordings',
  'inspect',
  'judge',
  'judgeAll',
  'learn',
  'makeSets',
  'novelty',
  'preprocess',
  'readCallLog',
  'record',
  'recordInputs',
  'report',
  'stats',
];

/** Types that calls take or give by themselves; those that these are made of come along. */
const types = [
  'AcceptRequest',
  'AcceptResult',
  'CallLogOptions',
  'CallOptions',
  'ClassifyOptions',
  'ClassifyResult',
  'ClusterRequest',
  'ClusterResult',
  'ErrorCategory',
  'ExportOptions',
  'ExportResult',
  'ImportResult',
  'ImportSettings',
  'InspectSettings',
  'JudgeOptions',
  'JudgeResult',
  'JudgedSample',
  'LearnResult',
  'LearnSettings',
  'LogLevel',
  'LookOptions',
  'Message',
  'NoveltyOptions',
  'NoveltyResult',
  'PreprocessOptions',
  'Progress',
  'RecordInputsOptions',
  'RecordSettings',
  'Recorded',
  'ReportResult',
  'ReportSettings',
  'RunContext',
  'StatsOptions',
  'StatsResult',
  'Step',
  'TraceBlock',
  'TraceLine',
  'TraceMark',
  'TraceReport',
];

test('the library gives these values and no others', () => {
  expect(Object.keys(wayward).sort()).toEqual([...values].sort());
});

test('the types of its calls are public, too', () => {
  const text = readFileSync(new URL('../src/index.ts', import.meta.url), 'utf8');
  const lists = [...text.matchAll(/export (?:type )?\{([^}]*)\}/g)].flatMap(([, list]) =>
    list.split(',').map((name) => name.replace(/.* as |\btype\b/g, '').trim()),
  );
  for (const name of types) expect(lists).toContain(name);
});
