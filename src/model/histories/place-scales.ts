import { boundedSorts, targetSorts } from '../../evidence/transfer-code.ts';
import { historyLevels } from '../../sequences/histories/levels.ts';

const levels = historyLevels.length;
const isBounded = targetSorts.map((sort) => boundedSorts.includes(sort));
/** Single precision holds chances down to here. */
const smallestChance = 1e-30;
/**
 * So many runs weighs the model's own claim. Surprises of nominal runs are about as probable with anything
 * from a half to four; that is how it was chosen.
 */
const ownRuns = 2;

/** How much an instruction surprises in nominal runs, in nats. */
export interface PlaceScale {
  /** Half of the runs are surprised by no more than this. */
  readonly median: number;
  /** Mean of what the others are surprised by beyond it; at least 1. */
  readonly excess: number;
}

/** Where no run was surprised, the model's own claim stands: n nats come once in e^n. */
const claimed: PlaceScale = { median: 0, excess: 1 };

/**
 * The surprise of an event at the scale of its place, in nats: minus the logarithm of how probable it is that a
 * run is surprised so much there, beyond what half of the runs are.
 *
 * Only what the histories chose is read at that scale. Of what sort a new target is was counted over all places, so that no
 * place is surer of it than it may be.
 *
 * @param chance  of something at most as probable as what came
 * @param choice  of that, what histories are answerable for, as in `EventJudgements`
 * @param scale  of the instruction; `undefined` = no run was surprised there
 */
export function atScale(chance: number, choice: number, scale: PlaceScale = claimed): number {
  const chosen = surpriseOf(choice);
  return Math.max(0, chosen - scale.median) / scale.excess + (surpriseOf(chance) - chosen);
}

function surpriseOf(chance: number): number {
  return -Math.log(Math.max(smallestChance, chance));
}

/** Of each event of a run, as in `EventJudgements`. */
interface Chances {
  readonly chance: Float32Array;
  readonly choice: Float32Array;
}

/** The largest surprises of one run, in nats, by the context of the instruction that gave them. */
type RunSurprises = ReadonlyMap<number, number>;

/**
 * How much each instruction surprises in nominal runs that were left out: what half of the runs reach, and how
 * far the others go beyond it.
 *
 * A busy instruction surprises more in a run than an idle one; and where an interpreter or a regular expression
 * picks what comes next, the model is surer than it may be. So the largest surprise of a run at a place is taken
 * as exponential beyond the median of runs, with a mean of its own: of what runs showed there, together with a
 * few of 1 nat, which is the model's own claim. Targets that the code bounds do not count: no run is judged by
 * them.
 */
export class PlaceScales {
  #runs = 0;
  /** By instruction: the largest surprises of runs that it surprised at all. */
  readonly #largest = new Map<number, number[]>();

  /** @returns what the run gave */
  add(
    sites: Int32Array,
    { sort }: { readonly sort: Uint8Array },
    { choice }: Pick<Chances, 'choice'>,
  ): RunSurprises {
    this.#runs++;
    const own = new Map<number, number>();
    for (let event = 0; event < sites.length; event++) {
      const site = sites[event];
      // As precise as a file has medians, so that they can be compared.
      const nats = Math.fround(surpriseOf(choice[event]));
      if (site < 0 || nats <= 0 || isBounded[sort[event]]) continue;
      own.set(site, Math.max(nats, own.get(site) ?? 0));
    }
    for (const [site, nats] of own) {
      const largest = this.#largest.get(site);
      if (largest === undefined) this.#largest.set(site, [nats]);
      else largest.push(nats);
    }
    return own;
  }

  /** Scales for new runs, by instruction, ascending, where they are not what the model claims. */
  get all(): ReadonlyMap<number, PlaceScale> {
    const scales = [...this.#largest].map(
      ([site, nats]) => [site, scaleOf(nats, this.#runs)] as const,
    );
    return new Map(
      scales.filter(([, { median, excess }]) => median > 0 || excess > 1).sort(([a], [b]) => a - b),
    );
  }

  /** @returns the surprises of a run that was added, at the scales that all other ones give */
  without(own: RunSurprises, sites: Int32Array, { chance, choice }: Chances): Float32Array {
    const scales = new Map<number, PlaceScale>();
    return Float32Array.from(sites, (site, event) => {
      const scale = scales.get(site) ?? this.#without(own, site);
      scales.set(site, scale);
      return atScale(chance[event], choice[event], scale);
    });
  }

  #without(own: RunSurprises, site: number): PlaceScale {
    const nats = [...(this.#largest.get(site) ?? [])];
    const gone = own.get(site);
    if (gone !== undefined) nats.splice(nats.indexOf(gone), 1);
    return scaleOf(nats, this.#runs - 1);
  }
}

/**
 * @param nats  of runs that were surprised
 * @param runs  how many there are
 */
function scaleOf(nats: readonly number[], runs: number): PlaceScale {
  const sorted = nats.toSorted((a, b) => a - b);
  const middle = Math.ceil((runs - 1) / 2) - (runs - nats.length);
  const median = sorted[middle] ?? 0;
  const beyond = sorted.filter((each) => each > median).map((each) => each - median);
  const sum = beyond.reduce((all, each) => all + each, ownRuns);
  return { median, excess: Math.max(1, Math.fround(sum / (ownRuns + beyond.length))) };
}

/**
 * @param contexts  `[length, levels]` of a training run
 * @returns by event: the context of the instruction that makes the transfer
 */
export function sitesOf(length: number, contexts: Int32Array): Int32Array {
  return Int32Array.from({ length }, (_, event) => contexts[event * levels]);
}
