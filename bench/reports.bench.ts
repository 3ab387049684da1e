/**
 * How fast the calls of a sandbox report are read, and in how much memory: a made-up report in the
 * layout of CAPE, plain and compressed, beside `JSON.parse` of the whole.
 *
 * node bench/reports.bench.ts [MB]   500 without it
 */
import { createReadStream, createWriteStream, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { Random } from '../src/base/random.ts';
import { readCallLog } from '../src/sequences/calls/read-calls.ts';
import { tell, watchMachine } from './figures.ts';

watchMachine();
const megabytes = Number(process.argv[2] ?? 500);
const folder = mkdtempSync(join(tmpdir(), 'wayward-reports-'));
const plain = join(folder, 'report.json');
const packed = `${plain}.gz`;

const apis = ['NtCreateFile', 'NtReadFile', 'NtClose', 'RegOpenKeyExW', 'RegQueryValueExW'].concat([
  'LdrGetProcedureAddress',
  'NtAllocateVirtualMemory',
  'NtDelayExecution',
  'connect',
  'send',
]);

function* report(): Generator<string> {
  const random = new Random(1);
  yield '{"target":{"file":{"name":"a.exe"}},"behavior":{"processes":[{"process_id":1,"process_name":"a.exe","calls":[';
  let written = 0;
  for (let id = 0; written < megabytes * 1e6; id++) {
    const call = {
      timestamp: '2024-03-05 10:11:12,013',
      thread_id: String(2000 + random.below(4)),
      caller: '0x00401000',
      parentcaller: '0x00402000',
      category: 'filesystem',
      api: apis[random.below(apis.length)],
      status: true,
      return: '0x00000000',
      pretty_return: 'SUCCESS',
      arguments: [
        { name: 'FileHandle', value: `0x${random.below(9999)}` },
        { name: 'DesiredAccess', value: '0x80100080', pretty_value: 'GENERIC_READ|SYNCHRONIZE' },
        {
          name: 'FileName',
          value: `C:\\Users\\a\\AppData\\Local\\Temp\\${random.below(99999)}.tmp`,
        },
      ],
      repeated: random.below(10) === 0 ? 3 : 0,
      id,
    };
    const text = `${id === 0 ? '' : ','}${JSON.stringify(call)}`;
    written += text.length;
    yield text;
  }
  yield ']}]}}';
}

try {
  await pipeline(Readable.from(report()), createWriteStream(plain));
  await pipeline(createReadStream(plain), createGzip({ level: 1 }), createWriteStream(packed));
  const size = statSync(plain).size / 1e6;
  const speeds = new Map<string, number>();
  for (const path of [plain, packed, plain, packed]) {
    const before = process.cpuUsage();
    const { threads } = await readCallLog(path);
    const { user, system } = process.cpuUsage(before);
    speeds.set(path, size / ((user + system) / 1e6));
    const calls = threads.reduce((sum, { length }) => sum + length, 0);
    const peak = process.resourceUsage().maxRSS / 1024;
    console.log(
      `${path === plain ? 'plain' : 'gzip '}  ${speeds.get(path)?.toFixed(0)} MB/s of a core, ${calls} calls, peak memory ${peak.toFixed(0)} MB`,
    );
  }
  // The longest text that V8 can hold is half a gigabyte.
  if (size < 400) {
    const chunks: Buffer[] = [];
    for await (const chunk of createReadStream(plain)) chunks.push(chunk as Buffer);
    const before = process.cpuUsage();
    JSON.parse(Buffer.concat(chunks).toString());
    const { user, system } = process.cpuUsage(before);
    const peak = process.resourceUsage().maxRSS / 1024;
    const value = size / ((user + system) / 1e6);
    const peer = { name: 'JSON.parse', value };
    tell({ name: 'sandbox report', value: speeds.get(plain) ?? 0, unit: 'MB/s of a core', peer });
    console.log(
      `JSON.parse  ${value.toFixed(0)} MB/s of a core, peak memory ${peak.toFixed(0)} MB`,
    );
  }
} finally {
  rmSync(folder, { recursive: true });
}
