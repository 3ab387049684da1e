import { expect, test } from 'vitest';
import { madeUpReport } from '../../../test/report/made-up-report.ts';
import { reportToSarif } from './sarif.ts';

const data = madeUpReport();
const log = JSON.parse(reportToSarif(data));
const [run] = log.runs;

test('has one result a flagged trace, each of a declared rule', () => {
  const flagged = data.rows.filter((row) => row.verdict === 'anomalous');
  expect(run.results).toHaveLength(flagged.length);
  const rules = new Set(run.tool.driver.rules.map((rule: { id: string }) => rule.id));
  for (const result of run.results) expect(rules).toContain(result.ruleId);
  expect(log.version).toBe('2.1.0');
  expect(run.tool.driver).toMatchObject({ name: 'Wayward', version: '0.1.0' });
});

test('points at the first patch in the raw trace', () => {
  const row = data.rows.find((r) => r.name === 'rop-0000')!;
  const result = run.results.find((r: { message: { text: string } }) =>
    r.message.text.startsWith('rop-0000:'),
  );
  expect(result.ruleId).toBe('return-mismatch');
  expect(result.level).toBe('error');
  expect(result.locations[0].physicalLocation).toEqual({
    artifactLocation: { uri: 'file:///data/pdftotext/traces/trace-0/trace_0' },
    region: { byteOffset: row.detail!.patches[0]!.traceOffset },
  });
  expect(result.relatedLocations).toHaveLength(row.detail!.patches.length - 1);
  expect(result.rank).toBeCloseTo(100 * (1 - row.pValue!), 1);
});

test('tells the calls that were open and what the place is, wherever its modules are loaded', () => {
  const row = data.rows.find((r) => r.name === 'rop-0000')!;
  const [patch] = row.detail!.patches;
  const result = run.results.find((r: { message: { text: string } }) =>
    r.message.text.startsWith('rop-0000:'),
  );
  const names = (locations: { location: object }[]): string[] =>
    locations.map(({ location }) => {
      const { logicalLocations } = location as {
        logicalLocations: { fullyQualifiedName: string }[];
      };
      return logicalLocations[0]!.fullyQualifiedName;
    });
  // SARIF 2.1.0, 3.44.3: the innermost frame comes first; 3.36: a code flow goes as time does.
  expect(names(result.stacks[0].frames)).toEqual(patch!.callStack);
  const steps = names(result.codeFlows[0].threadFlows[0].locations);
  const calls = patch!.callStack!.toReversed();
  expect(steps.slice(0, calls.length)).toEqual(calls);
  expect(steps).toHaveLength(
    calls.length + Math.min(50, patch!.transfers.filter((t) => t.isInside).length),
  );
  expect(result.partialFingerprints['place/v1']).toBe(patch!.fingerprint);
  expect(result.locations[0].logicalLocations[0].fullyQualifiedName).toBe(patch!.inside);
});

test('tells skipped samples', () => {
  const [{ toolExecutionNotifications: told }] = run.invocations;
  expect(told.map((n: { message: { text: string } }) => n.message.text)).toEqual([
    'nominal-0311 was skipped: mapping.txt is missing',
    'nominal-0312 was skipped: evaluation is of another model (c0ffee12)',
  ]);
});

test('names of any kind give valid URIs and bounded messages', () => {
  const row = data.rows.find((r) => r.verdict === 'anomalous')!;
  const rows = [
    { ...row, name: 'x'.repeat(10_000) },
    { ...row, name: '../a b%\u202e<script>', directory: '' },
    { ...row, name: 'lone \ud800', directory: '/with space/ü#?%' },
  ];
  const hostile = JSON.parse(reportToSarif({ ...data, rows })).runs[0].results;
  expect(hostile).toHaveLength(3);
  for (const result of hostile) {
    expect(result.message.text.length).toBeLessThanOrEqual(4000);
    const { uri } = result.locations[0].physicalLocation.artifactLocation;
    expect(uri).toMatch(/^[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%]+$/);
    expect(() => decodeURIComponent(uri)).not.toThrow();
  }
});
