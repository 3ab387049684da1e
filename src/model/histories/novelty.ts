import {
  boundedSorts,
  forbiddenSorts,
  targetSorts,
  transferForms,
} from '../../evidence/transfer-code.ts';

const sorts = targetSorts.length;
export const noveltyCounts: number = transferForms.length * sorts;
/** @returns where targets of a sort are counted for a form of transfer */
export function noveltyAt(form: number, sort: number): number {
  return form * sorts + sort;
}

const isBounded = targetSorts.map((sort) => boundedSorts.includes(sort));
const isForbidden = targetSorts.map((sort) => forbiddenSorts.includes(sort));
const returnForm = transferForms.indexOf('return');

/**
 * What sort of target those are that a place never showed: counted in nominal runs that were left out, by
 * the form of the transfer.
 */
export class Novelty {
  readonly #counts: Float64Array;
  readonly #shares: Float64Array;

  /** @param counts  at `noveltyAt` */
  constructor(counts: Float64Array) {
    this.#counts = counts;
    // A form that never met anything new takes after all the others; the halves are Jeffreys'.
    this.#shares = new Float64Array(noveltyCounts);
    let all = 0;
    const bySort = new Float64Array(sorts);
    for (let i = 0; i < noveltyCounts; i++) {
      bySort[i % sorts] += counts[i];
      all += counts[i];
    }
    for (let form = 0; form < transferForms.length; form++) {
      let ofForm = 0;
      for (let sort = 0; sort < sorts; sort++) ofForm += counts[form * sorts + sort];
      for (let sort = 0; sort < sorts; sort++) {
        const general = (bySort[sort] + 0.5) / (all + 0.5 * sorts);
        this.#shares[form * sorts + sort] =
          (counts[form * sorts + sort] + 2 * general) / (ofForm + 2);
      }
    }
  }

  /** @returns the chance that a new target of this form of transfer is of a sort */
  share(form: number, sort: number): number {
    return this.#shares[form * sorts + sort];
  }

  /** Whether no code makes such a transfer to a target that its place never showed. */
  isForbidden(form: number, sort: number): boolean {
    // What the code says of a return is its call.
    return form === returnForm || isForbidden[sort];
  }

  /** @returns how often a target was new and of a sort, from returns or from everything else that jumps and calls */
  seen(form: number, sort: number): number {
    let seen = 0;
    for (let other = 0; other < transferForms.length; other++) {
      const isAlike = (other === returnForm) === (form === returnForm);
      if (isAlike) seen += this.#counts[noveltyAt(other, sort)];
    }
    return seen;
  }

  /** Whether the code itself bounds where such a transfer goes. */
  isClosed(sort: number): boolean {
    return isBounded[sort];
  }
}
