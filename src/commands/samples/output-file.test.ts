import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkOutput, outputFile, outputProfile } from './output-file.ts';

let folder = '';
const at = (name: string): string => join(folder, name);
const isTaken = (name: string): boolean => 'value' in outputFile(at(name));
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'wayward-output-'));
  for (const name of [
    ...['sample/info.txt', 'sample/mapping.txt', 'sample/trace_0.gz', 'sample/notes.csv'],
    ...['run/run.json', 'run/vocabulary.json.gz', 'run/model/model.json', 'run/evaluation/a.eval'],
    ...['run/report.html', 'other/mapping.txt', 'other/model/model.json'],
  ]) {
    mkdirSync(dirname(at(name)), { recursive: true });
    writeFileSync(at(name), 'x');
  }
  writeFileSync(at('nominal.wayward'), 'WPROFILE and more');
  symlinkSync('sample/trace_0.gz', at('table.csv'));
  symlinkSync('sample', at('linked'));
});
afterAll(() => rmSync(folder, { recursive: true }));

test.each([
  ...['sample/info.txt', 'sample/mapping.txt', 'sample/trace_0.gz', 'linked/trace_0.gz'],
  ...['table.csv', 'run/run.json', 'run/vocabulary.json.gz', 'run/model/model.json'],
  ...['run/evaluation/a.eval', 'nominal.wayward'],
])('%s is not replaced by an output', (name) => {
  expect(isTaken(name)).toBe(false);
  expect(() => checkOutput(at(name))).toThrow('is not replaced');
});

test.each([
  ...['new.csv', 'sample/notes.csv', 'sample/trace_1.gz', 'run/report.html', 'run/model'],
  ...['other/mapping.txt', 'other/model/model.json', 'sample/info.txt/below'],
])('%s may be one', (name) => {
  expect(isTaken(name)).toBe(true);
  checkOutput(at(name));
});

test('a profile replaces a profile, and nothing else that is kept', () => {
  expect(outputProfile(at('nominal.wayward'))).toEqual({ value: at('nominal.wayward') });
  expect(outputProfile(at('sample/info.txt'))).toHaveProperty('problem');
  expect(outputFile('')).toEqual({ problem: 'must not be empty' });
});
