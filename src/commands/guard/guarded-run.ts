import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../../base/errors.ts';
import { makeFolder } from '../../base/files/folder.ts';
import { writeJsonFile } from '../../base/files/json-file.ts';
import { writeFileAtomic } from '../../base/files/write.ts';
import type { GuardedProgram } from '../../capture/qemu/guarded/guarded-program.ts';
import type { Guest, GuestEnd, GuestListener } from '../../capture/qemu/guarded/guest.ts';
import { readStopped } from '../../capture/qemu/guarded/guest-memory.ts';
import type { GuardEvent, OnAlarm, ProcessVerdict } from './events.ts';
import type { ProfileChoice } from './guard-profiles.ts';
import type { JudgeClient } from './judge-client.ts';
import type { AlarmReport } from './live/alarm.ts';
import { type Judgement, type LiveOutcome, nothingJudged, notJudged } from './live/outcome.ts';
import { RunProgress } from './progress.ts';
import type { OfRun, ToJudge } from './protocol.ts';
import type { SampleSpool } from './sample-spool.ts';

/**
 * Blocks that may wait to be judged before the program waits, and of which it goes on. On top of them come up to 16,384 that
 * it may have sent unread, and 4,096 in its own memory: fewer than 100,000 in all. The fewer may
 * wait, the sooner a hijack is seen; the more, the less often do who reads and who judges wait for each other. Chosen with attacks
 * in sight.
 */
const mostWaiting = 72 << 10;
/** Few enough that they seldom wake each other, many enough to judge until more has come: what is unread is there already. */
const waitingAgain = 16 << 10;
/** Without slowing the program: so many may wait, and after a skip so many. */
const mostBehind = 1 << 22;
const behindAgain = 1 << 20;
/** How long a program is asked to stop by itself before it is stopped from outside, in ms. */
const stopPatience = 100;

/** Judges a whole sample with a profile, as `judge` does. */
export type JudgeSample = (folder: string, profile: string) => Promise<Judgement>;

export interface GuardedRunContext {
  readonly number: number;
  readonly guest: Guest;
  /** Which profile judges it, if any does. */
  readonly choice: ProfileChoice;
  readonly judge: JudgeClient;
  readonly program: () => GuardedProgram;
  readonly spool: SampleSpool | undefined;
  readonly evidence: string;
  readonly onAlarm: OnAlarm;
  readonly maySlow: boolean;
  readonly tell: (event: GuardEvent) => void;
  /** Judges the whole sample. */
  readonly judgeSample: JudgeSample;
  readonly isKept: boolean;
}

/** One process of a guarded program: passes its traces to its sample and to the judge. */
export class GuardedRun implements GuestListener {
  readonly number: number;
  readonly #context: GuardedRunContext;
  readonly #guest: Guest;
  #told = 0;
  readonly #progress: RunProgress = new RunProgress();
  #written = 0;
  #listed = 0;
  #isPaused = false;
  #isSkipping = false;
  #skippedNow = 0;
  skippedBlocks = 0;
  alarms = 0;
  /** When it is acted on what it did: with whether it was stopped. */
  #acted: Promise<boolean> | undefined;
  /** Work on an alarm that is under way. */
  #acting: Promise<void> = Promise.resolve();
  #end: GuestEnd | undefined;
  #outcome: (outcome: LiveOutcome) => void = () => {};
  #judgedAgain: (judgement: Judgement | undefined) => void = () => {};
  /** When everything about the process is told. */
  readonly done: Promise<ProcessVerdict>;

  constructor(context: GuardedRunContext) {
    this.#context = context;
    this.number = context.number;
    this.#guest = context.guest;
    let settle: (end: GuestEnd) => void = () => {};
    const ended = new Promise<GuestEnd>((resolve) => {
      settle = resolve;
    });
    this.#settle = (end) => settle(end);
    const outcome = new Promise<LiveOutcome>((resolve) => {
      this.#outcome = resolve;
    });
    this.done = this.#finish(ended, outcome);
    const { choice, guest } = context;
    if (choice.index === undefined) return;
    const { path: program, bitness } = guest.program;
    this.#send({
      ...{ type: 'open', run: this.number, profile: choice.index, program, bitness },
      progress: this.#progress.shared,
    });
  }

  readonly #settle: (end: GuestEnd) => void;

  get guest(): Guest {
    return this.#guest;
  }

  /** Which profile judges it, if any does. */
  get choice(): ProfileChoice {
    return this.#context.choice;
  }

  get #isJudged(): boolean {
    return this.#context.choice.index !== undefined;
  }

  get waitingBlocks(): number {
    return this.#progress.waiting;
  }

  #send(message: ToJudge, moved: readonly ArrayBuffer[] = []): void {
    if (this.#isJudged) this.#context.judge.send(message, moved);
  }

  onMap(text: string): void {
    this.#send({ type: 'map', run: this.number, text });
  }

  onMade(start: number, code: Uint8Array): void {
    this.#send({ type: 'made', run: this.number, start, code });
  }

  onTrace(thread: number, bytes: Uint8Array): void {
    this.#context.spool?.write(thread, bytes);
    const blocks = this.#guest.blocks - this.#told;
    this.#told += blocks;
    if (!this.#isJudged) return;
    if (!this.#context.maySlow && this.#skips(blocks)) return;
    this.#progress.send(blocks);
    const own = bytes.buffer.byteLength === bytes.length ? bytes : bytes.slice();
    this.#send({ type: 'trace', run: this.number, thread, bytes: own, blocks }, [
      own.buffer as ArrayBuffer,
    ]);
    if (this.#context.maySlow && !this.#isPaused && this.waitingBlocks > mostWaiting) this.#pause();
  }

  /** @returns whether these blocks are left out */
  #skips(blocks: number): boolean {
    if (!this.#isSkipping && this.waitingBlocks > mostBehind) {
      this.#isSkipping = true;
      this.#send({ type: 'skip', run: this.number });
    }
    if (!this.#isSkipping) return false;
    this.#skippedNow += blocks;
    if (this.waitingBlocks > behindAgain) return true;
    this.#endSkip();
    return true;
  }

  #endSkip(): void {
    this.#isSkipping = false;
    this.skippedBlocks += this.#skippedNow;
    const { pid } = this.#guest.hello;
    this.#context.tell({ event: 'skipped', pid, blocks: this.#skippedNow });
    this.#skippedNow = 0;
  }

  onThreadEnd(thread: number): void {
    this.#context.spool?.endThread(thread);
    this.#send({ type: 'end-thread', run: this.number, thread });
  }

  onEnd(end: GuestEnd): void {
    this.#end = end;
    if (this.#isSkipping) this.#endSkip();
    this.#send({ type: 'end', run: this.number });
    this.#settle(end);
  }

  /** The judge has found something. */
  onFound(message: OfRun): void {
    switch (message.type) {
      case 'caught-up':
        this.#resume();
        return;
      case 'strayed':
        // Acted on before anybody looks up names or writes anything: that takes time in which it would run on.
        this.#acted ??= this.#act();
        return;
      case 'alarm':
        this.#onAlarm(message.alarm);
        return;
      case 'last-blocks':
        this.#onLastBlocks(message.lines);
        return;
      case 'warning': {
        const { pid } = this.#guest.hello;
        this.#context.tell({ event: 'warning', pid, what: message.what });
        return;
      }
      case 'ended':
        this.#outcome(message.outcome);
        return;
      case 'judged-again':
        this.#judgedAgain(message.judgement);
        return;
    }
  }

  /** The blocks before the last alarm, and some behind it. */
  #onLastBlocks(lines: readonly string[]): void {
    const number = this.#listed++ === 0 ? '' : `-${this.#listed}`;
    const { evidence } = this.#context;
    this.#acting = this.#acting
      .then(() =>
        writeFileAtomic(join(evidence, `last-blocks${number}.txt`), `${lines.join('\n')}\n`),
      )
      .catch(() => {});
  }

  #pause(): void {
    if (!this.#progress.ask(waitingAgain)) return;
    this.#isPaused = true;
    this.#context.program().pause(this.#guest);
  }

  #resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#context.program().resume(this.#guest);
  }

  /** No outcome comes any more. */
  onFailure(): void {
    this.#progress.end();
    this.#resume();
    this.#outcome(nothingJudged);
    this.#judgedAgain(undefined);
  }

  #onAlarm(alarm: AlarmReport): void {
    const isFirst = this.alarms++ === 0;
    const { tell, evidence, onAlarm } = this.#context;
    const { pid } = this.#guest.hello;
    const program = this.#guest.program.path;
    const acted = isFirst ? this.#acted : undefined;
    tell({ event: 'alarm', pid, program, evidence, ...alarm });
    this.#acting = this.#acting
      .then(() => this.#write(alarm, acted))
      .catch((error: unknown) =>
        tell({ event: 'lost', pid, what: `the evidence: ${messageOf(error)}` }),
      );
    if (!isFirst) return;
    if (onAlarm === 'kill') tell({ event: 'action', pid, action: 'kill', registers: [] });
  }

  /** @returns when the program is stopped, where it is to be */
  async #act(): Promise<boolean> {
    const { onAlarm, program } = this.#context;
    if (onAlarm === 'kill') program().signalAll('SIGKILL');
    if (onAlarm !== 'stop') return false;
    this.#guest.askToStop();
    const until = performance.now() + stopPatience;
    while (
      performance.now() < until &&
      !this.#guest.cpuStates().some(({ isStopped }) => isStopped)
    ) {
      await delay(2);
    }
    program().signalAll('SIGSTOP');
    await delay(2);
    return true;
  }

  async #write(alarm: AlarmReport, acted: Promise<boolean> | undefined): Promise<void> {
    const { evidence, spool, tell } = this.#context;
    const { pid } = this.#guest.hello;
    await makeFolder(evidence);
    // The first one keeps its name, and is what was acted on.
    const number = this.#written++ === 0 ? '' : `-${this.#written}`;
    await writeJsonFile(join(evidence, `alarm${number}.json`), { schemaVersion: 1, pid, ...alarm });
    await writeFileAtomic(join(evidence, 'map.txt'), this.#guest.recording.map.copy().text());
    if (await acted) {
      const stopped = this.#end === undefined ? readStopped(this.#guest) : undefined;
      const registers = stopped?.registers ?? [];
      if (stopped !== undefined) {
        await writeFileAtomic(join(evidence, 'core'), stopped.core);
        await writeJsonFile(join(evidence, 'registers.json'), { schemaVersion: 1, registers });
      }
      tell({ event: 'action', pid, action: 'stop', registers });
    }
    await spool?.describe(this.#guest.recording);
  }

  /** @returns the verdict on all of it; `undefined` where there is none */
  #judgeAgain(sample: string, threads: number): Promise<Judgement | undefined> {
    const judged = new Promise<Judgement | undefined>((resolve) => {
      this.#judgedAgain = resolve;
    });
    const map = this.#guest.recording.map.text();
    this.#send({ type: 'again', run: this.number, map, sample, threads });
    return judged;
  }

  async #finish(
    whenEnded: Promise<GuestEnd>,
    whenJudged: Promise<LiveOutcome>,
  ): Promise<ProcessVerdict> {
    const { threads, damage } = await whenEnded;
    const { choice, spool, isKept, judgeSample } = this.#context;
    const outcome = this.#isJudged ? await whenJudged : undefined;
    await this.#acting;
    const isSampleWanted = isKept || this.alarms > 0;
    const written = spool?.close(threads) ?? 0;
    const hasSample = spool !== undefined && written > 0;
    // With other builds of its images than were learned, places are found again by functions: that takes the whole sample.
    const isOther = outcome?.inexact.includes('other-builds') === true;
    if (hasSample && (isSampleWanted || isOther)) await spool.describe(this.#guest.recording);
    const { verdict, pValue, score } = outcome ?? notJudged;
    let judged: Judgement | undefined;
    if (hasSample && spool.problem === undefined && (outcome?.inexact.length ?? 0) > 0) {
      const { folder } = spool;
      if (!isOther) judged = await this.#judgeAgain(folder, written);
      else if (choice.index !== undefined) judged = await judgeSample(folder, choice.path);
    }
    this.#send({ type: 'close', run: this.number });
    if (!isSampleWanted || !hasSample) await spool?.remove();
    return {
      ...(judged ?? { verdict, pValue, score }),
      ...{ blocks: this.#guest.blocks, gaps: outcome?.gaps ?? 0 },
      ...{ skippedBlocks: this.skippedBlocks, wasAlarmed: this.alarms > 0 },
      judged: judged === undefined ? 'live' : 'again',
      because: outcome?.inexact ?? [],
      knownPlaces: outcome?.knownPlaces ?? [],
      sample: isSampleWanted && hasSample ? spool.folder : undefined,
      damage: damage ?? spool?.problem,
    };
  }
}
