import { isCount, isRecord } from '../base/values.ts';
import type { EvidenceKind } from './evidence.ts';

/** What was told, and between which places of the code: module name, `+`, hexadecimal offset. */
export interface OddPlace {
  readonly kind: EvidenceKind;
  readonly site: string;
  readonly target: string;
}

/**
 * Rate of false alarms that verdicts promise unless told otherwise. What nominal runs do at one place
 * more often than that cannot be a proof there: it alone would break the promise.
 */
const promisedRate = 0.05;

/**
 * Proofs that nominal runs held, by kind and place: harmless oddities of a program that the code does not
 * explain. A run counts once for each place.
 */
export class NominalEvidence {
  #runs = 0;
  #holding = 0;
  readonly #counts: Map<string, number> = new Map();

  /** Runs that were counted, with and without such proofs. */
  get runs(): number {
    return this.#runs;
  }

  /** Runs that hold any. */
  get runsHolding(): number {
    return this.#holding;
  }

  /** @returns where most runs hold one, as `kind site target`, and how many do */
  mostFrequent(): { readonly place: string; readonly runs: number } | undefined {
    let most: { place: string; runs: number } | undefined;
    for (const [place, runs] of this.#counts) {
      if (most === undefined || runs > most.runs) most = { place, runs };
    }
    return most;
  }

  /** @param places  of one run */
  add(places: readonly OddPlace[]): void {
    this.#runs++;
    if (places.length > 0) this.#holding++;
    for (const key of new Set(places.map(keyOf))) {
      this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    }
  }

  /** @returns how many of the runs hold this at this place */
  runsWith(place: OddPlace): number {
    return this.#counts.get(keyOf(place)) ?? 0;
  }

  /**
   * Whether so many nominal runs hold it that it is no proof. The chance that the next one does is
   * estimated with halves; so of 28 runs or fewer one is enough, of 45 it takes two.
   *
   * @param isOwn  the run that is judged is one of those that were counted: it is left out
   */
  isUsual(place: OddPlace, isOwn: boolean = false): boolean {
    const holding = this.runsWith(place) - (isOwn ? 1 : 0);
    const runs = this.#runs - (isOwn ? 1 : 0);
    return holding > 0 && (holding + 0.5) / (runs + 1) > promisedRate;
  }

  /** For `from`. */
  toJSON(): object {
    const { runs, runsHolding } = this;
    return { runs, runsHolding, places: Object.fromEntries(this.#counts) };
  }

  /** @returns `undefined` when the value is none of `toJSON` */
  static from(value: unknown): NominalEvidence | undefined {
    const { runs, runsHolding, places } = isRecord(value) ? value : {};
    if (!isCount(runs) || !isCount(runsHolding) || runsHolding > runs) return undefined;
    if (!isRecord(places)) return undefined;
    const evidence = new NominalEvidence();
    evidence.#runs = runs;
    evidence.#holding = runsHolding;
    for (const [key, count] of Object.entries(places)) {
      if (!isCount(count) || count > runs) return undefined;
      evidence.#counts.set(key, count);
    }
    return evidence;
  }
}

function keyOf({ kind, site, target }: OddPlace): string {
  return `${kind} ${site} ${target}`;
}
