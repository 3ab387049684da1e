import { formatAddress } from '../../base/address.ts';
import { targetSorts } from '../../evidence/transfer-code.ts';
import type { AddressSpace } from '../../image/address-space.ts';
import { evidenceNames } from '../../report/words/evidence-names.ts';
import { sourcesInWords } from '../../report/words/sources.ts';
import type { Vocabulary } from '../../sequences/vocabulary.ts';
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
}

const callsTold = 16;

/** Puts names to the place at which a run became anomalous. Called while its batch is at hand. */
export function reportAlarm(
  place: AlarmPlace,
  run: LiveRun,
  vocabulary: Pick<Vocabulary, 'describeOutput'>,
): AlarmReport {
  const { thread: number, position, blocks, decision, surprise } = place;
  const thread = run.thread(number);
  const { from, to } = thread?.blocksAt(position) ?? { from: -1, to: -1 };
  const nameOf = (block: number, isSite: boolean): PlaceName | undefined =>
    thread === undefined || block < 0 ? undefined : placeOf(thread, run.space, block, isSite);
  const { predicted } = surprise;
  const proof = thread?.evidence.find((item) => item.position === position);
  const sources = sourcesInWords({
    ...{ sort: targetSorts[surprise.sort], allowed: surprise.count, nats: surprise.nats },
    ...{ trainedTargets: surprise.trainedTargets, trainedRuns: surprise.trainedRuns },
    ...{ shown: surprise.shown, scaled: surprise.scaled },
  });
  return {
    ...{ pValue: decision.pValue, score: decision.score, thread: number, position, blocks },
    from: nameOf(from, true),
    to: nameOf(to, false),
    expected: predicted === 0 ? undefined : vocabulary.describeOutput(predicted),
    calls: (thread?.openCallsAt(position).calls ?? [])
      .slice(0, callsTold)
      .flatMap((block) => nameOf(block, true) ?? []),
    reason: proof === undefined ? sources : `${evidenceNames[proof.kind].one}: ${sources}`,
    ...{ nats: surprise.nats, scaled: surprise.scaled },
  };
}

/** The last blocks of a thread by name, and what lay between them. Takes a while. */
export function lastBlocksOf(thread: LiveThread, space: AddressSpace): string[] {
  const names = new Map<number, string>();
  return Array.from(thread.lastEntries(), (entry) => {
    if (entry < 0) {
      const mark = thread.marks[~entry];
      return mark.kind === 'gap' ? `(gap: ${mark.reason})` : `(${mark.kind})`;
    }
    const name = names.get(entry) ?? placeOf(thread, space, entry, false).name;
    names.set(entry, name);
    return name;
  });
}

/** @param isSite  the block's last instruction, not its start */
function placeOf(
  { blocks }: LiveThread,
  space: AddressSpace,
  block: number,
  isSite: boolean,
): PlaceName {
  const { module, modules, offset, lastInstruction } = blocks;
  const own = modules[module[block]];
  const into = offset[block] + (isSite ? lastInstruction[block] : 0);
  const address = own === undefined ? into : own.base + into;
  const symbol = space.symbolAt(address);
  const plus = (n: number): string => (n === 0 ? '' : `+0x${n.toString(16)}`);
  const moduleName = own === undefined ? '(no file)' : own.name;
  return {
    name:
      own === undefined
        ? `${moduleName} ${formatAddress(address)}`
        : symbol === undefined
          ? `${moduleName}${plus(into)}`
          : `${moduleName}!${symbol.name}${plus(symbol.offset)}`,
    module: own?.name ?? '',
    offset: into,
    address: formatAddress(address),
  };
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
