import { describe, expect, test } from 'vitest';
import { historyLevels } from '../../sequences/histories/levels.ts';
import { contextSize } from './context-index.ts';
import { ContextTable } from './context-table.ts';
import { EventFeatures } from './event-features.ts';
import { ownBits, ownMask, RunContexts } from './run-contexts.ts';

const levels = historyLevels.length;

/** Contexts of one place, all known. */
function hashesOf(place: number): Int32Array {
  return Int32Array.from({ length: 2 * levels }, (_, i) => 1000 * place + i + 1);
}

/** A table in which `targets` followed the contexts of a place in two runs each, the last one the youngest. */
function trained(place: number, targets: readonly number[]): ContextTable {
  const table = new ContextTable();
  const hashes = hashesOf(place);
  const found: number[] = [];
  historyLevels.forEach(({ parent }, level) => {
    const above = parent < 0 ? -1 : found[parent]!;
    const context = table.intern(hashes[2 * level]!, hashes[2 * level + 1]!, level, above);
    found.push(context);
    for (const target of targets) table.add(context, target, 2, 0);
  });
  return table;
}

/** Runs and events of each target at the place that a run is at. */
function seenIn(run: RunContexts): Record<number, [runs: number, events: number]> {
  const view = new EventFeatures();
  view.read(run, 0);
  const found: Record<number, [number, number]> = {};
  for (let i = 0; i < view.candidates; i++) {
    found[view.target[i]!] = [view.seenHere[i]! >> ownBits, view.seenHere[i]! & ownMask];
  }
  return found;
}

describe('contexts of a run', () => {
  test('hold what training saw and what the run has shown, which counts eight times at most', () => {
    const run = new RunContexts(trained(1, [5, 6]), 10);
    for (let i = 0; i < 20; i++) {
      run.come(hashesOf(1), 0);
      run.remember(i < 12 ? 6 : 7 + i);
    }
    run.come(hashesOf(1), 0);
    const seen = seenIn(run);
    expect(seen[5]).toEqual([2, 0]);
    expect(seen[6]).toEqual([2, 8]);
    expect(Object.keys(seen)).toHaveLength(2 + 8);
    expect(run.length).toBe(levels);
  });

  test('forget targets of the place before', () => {
    const run = new RunContexts(trained(1, [5]), 10);
    run.come(hashesOf(1), 0);
    run.remember(900);
    run.come(hashesOf(2), 0);
    expect(run.candidateOf(5)).toBe(-1);
    expect(run.candidateOf(900)).toBe(-1);
    expect(run.candidates).toBe(0);
  });

  test('past their bound tell what training saw, and learn no more', () => {
    const table = trained(1, [5, 6, 7]);
    const run = new RunContexts(table, 10, 0);
    for (let i = 0; i < 4; i++) {
      run.come(hashesOf(1), 0);
      expect(run.length).toBe(levels);
      expect(seenIn(run)).toEqual({ 5: [2, 0], 6: [2, 0], 7: [2, 0] });
      run.remember(5);
      expect(run.length).toBe(0);
    }
    run.come(hashesOf(2), 0);
    expect(run.candidateOf(5)).toBe(-1);
    expect(run.contexts.length).toBe(1024 * contextSize);
  });

  test('grow where they are known already, also past the bound', () => {
    const run = new RunContexts(trained(1, [5]), 10, levels);
    run.come(hashesOf(1), 0);
    run.remember(5);
    for (let target = 20; target < 60; target++) {
      run.come(hashesOf(2), 0);
      run.remember(target);
      run.come(hashesOf(1), 0);
      run.remember(target);
    }
    run.come(hashesOf(1), 0);
    expect(Object.keys(seenIn(run))).toHaveLength(41);
    expect(run.length).toBe(levels);
    run.come(hashesOf(2), 0);
    expect(run.candidates).toBe(0);
  });
});
