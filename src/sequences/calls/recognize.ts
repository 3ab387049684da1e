import type { LineFormat } from './line-format.ts';
import { lineFormats } from './line-formats.ts';
import type { CallLogFormat } from './log.ts';
import { parseStraceLine } from './strace-log.ts';

/** Lines that are looked at. */
const headLines = 64;

/** What a log is, or why it is none. */
export type Recognized =
  | { readonly format: CallLogFormat }
  | { readonly format: undefined; readonly problem: string };

/**
 * Tells the format of a log by its header, or by each of its first lines: some words that look right
 * prove nothing, and what is taken for calls must be calls.
 *
 * @param head  the first bytes
 * @param isWhole  there are no more
 */
export function recognize(head: Uint8Array, isWhole: boolean): Recognized {
  const text = Buffer.from(head)
    .toString('latin1')
    .replace(/^\xef\xbb\xbf/, '');
  if (text.trim() === '') return { format: undefined, problem: 'is empty' };
  const lines = text.split(/\r?\n/, headLines);
  // The last line may be cut off where the head ends.
  if (!isWhole && lines.length < headLines && lines.length > 1) lines.pop();
  const shown = lines.flatMap((line, i) => (line.trim() === '' ? [] : [{ line, number: i + 1 }]));
  let best: Mismatch | undefined;
  for (const { format, title, test } of testsFor(shown[0]?.line ?? '')) {
    const wrong = shown.findIndex(({ line }, i) => !test(line, i));
    if (wrong < 0) return { format };
    const { line = '', number = 0 } = shown[wrong] ?? {};
    if (wrong > (best?.matched ?? 0)) best = { matched: wrong, title, line, number };
  }
  if (best !== undefined) {
    const { title, line, number } = best;
    return {
      format: undefined,
      problem: `begins like ${title}, but line ${number} is none: "${line.slice(0, 60)}"; --source with the format's name leaves such lines out`,
    };
  }
  if (text.trimStart().startsWith('{')) return { format: 'report' };
  return {
    format: undefined,
    problem: `is no sandbox report, no strace output, no list of numbers, and none of ${lineFormats.map(({ title }) => title).join(', ')}`,
  };
}

interface Mismatch {
  /** Lines before the one that does not fit. */
  readonly matched: number;
  readonly title: string;
  readonly line: string;
  readonly number: number;
}

interface Test {
  readonly format: CallLogFormat;
  readonly title: string;
  /** @param index  of the line among those that are not empty */
  test(line: string, index: number): boolean;
}

function testsFor(first: string): Test[] {
  return [
    ...lineFormats.map((format) => testOf(format, first)),
    {
      format: 'strace',
      title: 'strace output',
      test: (line) => parseStraceLine(line) !== undefined && !/^\s*-?\d[\d\s-]*$/.test(line),
    },
    {
      format: 'integers',
      title: 'a list of numbers',
      test: (line) => /^\s*(?:#|(?:-?\d+(?:\s+|$))+$)/.test(line),
    },
  ];
}

function testOf({ name, title, header, parse }: LineFormat, first: string): Test {
  if (header === undefined) {
    return { format: name, title, test: (line) => parse?.(line) !== undefined };
  }
  // Records below a header may hold line breaks: the header alone decides.
  const isHeader = header(first) !== undefined;
  return { format: name, title, test: () => isHeader };
}
