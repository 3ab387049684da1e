import { basename, join, resolve } from 'node:path';
import { messageOf, type UserError } from '../base/errors.ts';
import { makeWorkFolder, removeQuietly } from '../base/files/folder.ts';
import { copyWholeFile } from '../base/files/write.ts';
import { ImageCollection } from '../capture/image-collection.ts';
import { GuardedProgram } from '../capture/qemu/guarded/guarded-program.ts';
import type { Guest, GuestListener, GuestProgram } from '../capture/qemu/guarded/guest.ts';
import { buildPlugin } from '../capture/qemu/plugin/build.ts';
import { type RunContext, silentContext } from '../model/first-layer.ts';
import type { GuardEvent, OnAlarm, ProcessVerdict } from './guard/events.ts';
import { followSample } from './guard/follow-sample.ts';
import type { GuardCounters } from './guard/guard-metrics.ts';
import { GuardedRun } from './guard/guarded-run.ts';
import { JudgeClient } from './guard/judge-client.ts';
import { openSetup } from './guard/open-setup.ts';
import { guardPerf } from './guard/perf-guard.ts';
import { SampleSpool } from './guard/sample-spool.ts';
import { type JudgeRequest, judge } from './judge.ts';
import { openProfile } from './profile/profile.ts';

export interface GuardRequest {
  /** Files of profiles, or folders of the runs that learned them; the first judges the program itself. */
  readonly profiles: readonly string[];
  readonly command: string;
  readonly args: readonly string[];
  /** Share of harmless runs that may raise an alarm. */
  readonly fpr: number;
  readonly onAlarm: OnAlarm;
  /** Folder for alarms and samples. */
  readonly evidence: string;
  /** Keep the samples of all processes, not of alarmed ones only. */
  readonly keep?: boolean;
  /** Let the program go on when the guard has died; otherwise it ends with it. */
  readonly failOpen?: boolean;
  /** Slow a program that runs faster than it is judged; otherwise leave stretches out. */
  readonly maySlow?: boolean;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  readonly stdio?: 'inherit' | 'ignore';
  /** Folders in which QEMU is looked for. */
  readonly searchPath: string;
  /** A compiled plugin; without it one is compiled for this call. */
  readonly plugin?: string;
}

export interface GuardResult {
  readonly exitCode: number | undefined;
  readonly killedBy: NodeJS.Signals | undefined;
  readonly alarms: number;
  readonly processes: readonly (ProcessVerdict & { readonly pid: number })[];
}

/** A guard at work. */
export interface Guarding {
  readonly result: Promise<GuardResult>;
  readonly counters: () => GuardCounters;
  /** Passes a signal on to the program. */
  readonly signal: (name: NodeJS.Signals) => void;
  readonly pid: number | undefined;
}

/**
 * Runs a program under QEMU and judges it while it runs.
 *
 * @param tell  takes what happens, in order
 * @returns once the program has been started
 * @throws UserError `no-qemu`, `no-compiler`, `not-readable`, `not-recordable`, those of `openProfile`, `judge-failed`
 */
export async function guard(
  request: GuardRequest,
  tell: (event: GuardEvent) => void,
  context: RunContext = silentContext,
): Promise<Guarding> {
  const work = await makeWorkFolder('wayward-guard-');
  try {
    return await Guards.start(request, tell, context, work);
  } catch (error) {
    await removeQuietly(work);
    throw error;
  }
}

export interface FollowedRequest {
  readonly profile: string;
  readonly fpr: number;
  /** Folder for alarms. */
  readonly evidence: string;
  readonly binDirs: readonly string[];
}

/**
 * Judges a sample while somebody else writes it.
 *
 * @param request.idle  seconds without growth after which it has ended; without it, when the signal says so
 * @returns `undefined` where nothing came
 * @throws UserError
 */
export async function guardFollow(
  request: FollowedRequest & { readonly folder: string; readonly idle: number | undefined },
  tell: (event: GuardEvent) => void,
  signal: AbortSignal,
): Promise<ProcessVerdict | undefined> {
  const { profile, fpr, evidence, binDirs, folder } = request;
  const setup = await openSetup(profile, fpr);
  const out = await makeWorkFolder('wayward-guard-');
  try {
    const judgeSample = (): ReturnType<typeof judgeWhole> =>
      judgeWhole({ profile, samples: [folder], binDirs, fpr, out }, silentContext);
    return await followSample({ ...request, evidence, signal, judgeSample }, setup, tell);
  } finally {
    await setup.close();
    await removeQuietly(out);
  }
}

/**
 * Judges what `perf record --per-thread -e intel_pt//u -o -` writes, while it does.
 *
 * @param request.path  of what is read, for messages
 * @throws UserError
 */
export async function guardPerfPipe(
  request: FollowedRequest & { readonly input: AsyncIterable<Buffer>; readonly path: string },
  tell: (event: GuardEvent) => void,
): Promise<readonly ProcessVerdict[]> {
  const setup = await openSetup(request.profile, request.fpr);
  try {
    return await guardPerf(request, setup, tell);
  } finally {
    await setup.close();
  }
}

/** All processes of one guarded program. */
class Guards {
  readonly #request: GuardRequest;
  readonly #tell: (event: GuardEvent) => void;
  readonly #context: RunContext;
  readonly #work: string;
  readonly #judge: JudgeClient;
  /** By profile: the programs that it judges. */
  readonly #programs: readonly (readonly string[])[];
  readonly #images: ImageCollection;
  readonly #runs: Map<number, GuardedRun> = new Map();
  readonly #ended: (ProcessVerdict & { readonly pid: number })[] = [];
  readonly #settling: Promise<void>[] = [];
  #program: GuardedProgram | undefined;
  #started = 0;
  #lost = 0;
  #failure: UserError | undefined;
  readonly #since = performance.now();

  private constructor(
    request: GuardRequest,
    tell: (event: GuardEvent) => void,
    context: RunContext,
    work: string,
    programs: readonly (readonly string[])[],
  ) {
    this.#request = request;
    this.#tell = tell;
    this.#context = context;
    this.#work = work;
    this.#programs = programs;
    this.#images = new ImageCollection(join(resolve(request.evidence), 'bin'));
    this.#judge = new JudgeClient({ profiles: request.profiles, fpr: request.fpr }, (error) =>
      this.#onFailure(error),
    );
    this.#judge.onMessage = (message) => {
      if (message.type === 'ready' || message.type === 'failed') return;
      const run = this.#runs.get(message.run);
      if (run === undefined) return;
      if (message.type === 'done') run.onJudged(message.blocks);
      else if (message.type === 'alarm') run.onAlarm(message.alarm);
      else if (message.type === 'last-blocks') run.onLastBlocks(message.lines);
      else run.onOutcome(message.outcome);
    };
  }

  static async start(
    request: GuardRequest,
    tell: (event: GuardEvent) => void,
    context: RunContext,
    work: string,
  ): Promise<Guarding> {
    const programs = await programsOf(request.profiles);
    const plugin = await pluginIn(work, request.plugin);
    const guards = new Guards(request, tell, context, work, programs);
    try {
      await guards.#judge.ready;
      const { command, args, cwd, env, stdio = 'inherit', searchPath } = request;
      const program = await GuardedProgram.start({
        ...{ command, args, cwd, env, stdio, plugin, work, searchPath },
        isOpen: request.failOpen ?? false,
        onGuest: (guest) => guards.#onGuest(guest),
        mayFollow: ({ path }) => guards.#mayFollow(path),
        onLost: (what, pid) => guards.#onLost(what, pid),
      });
      guards.#program = program;
      const { fpr, onAlarm } = request;
      tell({ event: 'started', program: command, fpr, onAlarm });
      return {
        result: guards.#result(program),
        counters: () => guards.counters,
        signal: (name) => void program.child.kill(name),
        pid: program.child.pid,
      };
    } catch (error) {
      await guards.#judge.close();
      throw error;
    }
  }

  get counters(): GuardCounters {
    const runs = [...this.#runs.values()];
    const sum = (of: (run: GuardedRun) => number): number =>
      runs.reduce((total, run) => total + of(run), 0);
    return {
      processes: this.#started,
      blocks: sum(({ guest }) => guest.blocks),
      waitingBlocks: sum(({ waitingBlocks }) => waitingBlocks),
      skippedBlocks: sum(({ skippedBlocks }) => skippedBlocks),
      alarms: sum(({ alarms }) => alarms),
      lost: this.#lost,
    };
  }

  #onGuest(guest: Guest): GuestListener {
    const number = this.#started++;
    const { hello, program } = guest;
    const profile = this.#profileOf(program, number === 0);
    const name = `${basename(program.path)}-${hello.prefix.replace(/-$/, '')}`;
    const folder = resolve(this.#request.evidence);
    const run = new GuardedRun({
      ...{ number, guest, judge: this.#judge, onAlarm: this.#request.onAlarm, tell: this.#tell },
      profile:
        profile === undefined
          ? undefined
          : { index: profile, path: this.#request.profiles[profile] },
      program: () => this.#running,
      spool: this.#newSpool(join(folder, 'traces', name), basename(program.path)),
      evidence: join(folder, 'alarms', name),
      maySlow: this.#request.maySlow ?? true,
      isKept: this.#request.keep ?? false,
      judgeSample: (sample, path) => this.#judgeSample(sample, path),
    });
    this.#runs.set(number, run);
    this.#tell({
      ...{ event: 'process', pid: hello.pid, parentPid: hello.parentPid, program: program.path },
      origin: hello.parent !== '' ? 'fork' : number === 0 ? 'start' : 'exec',
      profile: profile === undefined ? undefined : this.#request.profiles[profile],
    });
    this.#settling.push(this.#settle(run));
    return run;
  }

  async #settle(run: GuardedRun): Promise<void> {
    const verdict = await run.done;
    const { pid } = run.guest.hello;
    const { replacedBy } = run.guest;
    // The program that came in its place may not have reported yet: that is told for sure at the end.
    if (replacedBy !== undefined && !this.#mayFollow(replacedBy)) this.#tellReplaced(run);
    if (verdict.damage !== undefined) this.#onLost(verdict.damage, pid);
    this.#ended.push({ pid, ...verdict });
    this.#tell({ event: 'process-ended', pid, program: run.guest.program.path, ...verdict });
  }

  #mayFollow(program: string): boolean {
    return this.#request.keep === true || this.#profileOf({ path: program }) !== undefined;
  }

  #tellReplaced({ guest }: GuardedRun): void {
    this.#onLost(`what runs after exec of ${guest.replacedBy}`, guest.hello.pid);
  }

  /** Programs that were to be followed and never reported. */
  #tellUnseen(): void {
    for (const run of this.#runs.values()) {
      const { replacedBy } = run.guest;
      if (replacedBy === undefined || !this.#mayFollow(replacedBy)) continue;
      if (!this.#isFollowed(run)) this.#tellReplaced(run);
    }
  }

  /** Whether the process came back as another program. */
  #isFollowed(run: GuardedRun): boolean {
    const { pid } = run.guest.hello;
    return [...this.#runs.values()].some(
      (other) => other.number > run.number && other.guest.hello.pid === pid,
    );
  }

  #newSpool(folder: string, name: string): SampleSpool | undefined {
    try {
      return new SampleSpool(folder, this.#images, name);
    } catch (error) {
      this.#context.log.log('warning', `no sample is written: ${messageOf(error)}`);
      return undefined;
    }
  }

  /** The profile of a program's name; the first judges what was started, whatever its name is. */
  #profileOf({ path }: Pick<GuestProgram, 'path'>, isFirst = false): number | undefined {
    const found = this.#programs.findIndex((names) => names.includes(basename(path)));
    if (found >= 0) return found;
    return isFirst ? 0 : undefined;
  }

  #onLost(what: string, pid: number): void {
    this.#lost++;
    this.#tell({ event: 'lost', pid, what });
  }

  get #running(): GuardedProgram {
    if (this.#program === undefined) throw new Error('no process is there before the program');
    return this.#program;
  }

  /** Nothing is judged any more: by choice the program ends, or goes on. */
  #onFailure(error: UserError): void {
    this.#failure ??= error;
    if (this.#request.failOpen !== true) this.#program?.signalAll('SIGKILL');
    for (const run of this.#runs.values()) run.onFailure();
  }

  async #judgeSample(
    sample: string,
    profile: string,
  ): Promise<Pick<ProcessVerdict, 'verdict' | 'pValue' | 'score'>> {
    const { fpr, evidence } = this.#request;
    const binDirs = [join(resolve(evidence), 'bin')];
    const request = { profile, samples: [sample], binDirs, fpr, out: this.#work };
    return judgeWhole(request, this.#context);
  }

  async #result(program: GuardedProgram): Promise<GuardResult> {
    try {
      const { code, killedBy } = await program.exited;
      await program.ended;
      await Promise.all(this.#settling);
      this.#tellUnseen();
      const { alarms, blocks, skippedBlocks, processes, lost } = this.counters;
      const end = { exitCode: code ?? undefined, killedBy: killedBy ?? undefined, alarms };
      const seconds = (performance.now() - this.#since) / 1000;
      this.#tell({ event: 'ended', ...end, processes, blocks, skippedBlocks, lost, seconds });
      if (this.#failure !== undefined) throw this.#failure;
      return { ...end, processes: this.#ended };
    } finally {
      await this.#judge.close();
      await removeQuietly(this.#work);
    }
  }
}

/** Judges one sample as `judge` does. */
async function judgeWhole(
  request: JudgeRequest,
  context: RunContext,
): Promise<Pick<ProcessVerdict, 'verdict' | 'pValue' | 'score'>> {
  const { judged } = await judge(request, { ...context, progress: () => {} });
  const [found] = judged;
  if (found === undefined) return { verdict: 'not-judged', pValue: undefined, score: undefined };
  return { verdict: found.verdict, pValue: found.pValue, score: found.score };
}

/** In a folder of this guard, by which its processes are known. */
async function pluginIn(work: string, compiled: string | undefined): Promise<string> {
  if (compiled === undefined) return buildPlugin(work);
  const own = join(work, 'plugin.so');
  await copyWholeFile(compiled, own);
  return own;
}

async function programsOf(profiles: readonly string[]): Promise<string[][]> {
  const found: string[][] = [];
  for (const path of profiles) {
    const profile = await openProfile(path);
    found.push([...profile.facts.programs]);
    await profile.close();
  }
  return found;
}
