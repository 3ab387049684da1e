import { isAbsent, UserError } from '../../../base/errors.ts';
import { mostTextBytes, readWholeFile } from '../../../base/files/read.ts';
import { writeFileAtomic } from '../../../base/files/write.ts';
import { imagePlace } from '../../../base/text/image-place.ts';
import type { BlockTable } from '../../../flow/blocks.ts';
import type { EventJudgements, RunEvents } from '../../../model/histories/run-judge.ts';
import type { TransferEvents } from '../../../sequences/histories/events.ts';
import { outsideImages } from '../../../sequences/symbol-table.ts';

/** A transfer that somebody found harmless: from one block to one other, and no other from there. */
export interface KnownPlace {
  /** `module+0xOFFSET>module+0xOFFSET`: the blocks that it leaves and reaches, wherever images are loaded. */
  readonly fingerprint: string;
  /** Year, month and day, as 2026-11-29. */
  readonly date: string;
  readonly reason: string;
}

/** A known place, and how often a run came there. */
export interface PassedPlace {
  readonly fingerprint: string;
  readonly times: number;
}

const longestList = 10_000;
/** Two blocks in images: what lies outside of all has no place, and attacks are there. */
const fingerprintForm = /^[^\s>]+\+0x[0-9a-f]+>[^\s>]+\+0x[0-9a-f]+$/;

/**
 * Reads a list of known places: a line each, `fingerprint  date  reason`; empty lines and lines that begin with `#`
 * say nothing.
 *
 * @throws UserError `known-places-wrong` with the line, `not-readable`
 */
export async function readKnownPlaces(path: string): Promise<readonly KnownPlace[]> {
  const text = (await readWholeFile(path, mostTextBytes)).toString('utf8');
  const places: KnownPlace[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const wrong = (why: string): UserError =>
      new UserError('known-places-wrong', `line ${index + 1}: ${why}`, {
        category: 'input',
        path,
        place: `line ${index + 1}`,
      });
    const [, fingerprint = '', date = '', reason = ''] =
      /^(\S+)\s+(\d{4}-\d{2}-\d{2})(?:\s+(.*))?$/.exec(trimmed) ?? [];
    if (!fingerprintForm.test(fingerprint)) {
      throw wrong('is no "module+0xOFFSET>module+0xOFFSET  YYYY-MM-DD  reason"');
    }
    if (reason === '') throw wrong('does not say why the place is harmless');
    if (places.length === longestList) throw wrong(`is one of more than ${longestList} places`);
    places.push({ fingerprint, date, reason });
  }
  return places;
}

/** @returns a reason as it stands in a line: words alone; empty where there are none */
export function toReason(words: string): string {
  return words.replaceAll(/[\s\p{C}]+/gu, ' ').trim();
}

/** Adds lines to a list, which is made where there is none. */
export async function addKnownPlaces(path: string, places: readonly KnownPlace[]): Promise<void> {
  const before = await readWholeFile(path, mostTextBytes).then(String, (error: unknown) => {
    if (isAbsent(error)) return '# fingerprint  date  reason; see docs/verdicts.md\n';
    throw error;
  });
  const end = before === '' || before.endsWith('\n') ? '' : '\n';
  const lines = places.map(
    ({ fingerprint, date, reason }) => `${fingerprint}  ${date}  ${reason}\n`,
  );
  await writeFileAtomic(path, before + end + lines.join(''));
}

/** What a run did at places that are known, and where else it surprised most. */
export interface PlaceFindings {
  readonly passedOver: readonly PassedPlace[];
  /** Fingerprint of the most surprising transfer that is not known; `undefined` where it has none. */
  readonly worst: string | undefined;
}

/** Takes the surprise out of transfers that are known to be harmless. Their judgements are changed. */
export function passOver(
  known: ReadonlySet<string>,
  { site, target, places }: TransferEvents,
  judged: EventJudgements,
  named: RunEvents,
): PlaceFindings {
  const times = new Map<string, number>();
  let worst: string | undefined;
  let most = 0;
  const fingerprintOf = (event: number): string =>
    `${nameOf(places.modules[places.module[site[event]]], places.offset[site[event]])}>${nameOf(places.modules[places.module[target[event]]], places.offset[target[event]])}`;
  for (let event = 0; event < site.length; event++) {
    const isWorse = judged.surprise[event] > most;
    if (!isWorse && known.size === 0) continue;
    const fingerprint = fingerprintOf(event);
    if (!known.has(fingerprint)) {
      if (!isWorse) continue;
      most = judged.surprise[event];
      worst = fingerprint;
      continue;
    }
    times.set(fingerprint, (times.get(fingerprint) ?? 0) + 1);
    judged.chance[event] = 1;
    judged.surprise[event] = 0;
    judged.predicted[event] = named.target[event];
    judged.confidence[event] = 1;
    judged.trainedCount[event] = Math.max(1, judged.trainedCount[event]);
  }
  return {
    passedOver: [...times].map(([fingerprint, count]) => ({ fingerprint, times: count })),
    worst: worst !== undefined && fingerprintForm.test(worst) ? worst : undefined,
  };
}

/** @returns whether a transfer between two blocks of a trace is known */
export function knownIn(
  known: ReadonlySet<string>,
  blocks: BlockTable,
): (from: number, to: number) => boolean {
  if (known.size === 0) return () => false;
  return (from, to) => known.has(transferIn(blocks, from, to));
}

/** @returns the fingerprint of a transfer between two blocks of a trace; `undefined` where it has none */
export function fingerprintIn(blocks: BlockTable, from: number, to: number): string | undefined {
  const transfer = transferIn(blocks, from, to);
  return fingerprintForm.test(transfer) ? transfer : undefined;
}

function transferIn({ module, modules, offset }: BlockTable, from: number, to: number): string {
  const name = (block: number): string =>
    nameOf(modules[module[block]]?.name ?? outsideImages, offset[block]);
  return `${name(from)}>${name(to)}`;
}

function nameOf(module: string, offset: number): string {
  return module === outsideImages || module === '' ? '?' : imagePlace(module, offset);
}
