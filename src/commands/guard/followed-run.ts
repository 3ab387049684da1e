import { join } from 'node:path';
import { makeFolder } from '../../base/files/folder.ts';
import { writeJsonFile } from '../../base/files/json-file.ts';
import { writeFileAtomic } from '../../base/files/write.ts';
import type { AddressSpace } from '../../image/address-space.ts';
import type { NameSources } from '../../names/name-sources.ts';
import type { GuardEvent, ProcessVerdict } from './events.ts';
import { type AlarmFacts, factsOfAlarm, lastBlocksOf, reportAlarm } from './live/alarm.ts';
import { AlarmNames } from './live/alarm-names.ts';
import { LiveRun } from './live/live-run.ts';
import type { ThreadTraceKind } from './live/live-thread.ts';
import type { OpenedSetup } from './live/open-setup.ts';
import type { Judgement } from './live/outcome.ts';
import { RunWarnings } from './live/run-warnings.ts';

/** Who is followed, and where what is found goes. */
export interface Followed {
  /** 0 = not known. */
  readonly pid: number;
  readonly program: string;
  /** Folder for its alarms. */
  readonly evidence: string;
}

/** A run that others record: judged while its traces come. Nothing can be done to it but to tell. */
export class FollowedRun {
  readonly #live: LiveRun;
  readonly #warnings: RunWarnings;
  readonly #setup: OpenedSetup;
  readonly #followed: Followed;
  readonly #names: NameSources;
  readonly #tell: (event: GuardEvent) => void;
  readonly #found: AlarmFacts[] = [];
  #alarms = 0;

  constructor(
    setup: OpenedSetup,
    space: AddressSpace,
    followed: Followed,
    names: NameSources,
    tell: (event: GuardEvent) => void,
  ) {
    this.#setup = setup;
    this.#followed = followed;
    this.#names = names;
    this.#tell = tell;
    const { pid, program } = followed;
    this.#live = new LiveRun(setup, space, (place) => {
      this.#found.push(factsOfAlarm(place, this.#live));
    });
    tell({
      ...{ event: 'process', pid, parentPid: 0, program },
      ...{ origin: 'start', profile: setup.path, why: undefined },
    });
    this.#warnings = new RunWarnings(this.#live, (what) => tell({ event: 'warning', pid, what }));
    this.#warnings.tellDifferences(setup, program, space);
  }

  /** Its map has changed. */
  remap(space: AddressSpace): void {
    this.#live.remap(space);
  }

  /** Follows the next bytes of a thread's trace, and tells what they show. @throws UserError `write-failed` */
  async push(thread: number, bytes: Uint8Array, kind: ThreadTraceKind): Promise<void> {
    this.#live.push(thread, bytes, kind);
    this.#warnings.tellFull();
    await this.#tellAlarms();
  }

  /** Tells the alarms of what was followed last, and writes what they left. @throws UserError `write-failed` */
  async #tellAlarms(): Promise<void> {
    if (this.#found.length === 0) return;
    const { pid, program, evidence } = this.#followed;
    const names = await AlarmNames.open(this.#live.space, this.#setup, this.#names);
    for (const facts of this.#found.splice(0)) {
      const alarm = reportAlarm(facts, names);
      const number = this.#alarms++ === 0 ? '' : `-${this.#alarms}`;
      this.#tell({ event: 'alarm', pid, program, evidence, ...alarm });
      await makeFolder(evidence);
      const document = { schemaVersion: 1, pid, ...alarm };
      await writeJsonFile(join(evidence, `alarm${number}.json`), document);
      const lines = `${lastBlocksOf(facts, names).join('\n')}\n`;
      await writeFileAtomic(join(evidence, `last-blocks${number}.txt`), lines);
    }
  }

  /**
   * The run has ended.
   *
   * @param again  judges it as a whole, where that may come out otherwise; `undefined` = cannot
   */
  async end(
    sample: string | undefined,
    again: (() => Promise<Judgement>) | undefined,
  ): Promise<ProcessVerdict> {
    this.#live.end();
    await this.#tellAlarms();
    const { verdict, pValue, score, inexact, ...facts } = this.#live.outcome;
    const isAgain = inexact.length > 0 && again !== undefined;
    const found = isAgain ? await again() : { verdict, pValue, score };
    const ended: ProcessVerdict = {
      ...{ ...found, ...facts, skippedBlocks: 0, wasAlarmed: this.#alarms > 0 },
      ...{ judged: isAgain ? 'again' : 'live', because: inexact, sample, damage: undefined },
    };
    const { pid, program } = this.#followed;
    this.#tell({ event: 'process-ended', pid, program, ...ended });
    return ended;
  }
}
