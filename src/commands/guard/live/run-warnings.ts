import type { AddressSpace } from '../../../image/address-space.ts';
import { differencesOf } from './differences.ts';
import type { LiveRun } from './live-run.ts';
import type { OpenedSetup } from './open-setup.ts';

/** Warns of what makes the verdict on a run less than it seems, each once. */
export class RunWarnings {
  readonly #live: LiveRun;
  readonly #warn: (what: string) => void;
  #isFull = false;

  constructor(live: LiveRun, warn: (what: string) => void) {
    this.#live = live;
    this.#warn = warn;
  }

  /**
   * How what runs differs from what its profile was learned from.
   *
   * @param program  path of what runs, or the name of its file
   * @param space  what is mapped first
   */
  tellDifferences(setup: OpenedSetup, program: string, space: AddressSpace): void {
    const { otherProgram, otherBuilds } = differencesOf(setup, program, space);
    if (otherBuilds !== undefined) this.#live.inexact.add('other-builds');
    for (const what of [otherProgram, otherBuilds]) if (what !== undefined) this.#warn(what);
  }

  /** After each step, as nothing is dropped without a word. */
  tellFull(): void {
    if (this.#isFull || !this.#live.isFull) return;
    this.#isFull = true;
    this.#warn('it ran more distinct blocks than are kept: what else it does is not judged');
  }
}
