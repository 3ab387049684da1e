import { enlarged } from '../../base/bytes/typed-array.ts';
import { transferForms } from '../../evidence/transfer-code.ts';
import { deepestLevels, historyLevels } from '../../sequences/histories/levels.ts';
import { contextSize } from './context-index.ts';
import { headSize } from './context-table.ts';
import { Cell, cellSize, ownBits, ownMask, type RunContexts, Shown } from './run-contexts.ts';

export const histories: number = deepestLevels.length;

/** Levels of each history, shorter ones first: the instruction, the block, then the history itself. */
const chains: readonly Int32Array[] = deepestLevels.map((deepest) => {
  const chain: number[] = [];
  for (let level = deepest; level >= 0; level = historyLevels[level].parent) chain.unshift(level);
  return Int32Array.from(chain);
});
const steps = Math.max(...chains.map(({ length }) => length));

/** Weights: where each kind begins. */
const depthsAt = 0;
const countsAt = depthsAt + histories * steps * steps;
const shareAt = countsAt + histories * 3 * 4 * 3 * 3 * 2;
const newDepthAt = shareAt + histories * steps;
const newPlaceAt = newDepthAt + histories * steps * 3 * 8;
const newFormAt = newPlaceAt + 6 * 8;
export const mixtureWeights: number = newFormAt + transferForms.length;

/** Before anything is learned: longer contexts know better, and shares are believed a quarter each. */
export function firstWeights(): Float64Array {
  const weights = new Float64Array(mixtureWeights);
  for (let history = 0; history < histories; history++) {
    for (let deepest = 0; deepest < steps; deepest++) {
      weights[shareAt + history * steps + deepest] = 1 / histories;
      for (let step = 0; step <= deepest; step++) {
        const at = depthsAt + (history * steps + deepest) * steps + step;
        weights[at] = -0.5 * (deepest - step);
      }
    }
  }
  return weights;
}

/** Shares of up to so many are looked up: a logarithm takes longer. */
const mostInTable = 255;
const logarithms = new Float64Array((mostInTable + 1) * (mostInTable + 1)).fill(Number.NaN);

/**
 * By which weights each candidate of an event is judged, and what stands beside them for all that the place
 * never showed. Overwritten by the next `read`.
 *
 * For each history there is a longest context that anybody met, and for each candidate a longest that led to it. A
 * candidate has, for each history, a weight for how long its longest context is against the longest that is
 * known at all, one for how much was seen of it there and whether this run went there the last time, and one
 * for its share there, which is multiplied with the share's logarithm.
 */
export class EventFeatures {
  candidates = 0;
  /** Candidates that training saw at this place: the first ones. */
  trainedCandidates = 0;
  /** By candidate. */
  target: Int32Array<ArrayBuffer> = new Int32Array(64);
  /** By candidate: how often it came at this place, as `Cell.seen`. */
  seenHere: Int32Array<ArrayBuffer> = new Int32Array(64);
  /** `[candidates, histories]`. */
  depths: Int32Array<ArrayBuffer> = new Int32Array(64 * histories);
  counts: Int32Array<ArrayBuffer> = new Int32Array(64 * histories);
  logShares: Float64Array<ArrayBuffer> = new Float64Array(64 * histories);
  /** By history, of all candidates. */
  readonly shares: Int32Array = new Int32Array(histories);
  /** Of what the place never showed. */
  readonly novel: Int32Array = new Int32Array(2 + histories);
  /** By candidate: the last history in which its longest context was found, all events counted. */
  #found: Float64Array<ArrayBuffer> = new Float64Array(64);
  #search = 0;

  /** @param run  at an event @param form  of its transfer */
  read(run: RunContexts, form: number): void {
    const { candidates } = run;
    this.candidates = candidates;
    this.trainedCandidates = 0;
    if (candidates > this.target.length) this.#grow(2 * candidates);
    const most = candidates === 0 ? 0 : this.#readPlace(run);
    this.novel[0] = newPlaceAt + kindsBucket(candidates) * 8 + logBucket(most);
    this.novel[1] = newFormAt + form;
    for (let history = 0; history < histories; history++) this.#readHistory(run, history, most);
  }

  /** The cells of the place are the candidates. @returns most runs of any of them */
  #readPlace({ at, contexts, cells }: RunContexts): number {
    const { target, seenHere, candidates } = this;
    const context = at[0] * contextSize;
    const several = contexts[context + Shown.cells];
    const list = several > 0 ? cells : contexts;
    let cell = several > 0 ? several + headSize : context + Shown.cell;
    let most = 0;
    for (let i = 0; i < candidates; i++, cell += cellSize) {
      const seen = list[cell + Cell.seen];
      target[i] = list[cell];
      seenHere[i] = seen;
      if (seen >= 1 << ownBits) this.trainedCandidates++;
      most = Math.max(most, runsOf(seen));
    }
    return most;
  }

  /** Finds the longest context of each candidate in a history. @param mostHere  runs of any candidate of the place */
  #readHistory(run: RunContexts, history: number, mostHere: number): void {
    const { at, contexts, cells } = run;
    const { candidates, depths, counts, logShares } = this;
    const found = this.#found;
    const search = ++this.#search;
    const chain = chains[history];
    let deepest = candidates === 0 ? 0 : chain.length - 1;
    while (deepest > 0 && (at[chain[deepest]] < 0 || run.kindsOf(at[chain[deepest]]) === 0)) {
      deepest--;
    }
    const depthAt = depthsAt + (history * steps + deepest) * steps;
    this.shares[history] = shareAt + history * steps + deepest;
    let most = mostHere;
    let kinds = candidates;
    let left = candidates;
    for (let depth = deepest; depth > 0 && left > 0; depth--) {
      // The instruction may be known where the block that ends in it is not.
      if (at[chain[depth]] < 0) continue;
      const context = at[chain[depth]] * contextSize;
      const several = contexts[context + Shown.cells];
      const list = several > 0 ? cells : contexts;
      let cell = several > 0 ? several + headSize : context + Shown.cell;
      const length = several > 0 ? cells[several] : contexts[cell] < 0 ? 0 : 1;
      if (depth === deepest) {
        kinds = length;
        most = 0;
        for (let i = 0; i < length; i++) {
          most = Math.max(most, runsOf(list[cell + i * cellSize + Cell.seen]));
        }
      }
      // What led there in a longer context did in this one, too: there is nobody else.
      if (length === candidates - left) continue;
      const sum = contexts[context + Shown.sum];
      const last = contexts[context + Shown.last];
      const countAt = countsFrom(history, deepest - depth, length);
      for (const end = cell + length * cellSize; cell < end; cell += cellSize) {
        const i = list[cell];
        if (found[i] === search) continue;
        found[i] = search;
        left--;
        const seen = list[cell + Cell.seen];
        const to = i * histories + history;
        depths[to] = depthAt + depth;
        counts[to] = countAt + bucketOf(seen) + (last === i ? 1 : 0);
        logShares[to] = logOfShare((seen >> ownBits) + (seen & ownMask), sum);
      }
    }
    this.novel[2 + history] =
      newDepthAt + ((history * steps + deepest) * 3 + fewBucket(kinds)) * 8 + logBucket(most);
    if (left > 0) this.#readRest(run, history, deepest, search);
  }

  /** Candidates that no longer context led to stand as they do at the place. */
  #readRest({ at, contexts }: RunContexts, history: number, deepest: number, search: number): void {
    const { candidates, depths, counts, logShares, seenHere } = this;
    const found = this.#found;
    const depthAt = depthsAt + (history * steps + deepest) * steps;
    const context = at[0] * contextSize;
    const sum = contexts[context + Shown.sum];
    const last = contexts[context + Shown.last];
    const countAt = countsFrom(history, deepest, candidates);
    for (let i = 0; i < candidates; i++) {
      if (found[i] === search) continue;
      const seen = seenHere[i];
      const to = i * histories + history;
      depths[to] = depthAt;
      counts[to] = countAt + bucketOf(seen) + (last === i ? 1 : 0);
      logShares[to] = logOfShare((seen >> ownBits) + (seen & ownMask), sum);
    }
  }

  #grow(room: number): void {
    this.target = enlarged(this.target, room);
    this.seenHere = enlarged(this.seenHere, room);
    this.#found = enlarged(this.#found, room);
    this.depths = enlarged(this.depths, room * histories);
    this.counts = enlarged(this.counts, room * histories);
    this.logShares = enlarged(this.logShares, room * histories);
  }
}

/** Runs of a candidate, one more where this run went there, too. @param seen  as `Cell.seen` */
function runsOf(seen: number): number {
  return (seen >> ownBits) + ((seen & ownMask) > 0 ? 1 : 0);
}

/**
 * @param behind  levels between the longest context of a candidate and the longest that is known
 * @param kinds  candidates that came there
 * @returns weight for how much was seen of a candidate, less what `bucketOf` says of it
 */
function countsFrom(history: number, behind: number, kinds: number): number {
  return countsAt + ((history * 3 + (behind < 2 ? behind : 2)) * 36 + fewBucket(kinds)) * 2;
}

/** @param seen  as `Cell.seen` */
function bucketOf(seen: number): number {
  const own = seen & ownMask;
  return (runsBucket(seen >> ownBits) * 9 + (own < 2 ? own : 2) * 3) * 2;
}

function logOfShare(part: number, whole: number): number {
  if (whole > mostInTable) return Math.log(part / whole);
  const at = (whole << 8) | part;
  const known = logarithms[at];
  if (known <= 0) return known;
  logarithms[at] = Math.log(part / whole);
  return logarithms[at];
}

function runsBucket(runs: number): number {
  return runs <= 1 ? runs : runs < 4 ? 2 : 3;
}

function fewBucket(kinds: number): number {
  return kinds < 2 ? 0 : kinds === 2 ? 1 : 2;
}

function kindsBucket(kinds: number): number {
  return kinds <= 2 ? kinds : kinds <= 4 ? 3 : kinds <= 8 ? 4 : 5;
}

/** 0, 1, 2-3, 4-7, ... up to 7. */
function logBucket(count: number): number {
  return Math.min(7, 32 - Math.clz32(count));
}
