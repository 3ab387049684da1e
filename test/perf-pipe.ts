import { Random } from '../src/base/random.ts';

const auxtraceType = 71;
const auxType = 11;
const lostCpu = 0xffffffff;
/** Of the default `sampleType` of `PerfDataWriter`: TID, TIME, CPU, IDENTIFIER. */
const trailerBytes = 32;

interface Row {
  readonly bytes: Buffer;
  /** Perf's nanoseconds; 0 for what perf itself writes. */
  readonly time: number;
  readonly cpu: number;
}

interface Chunk {
  readonly bytes: Buffer;
  readonly cpu: number;
  /** When the kernel handed it over. */
  readonly time: number;
}

/**
 * Makes of a recording what `perf record -o -` would have written while it was made: perf goes round its buffers, and
 * reads of each the records and then the trace that are there. It comes to one a little later than to another.
 *
 * @param file  as `PerfDataWriter` writes it, with its default trailers and an AUX record for the end of each chunk
 * @param seed  of when it goes round
 * @param rounds  about so many
 */
export function pipeOfRecording(file: Buffer, seed: number, rounds: number): Buffer {
  const random = new Random(seed);
  const at = Number(file.readBigUInt64LE(40));
  const end = at + Number(file.readBigUInt64LE(48));
  const { first, rows, chunks } = readData(file.subarray(at, end));
  const out: Buffer[] = [Buffer.from('PERFILE2'), u64(16), attrRecord(file), ...first];
  const last = Math.max(...rows.map(({ time }) => time));
  const begin = Math.min(...rows.map(({ time }) => time));
  const cpus = [...new Set([...rows, ...chunks].map(({ cpu }) => cpu))];
  let waitingRows = rows;
  let waitingChunks = chunks;
  for (let round = 1; waitingRows.length + waitingChunks.length > 0; round++) {
    const step = (last - begin) / rounds;
    // Perf needs a part of a round for all of its buffers.
    let now = round > rounds + 1 ? Number.POSITIVE_INFINITY : begin + step * round;
    for (const cpu of cpus) {
      const isNow = (row: Row): boolean => row.cpu === cpu && row.time <= now;
      out.push(...waitingRows.filter(isNow).map(({ bytes }) => bytes));
      waitingRows = waitingRows.filter((row) => !isNow(row));
      now += step * 0.1 * random.uniform();
      const isThere = (chunk: Chunk): boolean => chunk.cpu === cpu && chunk.time <= now;
      out.push(...waitingChunks.filter(isThere).map(({ bytes }) => bytes));
      waitingChunks = waitingChunks.filter((chunk) => !isThere(chunk));
      now += step * 0.1 * random.uniform();
    }
    out.push(header(68, 8));
  }
  return Buffer.concat(out);
}

function readData(data: Buffer): {
  readonly first: Buffer[];
  readonly rows: Row[];
  readonly chunks: Chunk[];
} {
  const first: Buffer[] = [];
  const rows: Row[] = [];
  const waiting: Omit<Chunk, 'time'>[] = [];
  const handed = new Map<string, number>();
  for (let at = 0; at < data.length; ) {
    const type = data.readUInt32LE(at);
    const size = data.readUInt16LE(at + 6);
    let next = at + size;
    const record = data.subarray(at, next);
    if (type === auxtraceType) {
      next += Number(record.readBigUInt64LE(8));
      waiting.push({ bytes: data.subarray(at, next), cpu: record.readInt32LE(40) });
    } else if (type >= 64) first.push(record);
    else {
      const time = Number(record.readBigUInt64LE(size - trailerBytes + 8));
      const cpu = record.readUInt32LE(size - trailerBytes + 16);
      rows.push({ bytes: record, time, cpu: cpu === lostCpu ? -1 : cpu });
      const until = Number(record.readBigUInt64LE(8) + record.readBigUInt64LE(16));
      if (type === auxType) handed.set(`${cpu} ${until}`, time);
    }
    at = next;
  }
  const chunks = waiting.map((chunk) => {
    const { bytes, cpu } = chunk;
    const offset = Number(bytes.readBigUInt64LE(16));
    const size = Number(bytes.readBigUInt64LE(8));
    // Perf has filled it up to a multiple of eight.
    for (let padding = 0; padding < 8; padding++) {
      const time = handed.get(`${cpu} ${offset + size - padding}`);
      if (time !== undefined) return { ...chunk, time };
    }
    throw new Error(`no AUX record hands over ${offset}+${size} of CPU ${cpu}`);
  });
  return { first, rows, chunks };
}

/** The attribute and identifiers of the first event. */
function attrRecord(file: Buffer): Buffer {
  const size = Number(file.readBigUInt64LE(16)) - 16;
  const at = Number(file.readBigUInt64LE(24));
  const attr = file.subarray(at, at + size);
  const ids = Number(file.readBigUInt64LE(at + size));
  const idBytes = Number(file.readBigUInt64LE(at + size + 8));
  const body = Buffer.concat([attr, file.subarray(ids, ids + idBytes)]);
  return Buffer.concat([header(64, 8 + body.length), body]);
}

function header(type: number, size: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(type, 0);
  bytes.writeUInt16LE(size, 6);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
