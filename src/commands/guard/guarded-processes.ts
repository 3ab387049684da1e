import { basename, join, resolve } from 'node:path';
import { messageOf, type UserError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { ImageCollection } from '../../capture/image-collection.ts';
import type { GuardedProgram } from '../../capture/qemu/guarded/guarded-program.ts';
import type { Guest, GuestListener } from '../../capture/qemu/guarded/guest.ts';
import type { GuardEvent, OnAlarm, ProcessVerdict } from './events.ts';
import type { GuardCounters } from './guard-metrics.ts';
import { chooseProfile, type ProfileChoice, type ProfileList } from './guard-profiles.ts';
import { GuardedRun, type JudgeSample } from './guarded-run.ts';
import type { JudgeClient } from './judge-client.ts';
import { SampleSpool } from './sample-spool.ts';

/** What is done with the processes of a guarded program. */
export interface GuardingOptions {
  readonly onAlarm: OnAlarm;
  /** Folder for alarms and samples. */
  readonly evidence: string;
  /** Keep the samples of all processes, not of alarmed ones only. */
  readonly keep?: boolean;
  /** Let the program go on when the guard has died; otherwise it ends with it. */
  readonly failOpen?: boolean;
  /** Slow a program that runs faster than it is judged; otherwise leave stretches out. */
  readonly maySlow?: boolean;
}

/** A process that has ended, and what became of it. */
export type EndedProcess = ProcessVerdict & { readonly pid: number };

/** All processes of one guarded program; of those that have ended, their verdicts. */
export class GuardedProcesses {
  readonly #options: GuardingOptions;
  readonly #profiles: ProfileList;
  readonly #judge: JudgeClient;
  readonly #judgeSample: JudgeSample;
  readonly #tell: (event: GuardEvent) => void;
  readonly #log: Logger;
  readonly #images: ImageCollection;
  readonly #runs: Map<number, GuardedRun> = new Map();
  readonly #ended: EndedProcess[] = [];
  readonly #settling: Set<Promise<void>> = new Set();
  #started = 0;
  /** Sums of the processes that have ended. */
  readonly #past = { blocks: 0, skippedBlocks: 0, alarms: 0 };
  /** Number of the last one with a process id. */
  readonly #numbers: Map<number, number> = new Map();
  /** Those that turned into other programs. */
  readonly #replaced: { number: number; pid: number; replacedBy: string }[] = [];
  #lost = 0;
  #failure: UserError | undefined;
  /** Set as soon as it has started; its processes come after. */
  program: GuardedProgram | undefined;

  constructor(
    options: GuardingOptions,
    profiles: ProfileList,
    judge: JudgeClient,
    judgeSample: JudgeSample,
    tell: (event: GuardEvent) => void,
    log: Logger,
  ) {
    this.#options = options;
    this.#profiles = profiles;
    this.#judge = judge;
    this.#judgeSample = judgeSample;
    this.#tell = tell;
    this.#log = log;
    this.#images = new ImageCollection(join(resolve(options.evidence), 'bin'));
    judge.onMessage = (message) => this.#runs.get(message.run)?.onFound(message);
    judge.onFailure = (error) => this.#onFailure(error);
  }

  get counters(): GuardCounters {
    const runs = [...this.#runs.values()];
    const past = this.#past;
    const sum = (of: (run: GuardedRun) => number): number =>
      runs.reduce((total, run) => total + of(run), 0);
    return {
      processes: this.#started,
      blocks: past.blocks + sum(({ guest }) => guest.blocks),
      waitingBlocks: sum(({ waitingBlocks }) => waitingBlocks),
      skippedBlocks: past.skippedBlocks + sum(({ skippedBlocks }) => skippedBlocks),
      alarms: past.alarms + sum(({ alarms }) => alarms),
      lost: this.#lost,
    };
  }

  /** A process is followed from now on. */
  onGuest(guest: Guest): GuestListener {
    const number = this.#started++;
    const { hello, program } = guest;
    this.#numbers.set(hello.pid, number);
    const choice = this.#choose(guest, number);
    const name = `${basename(program.path)}-${hello.prefix.replace(/-$/, '')}`;
    const folder = resolve(this.#options.evidence);
    const { onAlarm, maySlow = true, keep: isKept = false } = this.#options;
    const run = new GuardedRun({
      ...{ number, guest, choice, onAlarm, maySlow, isKept },
      ...{ judge: this.#judge, tell: this.#tell, judgeSample: this.#judgeSample },
      program: () => this.#running,
      spool: this.#newSpool(join(folder, 'traces', name), basename(program.path)),
      evidence: join(folder, 'alarms', name),
    });
    this.#runs.set(number, run);
    this.#tell({
      ...{ event: 'process', pid: hello.pid, parentPid: hello.parentPid, program: program.path },
      origin: hello.parent !== '' ? 'fork' : number === 0 ? 'start' : 'exec',
      profile: choice.index === undefined ? undefined : choice.path,
      why: choice.index === undefined ? choice.why : undefined,
    });
    const settling = this.#settle(run);
    this.#settling.add(settling);
    // Who waits for all of them hears of what fails.
    void settling.then(() => this.#settling.delete(settling)).catch(() => {});
    return run;
  }

  /** A forked child is judged by what judges its parent. */
  #choose({ hello, program }: Guest, number: number): ProfileChoice {
    const runs = hello.parent === '' ? [] : [...this.#runs.values()];
    const parent = runs.find(({ guest }) => guest.hello.prefix === hello.parent);
    return parent?.choice ?? chooseProfile(this.#profiles, program.path, number === 0);
  }

  /** @returns whether a process that turns into this program is to be followed there */
  mayFollow(program: string): boolean {
    const isKept = this.#options.keep === true;
    return isKept || chooseProfile(this.#profiles, program, false).index !== undefined;
  }

  /** What a process does is not followed from here on, or was not. */
  onLost(what: string, pid: number): void {
    this.#lost++;
    this.#tell({ event: 'lost', pid, what });
  }

  /**
   * @returns when the verdict on each of them is told
   *
   * @throws UserError what ended the judging of them
   */
  async settled(): Promise<readonly EndedProcess[]> {
    while (this.#settling.size > 0) await Promise.all(this.#settling);
    this.#tellUnseen();
    return this.#ended;
  }

  /** Why nothing was judged any more from some moment on. */
  get failure(): UserError | undefined {
    return this.#failure;
  }

  async #settle(run: GuardedRun): Promise<void> {
    const verdict = await run.done;
    const { pid } = run.guest.hello;
    const { replacedBy } = run.guest;
    // The program that came in its place may not have reported yet: that is told for sure at the end.
    if (replacedBy !== undefined && !this.mayFollow(replacedBy))
      this.#tellReplaced(pid, replacedBy);
    if (verdict.damage !== undefined) this.onLost(verdict.damage, pid);
    this.#ended.push({ pid, ...verdict });
    this.#tell({ event: 'process-ended', pid, program: run.guest.program.path, ...verdict });
    if (replacedBy !== undefined) this.#replaced.push({ number: run.number, pid, replacedBy });
    this.#forget(run);
  }

  /** Keeps of a process only what is counted: a service may fork for each of its clients. */
  #forget(run: GuardedRun): void {
    const past = this.#past;
    past.blocks += run.guest.blocks;
    past.skippedBlocks += run.skippedBlocks;
    past.alarms += run.alarms;
    this.#runs.delete(run.number);
  }

  #tellReplaced(pid: number, program: string): void {
    this.onLost(`what runs after exec of ${program}`, pid);
  }

  /** Programs that were to be followed and never reported: their process came back as no other. */
  #tellUnseen(): void {
    for (const { number, pid, replacedBy } of this.#replaced.sort((a, b) => a.number - b.number)) {
      const isFollowed = (this.#numbers.get(pid) ?? number) > number;
      if (this.mayFollow(replacedBy) && !isFollowed) this.#tellReplaced(pid, replacedBy);
    }
  }

  #newSpool(folder: string, name: string): SampleSpool | undefined {
    try {
      return new SampleSpool(folder, this.#images, name);
    } catch (error) {
      this.#log.log('warning', `no sample is written: ${messageOf(error)}`);
      return undefined;
    }
  }

  get #running(): GuardedProgram {
    if (this.program === undefined) throw new Error('no process is there before the program');
    return this.program;
  }

  /** Nothing is judged any more: by choice the program ends, or goes on. */
  #onFailure(error: UserError): void {
    this.#failure ??= error;
    if (this.#options.failOpen !== true) this.program?.signalAll('SIGKILL');
    for (const run of this.#runs.values()) run.onFailure();
  }
}
