/**
 * Damaged files against everything that reads one: each parser gives a result, or a named error; no other
 * throw, no hang, no memory without bound. Files are made here or come from the repository, and are damaged by
 * flipped bits, cut and repeated parts, and numbers that stand for sizes. Seeded: a failure prints parser, seed
 * and number of the input that repeat it, and leaves the input in a file.
 *
 * node bench/fuzz-parsers.ts [INPUTS=1000000] [SEED=1] [PARSER...]
 */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { zipSync } from 'fflate';
import { Damage } from '../src/base/bytes/byte-reader.ts';
import { UserError } from '../src/base/errors.ts';
import { seal } from '../src/base/files/sealed.ts';
import { silentLogger } from '../src/base/log.ts';
import { Random } from '../src/base/random.ts';
import { parseScriptLine } from '../src/capture/perf/script/line.ts';
import { learn } from '../src/commands/learn.ts';
import { packFiles } from '../src/commands/profile/archive.ts';
import { unpackTrainingRuns } from '../src/commands/training/events/training-runs.ts';
import { decodeEvaluation, encodeEvaluation, unpack } from '../src/evaluation/file.ts';
import { decodeTextEvaluation } from '../src/evaluation/text.ts';
import { AllowedTargets } from '../src/evidence/code/allowed-targets.ts';
import { identifyFunctions } from '../src/evidence/code/function-identity.ts';
import { ProcessCode } from '../src/evidence/code/process-code.ts';
import { demangle } from '../src/image/demangle.ts';
import { elfBuildId } from '../src/image/files/build-id.ts';
import { parseImage } from '../src/image/files/parse-image.ts';
import { ImageParts } from '../src/image/image-store.ts';
import { buildAddressSpace } from '../src/image/mapped-space.ts';
import { parseMemoryMaps } from '../src/image/maps/memory-map.ts';
import { RegionTable } from '../src/image/maps/region-table.ts';
import { writeHdf5 } from '../src/model/foreign/keras/hdf5.ts';
import { parseWeights } from '../src/model/foreign/keras/weights.ts';
import { packWeights } from '../src/model/foreign/keras/write-weights.ts';
import { chainOf } from '../src/model/foreign/onnx/chain.ts';
import { layersOf, shapeOf } from '../src/model/foreign/onnx/layers.ts';
import { Lstm } from '../src/model/lstm/lstm.ts';
import { readOnnxModel } from '../src/model/onnx/read-model.ts';
import { findPsb, packetLength } from '../src/pt/packet.ts';
import { describePacket } from '../src/pt/packet-text.ts';
import { readIntegers } from '../src/sequences/calls/integer-log.ts';
import { readCalls } from '../src/sequences/calls/read-calls.ts';
import { readReport } from '../src/sequences/calls/report-log.ts';
import { readStrace } from '../src/sequences/calls/strace-log.ts';
import { BlockReader, emptyShape } from '../src/x86/block-reader.ts';
import { readInstructions } from '../src/x86/instruction-text.ts';
import { Transfer } from '../src/x86/transfer.ts';
import { exampleEvaluation } from '../test/example-evaluation.ts';
import { isSlow, jsonSubjects, tryStrangeJson } from '../test/hostile-json.ts';
import { writeTinyCorpus } from '../test/tiny-corpus.ts';
import { unpacked } from '../test/unpacked-profile.ts';

const [inputs = 1_000_000, seed = 1] = process.argv.slice(2, 4).map(Number);
const wanted = process.argv.slice(4);
/** Of the processor; what is read takes well below a millisecond. */
const slowMs = 5000;

/** Numbers that sizes are tried with. */
const hostile = [0xff, 0xffff, 0x7fffffff, 0xffffffff, 0x80000000, 0];

type Parse = (bytes: Buffer) => unknown;

interface Subject {
  readonly name: string;
  /** What takes work to make is made when it is wanted. */
  readonly files: readonly Uint8Array[] | (() => Promise<readonly Uint8Array[]>);
  readonly parse: Parse;
  /** Keep the length of the file: it says it itself, and the library looks no further where it is another. */
  readonly isInPlace?: boolean;
  /** Makes the checksum right, which keeps most damage from going any further. */
  readonly seal?: (bytes: Buffer) => void;
}

const here = (path: string): Buffer => readFileSync(fileURLToPath(new URL(path, import.meta.url)));
const text = (...lines: string[]): Buffer => Buffer.from(`${lines.join('\n')}\n`);
async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  const cut = bytes.length >> 1;
  yield bytes.subarray(0, cut);
  yield bytes.subarray(cut);
}

const evaluation = exampleEvaluation(
  Array.from({ length: 20 }, (_, i) => ({ predicted: i % 3, actual: i % 4, confidence: 0.5 })),
  { unknownRuns: [3, 2], evidence: [{ kind: 'gap', position: 5, traceOffset: 9 }] },
);
/** Headers and tables: what lies far behind them is passed over. */
const head = (path: string, length: number): Buffer => here(path).subarray(0, length);

/** One in each format whose lines are read, and one in a zip; see `line-log.test.ts`. */
const callLogs: readonly Buffer[] = [
  Buffer.from(
    zipSync({
      'a.sc': text('1631209047761312895 33 7 apache2 7 open < fd=3(<f>/etc/passwd) name=/a'),
      'b.json': [text('{}'), { level: 0 }],
    }),
  ),
  text(
    '1631209047761312895 33 7 apache2 7 open > ',
    '1631209047761313395 33 7 apache2 7 open < fd=3(<f>/etc/passwd) name=/etc/passwd',
    '1631209047761314895 33 7 apache2 7 close > fd=3',
  ),
  text(
    '71 14:05:21.123456789 2 33 nginx worker 4711 > open ',
    '72 14:05:21.123456989 2 33 nginx worker 4711 < open fd=3(<f>/etc/passwd)',
  ),
  text(
    '34378 12:02:36.269753803 2 echo (7896) > close fd=3(<f>/usr/lib/locale/locale-archive)',
    '34379 12:02:36.269754164 2 echo (7896) < close res=0',
  ),
  text(
    '     0.032 ( 0.003 ms): cat/2110 brk() = 0x5581e6a4e000',
    '     0.048 (         ): cat/2111 read(fd: 3, buf: 0x7ffd, count: 832) ...',
  ),
  text(
    'type=SYSCALL msg=audit(1364481363.243:24287): arch=c000003e syscall=2 success=no pid=3538 comm="cat"',
    'type=CWD msg=audit(1364481363.243:24287):  cwd="/home"',
    'type=EOE msg=audit(1364481363.244:24288): ',
  ),
  text(
    '{"Plugin":"syscall","PID":3888,"TID":368,"ProcessName":"\\\\a.exe","Method":"NtClose"}',
    '{"Plugin":"apimon","PID":3888,"TID":368,"Method":"HttpOpen","Event":"api_called"}',
  ),
  text(
    '"Time of Day","Process Name","PID","Operation","Path","Result","Detail","TID"',
    '"1:00:00.1 AM","a.exe","12","CreateFile","C:\\a, ""b"".txt","SUCCESS","Desired\nAccess","77"',
  ),
];
const scratch = mkdtempSync(join(tmpdir(), 'wayward-fuzz-'));

let headOfRuns = 0;

/** @returns what is in the two parts of a file of training runs */
async function trainingParts(): Promise<Buffer[]> {
  const root = join(scratch, 'learned');
  mkdirSync(root);
  const corpus = writeTinyCorpus(3, 0);
  const request = { root: corpus, out: root, preprocessed: true, workers: 1 };
  const { folder } = await learn(request, { log: silentLogger, progress: () => {} });
  rmSync(corpus, { recursive: true });
  const file = readFileSync(join(folder.model, 'training-runs.bin'));
  const parts: Buffer[] = [];
  for (let at = 8; at + 12 < file.length; ) {
    const length = file.readUInt32LE(at);
    parts.push(zstdDecompressSync(file.subarray(at + 4, at + 4 + length)));
    at += 4 + length;
  }
  headOfRuns = parts[0]?.length ?? 0;
  return parts;
}

/** Everything that evidence and accounts of places ask of the image of a program. */
async function askImage(bytes: Buffer): Promise<void> {
  const image = parseImage(bytes, false);
  const parts = new ImageParts();
  const store = { find: async () => image, part: parts.part.bind(parts) };
  const start = 0x7000_0000_0000;
  const unknown = { isExecutable: undefined, fileOffset: undefined };
  const regions = RegionTable.of([{ start, end: start + 0x100_0000, path: 'a', ...unknown }]);
  const process = { pid: 1, name: 'a' };
  const space = await buildAddressSpace({ format: 'ldrmodules', process, regions }, store);
  const code = new ProcessCode(space);
  const found = code.imageOf(0);
  if (found === undefined) return;
  const { references, pointerTargets, census } = found.code;
  expectThat(references.taken.length + pointerTargets.takenByReads.length + census.bytes >= 0);
  identifyFunctions(found.code);
  const allowed = new AllowedTargets(code);
  const starts = found.code.ranges.starts;
  for (let i = 0; i < starts.length; i += 1 + (starts.length >> 6)) {
    const address = starts[i] + found.bias;
    code.functionRange(address);
    code.isInstructionStart(address);
    code.isLandingPad(address);
    code.stubTargets(address);
    code.lazyBinding(address);
    const flow = found.code.sites.flowAt(starts[i]);
    for (const [index, at] of (flow?.flow.starts ?? []).entries()) {
      const kind = flow?.flow.kinds[index];
      if (kind !== Transfer.icall && kind !== Transfer.ijmp) continue;
      const site = (flow?.start ?? 0) + at + found.bias;
      allowed.at(site);
      code.slotTargets(site);
      code.namesTarget(site, address);
    }
  }
}

function expectThat(holds: boolean): void {
  if (!holds) throw new Error('not even a number');
}

const bitnesses = [16, 32, 64] as const;
const weightedLayers = ['embedding_1', 'lstm_1', 'dense_1', 'dense_2'];

/** A file of weights that can be read, and one of a single layer, which takes a fifth of the time. */
async function smallWeights(): Promise<Buffer[]> {
  const sizes = { windowLength: 2, inputClasses: 3, outputClasses: 3, embedding: 2, units: 2 };
  const shape = { ...sizes, layers: 1, bidirectional: false, dense: 2, gate: 'sigmoid' } as const;
  const lstm = Lstm.create(shape, undefined, { device: 'cpu', workers: 1, seed: 1, dropout: 0 });
  const whole = Buffer.from(await packWeights(lstm, 'a vocabulary'));
  await parseWeights(whole, 'whole.h5', weightedLayers);
  const small = await writeHdf5((file) => {
    const layer = file.create_group(weightedLayers[0]);
    layer.create_attribute('weight_names', ['w']);
    layer.create_dataset({ name: 'w', data: new Float32Array(4), shape: [2, 2], dtype: '<f' });
  });
  await parseWeights(Buffer.from(small), 'small.h5', weightedLayers.slice(0, 1));
  return [whole, ...Array.from({ length: 7 }, () => Buffer.from(small))];
}

const subjects: readonly Subject[] = [
  {
    name: 'memory-map',
    files: [
      text(
        '555555554000-555555555000 r-xp 00001000 08:01 12 /bin/a b (deleted)',
        '7ffff7fc1000-7ffff7fc5000 r--p 00000000 00:00 0 [vvar]',
        'ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]',
      ),
      text(
        'Pid      Process              Base       InLoad InInit InMem MappedPath',
        '-------- -------------------- ---------- ------ ------ ----- ----------',
        '    1234 a.exe                0x00400000 True   False  True  \\Program Files\\a.exe',
        '    1234 a.exe                0x77c10000 True   True   True  \\Windows\\msvcrt.dll',
      ),
      Buffer.from('[{"Pid": 7, "Process": "a", "Base": 4194304, "MappedPath": "\\\\a.exe"}]'),
    ],
    parse: (bytes) => parseMemoryMaps(bytes, 'map'),
  },
  {
    name: 'map-tables',
    files: [
      text(
        'TreeDepth,PID,Process,Offset,Start VPN,End VPN,Tag,Protection,File',
        '0,8,a.exe,0xffff,0x400000,0x41ffff,Vad ,PAGE_EXECUTE_WRITECOPY,\\\\a.exe',
        '0,8,a.exe,0xffff,0x20000,0x2ffff,VadS,PAGE_READWRITE,"a, ""b"""',
      ),
      text(
        '  | PID | Process |        Start |          End | Flags | PgOff |         File Path',
        '* |   7 |      ls | 0x5500001000 | 0x5500002000 |   r-x |   0x0 |       /usr/bin/ls',
        '* |   7 |      ls | 0x7ff0000000 | 0x7ff0001000 |   rw- |   0x0 | Anonymous Mapping',
      ),
      text(
        '{"PID": 7, "Process": "ls", "Start": 4096, "End": 8192, "Flags": "r-x", "PgOff": 0, "File Path": "/a"}',
        '{"PID": 7, "Process": "ls", "Start": 8192, "End": 9999, "Flags": "r--", "PgOff": 1, "File Path": "/a"}',
      ),
      text('==> /proc/7/smaps <==', '1000-3000 r-xp 00001000 08:02 5 /a b', 'Rss:    4 kB'),
      Buffer.from('\ufeff1000-2000 r-xp 0 00:00 0 /a\n', 'utf16le'),
    ],
    parse: (bytes) => parseMemoryMaps(bytes, 'map'),
  },
  {
    name: 'image',
    files: [head('../examples/corpus/bin/ld-linux-x86-64.so.2', 40_000)],
    parse: (bytes) => {
      const image = parseImage(bytes, false);
      image.symbols();
      return elfBuildId(bytes);
    },
  },
  {
    name: 'image-code',
    files: [here('../examples/corpus/bin/tpic')],
    parse: askImage,
  },
  {
    name: 'demangle',
    files: [
      text('_ZNSt6vectorIiSaIiEE9push_backERKi'),
      text('_ZN4core3ptr13drop_in_place17h0123456789abcdefE'),
      text('?f@@YAHHPEAD@Z'),
    ],
    parse: (bytes) => demangle(bytes.toString('latin1').trim()),
  },
  {
    name: 'evaluation',
    files: [encodeEvaluation(evaluation, { version: 1, values: { a: 1 } })],
    parse: async (bytes) => decodeEvaluation(Buffer.from(await unpack(bytes))),
    seal: (bytes) => {
      if (bytes.length > 4) bytes.writeUInt32LE(crc32(bytes.subarray(0, -4)), bytes.length - 4);
    },
  },
  {
    name: 'text-evaluation',
    files: [text('1,5,0.9,5', '0,6,0.25,7', '1,5,1.0,5')],
    parse: (bytes) => decodeTextEvaluation(bytes, 'benign-a'),
  },
  {
    name: 'perf-script',
    files: [
      text(' a b  7/8 [000] 1.5:  1  branches:u:   call   7f12 f+0x1 (/a) =>  7f20 g (/b)'),
      text(' a 5/5 0.1: PERF_RECORD_MMAP2 5/5: [0x7f00(0x1000) @ 0x2000 08:01 1 0]: r-xp /lib/a'),
      text(' a 5/5: PERF_RECORD_FORK(8:9):(5:6)'),
    ],
    parse: (bytes) => bytes.toString().split('\n').map(parseScriptLine),
  },
  {
    name: 'report',
    files: [
      here('../test/fixtures/reports/cape.json'),
      here('../test/fixtures/reports/cuckoo-2.json'),
    ],
    parse: (bytes) => readReport(once(bytes)),
  },
  {
    name: 'strace',
    files: [
      text(
        '7 1.000001 execve("/bin/a", ["a"], 0x7f /* 2 vars */) = 0',
        '[pid 8] 1.1 read(3, "x\\n", 4 <unfinished ...>',
        '[pid 8] 1.2 <... read resumed>) = 2',
        '7 --- SIGSEGV {si_signo=SIGSEGV} ---',
        '7 +++ exited with 0 +++',
      ),
    ],
    parse: (bytes) => readStrace(once(bytes)),
  },
  {
    name: 'calls',
    files: callLogs,
    parse: (bytes) => readCalls(once(bytes), 'log'),
  },
  {
    name: 'onnx',
    files: ['both-directions', 'logits', 'one-direction'].map((name) =>
      here(`../test/fixtures/onnx-pytorch/${name}.onnx`),
    ),
    parse: (bytes) => {
      const model = readOnnxModel(bytes, 'a.onnx');
      shapeOf(layersOf(chainOf(model, 'a.onnx'), 'a.onnx'), model, 'a.onnx', 4);
    },
  },
  {
    name: 'keras-weights',
    files: smallWeights,
    isInPlace: true,
    parse: (bytes) => parseWeights(bytes, 'weights.h5', weightedLayers),
  },
  {
    name: 'profile',
    files: [
      packFiles(
        new Map([
          ['profile.json', text('{}')],
          ['model/a.bin', text('a', 'b')],
        ]),
      ),
    ],
    parse: (bytes) => unpacked(bytes, 'a.wayward'),
    seal: (bytes) => {
      const end = bytes.length - 4;
      if (end > 4) bytes.writeUInt32LE(crc32(bytes.subarray(0, end - 4)), end);
    },
  },
  {
    name: 'training-runs',
    files: async () => [Buffer.concat(await trainingParts())],
    // Damage to what is compressed is found at once: what is in it is damaged.
    parse: (bytes) => {
      const cut = Math.min(bytes.length, headOfRuns);
      const parts = [bytes.subarray(0, cut), bytes.subarray(cut)].flatMap((part) => {
        const packed = zstdCompressSync(part);
        const length = Buffer.alloc(4);
        length.writeUInt32LE(packed.length);
        return [length, packed];
      });
      const file = seal(Buffer.from('WAYRUNS\x01', 'latin1'), ...parts);
      return [...unpackTrainingRuns(file, 'runs')];
    },
  },
  {
    name: 'integers',
    files: [text('6 11 45 33 192 33', '5 197 192')],
    parse: (bytes) => readIntegers(once(bytes)),
  },
  {
    name: 'packets',
    files: [
      Buffer.from(`${'0282'.repeat(8)}99010223d9c0ff000002630404${'01'.repeat(8)}02330006`, 'hex'),
    ],
    parse: (bytes) => {
      for (let at = Math.max(0, findPsb(bytes, 0)); at < bytes.length; ) {
        const length = packetLength(bytes, at, bytes.length);
        if (length > 0) describePacket(bytes, at, length, at);
        at += Math.max(1, length);
      }
    },
  },
  {
    name: 'code',
    files: [
      Buffer.from('554889e5d500a10102030405060708c3d51041ffd462f47c1801d1e8000000000f05', 'hex'),
    ],
    parse: (bytes) => {
      for (const bitness of bitnesses) {
        const reader = new BlockReader(bytes, bitness);
        const shape = emptyShape();
        for (let at = 0; at < bytes.length; at += Math.max(1, shape.size)) reader.read(at, shape);
        reader.dispose();
      }
      // Text takes three quarters of the time, most of it to set a formatter up.
      readInstructions(bytes, 0x1000, bitnesses[bytes.length % bitnesses.length]);
    },
  },
];

for (const { name, files: made, parse, seal, isInPlace = false } of subjects) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const files = typeof made === 'function' ? await made() : made;
  const started = process.cpuUsage();
  let refused = 0;
  let slowest = 0;
  for (let i = 0; i < inputs; i++) {
    const draw = new Random(seed * 0x9e3779b1 + i);
    const bytes = damaged(files[draw.below(files.length)], draw, isInPlace);
    if (i % 4 > 0) seal?.(bytes);
    const before = performance.now();
    try {
      await parse(bytes);
    } catch (error) {
      if (!(error instanceof UserError) && !(error instanceof Damage)) {
        const path = join(tmpdir(), `wayward-${name}-${seed}-${i}`);
        writeFileSync(path, bytes);
        console.error(`${name}, seed ${seed}, input ${i}: ${path}`);
        throw error;
      }
      refused++;
    }
    const ms = performance.now() - before;
    if (ms > slowMs && (await isSlow(() => parse(bytes), slowMs))) {
      throw new Error(`${name}, seed ${seed}, input ${i} took ${ms.toFixed(0)} ms`);
    }
    slowest = Math.max(slowest, ms);
  }
  const { user, system } = process.cpuUsage(started);
  const each = (user + system) / inputs;
  const memory = process.memoryUsage().rss / 1e6;
  console.log(
    `${name}: ${inputs} inputs, ${each.toFixed(0)} us each, ${refused} refused by name, slowest ${slowest.toFixed(1)} ms, ${memory.toFixed(0)} MB`,
  );
}

// JSON that is well formed and holds what nobody expects, a hundredth as often: most of it is in files.
const isJsonWanted = wanted.length === 0 || wanted.includes('json');
for (const subject of isJsonWanted ? await jsonSubjects(scratch) : []) {
  const started = process.cpuUsage();
  const { tried, refused } = await tryStrangeJson(subject, Math.ceil(inputs / 100), seed);
  const { user, system } = process.cpuUsage(started);
  const each = (user + system) / tried;
  console.log(
    `JSON of ${subject.name}: ${tried} inputs, ${each.toFixed(0)} us each, ${refused} refused by name`,
  );
}
rmSync(scratch, { recursive: true });

function damaged(file: Uint8Array, draw: Random, isInPlace: boolean): Buffer {
  let bytes = Buffer.from(file);
  for (let n = 1 + draw.below(4); n > 0 && bytes.length > 0; n--) {
    // What decides most lies at the beginning.
    const at = draw.below(draw.below(2) ? bytes.length : Math.min(bytes.length, 128));
    const size = draw.below(40);
    const kind = draw.below(7);
    if (kind === 0) bytes[at] ^= 1 << draw.below(8);
    else if (kind === 1) bytes[at] = draw.below(256);
    else if (isInPlace && kind !== 4 && kind !== 6) bytes.writeInt8(draw.below(3) - 1, at);
    else if (kind === 2) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + size)]);
    else if (kind === 3) {
      const part = bytes.subarray(at, at + size);
      bytes = Buffer.concat([bytes.subarray(0, at), part, bytes.subarray(at)]);
    } else if (kind === 4 && at + 4 <= bytes.length) {
      bytes.writeUInt32LE(hostile[draw.below(hostile.length)], at);
    } else if (kind === 5) bytes = bytes.subarray(0, at);
    else bytes.write(String(hostile[draw.below(hostile.length)]), at);
  }
  return bytes;
}
