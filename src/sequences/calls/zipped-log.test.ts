import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { strToU8, zipSync } from 'fflate';
import { afterAll, describe, expect, test } from 'vitest';
import { UserError } from '../../base/errors.ts';
import { readCallLog } from './read-calls.ts';
import { findCallSamples } from './samples.ts';

const folder = mkdtempSync(join(tmpdir(), 'wayward-zipped-log-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const recording = [
  '1631209047793847523 33 28043 apache2 28043 epoll_wait < res=1 ',
  '1631209047793854236 33 28043 apache2 28043 accept > flags=0 ',
  '1631209047793861000 33 28043 apache2 28044 read > fd=10 size=8000 ',
].join('\n');
const beside = {
  'a_1.json': strToU8('{"exploit": false}'),
  'a_1.pcap': new Uint8Array([0xd4, 0xc3, 0xb2, 0xa1]),
  'a_1.res': strToU8('time,cpu\n'),
};

async function read(archive: Uint8Array): Promise<string[]> {
  const path = join(folder, 'log.zip');
  writeFileSync(path, archive);
  const { names, threads } = await readCallLog(path);
  return threads.map((calls) => Array.from(calls, (call) => names[call]).join(' '));
}

describe('a log in a zip', () => {
  test('is the .sc of a recording of LID-DS 2021', async () => {
    expect(await read(zipSync({ ...beside, 'a_1.sc': strToU8(recording) }))).toEqual([
      'accept',
      'read',
    ]);
  });

  test('or the only file, whatever its format; folders do not count', async () => {
    const files = { 'logs/': new Uint8Array(0), 'logs/calls.txt': strToU8('3 4 3') };
    expect(await read(zipSync(files))).toEqual(['3 4 3']);
  });

  test.each([
    [{}, 'the zip holds no file'],
    [{ 'a.sc': strToU8(recording), 'b.sc': strToU8(recording) }, '2 files that may be the log'],
    [beside, '3 files that may be the log'],
  ])('is refused where it cannot be told: %#', async (files, problem) => {
    await expect(read(zipSync(files))).rejects.toThrow(problem);
  });

  test('that claims to be larger than any is refused before it is inflated', async () => {
    const archive = zipSync({ 'a.sc': new Uint8Array(1000) });
    const central = Buffer.from(archive).indexOf(Buffer.from([0x50, 0x4b, 1, 2]));
    new DataView(archive.buffer, archive.byteOffset).setUint32(central + 24, 0x7fff_ffff, true);
    await expect(read(archive)).rejects.toThrow('larger than 1024 MB');
  });

  test('of a few bytes that claims a gigabyte, or four billion files, is refused at once', async () => {
    const archive = Buffer.from(zipSync({ 'a.sc': strToU8(recording) }));
    const central = archive.indexOf(Buffer.from([0x50, 0x4b, 1, 2]));
    archive.writeUInt32LE(0x3fff_ffff, central + 24);
    await expect(read(archive)).rejects.toThrow('claims to be larger than it can be');
    // The end of a zip64, its locator, then the end of the zip, which leads to them.
    const end = Buffer.alloc(56 + 20 + 22);
    end.writeUInt32LE(0x06064b50, 0);
    end.writeUInt32LE(0xffff_ffff, 32);
    end.writeUInt32LE(0x07064b50, 56);
    end.writeUInt32LE(0x06054b50, 76);
    end.writeUInt16LE(1, 76 + 8);
    const head = Buffer.from([0x50, 0x4b, 3, 4]);
    const began = process.cpuUsage();
    end.writeUInt32LE(head.length, 56 + 8);
    await expect(read(Buffer.concat([head, end]))).rejects.toThrow('more files than it has room');
    expect(process.cpuUsage(began).user).toBeLessThan(2e6);
  });

  test.each(['__proto__', 'constructor', '../../etc/a.sc', '/a.sc', 'a\nb\u001b[31m.sc'])(
    'may be named %j in it: no name is one of a file here',
    async (name) => {
      // The library that makes it takes no such name; all of them have one byte a letter.
      const other = '~'.repeat(name.length);
      const made = Buffer.from(zipSync({ [other]: strToU8(recording) })).toString('latin1');
      expect(await read(Buffer.from(made.replaceAll(other, name), 'latin1'))).toEqual([
        'accept',
        'read',
      ]);
    },
  );

  test('that is damaged is a user error, never another one', async () => {
    const archive = zipSync({ ...beside, 'a_1.sc': strToU8(recording.repeat(5)) });
    await fc.assert(
      fc.asyncProperty(
        fc.nat(archive.length - 1),
        fc.array(fc.tuple(fc.integer({ min: 4, max: archive.length - 1 }), fc.nat(255)), {
          maxLength: 3,
        }),
        async (length, changes) => {
          const damaged = archive.slice(0, changes.length === 0 ? length : undefined);
          for (const [at, byte] of changes) damaged[at] = byte;
          await read(damaged).catch((error: unknown) => expect(error).toBeInstanceOf(UserError));
        },
      ),
      { seed: 1, numRuns: 300 },
    );
  });

  test('in folders as LID-DS has them is a sample with a label', async () => {
    const root = join(folder, 'scenario');
    for (const place of ['training/a_1', 'test/normal/a_2', 'test/normal_and_attack/a_3']) {
      const path = join(root, `${place}.zip`);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, zipSync({ 'a.sc': strToU8(recording) }));
    }
    const { samples } = await findCallSamples(root);
    expect(samples.map(({ name, label }) => [name, label]).toSorted()).toEqual([
      ['a_1', 'nominal'],
      ['a_2', 'nominal'],
      ['a_3', 'anomalous'],
    ]);
  });
});
