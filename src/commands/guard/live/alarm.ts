import { type Address, formatAddress } from '../../../base/address.ts';
import type { Evidence } from '../../../evidence/evidence.ts';
import { targetSorts } from '../../../evidence/transfer-code.ts';
import { evidenceNames } from '../../../report/words/evidence-names.ts';
import { sourcesInWords } from '../../../report/words/sources.ts';
import type { Vocabulary } from '../../../sequences/vocabulary.ts';
import { fingerprintIn } from '../../samples/evaluating/known-places.ts';
import type { AlarmNames } from './alarm-names.ts';
import type { AlarmPlace, LiveRun } from './live-run.ts';
import type { LiveThread } from './live-thread.ts';

/** A place in code, for people and for tools. */
export interface PlaceName {
  /** `module!function+0x12`, as far as it is known. */
  readonly name: string;
  readonly module: string;
  /** From the module's base; of code in no file, the address. */
  readonly offset: number;
  readonly address: string;
}

/** What an alarm says. */
export interface AlarmReport {
  readonly pValue: number;
  readonly score: number;
  /** Thread, numbered as they started; index of the block that made the transfer; blocks when it was seen. */
  readonly thread: number;
  readonly position: number;
  readonly blocks: number;
  readonly from: PlaceName | undefined;
  readonly to: PlaceName | undefined;
  /** Where training says that it should have gone, where it says so. */
  readonly expected: string | undefined;
  /** Calls that were open, the youngest first. */
  readonly calls: readonly PlaceName[];
  readonly reason: string;
  readonly nats: number;
  /** At the scale of what nominal runs showed at the place. */
  readonly scaled: number;
  /** For a list of known places; `undefined` where it has none, as code outside every file. */
  readonly fingerprint: string | undefined;
}

const callsTold = 16;

/** A place in code without its name. */
interface CodePlace {
  readonly module: string;
  readonly offset: number;
  readonly address: Address;
}

/** What an alarm is about, before anybody has looked up names: those take time in which the program would run. */
export interface AlarmFacts {
  readonly place: AlarmPlace;
  /** Its thread, which may have ended when this is told. */
  readonly flow: LiveThread | undefined;
  readonly from: CodePlace | undefined;
  readonly to: CodePlace | undefined;
  readonly calls: readonly CodePlace[];
  readonly proof: Evidence | undefined;
  readonly fingerprint: string | undefined;
}

/** Called while the batch of the place is at hand. */
export function factsOfAlarm(place: AlarmPlace, run: LiveRun): AlarmFacts {
  const { position } = place;
  const flow = run.thread(place.thread);
  if (flow === undefined) {
    const nothing = { from: undefined, to: undefined, proof: undefined, fingerprint: undefined };
    return { place, flow, ...nothing, calls: [] };
  }
  const { from, to } = flow.blocksAt(position);
  const { calls } = flow.openCallsAt(position);
  return {
    ...{ place, flow },
    from: from < 0 ? undefined : placeOf(flow, from, true),
    to: to < 0 ? undefined : placeOf(flow, to, false),
    calls: calls.slice(0, callsTold).map((block) => placeOf(flow, block, true)),
    proof: flow.evidence.find((item) => item.position === position),
    fingerprint: from < 0 || to < 0 ? undefined : fingerprintIn(flow.blocks, from, to),
  };
}

/** Names of the modules that an alarm names places of. */
export function modulesOf(
  { from, to, calls, place }: AlarmFacts,
  vocabulary: Pick<Vocabulary, 'placeOfOutput'>,
): ReadonlySet<string> {
  const expected = vocabulary.placeOfOutput(place.surprise.predicted);
  const places = [from, to, expected, ...calls];
  return new Set(places.flatMap((code) => code?.module ?? []));
}

/** Puts names to the place at which a run became anomalous. */
export function reportAlarm(facts: AlarmFacts, names: AlarmNames): AlarmReport {
  const { place, from, to, calls, proof, fingerprint } = facts;
  const { thread, position, blocks, decision, surprise } = place;
  const nameOf = (code: CodePlace): PlaceName => ({
    ...code,
    name: names.at(code.address),
    address: formatAddress(code.address),
  });
  const { predicted } = surprise;
  const sources = sourcesInWords({
    ...{ sort: targetSorts[surprise.sort], allowed: surprise.count, nats: surprise.nats },
    ...{ trainedTargets: surprise.trainedTargets, trainedRuns: surprise.trainedRuns },
    ...{ shown: surprise.shown, scaled: surprise.scaled },
  });
  return {
    ...{ pValue: decision.pValue, score: decision.score, thread, position, blocks },
    from: from && nameOf(from),
    to: to && nameOf(to),
    expected: predicted === 0 ? undefined : names.ofOutput(predicted),
    calls: calls.map(nameOf),
    reason: proof === undefined ? sources : `${evidenceNames[proof.kind].one}: ${sources}`,
    ...{ nats: surprise.nats, scaled: surprise.scaled, fingerprint },
  };
}

/** The last blocks of a thread by name, and what lay between them. */
export function lastBlocksOf({ flow: thread }: AlarmFacts, names: AlarmNames): string[] {
  if (thread === undefined) return [];
  const known = new Map<number, string>();
  return Array.from(thread.lastEntries(), (entry) => {
    if (entry < 0) {
      const mark = thread.marks[~entry];
      return mark.kind === 'gap' ? `(gap: ${mark.reason})` : `(${mark.kind})`;
    }
    const name = known.get(entry) ?? names.at(placeOf(thread, entry, false).address);
    known.set(entry, name);
    return name;
  });
}

/** @param isSite  the block's last instruction, not its start */
function placeOf({ blocks }: LiveThread, block: number, isSite: boolean): CodePlace {
  const { module, modules, offset, lastInstruction } = blocks;
  const own = modules[module[block]];
  const into = offset[block] + (isSite ? lastInstruction[block] : 0);
  return { module: own?.name ?? '', offset: into, address: (own?.base ?? 0) + into };
}

/** The alarm in one line. */
export function alarmLine(program: string, alarm: AlarmReport, fpr: number): string {
  const { pValue, from, to, expected, calls, reason } = alarm;
  const instead = expected === undefined ? '' : `, expected ${expected}`;
  const stack =
    calls.length === 0
      ? ''
      : `; called from ${calls
          .slice(0, 6)
          .map(({ name }) => name)
          .join(' < ')}`;
  return `ALARM ${program}: p ${pValue.toPrecision(2)} <= ${fpr}: ${from?.name ?? 'unknown code'} to ${to?.name ?? 'unknown code'}${instead}; ${reason}${stack}`;
}
