/** What the past of a transfer is looked at as. */
export type HistoryName = 'place' | 'path' | 'site' | 'blocks' | 'calls';

/** One context of a transfer: so much of one of its histories. */
export interface HistoryLevel {
  readonly history: HistoryName;
  /** Items of the history in it, the block that makes the transfer not counted. */
  readonly length: number;
  /** Level of the next shorter context; -1 = none. */
  readonly parent: number;
}

/**
 * The contexts in which transfers are counted, shorter ones first.
 *
 * - `place`: the instruction that makes the transfer (0), and the block that it ends (1)
 * - `path`: the block, and where the last transfers went that the code does not explain (as the path
 *   history of hardware's indirect-branch predictors: Seznec and Michaud, "A case for (partially) tagged
 *   geometric history length branch prediction", 2006)
 * - `site`: the block, and where it went itself the last times in this run
 * - `blocks`: the last blocks
 * - `calls`: the block, and the calls that are open
 */
export const historyLevels: readonly HistoryLevel[] = makeLevels();

/** The longest of each history, in their order: path, site, blocks, calls. */
export const deepestLevels: readonly number[] = ['path', 'site', 'blocks', 'calls'].map((name) =>
  historyLevels.findLastIndex(({ history }) => history === name),
);

function makeLevels(): HistoryLevel[] {
  const levels: HistoryLevel[] = [
    { history: 'place', length: 0, parent: -1 },
    { history: 'place', length: 1, parent: 0 },
  ];
  const chains: readonly (readonly [HistoryName, readonly number[]])[] = [
    ['path', [1, 2, 4, 6, 10, 16, 28, 48, 90]],
    ['site', [1, 2, 3, 4, 6, 8]],
    ['blocks', [1, 3, 7, 15, 31]],
    ['calls', [1, 2, 3, 4, 6, 8]],
  ];
  for (const [history, lengths] of chains) {
    let parent = 1;
    for (const length of lengths) {
      levels.push({ history, length, parent });
      parent = levels.length - 1;
    }
  }
  return levels;
}
