import { UserError } from '../../../base/errors.ts';
import type { AnswerShelf } from '../../../evidence/code/code-findings.ts';
import { ImageCodeCache, type KeptFacts } from '../../../evidence/code/process-code.ts';
import { CodeCache } from '../../../flow/code-cache.ts';
import { HistoryModel } from '../../../model/histories/model.ts';
import { filterTable } from '../../../sequences/filter.ts';
import { nominalDecision } from '../../../verdict/classify-nominal.ts';
import type { ImageIdentity } from '../../profile/image-identities.ts';
import { openProfile, partsOf } from '../../profile/profile.ts';
import { loadTrained } from '../../run/trained.ts';
import type { LiveSetup } from './live-run.ts';

/** Sets of images that are known at a time: who loads a library after the other, each elsewhere, comes back to none. */
const mostSets = 2;

/** A profile, ready for judging runs while they go on. */
export interface OpenedSetup extends LiveSetup {
  /** The profile's file. */
  readonly path: string;
  /** The programs whose runs it learned, and the images that they ran. */
  readonly programs: readonly string[];
  readonly images: readonly ImageIdentity[];
  close(): Promise<void>;
}

/**
 * Opens a profile for judging runs while they go on. All of it is in memory then: whoever is killed in the
 * middle of a run, as the judging thread is, leaves no file behind.
 *
 * @param knownPlaces  fingerprints of transfers that alarm nobody
 * @param kept  where that lies which was found out of the code of images before
 * @throws UserError as `openProfile`; `not-of-histories`, `calibration-too-small`
 */
export async function openSetup(
  path: string,
  fpr: number,
  knownPlaces: ReadonlySet<string> = new Set(),
  kept: { readonly shelf?: AnswerShelf; readonly facts?: KeptFacts } = {},
): Promise<OpenedSetup> {
  const opened = await openProfile(path);
  try {
    const { facts, calibration } = opened;
    const trained = await partsOf(opened, ({ root }) =>
      loadTrained(root, { workers: 1, device: 'cpu', seed: 0 }),
    );
    const { layer, vocabulary, profile, filter } = trained;
    if (!(layer instanceof HistoryModel)) {
      await layer.dispose();
      throw new UserError(
        'not-of-histories',
        'was learned from windows of blocks, which are judged when a run has ended: learn again with the default model',
        { category: 'input', path },
      );
    }
    const codeCache = new CodeCache();
    return {
      ...{ path: opened.path, programs: facts.programs, images: facts.images },
      ...{ model: layer, vocabulary, profile, codeCache, knownPlaces },
      decide: nominalDecision(calibration, fpr),
      filter: filterTable(filter),
      imageCode: new ImageCodeCache(kept.facts, mostSets),
      ...(kept.shelf === undefined ? {} : { shelf: kept.shelf }),
      isKnown: (module, offset) => vocabulary.knows(module, offset),
      close: async () => {
        codeCache.dispose();
        await layer.dispose();
      },
    };
  } finally {
    await opened.close();
  }
}
