import { basename } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { checkCalibrationSize } from '../../verdict/conformal.ts';
import { FactsFolder } from '../judging/facts-folder.ts';
import { ProfileShelf } from '../profile/shelf.ts';
import { readKnownPlaces } from '../samples/evaluating/known-places.ts';
import { KeptAnswers } from './live/kept-answers.ts';
import { type OpenedSetup, openSetup } from './live/open-setup.ts';

/** What a guard judges with. */
export interface GuardingRequest {
  /**
   * Files of profiles, folders of runs that learned them, or folders of profiles. Where the first is one profile, it
   * judges the program itself, whatever that is called.
   */
  readonly profiles: readonly string[];
  /** Share of harmless runs that may raise an alarm. */
  readonly fpr: number;
  /** File of transfers that somebody found harmless, see `readKnownPlaces`. */
  readonly knownPlaces?: string | undefined;
  /** Folder for what is found out of the code of images, which starts later runs sooner; see `KeptAnswers`. */
  readonly factsFolder?: string | undefined;
}

/** A profile and the programs that it is of, by the names of their files. */
export interface GuardProfile {
  readonly path: string;
  readonly programs: readonly string[];
}

/** Which profile judges a program; or why none does. */
export type ProfileChoice =
  | {
      readonly index: number;
      readonly path: string;
    }
  | { readonly index: undefined; readonly why: string };

/** Which profiles there are, for whoever does not judge. */
export interface ProfileList {
  readonly profiles: readonly GuardProfile[];
  /** The first of them judges the program itself, whatever that is called. */
  readonly isFirstChosen: boolean;
}

/**
 * Chooses the profile of a program.
 *
 * @param program  path, or name of its file
 * @param isFirst  it is the one that is guarded, and not one that it started
 */
export function chooseProfile(
  { profiles, isFirstChosen }: ProfileList,
  program: string,
  isFirst: boolean,
): ProfileChoice {
  const name = basename(program);
  const [fitting, another] = profiles.filter(({ programs }) => programs.includes(name));
  const [first] = profiles;
  if (isFirst && isFirstChosen) return { index: 0, path: first.path };
  if (fitting === undefined) return { index: undefined, why: 'no profile is of it' };
  if (another !== undefined) {
    const both = `${basename(fitting.path)} and ${basename(another.path)}`;
    return { index: undefined, why: `several profiles are of it: ${both}` };
  }
  return { index: profiles.indexOf(fitting), path: fitting.path };
}

/** What was found out of the code of images in runs before. */
interface KeptCode {
  readonly shelf?: KeptAnswers;
  readonly facts?: FactsFolder;
}

/** Profiles at hand, each opened when a program needs it. */
export class GuardProfiles implements ProfileList {
  readonly profiles: readonly GuardProfile[];
  readonly isFirstChosen: boolean;
  readonly #fpr: number;
  readonly #knownPlaces: ReadonlySet<string>;
  readonly #kept: KeptCode;
  readonly #setups: Map<number, Promise<OpenedSetup>> = new Map();

  private constructor(
    list: ProfileList,
    { fpr, factsFolder }: GuardingRequest,
    knownPlaces: ReadonlySet<string>,
  ) {
    this.profiles = list.profiles;
    this.isFirstChosen = list.isFirstChosen;
    this.#fpr = fpr;
    this.#knownPlaces = knownPlaces;
    this.#kept =
      factsFolder === undefined
        ? {}
        : { shelf: new KeptAnswers(factsFolder), facts: new FactsFolder(factsFolder) };
  }

  /** @throws UserError as `ProfileShelf`; `not-of-traces`, `calibration-too-small`; as `readKnownPlaces` */
  static async open(request: GuardingRequest): Promise<GuardProfiles> {
    const profiles: GuardProfile[] = [];
    let isFirstChosen = false;
    for (const path of request.profiles) {
      const shelf = await ProfileShelf.open(path);
      if (profiles.length === 0) isFirstChosen = !shelf.isFolder;
      for (const { path, facts } of shelf.listed) {
        if (facts.source !== 'trace') throw notOfTraces(path);
        checkCalibrationSize(facts.calibrating, request.fpr);
        profiles.push({ path, programs: facts.programs });
      }
    }
    const { knownPlaces: list } = request;
    const known = list === undefined ? [] : await readKnownPlaces(list);
    const fingerprints = new Set(known.map(({ fingerprint }) => fingerprint));
    return new GuardProfiles({ profiles, isFirstChosen }, request, fingerprints);
  }

  /**
   * Opens the profile that a program was given.
   *
   * @param index  into `profiles`
   * @throws UserError as `openSetup`
   */
  setup(index: number): Promise<OpenedSetup> {
    const setup = this.#setups.get(index) ?? this.#open(this.profiles[index].path);
    this.#setups.set(index, setup);
    return setup;
  }

  #open(path: string): Promise<OpenedSetup> {
    return openSetup(path, this.#fpr, this.#knownPlaces, this.#kept);
  }

  /** Keeps what was found out of the code of images, for the runs that come. */
  async keepAnswers(): Promise<void> {
    await this.#kept.shelf?.keep();
  }

  /** @throws UserError as `openSetup`; `no-profile-for-program` */
  async setupOf(program: string): Promise<OpenedSetup> {
    const choice = chooseProfile(this, program, true);
    if (choice.index !== undefined) return this.setup(choice.index);
    throw new UserError(
      'no-profile-for-program',
      `${basename(program)} is not judged: ${choice.why}`,
      { category: 'input' },
    );
  }

  async close(): Promise<void> {
    // Who asked for one that could not be opened was told.
    for (const setup of this.#setups.values()) await (await setup.catch(() => undefined))?.close();
  }
}

function notOfTraces(path: string): UserError {
  return new UserError('not-of-traces', 'was learned from logs of calls, not from traces', {
    category: 'input',
    path,
  });
}
