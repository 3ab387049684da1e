import { crc32 } from 'node:zlib';
import type { Evaluation } from '../../evaluation/evaluation.ts';
import { transferNames } from '../../x86/transfer.ts';
import type { SliceBlock, SliceCode } from './slice-code.ts';
import { type Slice, transfersOf } from './slices.ts';

/**
 * What can be counted in a slice. Each part has its own terms.
 *
 * - `classes`: output classes of the transfers that came
 * - `blocks`, `edges` (pairs of blocks), `functions`: of the code that ran
 * - `evidence`: kinds of evidence
 * - `transfers`: how blocks ended: returns, indirect calls, system calls, ...
 */
export const termParts = [
  'classes',
  'blocks',
  'edges',
  'functions',
  'evidence',
  'transfers',
] as const;
export type TermPart = (typeof termParts)[number];

/** How often each term of one part occurs in a slice, in the order of ids. */
export interface TermCounts {
  /** See `termId`; ascending, all different. */
  readonly ids: Int32Array;
  /** Occurrences, at least 1. */
  readonly counts: Int32Array;
}

/** Names of terms, by id. */
export type TermNames = Map<number, string>;

/**
 * Terms have ids that need no common list, so that many writers can share one store: 31 bits of a
 * checksum of part and text. Among 10,000 terms two meet with a probability of 2 %, and then
 * count as one.
 */
export function termId(part: TermPart, text: string): number {
  return crc32(`${part} ${text}`) >>> 1;
}

export interface TermOptions {
  /** Classes from here on are left out, as the ancestor does; `undefined` = none are. */
  readonly mostClasses: number | undefined;
  /** Name of an output class for people. */
  readonly className: (output: number) => string;
  /** Name of a block for people, where it is not its place in a module: calls have names. */
  readonly blockName?: (block: SliceBlock) => string | undefined;
}

/**
 * Counts the terms of one part of a slice.
 *
 * @param code  `undefined` where the recording was not read; then only classes and evidence count
 * @param names  takes the names of the terms
 */
export function countTerms(
  part: TermPart,
  evaluation: Evaluation,
  slice: Slice,
  code: SliceCode | undefined,
  options: TermOptions,
  names: TermNames,
): TermCounts {
  const counts = new Map<number, number>();
  const add = (key: string, count: number, name: string = key): void => {
    const id = termId(part, key);
    counts.set(id, (counts.get(id) ?? 0) + count);
    if (!names.has(id)) names.set(id, name);
  };
  switch (part) {
    case 'classes':
      addClasses(evaluation, slice, options, add);
      break;
    case 'evidence':
      for (const { kind, count } of slice.evidence) add(kind, count ?? 1);
      break;
    case 'blocks':
      for (const block of code?.blocks ?? []) {
        add(place(block), block.count, options.blockName?.(block));
      }
      break;
    case 'edges': {
      const places = code?.blocks.map(place) ?? [];
      const shown = code?.blocks.map((block) => options.blockName?.(block) ?? place(block)) ?? [];
      for (const { from, to, count } of code?.edges ?? []) {
        add(`${places[from]} > ${places[to]}`, count, `${shown[from]} > ${shown[to]}`);
      }
      break;
    }
    case 'functions':
      for (const block of code?.blocks ?? []) {
        const key = `${block.module || outside}!${block.function ?? '?'}`;
        add(key, block.count, options.blockName?.(block));
      }
      break;
    case 'transfers':
      for (const { transfer, count } of code?.blocks ?? []) add(transferNames[transfer], count);
      break;
  }
  const ids = Int32Array.from(counts.keys()).sort();
  return { ids, counts: Int32Array.from(ids, (id) => counts.get(id) ?? 0) };
}

const outside = '(outside images)';

function place({ module, offset }: SliceBlock): string {
  return `${module || outside}+0x${offset.toString(16)}`;
}

function addClasses(
  evaluation: Evaluation,
  slice: Slice,
  { mostClasses, className }: TermOptions,
  add: (key: string, count: number, name: string) => void,
): void {
  const { occurrences, predictions } = evaluation;
  const { first, last } = transfersOf(evaluation, slice);
  for (let i = first; i < last; i++) {
    const output = predictions.actual[occurrences[i]];
    if (mostClasses !== undefined && output >= mostClasses) continue;
    add(String(output), 1, className(output));
  }
}
