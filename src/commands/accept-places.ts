import { isAbsent, UserError } from '../base/errors.ts';
import { makeWorkFolder, removeQuietly } from '../base/files/folder.ts';
import { type RunContext, silentContext } from '../model/first-layer.ts';
import type { Sample } from '../trace/sample.ts';
import type { AcceptRequest } from './accept.ts';
import { findSamplesAt } from './judging/find-samples.ts';
import { type JudgedSample, Judging } from './judging/judging.ts';
import { usualRate } from './judging/request.ts';
import { openProfile } from './profile/profile.ts';
import {
  addKnownPlaces,
  type KnownPlace,
  readKnownPlaces,
  toReason,
} from './samples/evaluating/known-places.ts';
import type { SkippedSample } from './samples/skipped.ts';

export interface AcceptPlacesRequest extends Omit<AcceptRequest, 'output' | 'reason'> {
  /** Why the places are harmless. */
  readonly reason: string;
  /** The list, which is made where there is none. */
  readonly knownPlaces: string;
}

/** A sample that is nominal once some of its places are known. */
export interface AcceptedPlaces {
  readonly name: string;
  readonly before: Pick<JudgedSample, 'verdict' | 'pValue' | 'place'>;
  readonly after: Pick<JudgedSample, 'verdict' | 'pValue' | 'place'>;
  readonly places: readonly KnownPlace[];
}

export interface AcceptPlacesResult {
  /** The list. */
  readonly knownPlaces: string;
  readonly accepted: readonly AcceptedPlaces[];
  readonly skipped: readonly SkippedSample[];
}

/** A run with more of them is unlike the others as a whole: that is for `accept`. */
const mostPlaces = 16;

/**
 * Writes down the places for which harmless samples are anomalous, the most surprising one first and no more than it takes
 * to make them nominal. The profile stays as it is.
 *
 * @throws UserError; nothing is written then
 */
export async function acceptPlaces(
  request: AcceptPlacesRequest,
  context: RunContext = silentContext,
): Promise<AcceptPlacesResult> {
  const reason = toReason(request.reason);
  if (reason === '') {
    throw new UserError(
      'no-reason',
      'the reason says nothing, which whoever reviews the list needs',
      {
        category: 'arguments',
      },
    );
  }
  const profile = await openProfile(request.profile);
  const out = await makeWorkFolder('wayward-places-');
  try {
    const { process, preprocessed = false, cpu, rawImages = false, device = 'cpu' } = request;
    const { fpr = usualRate, seed = 1, timeout, binDirs = [] } = request;
    const source = { source: profile.facts.source, process, preprocessed, cpu };
    const found = await findSamplesAt(request.samples, binDirs, source, context);
    const options = { source, binDirs: found.binDirs, rawImages, fpr, seed, device, timeout, out };
    const known = [...(await knownSoFar(request.knownPlaces))];
    const judging = await Judging.open(
      profile,
      { ...options, features: undefined, names: request.names, knownPlaces: known },
      context,
    );
    const accepted: AcceptedPlaces[] = [];
    try {
      for (const sample of found.samples) {
        context.signal?.throwIfAborted();
        const taken = await explain(sample, judging, known, reason);
        known.push(...taken.places);
        accepted.push(taken);
      }
    } finally {
      await judging.close();
    }
    const places = accepted.flatMap((item) => item.places);
    if (places.length > 0) await addKnownPlaces(request.knownPlaces, places);
    return { knownPlaces: request.knownPlaces, accepted, skipped: found.skipped };
  } finally {
    await profile.close();
    await removeQuietly(out);
  }
}

/** Takes one place after the other for known, until the sample is nominal. */
async function explain(
  sample: Sample,
  judging: Judging,
  known: readonly KnownPlace[],
  reason: string,
): Promise<AcceptedPlaces> {
  const date = new Date().toISOString().slice(0, 10);
  const places: KnownPlace[] = [];
  const before = await judging.judge(sample, known);
  let now = before;
  while (now.verdict === 'anomalous') {
    const { fingerprint } = now;
    if (fingerprint === undefined || places.length === mostPlaces) {
      const why =
        fingerprint === undefined
          ? 'is anomalous by code outside every image, which has no place'
          : `is anomalous at more than ${mostPlaces} places: it is unlike the others as a whole, and accept can take it in`;
      throw new UserError('too-many-places', why, { category: 'input', path: sample.directory });
    }
    places.push({ fingerprint, date, reason });
    now = await judging.judge(sample, [...known, ...places]);
  }
  const verdictOf = ({ verdict, pValue, place }: JudgedSample) => ({ verdict, pValue, place });
  return { name: sample.name, before: verdictOf(before), after: verdictOf(now), places };
}

async function knownSoFar(path: string): Promise<readonly KnownPlace[]> {
  try {
    return await readKnownPlaces(path);
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}
