import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  controlFlow,
  type PerfDataOptions,
  PerfDataWriter,
  type When,
} from '../../../test/perf-data.ts';
import { UserError } from '../../base/errors.ts';
import { Random } from '../../base/random.ts';
import { PtEncoder } from '../../pt/encoder.ts';
import { ImageCollection } from '../image-collection.ts';
import { PerfImages } from './images.ts';
import { importPerf, type PerfImported, type PerfImportOptions } from './import.ts';
import { importPerfScript } from './script/import.ts';

let folder = '';
let count = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wayward-perf-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const when: When = { pid: 7, tid: 7, time: 5000n, cpu: 0 };

/** A loop of 3000 blocks at 0x1000. */
function smallTrace(): Buffer {
  const parts: Uint8Array[] = [];
  const encoder = new PtEncoder((bytes) => parts.push(bytes), {
    bitness: 64,
    compressReturns: true,
  });
  encoder.enable(0x1000);
  for (let i = 0; i < 40_000; i++) {
    encoder.branch(i % 3 > 0);
    if (i % 100 === 0) encoder.synchronize(0x1000);
  }
  encoder.disable();
  encoder.finish();
  return Buffer.concat(parts);
}

function writeSmall(
  options: PerfDataOptions = {},
  extra?: (writer: PerfDataWriter) => void,
): Buffer {
  const writer = new PerfDataWriter(options);
  writer.comm(7, 7, 'loop', when, true);
  writer.mmap2(7, 0x1000, 0x1000, 0, '//anon', when);
  extra?.(writer);
  const trace = smallTrace();
  writer.aux(0, trace.length, 0, when);
  writer.auxtrace(0, 7, -1, 0, trace.subarray(0, 2000));
  writer.auxtrace(0, 7, -1, 2000, trace.subarray(2000));
  return writer.finish();
}

async function importBytes(
  bytes: Buffer,
  importOne: (options: PerfImportOptions) => Promise<PerfImported> = importPerf,
): Promise<PerfImported> {
  const root = join(folder, String(count++));
  const file = `${root}.data`;
  await writeFile(file, bytes);
  try {
    return await importOne({
      path: file,
      out: root,
      name: 'sample',
      label: 'benign',
      images: new PerfImages({ binDirs: [], buildIdDir: undefined }),
      collection: new ImageCollection(join(root, 'bin')),
    });
  } finally {
    // Whole samples or none.
    const left = existsSync(root) ? await readdir(root) : [];
    expect(left.filter((name) => /\.part$|^\.import/.test(name))).toEqual([]);
    await rm(file);
  }
}

/** @returns code and message of the error that a file is refused with */
async function refusal(bytes: Buffer): Promise<string> {
  const error: unknown = await importBytes(bytes).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(UserError);
  const { code, message } = error as UserError;
  return `${code} ${message.replace(/^\S+: /, '')}`;
}

describe('perf.data that is damaged, or something else', () => {
  it('refuses what is no Intel PT recording, in words', async () => {
    const good = writeSmall();
    expect(await refusal(Buffer.from('%PDF-1.7 and so on'))).toBe(
      'not-perf-data is no perf.data file (no PERFILE2 at its start)',
    );
    expect(await refusal(Buffer.alloc(0))).toMatch(/^not-perf-data /);
    const swapped = Buffer.from(good);
    swapped.subarray(0, 8).reverse();
    expect(await refusal(swapped)).toBe(
      'perf-other-byte-order was written on a big-endian machine, which has no Intel PT',
    );
    expect(await refusal(Buffer.concat([Buffer.from('PERFFILE'), good.subarray(8)]))).toMatch(
      /^not-perf-data is of a perf before 3.3/,
    );
    expect(await refusal(good.subarray(0, 60))).toMatch(/^perf-damaged .*inside of its header/);
    const cycles = new PerfDataWriter();
    const plain = cycles.finish();
    // Without AUXTRACE_INFO it is a recording of some other event.
    plain.writeUInt32LE(68, plain.indexOf(Buffer.of(70, 0, 0, 0)));
    expect(await refusal(plain)).toMatch(/^perf-no-trace holds no hardware trace: record with/);
    expect(await refusal(new PerfDataWriter().finish())).toMatch(
      /^perf-no-trace holds no trace data/,
    );
    const bts = writeSmall();
    bts.writeUInt32LE(2, bts.indexOf(Buffer.of(70, 0, 0, 0)) + 8);
    expect(await refusal(bts)).toMatch(
      /^perf-other-trace holds a trace of Intel BTS, not Intel PT/,
    );
    const packed = writeSmall({}, (writer) => writer.record(81, 0, Buffer.alloc(32)));
    expect(await refusal(packed)).toMatch(/^perf-compressed was recorded with -z; .*perf inject/);
  });

  it('takes files of older and newer perfs, and counts records that it does not know', async () => {
    const whole = await importBytes(writeSmall());
    expect(whole.threads[0].traceBytes).toBeGreaterThan(5000);
    for (const attrBytes of [64, 72, 96, 112, 136, 200]) {
      const { threads, damage } = await importBytes(writeSmall({ attrBytes }));
      expect(threads[0].traceBytes).toBe(whole.threads[0].traceBytes);
      expect(damage).toEqual([]);
    }
    const { threads, losses } = await importBytes(
      writeSmall({}, (writer) => {
        writer.record(60, 0, Buffer.alloc(16), when);
        writer.record(200, 0, Buffer.alloc(16));
        writer.record(
          2,
          0,
          Buffer.concat([Buffer.alloc(8), Buffer.of(9, 0, 0, 0, 0, 0, 0, 0)]),
          when,
        );
      }),
    );
    expect(threads).toHaveLength(1);
    expect(losses).toMatchObject({ unknownRecords: 2, records: 9 });
  });

  it('keeps what there is of a file that was cut off', async () => {
    const good = writeSmall();
    const whole = await importBytes(good);
    let before = 0;
    for (let length = 104; length < good.length; length += 211) {
      let imported: PerfImported;
      try {
        imported = await importBytes(good.subarray(0, length));
      } catch (error) {
        expect(error).toBeInstanceOf(UserError);
        expect((error as UserError).code).toMatch(/^perf-(no-trace|damaged)$/);
        continue;
      }
      const traceBytes = imported.threads[0]?.traceBytes ?? 0;
      expect(imported.damage.join()).toMatch(/cut off|beyond the file/);
      expect(traceBytes).toBeGreaterThanOrEqual(before);
      expect(traceBytes).toBeLessThanOrEqual(whole.threads[0].traceBytes);
      before = traceBytes;
    }
    expect(before).toBeGreaterThan(5000);
    // perf was killed: no size, no sections behind the data.
    const killed = Buffer.from(good);
    killed.writeBigUInt64LE(0n, 48);
    const { threads, damage } = await importBytes(killed);
    expect(threads[0].traceBytes).toBe(whole.threads[0].traceBytes);
    expect(damage[0]).toMatch(/did not end properly/);
  });

  it('tells of every section that reaches beyond the file, or beyond the records', async () => {
    const good = writeSmall({ buildIds: [{ path: '/bin/loop', buildId: 'ab'.repeat(20) }] });
    const whole = await importBytes(good);
    expect(whole.damage).toEqual([]);
    const features = Number(good.readBigUInt64LE(40) + good.readBigUInt64LE(48));
    const bits = [2, 6, 7, 9, 18];
    const beyond = async (...changes: [at: number, value: bigint][]): Promise<string> => {
      const bytes = Buffer.from(good);
      for (const [at, value] of changes) bytes.writeBigUInt64LE(value, at);
      const { damage, threads } = await importBytes(bytes);
      // It is told, and all else is as it was.
      expect(threads[0].traceBytes).toBe(whole.threads[0].traceBytes);
      return damage.join('; ');
    };
    for (const [index, bit] of bits.entries()) {
      const entry = features + index * 16;
      const length = good.readBigUInt64LE(entry + 8);
      const expected = new RegExp(`^section ${bit} behind the records: .* reach beyond the file`);
      for (const change of [
        [entry, BigInt(good.length) - length + 1n],
        [entry, 1n << 60n],
        [entry + 8, length + BigInt(good.length)],
        [entry + 8, 0xffff_ffff_ffff_ffffn],
      ] as [number, bigint][]) {
        expect(await beyond(change)).toMatch(expected);
      }
    }
    // Identifiers of the event: where they are, and how many.
    const ids = 104 + 8 + 128;
    expect(await beyond([ids, BigInt(good.length)])).toMatch(/^the ids of event 1: .* beyond/);
    expect(await beyond([ids + 8, BigInt(good.length)])).toMatch(/^the ids of event 1: /);
    // Events: more than there is room for, or a part of one.
    const table = Buffer.from(good);
    table.writeBigUInt64LE(BigInt(good.length), 32);
    expect((await importBytes(table)).damage.join('; ')).toMatch(
      /table of events: .* reach beyond/,
    );
    expect(await beyond([32, 128n + 16n + 8n])).toMatch(/^the table of events ends inside/);
    // The last trace data goes on behind the records.
    const cut = Buffer.from(good);
    cut.writeBigUInt64LE(cut.readBigUInt64LE(48) - 16n, 48);
    expect((await importBytes(cut)).damage.join('; ')).toMatch(
      /the data behind the record at byte \d+ reaches beyond the records/,
    );
  });

  it('never fails in any other way on any bytes, nor reads what a size claims', async () => {
    const random = new Random(11);
    const files = [
      writeSmall(),
      writeSmall({ isPipe: true }),
      writeSmall({ isSnapshot: true, config: controlFlow | 0x400 }),
      writeSmall({ isPerCpu: true, switches: 3, config: controlFlow | 0x400 }, (writer) => {
        writer.switchCpuWide(true, { pid: 7, tid: 8 }, when);
        writer.fork(7, 7, 8, 7, when);
      }),
    ];
    const hostile = [0xffffffffffffffffn, 0x7fffffffffffffffn, 0x8000000000000000n, 1n << 52n, 0n];
    let refused = 0;
    for (let round = 0; round < 80; round++) {
      const bytes = Buffer.from(files[round % files.length]);
      // Most of it is trace: damage what comes before.
      const head = Math.min(bytes.length - 8, random.below(4) === 0 ? bytes.length : 700);
      for (let change = random.below(5); change >= 0; change--) {
        const at = random.below(head - 8);
        if (random.below(3) === 0) {
          bytes.writeBigUInt64LE(hostile[random.below(hostile.length)], at - (at % 8));
        } else bytes[at] = random.below(256);
      }
      try {
        await importBytes(bytes);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        expect(error.category).toBe('input');
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(5);
    expect(refused).toBeLessThan(75);
  });

  it('refuses text that is none of perf script, and survives lines that are broken', async () => {
    const nothing = await importBytes(Buffer.from('hello\n\0\xff\n'), importPerfScript).catch(
      (error: unknown) => error,
    );
    expect((nothing as UserError).code).toBe('not-perf-script');
    const branch = ' a  7/7  1.0: branches:   jmp   1000 =>   1010\n';
    const unmapped = await importBytes(Buffer.from(branch), importPerfScript).catch(
      (error: unknown) => error,
    );
    expect((unmapped as UserError).code).toBe('perf-script-no-maps');
    const random = new Random(5);
    const lines = [
      ' a 7/7 1.0: PERF_RECORD_COMM exec: a:7/7\n',
      ' a 7/7 1.0: PERF_RECORD_MMAP2 7/7: [0x1000(0x1000) @ 0 00:00 0 0]: r-xp //anon\n',
      ' a 7/7 1.0: PERF_RECORD_FORK(7:8):(7:7)\n',
      branch.repeat(3),
      ' instruction trace error type 1 pid 7 tid 7 ip 0 code 7: Overflow packet\n',
    ];
    for (let round = 0; round < 20; round++) {
      const text = Buffer.from(
        Array.from({ length: 40 }, () => lines[random.below(lines.length)]).join(''),
      );
      for (let change = 0; change < 30; change++) {
        text[random.below(text.length)] = random.below(256);
      }
      await importBytes(text, importPerfScript).catch((error: unknown) => {
        expect(error).toBeInstanceOf(UserError);
      });
    }
  });
});
