import { type PerfAttr, SampleField } from './file.ts';

/** Where and when a record was made; -1 and `undefined` where the file does not say. */
export interface WhereAndWhen {
  pid: number;
  tid: number;
  /** Nanoseconds of perf's clock. */
  time: bigint | undefined;
  cpu: number;
}

/** Fields in the order in which they end a record, with their bytes. */
const order = [
  [SampleField.tid, 8],
  [SampleField.time, 8],
  [SampleField.id, 8],
  [SampleField.streamId, 8],
  [SampleField.cpu, 8],
  [SampleField.identifier, 8],
] as const;

/** Reads the fields that every record ends in when `sample_id_all` is set (`struct sample_id`). */
export class TrailerReader {
  readonly #attrs: readonly PerfAttr[];
  readonly #byId: Map<bigint, PerfAttr> | undefined;
  readonly #where: WhereAndWhen = { pid: -1, tid: -1, time: undefined, cpu: -1 };

  constructor(attrs: readonly PerfAttr[]) {
    this.#attrs = attrs;
    // With one layout for all, a record need not be asked whose it is.
    const layouts = new Set(attrs.map(lengthAndFields));
    const areMarked = attrs.every(({ sampleType }) => (sampleType & SampleField.identifier) !== 0);
    if (layouts.size > 1 && areMarked) {
      this.#byId = new Map(attrs.flatMap((attr) => attr.ids.map((id) => [id, attr] as const)));
    }
  }

  /** @returns an object that the next call overwrites */
  read(body: Buffer): WhereAndWhen {
    const where = this.#where;
    where.pid = -1;
    where.tid = -1;
    where.time = undefined;
    where.cpu = -1;
    const attr = this.#attrOf(body);
    if (attr === undefined || !attr.sampleIdAll) return where;
    let at = body.length - trailerLength(attr);
    if (at < 0) return where;
    for (const [field, bytes] of order) {
      if ((attr.sampleType & field) === 0) continue;
      if (field === SampleField.tid) {
        where.pid = body.readInt32LE(at);
        where.tid = body.readInt32LE(at + 4);
      } else if (field === SampleField.time) where.time = body.readBigUInt64LE(at);
      else if (field === SampleField.cpu) where.cpu = body.readInt32LE(at);
      at += bytes;
    }
    return where;
  }

  /** @returns bytes of the trailer of this record */
  length(body: Buffer): number {
    const attr = this.#attrOf(body);
    return attr === undefined ? 0 : trailerLength(attr);
  }

  #attrOf(body: Buffer): PerfAttr | undefined {
    if (this.#byId === undefined || body.length < 8) return this.#attrs[0];
    return this.#byId.get(body.readBigUInt64LE(body.length - 8)) ?? this.#attrs[0];
  }
}

function trailerLength({ sampleType, sampleIdAll }: PerfAttr): number {
  if (!sampleIdAll) return 0;
  return order.reduce((sum, [field, bytes]) => sum + (sampleType & field ? bytes : 0), 0);
}

function lengthAndFields({ sampleType, sampleIdAll }: PerfAttr): number {
  if (!sampleIdAll) return 0;
  return order.reduce((bits, [field]) => bits | (sampleType & field), 0) | (1 << 30);
}
