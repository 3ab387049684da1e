import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { writeJsonFile } from '../base/files/json-file.ts';
import { readRecordingFacts } from './recording-facts.ts';

const folder = mkdtempSync(join(tmpdir(), 'wayward-recording-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'recording.json');

describe('how a sample was recorded', () => {
  test('by record: the command as a shell takes it, and its end', async () => {
    await writeJsonFile(file, {
      ...{ tool: 'qemu', toolVersion: 'by Wayward 1', commandLine: ['/bin/a', 'x y', "it's", ''] },
      ...{ exitCode: 3 },
    });
    expect(await readRecordingFacts(folder)).toEqual({
      recorder: 'qemu by Wayward 1',
      commandLine: "/bin/a 'x y' 'it'\\''s' ''",
      end: 'exit code 3',
    });
  });

  test('by perf, killed by a signal', async () => {
    await writeJsonFile(file, {
      tool: 'perf',
      perfVersion: '6.1',
      commandLine: 'perf record -- a',
      killedBy: 'SIGSEGV',
    });
    expect(await readRecordingFacts(folder)).toEqual({
      recorder: 'perf 6.1',
      commandLine: 'perf record -- a',
      end: 'killed by SIGSEGV',
    });
  });

  test('is not known where the file is absent, damaged or of another form', async () => {
    const none = { recorder: undefined, commandLine: undefined, end: undefined };
    expect(await readRecordingFacts(join(folder, 'nowhere'))).toEqual(none);
    writeFileSync(file, '{');
    expect(await readRecordingFacts(folder)).toEqual(none);
    await writeJsonFile(file, { tool: 7, commandLine: [{}], exitCode: 'x', killedBy: [] });
    expect(await readRecordingFacts(folder)).toEqual(none);
  });
});
