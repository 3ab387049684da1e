import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { failureOf, UserError } from '../../base/errors.ts';
import { notReadable } from '../../base/files/failure.ts';
import { readMemoryMaps } from '../../image/maps/memory-map.ts';
import type { Sample } from '../../trace/sample.ts';
import type { SourceName } from '../samples/source.ts';
import {
  hasProfile,
  openProfile,
  type Profile,
  type ProfileFacts,
  readProfileFacts,
} from './profile.ts';

/** A profile on the shelf, opened when a sample needs it. */
interface Shelved {
  readonly path: string;
  readonly facts: ProfileFacts;
  opened: Promise<Profile> | undefined;
}

/** The profiles that a user named: one, or a folder of them, of which each sample takes that of its program. */
export class ProfileShelf {
  readonly #profiles: readonly Shelved[];
  readonly #isFolder: boolean;
  readonly #path: string;

  private constructor(path: string, profiles: readonly Shelved[], isFolder: boolean) {
    this.#path = path;
    this.#profiles = profiles;
    this.#isFolder = isFolder;
  }

  /** @param path  a profile, the folder of a run of learn, or a folder of profiles. @throws UserError */
  static async open(path: string): Promise<ProfileShelf> {
    const names = (await hasProfile(path)) ? undefined : await profilesIn(path);
    if (names === undefined) {
      return new ProfileShelf(path, [await shelve(path)], false);
    }
    const profiles: Shelved[] = [];
    for (const name of names) profiles.push(await shelve(join(path, name)));
    const [first, ...others] = profiles;
    const other = others.find(({ facts }) => facts.source !== first?.facts.source);
    if (first !== undefined && other !== undefined) {
      throw new UserError(
        'profiles-of-different-sources',
        `holds profiles of ${first.facts.source} (${basename(first.path)}) and of ${other.facts.source} (${basename(other.path)}): samples of both are not judged at once`,
        { category: 'arguments', path },
      );
    }
    return new ProfileShelf(path, profiles, true);
  }

  /** What the profiles learned from. */
  get source(): SourceName {
    return this.#profiles[0].facts.source;
  }

  /** The fewest runs that calibrate any of them. */
  get calibrating(): number {
    return Math.min(...this.#profiles.map(({ facts }) => facts.calibrating));
  }

  /** What each says of itself, by its path. */
  get listed(): readonly { readonly path: string; readonly facts: ProfileFacts }[] {
    return this.#profiles;
  }

  /** A folder of profiles was named, not one of them. */
  get isFolder(): boolean {
    return this.#isFolder;
  }

  /** The profile, where it is no folder of them. */
  get only(): Promise<Profile> | undefined {
    return this.#isFolder ? undefined : this.#open(this.#profiles[0]);
  }

  /** @throws UserError `no-profile-for-sample` when none on the shelf is of the sample's program */
  async profileFor(sample: Sample): Promise<Profile> {
    if (!this.#isFolder) return this.#open(this.#profiles[0]);
    const programs = await programsOf(sample);
    const fitting = this.#profiles.filter(({ facts }) =>
      facts.programs.some((name) => programs.includes(name)),
    );
    const [one, another] = fitting;
    if (one !== undefined && another === undefined) return this.#open(one);
    const ran = programs.length === 0 ? 'a program without a name' : programs.join(', ');
    const why =
      one === undefined
        ? `${ran} ran, and no profile in ${this.#path} is of it`
        : `${fitting.length} profiles in ${this.#path} are of ${ran}: ${fitting.map(({ path }) => basename(path)).join(', ')}`;
    throw new UserError('no-profile-for-sample', why, { category: 'input' });
  }

  async close(): Promise<void> {
    for (const { opened } of this.#profiles) {
      const profile = await opened?.catch(() => undefined);
      await profile?.close();
    }
  }

  #open(shelved: Shelved): Promise<Profile> {
    shelved.opened ??= openProfile(shelved.path);
    return shelved.opened;
  }
}

async function shelve(path: string): Promise<Shelved> {
  return { path, facts: await readProfileFacts(path), opened: undefined };
}

/** @returns the names of a folder's profiles; `undefined` when it is no folder, or has none */
async function profilesIn(path: string): Promise<readonly string[] | undefined> {
  try {
    const names = (await readdir(path)).filter((name) => name.endsWith('.wayward')).sort();
    return names.length === 0 ? undefined : names;
  } catch (cause) {
    if (failureOf(cause) === 'ENOTDIR') return undefined;
    throw notReadable(path, cause);
  }
}

/** Names of the programs in a sample's memory map. */
async function programsOf({ map }: Sample): Promise<readonly string[]> {
  const maps = map === undefined ? [] : await readMemoryMaps(map).catch(() => []);
  return maps.map(({ process }) => process.name).filter((name) => name !== '');
}
