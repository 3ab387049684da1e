import { Damage } from '../../base/bytes/byte-reader.ts';
import type { Evaluation } from '../../evaluation/evaluation.ts';
import {
  decodeEvaluation,
  decodeSummary,
  isEvaluation,
  type StoredFeatures,
} from '../../evaluation/file.ts';
import {
  type Decode,
  decodeWhole,
  type EvaluationFolder,
  type FolderEntry,
  readEntry,
  readFolder,
} from '../../evaluation/folder.ts';
import { featureNames, featureVersion } from './feature-table.ts';
import { computeFeatures, type TraceFeatures } from './features.ts';

/** The features of an evaluation as its file carries them. JSON has no NaN: null stands for "not known". */
export function featuresToStore(evaluation: Evaluation): StoredFeatures {
  const { values } = computeFeatures(evaluation);
  return {
    version: featureVersion,
    values: Object.fromEntries(
      featureNames.map((name, i) => [name, Number.isFinite(values[i]) ? values[i] : null]),
    ),
  };
}

/**
 * Reads what verdicts are made from, without unpacking predictions when the writer had the same
 * features.
 *
 * @param bytes  an evaluation file, not compressed
 * @throws Damage  with what is wrong
 */
export function decodeTraceFeatures(bytes: Uint8Array): TraceFeatures {
  const { sample, model, features } = decodeSummary(bytes);
  if (features.version !== featureVersion) return computeFeatures(decodeEvaluation(bytes));
  const stored = new Map<string, unknown>(Object.entries(features.values ?? {}));
  const values = Float64Array.from(featureNames, (name) => {
    const value = stored.get(name);
    if (value === null) return Number.NaN;
    if (typeof value !== 'number' || !(value >= 0)) throw new Damage(`has no number for ${name}`);
    return value;
  });
  return { sample, model, values };
}

const decodeStored: Decode<TraceFeatures> = (bytes, name) =>
  isEvaluation(bytes) ? decodeTraceFeatures(bytes) : computeFeatures(decodeWhole(bytes, name));

/**
 * Reads of one evaluation what verdicts are made from.
 *
 * @param anew  compute the features, though the file holds them
 */
export function readFeaturesOf(
  directory: string,
  name: string,
  anew: boolean,
): Promise<FolderEntry<TraceFeatures>> {
  const decode: Decode<TraceFeatures> = anew
    ? (bytes) => computeFeatures(decodeWhole(bytes, name))
    : decodeStored;
  return readEntry(directory, name, decode);
}

/** Reads of each evaluation in a folder what verdicts are made from. Errors as `readEvaluations`. */
export function readTraceFeatures(directory: string): Promise<EvaluationFolder<TraceFeatures>> {
  return readFolder(directory, decodeStored);
}
