import { realpath } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { makeWorkFolder, removeQuietly } from '../base/files/folder.ts';
import { copyWholeFile } from '../base/files/write.ts';
import { GuardedProgram } from '../capture/qemu/guarded/guarded-program.ts';
import { buildPlugin } from '../capture/qemu/plugin/build.ts';
import { type RunContext, silentContext } from '../model/first-layer.ts';
import type { NameSourceOptions } from '../names/name-sources.ts';
import type { GuardEvent, ProcessVerdict } from './guard/events.ts';
import type { GuardCounters } from './guard/guard-metrics.ts';
import { type GuardingRequest, GuardProfiles } from './guard/guard-profiles.ts';
import {
  type EndedProcess,
  GuardedProcesses,
  type GuardingOptions,
} from './guard/guarded-processes.ts';
import { JudgeClient } from './guard/judge-client.ts';
import { type Judgement, notJudged } from './guard/live/outcome.ts';
import type { JudgeRequest } from './judge.ts';

export interface GuardRequest extends GuardingRequest, GuardingOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  readonly stdio?: 'inherit' | 'ignore';
  /** Folders in which QEMU is looked for. */
  readonly searchPath: string;
  /** A compiled plugin; without it one is compiled for this call. */
  readonly plugin?: string;
  /** Where else names come from than the images. */
  readonly names?: NameSourceOptions | undefined;
}

export interface GuardResult {
  readonly exitCode: number | undefined;
  readonly killedBy: NodeJS.Signals | undefined;
  readonly alarms: number;
  readonly processes: readonly EndedProcess[];
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
 * @throws UserError `no-qemu`, `no-compiler`, `not-readable`, `not-recordable`, those of `GuardProfiles`, `judge-failed`
 */
export async function guard(
  request: GuardRequest,
  tell: (event: GuardEvent) => void,
  context: RunContext = silentContext,
): Promise<Guarding> {
  const { profiles, fpr, knownPlaces, factsFolder, names, command, onAlarm } = request;
  const program = await realpath(command).catch(() => command);
  // It reads the profiles while the plugin is compiled.
  const judging = new JudgeClient({ profiles, fpr, knownPlaces, factsFolder, names, program });
  const work = await makeWorkFolder('wayward-guard-');
  const clear = async (): Promise<void> => {
    await judging.close();
    await removeQuietly(work);
  };
  try {
    const [plugin, list] = await both(pluginIn(work, request.plugin), judging.ready);
    const processes = new GuardedProcesses(
      ...([request, list, judging] as const),
      (sample, profile) => judgeEvidence(request, sample, profile, work, context),
      tell,
      context.log,
    );
    const guarded = await startGuarded(request, processes, plugin, work);
    processes.program = guarded;
    tell({ event: 'started', program: command, fpr, onAlarm });
    return {
      result: resultOf(guarded, processes, tell).finally(clear),
      counters: () => processes.counters,
      signal: (name) => void guarded.child.kill(name),
      pid: guarded.child.pid,
    };
  } catch (error) {
    await clear();
    throw error;
  }
}

/** What is given to judge a run that others record. */
export interface FollowedRequest extends Omit<GuardingRequest, 'profiles'> {
  /** As the first of `GuardingRequest`. */
  readonly profile: string;
  /** Folder for alarms. */
  readonly evidence: string;
  readonly binDirs: readonly string[];
  readonly names?: NameSourceOptions | undefined;
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
  const { profile, folder } = request;
  const { followSample } = await import('./guard/follow-sample.ts');
  const { readRecording } = await import('../trace/sample.ts');
  const profiles = await GuardProfiles.open({ ...request, profiles: [profile] });
  const out = await makeWorkFolder('wayward-guard-');
  try {
    const judgeSample = (): Promise<Judgement> =>
      judgeWhole({ ...request, samples: [folder], out }, silentContext);
    const follow = { ...request, signal, readRecording, judgeSample };
    return await followSample(follow, profiles, tell);
  } finally {
    await profiles.close();
    await removeQuietly(out);
  }
}

/**
 * Judges what `perf record -e intel_pt//u -o -` writes, while it does.
 *
 * @param request.path  of what is read, for messages
 * @throws UserError
 */
export async function guardPerfPipe(
  request: FollowedRequest & { readonly input: AsyncIterable<Buffer>; readonly path: string },
  tell: (event: GuardEvent) => void,
): Promise<readonly ProcessVerdict[]> {
  const { guardPerf } = await import('./guard/perf-guard.ts');
  const profiles = await GuardProfiles.open({ ...request, profiles: [request.profile] });
  try {
    return await guardPerf(request, profiles, tell);
  } finally {
    await profiles.close();
  }
}

function startGuarded(
  request: GuardRequest,
  processes: GuardedProcesses,
  plugin: string,
  work: string,
): Promise<GuardedProgram> {
  const { command, args, cwd, env, stdio = 'inherit', searchPath } = request;
  return GuardedProgram.start({
    ...{ command, args, cwd, env, stdio, plugin, work, searchPath },
    isOpen: request.failOpen ?? false,
    onGuest: (guest) => processes.onGuest(guest),
    mayFollow: ({ path }) => processes.mayFollow(path),
    onLost: (what, pid) => processes.onLost(what, pid),
  });
}

async function resultOf(
  program: GuardedProgram,
  processes: GuardedProcesses,
  tell: (event: GuardEvent) => void,
): Promise<GuardResult> {
  const since = performance.now();
  const { code, killedBy } = await program.exited;
  await program.ended;
  const ended = await processes.settled();
  const { alarms, blocks, skippedBlocks, processes: count, lost } = processes.counters;
  const end = { exitCode: code ?? undefined, killedBy: killedBy ?? undefined, alarms };
  const seconds = (performance.now() - since) / 1000;
  tell({ event: 'ended', ...end, processes: count, blocks, skippedBlocks, lost, seconds });
  if (processes.failure !== undefined) throw processes.failure;
  return { ...end, processes: ended };
}

/** Judges the sample that a guard wrote of a process. */
function judgeEvidence(
  { fpr, evidence, knownPlaces }: GuardRequest,
  sample: string,
  profile: string,
  out: string,
  context: RunContext,
): Promise<Judgement> {
  const binDirs = [join(resolve(evidence), 'bin')];
  return judgeWhole({ profile, samples: [sample], binDirs, fpr, knownPlaces, out }, context);
}

/** Judges one sample as `judge` does. */
async function judgeWhole(request: JudgeRequest, context: RunContext): Promise<Judgement> {
  // Most runs end without: what is loaded before a program starts lets it wait.
  const { judge } = await import('./judge.ts');
  const { judged } = await judge(request, { ...context, progress: () => {} });
  const [found] = judged;
  if (found === undefined) return notJudged;
  const { verdict, pValue, score } = found;
  return { verdict, pValue, score };
}

/** In a folder of this guard, by which its processes are known. */
async function pluginIn(work: string, compiled: string | undefined): Promise<string> {
  if (compiled === undefined) return buildPlugin(work);
  const own = join(work, 'plugin.so');
  await copyWholeFile(compiled, own);
  return own;
}

/** Waits for both even where one fails: what is under way must not outlive what it works in. */
async function both<A, B>(one: Promise<A>, other: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([one, other]);
  return Promise.all([one, other]);
}
