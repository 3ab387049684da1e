import { promisify } from 'node:util';
import { constants, crc32, gunzip, zstdCompress, zstdDecompress } from 'node:zlib';
import { ByteReader, Damage } from '../base/bytes/byte-reader.ts';
import { ByteWriter } from '../base/bytes/byte-writer.ts';
import { failureOf, messageOf } from '../base/errors.ts';
import { isGzip } from '../base/files/read.ts';
import { writeFileAtomic } from '../base/files/write.ts';
import { wordOf } from '../base/label.ts';
import { isCount, isRecord } from '../base/values.ts';
import type { EvidenceKind } from '../evidence/evidence.ts';
import { evidenceKinds, evidenceRules } from '../evidence/rules.ts';
import { targetSorts } from '../evidence/transfer-code.ts';
import type {
  Evaluation,
  HistoryRecord,
  NotedPlaces,
  PlaceList,
  PredictionTable,
  SampleIdentity,
  TraceFacts,
} from './evaluation.ts';

/**
 * The evaluation file, version 3; version 1 has no histories. See docs/formats.md.
 *
 * The reader takes nothing on trust: sizes, indices and ranges are checked, so that an `Evaluation`
 * that comes out can be used without further checks.
 */
const magic = Buffer.from('WAYEVAL\0', 'latin1');
const version = 3;
/** No honest evaluation of a trace is larger; a small compressed file must not fill the memory. */
const maximumBytes = 1 << 30;
const maximumMetadata = 1 << 20;

const inflate = promisify(gunzip);
const unpackZstd = promisify(zstdDecompress);
const packZstd = promisify(zstdCompress);

/**
 * Figures that a file carries beside its evaluation, so that reading hundreds of files for a verdict
 * costs little. What they mean is the business of whoever made them; `null` stands for "not known".
 */
export interface StoredFeatures {
  readonly version: number;
  readonly values: Readonly<Record<string, number | null>>;
}

/** What a file says without its predictions being unpacked. */
export interface EvaluationSummary {
  readonly sample: SampleIdentity;
  readonly model: string;
  /** As the file has them, unchecked. */
  readonly features: { readonly version: unknown; readonly values: unknown };
}

/** @returns the file's bytes before compression */
export function encodeEvaluation(
  evaluation: Evaluation,
  features: StoredFeatures,
): Uint8Array<ArrayBuffer> {
  const { predictions, occurrences, positions, unknownRuns, evidence, histories } = evaluation;
  const out = new ByteWriter();
  const metadata = Buffer.from(
    JSON.stringify({
      sample: evaluation.sample,
      model: evaluation.model,
      modelName: evaluation.modelName,
      trace: evaluation.trace,
      predictions: predictions.length,
      occurrences: occurrences.length,
      unknownRuns: unknownRuns.length / 2,
      evidence: evidence.length,
      evidenceKinds,
      nominalEvidence: nominalOf(evidence),
      ...(histories === undefined
        ? {}
        : {
            histories: {
              transfers: histories.transfers,
              explained: histories.explained,
              firstPlace: histories.firstPlace,
              places: histories.places.offset.length,
              modules: histories.places.modules,
            },
          }),
      places: evaluation.places,
      featureVersion: features.version,
      features: features.values,
    }),
  );
  out.raw(magic);
  out.uint16(version);
  out.uint32(metadata.length);
  out.raw(metadata);
  for (let i = 0; i < predictions.length; i++) out.varint(predictions.predicted[i]);
  for (let i = 0; i < predictions.length; i++) out.varint(predictions.actual[i]);
  out.float32s(predictions.confidence.subarray(0, predictions.length));
  out.float32s(predictions.actualProbability.subarray(0, predictions.length));
  out.raw(predictions.unseenTransfer.subarray(0, predictions.length));
  for (let i = 0; i < occurrences.length; i++) out.varint(occurrences[i]);
  let previous = 0;
  for (let i = 0; i < positions.length; i++) {
    out.varint(positions[i] - previous);
    previous = positions[i];
  }
  previous = 0;
  for (let i = 0; i < unknownRuns.length; i += 2) {
    out.varint(unknownRuns[i] - previous);
    out.varint(unknownRuns[i + 1]);
    previous = unknownRuns[i];
  }
  previous = 0;
  for (const item of inOrderOf(evidence)) {
    out.uint8(evidenceKinds.indexOf(item.kind));
    out.varint(item.position - previous);
    previous = item.position;
    out.varint(item.traceOffset);
    out.varint(item.count ?? 1);
    out.float64(item.weight ?? Number.NaN);
    out.float64(item.expected ?? Number.NaN);
    out.float64(item.actual ?? Number.NaN);
  }
  if (histories !== undefined) writeHistories(out, histories, predictions.length);
  out.uint32(crc32(out.bytes));
  return out.bytes;
}

function writeHistories(out: ByteWriter, histories: HistoryRecord, predictions: number): void {
  const { ordinals, sources, places } = histories;
  let previous = 0;
  for (let i = 0; i < ordinals.length; i++) {
    out.varint(ordinals[i] - previous);
    previous = ordinals[i];
  }
  out.raw(sources.sort.subarray(0, predictions));
  for (let i = 0; i < predictions; i++) out.varint(sources.count[i]);
  for (let i = 0; i < predictions; i++) out.varint(sources.trainedTargets[i]);
  out.raw(sources.trainedCount.subarray(0, predictions));
  out.raw(sources.shownCount.subarray(0, predictions));
  out.float32s(sources.surprise.subarray(0, predictions));
  for (const module of places.module) out.varint(module);
  for (const offset of places.offset) out.float64(offset);
}

/**
 * Writes `directory/<label>-<sample>.eval`, compressed with Zstandard, whole or not at all.
 *
 * @returns the path
 */
export async function writeEvaluation(
  directory: string,
  evaluation: Evaluation,
  features: StoredFeatures,
): Promise<string> {
  const path = `${directory}/${evaluationFileName(evaluation.sample)}.eval`;
  const packed = await packZstd(encodeEvaluation(evaluation, features), {
    params: { [constants.ZSTD_c_compressionLevel]: 3 },
  });
  await writeFileAtomic(path, packed);
  return path;
}

/**
 * Undoes the compression of an evaluation file: gzip, Zstandard or none, told by the first bytes.
 *
 * @throws Damage
 */
export async function unpack(bytes: Uint8Array): Promise<Uint8Array> {
  try {
    if (isGzip(bytes)) return await inflate(bytes, { maxOutputLength: maximumBytes });
    if (isZstd(bytes)) return await unpackZstd(bytes, { maxOutputLength: maximumBytes });
    return bytes;
  } catch (error) {
    const tooLarge = failureOf(error) === 'ERR_BUFFER_TOO_LARGE';
    throw new Damage(
      tooLarge
        ? 'is larger than 1 GiB when unpacked'
        : `the compressed data is cut off or damaged: ${messageOf(error)}`,
    );
  }
}

function isZstd(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(0, 4)).equals(Buffer.from([0x28, 0xb5, 0x2f, 0xfd]));
}

export function isEvaluation(bytes: Uint8Array): boolean {
  return bytes.length >= magic.length && magic.equals(bytes.subarray(0, magic.length));
}

/**
 * @param bytes  an evaluation file, not compressed
 * @throws Damage  with what is wrong
 */
export function decodeEvaluation(bytes: Uint8Array): Evaluation {
  const { input, metadata } = openEvaluation(bytes);
  const predictions = readPredictions(input, metadata.predictions);
  const occurrences = input.varints(metadata.occurrences);
  for (let i = 0; i < occurrences.length; i++) {
    if (occurrences[i] >= predictions.length) throw new Damage('names a prediction it lacks');
  }
  const blocks = metadata.trace.blocks;
  const positions = accumulate(input.varints(metadata.occurrences), blocks);
  const unknownRuns = readUnknownRuns(input, metadata.unknownRuns, blocks);
  const evidence = withNominal(readEvidence(input, metadata, blocks), metadata.nominalEvidence);
  const histories = readHistories(input, metadata);
  if (input.left !== 4) throw new Damage(`holds ${input.left - 4} bytes too many`);
  const { sample, model, modelName, trace } = metadata;
  return {
    sample,
    model,
    modelName,
    trace,
    predictions,
    occurrences,
    positions,
    unknownRuns,
    evidence,
    ...(histories === undefined ? {} : { histories }),
    ...(metadata.places === undefined ? {} : { places: metadata.places }),
  };
}

/**
 * Reads a file's description only.
 *
 * @param bytes  an evaluation file, not compressed
 * @throws Damage  with what is wrong
 */
export function decodeSummary(bytes: Uint8Array): EvaluationSummary {
  const { sample, model, features } = openEvaluation(bytes).metadata;
  return { sample, model, features };
}

/** Checks the frame of a file, and stands behind its description. */
function openEvaluation(bytes: Uint8Array): {
  readonly input: ByteReader;
  readonly metadata: Metadata;
} {
  if (bytes.length === 0) throw new Damage('is empty');
  if (!isEvaluation(bytes)) throw new Damage('is no evaluation file');
  const input = new ByteReader(bytes);
  input.raw(magic.length);
  const found = input.uint16();
  if (found !== 1 && found !== version) {
    throw new Damage(
      `has version ${found} of the evaluation format; this release reads 1 and ${version}`,
    );
  }
  // The sum goes first, so that later complaints are about files written wrong, not bits flipped.
  if (bytes.length < input.offset + 8) throw new Damage('ends too early');
  const body = bytes.subarray(0, -4);
  const stored = new DataView(bytes.buffer, bytes.byteOffset + body.length, 4).getUint32(0, true);
  if (crc32(body) !== stored) throw new Damage('is cut off or damaged: the checksum differs');
  return { input, metadata: readMetadata(input) };
}

interface Metadata {
  readonly sample: SampleIdentity;
  readonly model: string;
  readonly modelName: string;
  readonly trace: TraceFacts;
  readonly predictions: number;
  readonly occurrences: number;
  readonly unknownRuns: number;
  readonly evidence: number;
  readonly evidenceKinds: readonly EvidenceKind[];
  readonly nominalEvidence: NominalMetadata | undefined;
  readonly histories: HistoryMetadata | undefined;
  readonly places: NotedPlaces | undefined;
  readonly features: EvaluationSummary['features'];
}

function readMetadata(input: ByteReader): Metadata {
  const length = input.uint32();
  if (length > maximumMetadata) throw new Damage('has a description larger than 1 MiB');
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(input.raw(length)).toString('utf8'));
  } catch (error) {
    if (error instanceof Damage) throw error;
    throw new Damage('has a description that is no JSON');
  }
  const root = objectOf(value, 'description');
  const sample = objectOf(root.sample, 'sample');
  const trace = objectOf(root.trace, 'trace');
  return {
    sample: {
      name: stringOf(sample.name, 'sample.name'),
      directory: stringOf(sample.directory, 'sample.directory'),
      file: stringOf(sample.file, 'sample.file'),
      label: oneOf(sample.label, ['nominal', 'anomalous', 'unknown'], 'sample.label'),
      family: sample.family === undefined ? undefined : stringOf(sample.family, 'sample.family'),
      role: oneOf(sample.role, ['training', 'calibration', 'test'], 'sample.role'),
    },
    model: stringOf(root.model, 'model'),
    modelName: stringOf(root.modelName, 'modelName'),
    trace: {
      blocks: countOf(trace.blocks, 'trace.blocks'),
      unknownBlocks: countOf(trace.unknownBlocks, 'trace.unknownBlocks'),
      gaps: countOf(trace.gaps, 'trace.gaps'),
      overflows: countOf(trace.overflows, 'trace.overflows'),
      bytesLost: countOf(trace.bytesLost, 'trace.bytesLost'),
      blocksOutsideImages: countOf(trace.blocksOutsideImages, 'trace.blocksOutsideImages'),
      // Files of the first release do not say.
      crashed: trace.crashed !== undefined && flagOf(trace.crashed, 'trace.crashed'),
    },
    predictions: countOf(root.predictions, 'predictions'),
    occurrences: countOf(root.occurrences, 'occurrences'),
    unknownRuns: countOf(root.unknownRuns, 'unknownRuns'),
    evidence: countOf(root.evidence, 'evidence'),
    evidenceKinds: kindsOf(root.evidenceKinds),
    nominalEvidence: nominalFrom(root.nominalEvidence),
    histories: historiesOf(root.histories),
    places: placesOf(root.places),
    features: { version: root.featureVersion, values: root.features },
  };
}

function placesOf(value: unknown): NotedPlaces | undefined {
  if (value === undefined) return undefined;
  const { passedOver, worst } = objectOf(value, 'places');
  if (!Array.isArray(passedOver)) throw new Damage('has no list of known places');
  return {
    passedOver: passedOver.map((item: unknown) => {
      const { fingerprint, times } = objectOf(item, 'places.passedOver');
      return {
        fingerprint: stringOf(fingerprint, 'places.passedOver.fingerprint'),
        times: countOf(times, 'places.passedOver.times'),
      };
    }),
    worst: worst === undefined ? undefined : stringOf(worst, 'places.worst'),
  };
}

interface HistoryMetadata extends Pick<HistoryRecord, 'transfers' | 'explained' | 'firstPlace'> {
  readonly places: number;
  readonly modules: readonly string[];
}

function historiesOf(value: unknown): HistoryMetadata | undefined {
  if (value === undefined) return undefined;
  const histories = objectOf(value, 'histories');
  const { modules } = histories;
  if (!Array.isArray(modules)) throw new Damage('has no list of modules');
  return {
    transfers: countOf(histories.transfers, 'histories.transfers'),
    explained: countOf(histories.explained, 'histories.explained'),
    firstPlace: countOf(histories.firstPlace, 'histories.firstPlace'),
    places: countOf(histories.places, 'histories.places'),
    modules: modules.map((name, i) => stringOf(name, `histories.modules[${i}]`)),
  };
}

function readHistories(
  input: ByteReader,
  { histories, predictions, occurrences }: Metadata,
): HistoryRecord | undefined {
  if (histories === undefined) return undefined;
  const { transfers, explained, firstPlace, places: count, modules } = histories;
  const ordinals = input.varints(occurrences);
  for (let i = 0, sum = 0; i < occurrences; i++) {
    if (i > 0 && ordinals[i] === 0) throw new Damage('lists a transfer twice');
    sum += ordinals[i];
    ordinals[i] = sum;
    if (sum >= transfers) throw new Damage('lists a transfer behind the last one');
  }
  const sources = {
    sort: new Uint8Array(input.raw(predictions)),
    count: input.varints(predictions),
    trainedTargets: input.varints(predictions),
    trainedCount: new Uint8Array(input.raw(predictions)),
    shownCount: new Uint8Array(input.raw(predictions)),
    surprise: input.float32s(predictions),
  };
  if (sources.sort.some((sort) => sort >= targetSorts.length)) {
    throw new Damage('names a sort of target that there is not');
  }
  if (!sources.surprise.every((nats) => nats >= 0 && Number.isFinite(nats))) {
    throw new Damage('names a surprise that is none');
  }
  const module = input.varints(count);
  if (module.some((index) => index >= modules.length)) throw new Damage('names no module');
  const offset = new Float64Array(count);
  for (let i = 0; i < count; i++) offset[i] = input.float64();
  const places: PlaceList = { modules, module, offset };
  return { transfers, explained, ordinals, sources, firstPlace, places };
}

function readPredictions(input: ByteReader, length: number): PredictionTable {
  const predicted = input.varints(length);
  const actual = input.varints(length);
  const confidence = input.float32s(length);
  const actualProbability = input.float32s(length);
  const unseenTransfer = new Uint8Array(input.raw(length));
  for (let i = 0; i < length; i++) {
    // Written so that NaN fails too.
    if (!(confidence[i] >= 0 && confidence[i] <= 1.0001)) {
      throw new Damage(`prediction ${i} has confidence ${confidence[i]}`);
    }
    const p = actualProbability[i];
    // NaN is the one way to say "not recorded"; the ancestor's files do not hold it.
    if (!(p >= 0 && p <= 1.0001) && !Number.isNaN(p)) {
      throw new Damage(`prediction ${i} has probability ${p}`);
    }
    if (unseenTransfer[i] > 1) throw new Damage(`prediction ${i} has flag ${unseenTransfer[i]}`);
  }
  return { length, predicted, confidence, actual, actualProbability, unseenTransfer };
}

/** Turns differences into positions, in place, and checks that they stay below `limit`. */
function accumulate(values: Int32Array, limit: number): Int32Array {
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    sum += values[i];
    values[i] = sum;
  }
  if (values.length > 0 && sum >= limit) throw new Damage('has a transfer behind the last block');
  return values;
}

function readUnknownRuns(input: ByteReader, runs: number, blocks: number): Int32Array {
  const values = input.varints(2 * runs);
  let start = 0;
  let end = 0;
  for (let i = 0; i < values.length; i += 2) {
    start += values[i];
    if (start < end || values[i + 1] < 1) throw new Damage('has unknown runs out of order');
    end = start + values[i + 1];
    values[i] = start;
  }
  if (end > blocks) throw new Damage('has an unknown run behind the last block');
  return values;
}

/** Of evidence in the order of the file: training runs, and how many hold a piece; 0 is left out. */
interface NominalMetadata {
  readonly runs: number;
  readonly holding: readonly (readonly [index: number, runs: number])[];
}

/** More would say nothing new. */
const mostNominal = 4096;

function inOrderOf(evidence: Evaluation['evidence']): Evaluation['evidence'] {
  return evidence.toSorted((a, b) => a.position - b.position);
}

function nominalOf(evidence: Evaluation['evidence']): NominalMetadata | undefined {
  const runs = evidence.find(({ nominal }) => nominal !== undefined)?.nominal?.runs;
  if (runs === undefined) return undefined;
  const holding = inOrderOf(evidence)
    .map(({ nominal }, index) => [index, nominal?.holding ?? 0] as const)
    .filter(([, count]) => count > 0);
  return { runs, holding: holding.slice(0, mostNominal) };
}

function nominalFrom(value: unknown): NominalMetadata | undefined {
  if (value === undefined) return undefined;
  const root = objectOf(value, 'nominalEvidence');
  if (!Array.isArray(root.holding)) throw new Damage('lacks the field "nominalEvidence.holding"');
  const holding = root.holding.map((pair: unknown) => {
    if (!Array.isArray(pair)) throw new Damage('has nominal evidence that is none');
    return [countOf(pair[0], 'nominalEvidence'), countOf(pair[1], 'nominalEvidence')] as const;
  });
  return { runs: countOf(root.runs, 'nominalEvidence.runs'), holding };
}

/** Proofs say how many nominal runs hold the same; other evidence was not counted. */
function withNominal(
  evidence: Evaluation['evidence'],
  nominal: NominalMetadata | undefined,
): Evaluation['evidence'] {
  if (nominal === undefined) return evidence;
  const { runs } = nominal;
  const holding = new Map(nominal.holding);
  return evidence.map((item, index) => {
    const isCounted = evidenceRules[item.kind].strength === 'proof' || holding.has(index);
    return isCounted ? { ...item, nominal: { holding: holding.get(index) ?? 0, runs } } : item;
  });
}

function readEvidence(
  input: ByteReader,
  metadata: Metadata,
  blocks: number,
): Evaluation['evidence'] {
  // Each takes 28 bytes or more.
  if (metadata.evidence * 28 > input.left) throw new Damage('ends too early');
  const evidence = [];
  let position = 0;
  for (let i = 0; i < metadata.evidence; i++) {
    const kind = metadata.evidenceKinds[input.uint8()];
    if (kind === undefined) throw new Damage('has evidence of a kind it does not name');
    position += input.varint();
    // A gap after the last block stands at the block that would have come.
    if (position > blocks) throw new Damage('has evidence behind the last block');
    const traceOffset = input.varint();
    const count = input.varint();
    const weight = input.float64();
    const expected = input.float64();
    const actual = input.float64();
    evidence.push({
      kind,
      position,
      traceOffset,
      ...(count === 1 ? {} : { count }),
      ...(Number.isFinite(weight) ? { weight } : {}),
      ...(Number.isSafeInteger(expected) ? { expected } : {}),
      ...(Number.isSafeInteger(actual) ? { actual } : {}),
    });
  }
  return evidence;
}

function objectOf(value: unknown, field: string): Readonly<Record<string, unknown>> {
  if (!isRecord(value)) throw new Damage(`lacks the field "${field}"`);
  return value;
}

function stringOf(value: unknown, field: string): string {
  if (typeof value !== 'string') throw new Damage(`has no text in the field "${field}"`);
  return value;
}

function oneOf<T extends string>(value: unknown, allowed: readonly T[], field: string): T {
  const found = allowed.find((item) => item === value);
  if (found === undefined) throw new Damage(`has none of ${allowed.join(', ')} in "${field}"`);
  return found;
}

function flagOf(value: unknown, field: string): boolean {
  if (typeof value !== 'boolean') throw new Damage(`has neither yes nor no in "${field}"`);
  return value;
}

function countOf(value: unknown, field: string): number {
  if (!isCount(value)) throw new Damage(`has no count in the field "${field}"`);
  return value;
}

function kindsOf(value: unknown): EvidenceKind[] {
  if (!Array.isArray(value)) throw new Damage('lacks the field "evidenceKinds"');
  return value.map((item) => oneOf(item, evidenceKinds, 'evidenceKinds'));
}

/**
 * `<label>-<sample>` as the ancestor names its files, safe on any file system: separators and
 * control characters become `_`, and a name too long for a file is cut and told apart by its sum.
 */
export function evaluationFileName(sample: SampleIdentity): string {
  const label = wordOf(sample.label);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must go
  const name = sample.name.replace(/[\u0000-\u001f\u007f/\\:*?"<>|]/g, '_');
  const isWhole = name === sample.name && Buffer.byteLength(name) <= 180;
  if (isWhole) return `${label}-${name}`;
  const sum = crc32(sample.name).toString(16).padStart(8, '0');
  let cut = name.slice(0, 160);
  while (Buffer.byteLength(cut) > 160) cut = cut.slice(0, -1);
  // A cut through a surrogate pair would leave half a character.
  return `${label}-${cut.replace(/[\ud800-\udbff]$/, '')}-${sum}`;
}
