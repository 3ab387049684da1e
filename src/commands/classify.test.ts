import { expect, test } from 'vitest';
import { exampleEvaluation } from '../../test/example-evaluation.ts';
import type { Evidence } from '../evidence/evidence.ts';
import { computeFeatures } from '../verdict/features/features.ts';
import { proofWarnings } from './classify.ts';

const proof: Evidence = { kind: 'return-mismatch', position: 1, traceOffset: 0 };

function trace(
  name: string,
  role: 'training' | 'calibration' | 'test',
  evidence: readonly Evidence[],
) {
  const rows = [{ predicted: 1, actual: 1, confidence: 1 }];
  return computeFeatures(exampleEvaluation(rows, { sample: { name, role }, evidence }));
}

test('calibration traces that hold proofs are told, and where most are', () => {
  const traces = [
    trace('a', 'calibration', [proof]),
    trace('b', 'calibration', [proof, proof]),
    trace('c', 'calibration', [{ ...proof, kind: 'usual-oddity' }]),
    trace('d', 'test', [proof]),
    // It trained, and calibrates as if it had not.
    { ...trace('e', 'training', [proof]), isLeftOut: true },
    trace('f', 'training', [proof]),
  ];
  const [warning, ...more] = proofWarnings(traces);
  expect(more).toEqual([]);
  expect(warning).toContain('3 of 4 calibration traces');
  expect(warning).toContain('return-mismatch in 3; most in b: 2');
  expect(proofWarnings([traces[2]!, traces[3]!, traces[5]!])).toEqual([]);
});
