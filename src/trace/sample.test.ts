import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findSamples, readSample } from './sample.ts';
import { readSets, writeSets } from './sets-file.ts';

const hasPipes = spawnSync('mkfifo', ['--version']).status === 0;
const folder = (): string => mkdtempSync(join(tmpdir(), 'wayward-'));

function sample(root: string, name: string, files: Record<string, string>): string {
  const directory = join(root, name);
  mkdirSync(directory, { recursive: true });
  for (const [file, content] of Object.entries(files))
    writeFileSync(join(directory, file), content);
  return directory;
}

const whole = { 'info.txt': 'a.pdf\nbenign\n', 'mapping.txt': '', 'trace_0.gz': '' };

describe('samples', () => {
  test('have a label, a family and the traces of their threads in order', async () => {
    const directory = sample(folder(), 's', {
      ...whole,
      'info.txt': 'b.pdf\r\nmalicious\r\nrop\r\n',
      trace_10: '',
      'trace_2.gz': '',
    });
    expect(await readSample(directory)).toMatchObject({
      name: 's',
      file: 'b.pdf',
      label: 'anomalous',
      family: 'rop',
      traces: ['trace_0.gz', 'trace_2.gz', 'trace_10'].map((name) => join(directory, name)),
    });
  });

  test.each(['a.pdf\n', 'a.pdf\n\nfamily\n', 'a.pdf\nunknown\n'])(
    'of no known label may be read: %j',
    async (info) => {
      const directory = sample(folder(), 's', { ...whole, 'info.txt': info });
      expect((await readSample(directory)).label).toBe('unknown');
    },
  );

  test.each([
    [{ 'info.txt': 'a\nbenign\n' }, 'has no trace_0.gz and no mapping.txt'],
    [{ 'trace_0.gz': '', 'mapping.txt': '' }, 'has no info.txt'],
    [{ ...whole, 'info.txt': 'a\nevil\n' }, 'info.txt: line 2: the label is "evil"'],
  ])('%j is refused', async (files, message) => {
    const directory = sample(folder(), 's', files as Record<string, string>);
    await expect(readSample(directory)).rejects.toThrow(message);
  });

  test.skipIf(!hasPipes)('hold no pipe, at which a reader would wait for ever', async () => {
    const directory = sample(folder(), 's', { ...whole, 'trace_1.gz': '' });
    for (const name of ['trace_0.gz', 'mapping.txt', 'elsewhere'])
      rmSync(join(directory, name), { force: true });
    spawnSync('mkfifo', [join(directory, 'mapping.txt'), join(directory, 'elsewhere')]);
    symlinkSync('elsewhere', join(directory, 'trace_0.gz'));
    await expect(readSample(directory)).rejects.toThrow('has no mapping.txt');
    rmSync(join(directory, 'mapping.txt'));
    writeFileSync(join(directory, 'mapping.txt'), '');
    const { traces } = await readSample(directory);
    expect(traces).toEqual([join(directory, 'trace_1.gz')]);
  });

  test.each(['traces/a', 'a'])(
    'are named where a folder of them stands for one: %s',
    async (name) => {
      const root = folder();
      sample(root, name, whole);
      const message = `${root}: is no sample, but holds some: name one of them, as ${join(root, name)}`;
      await expect(readSample(root)).rejects.toThrow(message);
    },
  );

  test('are found below a root; incomplete ones are listed with their reason, other folders are not', async () => {
    const root = folder();
    sample(root, 'b', whole);
    sample(root, 'a', whole);
    sample(root, 'half', { 'info.txt': 'a\nbenign\n' });
    sample(root, 'other', { README: '' });
    const { samples, skipped } = await findSamples(root);
    expect(samples.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(skipped.map(({ directory }) => directory)).toEqual([join(root, 'half')]);
  });

  test('one whose info.txt is a folder, or that has a later thread only, is listed, too', async () => {
    const root = folder();
    sample(root, 'a', whole);
    mkdirSync(join(root, 'odd', 'info.txt'), { recursive: true });
    writeFileSync(join(root, 'odd', 'trace_0'), '');
    writeFileSync(join(root, 'odd', 'mapping.txt'), '');
    sample(root, 'late', { trace_1: '' });
    const { skipped } = await findSamples(root);
    expect(skipped.map(({ reason }) => reason)).toEqual([
      expect.stringContaining('has no info.txt'),
      expect.stringContaining('info.txt: cannot be read'),
    ]);
  });

  test('links that lead nowhere or to a file, and folders that cannot be read, are left out by name', async () => {
    const root = folder();
    sample(root, 'a', whole);
    writeFileSync(join(root, 'notes.txt'), '');
    symlinkSync('gone', join(root, 'dangling'));
    symlinkSync('notes.txt', join(root, 'file'));
    symlinkSync('loop', join(root, 'loop'));
    symlinkSync('a', join(root, 'same'));
    const locked = sample(root, 'locked', whole);
    chmodSync(locked, 0);
    const { samples, skipped } = await findSamples(root);
    chmodSync(locked, 0o755);
    const reasons = new Map(skipped.map(({ directory, reason }) => [directory, reason]));
    const reasonOf = (name: string): string | undefined => reasons.get(join(root, name));
    expect(reasonOf('dangling')).toBe(
      `${join(root, 'dangling')}: cannot be read: it is a link to what is not there`,
    );
    expect(reasonOf('file')).toContain('it is no folder');
    expect(reasonOf('loop')).toContain('it is a link to itself');
    // Nothing is locked for root.
    if (process.getuid?.() !== 0) expect(reasonOf('locked')).toContain('permission denied');
    expect(samples.map(({ name }) => name)).toEqual(expect.arrayContaining(['a', 'same']));
  });

  test('a root that is empty or missing is an error that names it', async () => {
    const root = folder();
    await expect(findSamples(root)).rejects.toThrow(`${root}: holds no sample`);
    await expect(findSamples(join(root, 'x'))).rejects.toThrow('there is no such folder');
  });
});

describe('sets files', () => {
  test('are read as they were written', async () => {
    const root = folder();
    const names = ['a', 'b', 'c', 'd'].map((name) => sample(root, name, whole));
    const sets = {
      train: [names[0]],
      calibrate: [names[1]],
      testNominal: [names[2]],
      testAnomalous: [names[3]],
    };
    const file = join(root, 'sets.txt');
    await writeSets(file, sets);
    expect(await readSets(file, root)).toEqual({ sets, skipped: [] });
  });

  test('name what they name, whatever is in the name', async () => {
    const root = folder();
    const names = ['a\n[m_test]\nb', '[b_train]', ' padded ', '"quoted"'];
    const train = names.map((name) => sample(root, name, whole));
    const sets = { train, calibrate: [], testNominal: [], testAnomalous: [] };
    const file = join(root, 'sets.txt');
    await writeSets(file, sets);
    expect(await readSets(file, root)).toEqual({ sets, skipped: [] });
  });

  test('whose names are no UTF-8 are left out, and told why', async () => {
    const root = folder();
    sample(root, 'a', whole);
    sample(root, 'b', whole);
    const odd = Buffer.concat([Buffer.from(join(root, 'caf')), Buffer.from([0xe9])]);
    renameSync(Buffer.from(join(root, 'b')), odd);
    const { samples, skipped } = await findSamples(root);
    expect(samples.map(({ name }) => name)).toEqual(['a']);
    expect(skipped.map(({ reason }) => reason)).toEqual([
      expect.stringContaining('its name holds bytes that are no UTF-8: rename it'),
    ]);
    rmSync(root, { recursive: true });
  });

  test('are of a root that is a link, by either name', async () => {
    const root = folder();
    const link = join(folder(), 'link');
    symlinkSync(root, link);
    const file = join(root, 'sets.txt');
    const entries = [sample(root, 'a', whole), sample(root, 'b', whole)];
    writeFileSync(file, `[b_train]\n${entries[0]}\n[b_test]\n${join(link, 'b')}\n[m_test]\n`);
    for (const named of [root, link]) {
      const { sets, skipped } = await readSets(file, named);
      expect(skipped).toEqual([]);
      expect(sets).toMatchObject({ train: [join(named, 'a')], testNominal: [join(named, 'b')] });
      const { samples } = await findSamples(named);
      expect(samples.map(({ directory }) => directory)).toContain(sets.train[0]);
    }
  });

  test('leave out entries outside of the root, or missing, and take relative ones', async () => {
    const root = folder();
    const inside = sample(root, 'a', whole);
    const file = join(root, 'sets.txt');
    writeFileSync(file, `[b_train]\na\n/etc\n${join(root, 'gone')}\n[b_test]\n[m_test]\n`);
    const { sets, skipped } = await readSets(file, root);
    expect(sets.train).toEqual([inside]);
    expect(skipped.map(({ reason }) => reason)).toEqual([
      `lies outside of ${root}`,
      'is not there',
    ]);
  });

  test.each([
    ['a\n', 'line 1: an entry before the first header'],
    ['[constructor]\n', 'line 1: [constructor] is none of'],
    ['[b_trian]\n', 'line 1: [b_trian] is none of [b_train], [b_calibrate], [b_test], [m_test]'],
    ['[b_train]\na\n[b_test]\na\n', 'line 4: a is in [b_train] already'],
  ])('%j is refused', async (text, message) => {
    const root = folder();
    sample(root, 'a', whole);
    writeFileSync(join(root, 'sets.txt'), text);
    await expect(readSets(join(root, 'sets.txt'), root)).rejects.toThrow(message);
  });
});
