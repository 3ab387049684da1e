import { crc32 } from 'node:zlib';
import { ByteReader, Damage } from '../../base/bytes/byte-reader.ts';
import { ByteWriter } from '../../base/bytes/byte-writer.ts';
import type { Label } from '../../base/label.ts';
import { isCount, isRecord } from '../../base/values.ts';
import { type TermCounts, type TermPart, termParts } from './slice-terms.ts';
import type { Terms } from './sparse-vector.ts';

/** The slices of one trace, as they are stored and compared. */
export interface SampleSlices {
  /** Name of the sample; identifies it in a store. */
  readonly name: string;
  /** Original file name: line 1 of info.txt. */
  readonly file: string;
  readonly label: Label;
  readonly family: string | undefined;
  /** None when the trace has no patch. */
  readonly slices: readonly SliceTerms[];
}

export interface SliceTerms {
  readonly rank: number;
  /** Block index of its first block, and of the one after its last. */
  readonly start: number;
  readonly end: number;
  readonly points: number;
  readonly terms: Terms;
}

const version = 1;
/** No honest sample is larger. */
const maximumBytes = 1 << 26;

/** @returns the record of one sample, version 1; see docs/formats.md */
export function encodeSample(sample: SampleSlices): Uint8Array {
  const out = new ByteWriter(1 << 10);
  const text = Buffer.from(
    JSON.stringify({
      name: sample.name,
      file: sample.file,
      label: sample.label,
      family: sample.family,
      slices: sample.slices.map(({ rank, start, end, points, terms }) => ({
        rank,
        start,
        end,
        points: Math.round(points * 100) / 100,
        parts: Object.entries(terms).map(([part, { ids }]) => [part, ids.length]),
      })),
    }),
  );
  out.uint8(version);
  out.varint(text.length);
  out.raw(text);
  for (const { terms } of sample.slices) {
    for (const { ids, counts } of Object.values(terms)) {
      let before = 0;
      for (const id of ids) {
        out.varint(id - before);
        before = id;
      }
      for (const count of counts) out.varint(count);
    }
  }
  out.uint32(crc32(out.bytes));
  return out.bytes.slice();
}

/** @throws Damage with what is wrong */
export function decodeSample(bytes: Uint8Array): SampleSlices {
  if (bytes.length > maximumBytes) throw new Damage('is larger than 64 MiB');
  if (bytes.length < 6) throw new Damage('ends too early');
  const body = bytes.subarray(0, -4);
  if (bytes[0] !== version) {
    throw new Damage(`has version ${bytes[0]} of the slice format; this release reads ${version}`);
  }
  const stored = new DataView(bytes.buffer, bytes.byteOffset + body.length, 4).getUint32(0, true);
  if (crc32(body) !== stored) throw new Damage('is damaged: the checksum differs');
  const input = new ByteReader(body);
  input.uint8();
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(input.raw(input.varint())).toString('utf8'));
  } catch (error) {
    if (error instanceof Damage) throw error;
    throw new Damage('has a description that is no JSON');
  }
  const root = objectOf(value);
  const { label, family } = root;
  if (label !== 'nominal' && label !== 'anomalous' && label !== 'unknown') {
    throw new Damage('has no label');
  }
  if (family !== undefined && typeof family !== 'string') throw new Damage('has a bad family');
  const sample: SampleSlices = {
    name: textOf(root.name),
    file: textOf(root.file),
    label,
    family,
    slices: listOf(root.slices).map((item) => readSlice(objectOf(item), input)),
  };
  if (input.left > 0) throw new Damage(`holds ${input.left} bytes too many`);
  return sample;
}

function readSlice(slice: Record<string, unknown>, input: ByteReader): SliceTerms {
  const [rank, start, end] = [slice.rank, slice.start, slice.end].map(countOf);
  if (end < start) throw new Damage('has a slice that ends before it starts');
  if (typeof slice.points !== 'number' || !(slice.points >= 0)) throw new Damage('has bad points');
  const terms: Partial<Record<TermPart, TermCounts>> = {};
  for (const item of listOf(slice.parts)) {
    const [name, length] = listOf(item);
    const part = termParts.find((known) => known === name);
    if (part === undefined) throw new Damage('names a part that there is not');
    terms[part] = readTerms(input, countOf(length));
  }
  return { rank, start, end, points: slice.points, terms };
}

function readTerms(input: ByteReader, length: number): TermCounts {
  const ids = input.varints(length);
  for (let i = 1; i < length; i++) {
    const id = ids[i - 1] + ids[i];
    if (ids[i] === 0 || id > 0x7fffffff) throw new Damage('has terms out of order');
    ids[i] = id;
  }
  const counts = input.varints(length);
  if (counts.includes(0)) throw new Damage('has a term that does not occur');
  return { ids, counts };
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  if (isRecord(value)) return value;
  throw new Damage('lacks a part of its description');
}

function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new Damage('lacks a list in its description');
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  throw new Damage('lacks a text in its description');
}

function countOf(value: unknown): number {
  if (isCount(value)) return value;
  throw new Damage('lacks a number in its description');
}
