import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { Damage } from '../base/bytes/byte-reader.ts';
import { writeFileAtomic } from '../base/files/write.ts';
import { labelOf } from '../base/label.ts';
import type { Evaluation, SampleIdentity } from './evaluation.ts';
import { evaluationFileName } from './file.ts';

/**
 * The ancestor's evaluation: gzip text named `<label>-<sample>.gz`, one prediction a line:
 * `correct (0|1),predicted class,confidence,actual class`.
 */

const deflate = promisify(gzip);

/** Model of every evaluation in this format: the files do not say which model made them. */
const textModel = 'text';

function encodeTextEvaluation(evaluation: Evaluation): string {
  const { predictions, occurrences } = evaluation;
  const lines: string[] = new Array(predictions.length);
  for (let i = 0; i < predictions.length; i++) {
    const { predicted, actual } = predictions;
    const correct = predicted[i] === actual[i] ? 1 : 0;
    lines[i] = `${correct},${predicted[i]},${predictions.confidence[i]},${actual[i]}\n`;
  }
  return Array.from(occurrences, (index) => lines[index]).join('');
}

/** @returns the path */
export async function writeTextEvaluation(
  directory: string,
  evaluation: Evaluation,
): Promise<string> {
  const path = `${directory}/${evaluationFileName(evaluation.sample)}.gz`;
  await writeFileAtomic(path, await deflate(encodeTextEvaluation(evaluation)));
  return path;
}

/**
 * Reads the format as far as it goes: it holds no probability of the actual class where the
 * prediction was wrong (NaN here), no block positions (the transfer's number stands in), no
 * unknown blocks and no evidence.
 *
 * @param bytes  not compressed
 * @param fileName  without folder; says label and sample
 * @throws Damage
 */
export function decodeTextEvaluation(bytes: Uint8Array, fileName: string): Evaluation {
  const sample = sampleOf(fileName);
  const text = Buffer.from(bytes).toString('latin1');
  if (text.length === 0) throw new Damage('is empty');
  // Lines repeat: a trace of 200,000 transfers has a few thousand different ones.
  const known = new Map<string, number>();
  const rows: { predicted: number; confidence: number; actual: number }[] = [];
  const occurrences: number[] = [];
  let start = 0;
  while (start < text.length) {
    const found = text.indexOf('\n', start);
    const end = found < 0 ? text.length : found;
    const line = text.slice(start, end).trimEnd();
    start = end + 1;
    if (line === '') continue;
    let index = known.get(line);
    if (index === undefined) {
      index = rows.length;
      rows.push(parseLine(line, occurrences.length + 1));
      known.set(line, index);
    }
    occurrences.push(index);
  }
  if (occurrences.length === 0) throw new Damage('holds no predictions');
  const isCorrect = (row: (typeof rows)[number]): boolean => row.predicted === row.actual;
  return {
    sample,
    model: textModel,
    modelName: 'unknown',
    trace: {
      blocks: occurrences.length,
      unknownBlocks: 0,
      gaps: 0,
      overflows: 0,
      bytesLost: 0,
      blocksOutsideImages: 0,
      crashed: false,
    },
    predictions: {
      length: rows.length,
      predicted: Int32Array.from(rows, (row) => row.predicted),
      confidence: Float32Array.from(rows, (row) => row.confidence),
      actual: Int32Array.from(rows, (row) => row.actual),
      actualProbability: Float32Array.from(rows, (row) =>
        isCorrect(row) ? row.confidence : Number.NaN,
      ),
      unseenTransfer: new Uint8Array(rows.length),
    },
    occurrences: Int32Array.from(occurrences),
    positions: Int32Array.from(occurrences, (_, index) => index),
    unknownRuns: new Int32Array(0),
    evidence: [],
  };
}

function parseLine(
  line: string,
  number: number,
): { predicted: number; confidence: number; actual: number } {
  const fields = line.split(',');
  const bad = (what: string): Damage => new Damage(`prediction ${number}: ${what}`);
  if (fields.length !== 4) throw bad(`${fields.length} fields, not 4`);
  const [correct, predicted, confidence, actual] = fields.map(Number);
  const isClass = (value: number): boolean =>
    Number.isInteger(value) && value >= 0 && value < 2 ** 31;
  if (!isClass(predicted) || !isClass(actual)) throw bad('a class that is no small integer');
  if (!(confidence >= 0 && confidence <= 1.0001)) throw bad('a confidence that is not in 0..1');
  if (correct !== (predicted === actual ? 1 : 0)) throw bad('"correct" contradicts the classes');
  return { predicted, confidence, actual };
}

function sampleOf(fileName: string): SampleIdentity {
  const match = /^(benign|malicious|unknown)-(.*?)(?:\.gz|\.eval)?$/s.exec(fileName);
  if (match === null) throw new Damage('has a name without "benign-", "malicious-" or "unknown-"');
  return {
    name: match[2],
    directory: '',
    file: match[2],
    label: labelOf(match[1]) ?? 'unknown',
    family: undefined,
    role: 'test',
  };
}
