import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { findCallSamples, readCallSample } from './samples.ts';

const made: string[] = [];
afterEach(() => {
  for (const root of made.splice(0)) rmSync(root, { recursive: true, force: true });
});

function tree(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'wayward-calls-'));
  made.push(root);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  return root;
}

describe('findCallSamples', () => {
  test('takes labels and families from the folders of ADFA-LD', async () => {
    const root = tree({
      'README.txt': 'not a trace',
      'Training_Data_Master/UTD-0001.txt': '1 2 3',
      'Validation_Data_Master/UVD-0001.txt': '1 2 4',
      'Attack_Data_Master/Hydra_FTP_1/UAD-Hydra-FTP-1-1371.txt': '5 6',
    });
    const { samples, skipped } = await findCallSamples(root);
    expect(samples.map(({ name, label, family }) => [name, label, family])).toEqual([
      ['UAD-Hydra-FTP-1-1371', 'anomalous', 'Hydra_FTP'],
      ['UTD-0001', 'nominal', undefined],
      ['UVD-0001', 'nominal', undefined],
    ]);
    expect(skipped).toEqual([]);
    const again = await readCallSample(samples[0].directory);
    expect(again).toMatchObject({ label: 'anomalous', calls: samples[0].directory });
  });

  test('reads sample folders, and names what one lacks', async () => {
    const root = tree({
      'a/info.txt': 'a.doc\nbenign\n',
      'a/report.json.gz': '',
      'a/strace.txt': '',
      'b/info.txt': 'b.doc\nmalicious\nmacro\n',
      'b/calls.txt': '',
      'c/info.txt': 'c.doc\nbenign\n',
      'd/info.txt': 'd.doc\nperhaps\n',
      'd/calls.txt': '',
    });
    const { samples, skipped } = await findCallSamples(root);
    expect(samples.map(({ name, calls, family }) => [name, calls, family])).toEqual([
      ['a', join(root, 'a/report.json.gz'), undefined],
      ['b', join(root, 'b/calls.txt'), 'macro'],
    ]);
    expect(skipped.map(({ reason }) => reason)).toEqual([
      expect.stringContaining('has no log of calls (report.json, strace.txt'),
      expect.stringContaining('must be benign, malicious or unknown'),
    ]);
  });

  test('samples of one name get different ones, links in a circle end, a label may be unknown', async () => {
    const root = tree({
      'test/normal/1.txt': '1',
      'test/normal_and_attack/1.txt': '2',
      'other/1.txt': '3',
    });
    symlinkSync(root, join(root, 'test', 'loop'));
    symlinkSync('nowhere', join(root, 'test', 'dangling'));
    const { samples, skipped } = await findCallSamples(root);
    expect(samples.map(({ name, label }) => [name, label])).toEqual([
      ['other-1.txt', 'unknown'],
      ['test-normal-1.txt', 'nominal'],
      ['test-normal_and_attack-1.txt', 'anomalous'],
    ]);
    expect(skipped.map(({ reason }) => reason)).toEqual([
      expect.stringContaining('there is no such file or folder'),
    ]);
  });

  test('says so when there is nothing', async () => {
    const root = tree({ 'x.txt': '1' });
    mkdirSync(join(root, 'empty'));
    await expect(findCallSamples(root)).rejects.toThrow('holds no log of calls');
  });

  test('are the files of a folder that holds nothing else, whatever it is called', async () => {
    const { samples } = await findCallSamples(tree({ 'x.txt': '1', 'y.strace': '1' }));
    expect(samples.map(({ name, label }) => [name, label])).toEqual([
      ['x', 'unknown'],
      ['y', 'unknown'],
    ]);
  });
});
