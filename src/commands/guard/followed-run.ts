import { join } from 'node:path';
import { makeFolder } from '../../base/files/folder.ts';
import { writeJsonFile } from '../../base/files/json-file.ts';
import { writeFileAtomic } from '../../base/files/write.ts';
import type { AddressSpace } from '../../image/address-space.ts';
import { type AlarmReport, lastBlocksOf, reportAlarm } from './alarm.ts';
import type { GuardEvent, ProcessVerdict } from './events.ts';
import { type AlarmPlace, LiveRun } from './live-run.ts';
import type { OpenedSetup } from './open-setup.ts';

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
  readonly live: LiveRun;
  readonly #setup: OpenedSetup;
  readonly #followed: Followed;
  readonly #tell: (event: GuardEvent) => void;
  readonly #evidence: { alarm: AlarmReport; lastBlocks: readonly string[] }[] = [];
  alarms = 0;

  constructor(
    setup: OpenedSetup,
    space: AddressSpace,
    followed: Followed,
    tell: (event: GuardEvent) => void,
  ) {
    this.#setup = setup;
    this.#followed = followed;
    this.#tell = tell;
    this.live = new LiveRun(setup, space, (place) => this.#onAlarm(place));
  }

  #onAlarm(place: AlarmPlace): void {
    this.alarms++;
    const alarm = reportAlarm(place, this.live, this.#setup.vocabulary);
    const { pid, program, evidence } = this.#followed;
    this.#tell({ event: 'alarm', pid, program, evidence, ...alarm });
    const thread = this.live.thread(place.thread);
    const lastBlocks = thread === undefined ? [] : lastBlocksOf(thread, this.live.space);
    this.#evidence.push({ alarm, lastBlocks });
  }

  /** Writes what alarms left. @throws UserError `write-failed` */
  async writeEvidence(): Promise<void> {
    const { pid, evidence } = this.#followed;
    for (const { alarm, lastBlocks } of this.#evidence.splice(0)) {
      await makeFolder(evidence);
      const name = `alarm${this.alarms === 1 ? '' : `-${this.alarms}`}`;
      await writeJsonFile(join(evidence, `${name}.json`), { schemaVersion: 1, pid, ...alarm });
      await writeFileAtomic(join(evidence, `${name}-blocks.txt`), `${lastBlocks.join('\n')}\n`);
    }
  }

  /**
   * The run has ended.
   *
   * @param again  judges it as a whole, where that may come out otherwise; `undefined` = cannot
   */
  async end(
    sample: string | undefined,
    again: (() => Promise<Pick<ProcessVerdict, 'verdict' | 'pValue' | 'score'>>) | undefined,
  ): Promise<ProcessVerdict> {
    this.live.end();
    await this.writeEvidence();
    const because = [...this.live.inexact];
    const { isFlagged, pValue, score } = this.live.decision;
    const isAgain = because.length > 0 && again !== undefined;
    const own = {
      verdict: isFlagged ? ('anomalous' as const) : ('nominal' as const),
      pValue,
      score,
    };
    const found = isAgain ? await again() : own;
    const { blocks, gaps } = this.live.counts;
    const verdict: ProcessVerdict = {
      ...found,
      ...{ blocks, gaps, skippedBlocks: 0, wasAlarmed: this.alarms > 0 },
      ...{ judged: isAgain ? 'again' : 'live', because, sample, damage: undefined },
    };
    const { pid, program } = this.#followed;
    this.#tell({ event: 'process-ended', pid, program, ...verdict });
    return verdict;
  }
}
