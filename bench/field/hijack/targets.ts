import type { Random } from '../../../src/base/random.ts';
import type { FieldProgram, FieldRun } from '../program.ts';
import { scripting } from '../programs/scripting.ts';
import { tools } from '../programs/tools.ts';

/** A program that is attacked. */
export interface HijackTarget {
  readonly program: FieldProgram;
  /** The file that is damaged for controls. */
  readonly input: string;
}

const named = (name: string): FieldProgram => {
  const found = [...scripting, ...tools].find((program) => program.name === name);
  if (found === undefined) throw new Error(`no program ${name}`);
  return found;
};

export const hijackTargets: readonly HijackTarget[] = [
  { program: named('gawk'), input: 'run.awk' },
  { program: named('sqlite3'), input: 'q.sql' },
  { program: named('source-highlight'), input: 'in.txt' },
  { program: named('tidy'), input: 'in.html' },
  { program: named('qpdf'), input: 'in.pdf' },
  { program: named('bc'), input: 'in.bc' },
  { program: named('optipng'), input: 'in.png' },
];

/** @returns the run with its input damaged: bytes changed, cut out, doubled, or the end cut off */
export function damaged(run: FieldRun, input: string, random: Random): FieldRun {
  const content = Buffer.from(run.files?.[input] ?? '');
  let bytes = content;
  const kind = random.below(4);
  const at = random.below(Math.max(1, bytes.length));
  const length = 1 + random.below(Math.max(1, bytes.length >> 2));
  if (kind === 0) bytes = bytes.subarray(0, at);
  else if (kind === 1) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
  else if (kind === 2) {
    bytes = Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
  } else {
    bytes = Buffer.from(bytes);
    for (let i = 0; i <= bytes.length / 60; i++)
      bytes[random.below(bytes.length)] = random.below(256);
  }
  return { ...run, files: { ...run.files, [input]: bytes } };
}
