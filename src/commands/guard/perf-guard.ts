import { basename, join } from 'node:path';
import { mapLine } from '../../capture/perf/map.ts';
import { PipeThreads } from '../../capture/perf/pipe/threads.ts';
import type { CodeMapping, PerfProgram, PerfThread } from '../../capture/perf/records/processes.ts';
import { HostImages, type ImageSource, ImageStore } from '../../image/image-store.ts';
import { buildAddressSpace } from '../../image/mapped-space.ts';
import { parseMemoryMap } from '../../image/maps/memory-map.ts';
import { type NameSourceOptions, NameSources } from '../../names/name-sources.ts';
import type { GuardEvent, ProcessVerdict } from './events.ts';
import { FollowedRun } from './followed-run.ts';
import { chooseProfile, type GuardProfiles } from './guard-profiles.ts';

export interface PerfGuardRequest {
  /** What perf writes. */
  readonly input: AsyncIterable<Buffer>;
  /** For messages. */
  readonly path: string;
  /** Folders of the files that run; empty: where the recording says that they are. */
  readonly binDirs: readonly string[];
  readonly evidence: string;
  /** Where else names come from than the images. */
  readonly names?: NameSourceOptions | undefined;
}

/** A program in a process, from one `exec` to the next. */
interface FollowedProgram {
  /** Version of its map that was read last. */
  mapVersion: number;
  /** Nothing where no profile judges it. */
  run: FollowedRun | undefined;
}

/** The next bytes of a thread. */
interface Step {
  readonly thread: PerfThread;
  readonly bytes: Uint8Array;
}

/**
 * Judges what perf records while it does: buffers of threads (`perf record --per-thread`), or of processors, cut by their
 * switches.
 *
 * @throws UserError as `PipeThreads`, `GuardProfiles.setupOf`
 */
export async function guardPerf(
  request: PerfGuardRequest,
  profiles: GuardProfiles,
  tell: (event: GuardEvent) => void,
): Promise<readonly ProcessVerdict[]> {
  const steps: Step[] = [];
  const lose = (what: string): void => tell({ event: 'lost', pid: 0, what });
  const threads = new PipeThreads(request.path, {
    onTrace: (thread, bytes) => void steps.push({ thread, bytes }),
    onLost: lose,
  });
  const guard = new PerfGuard(request, profiles, threads, tell);
  for await (const chunk of request.input) {
    threads.add(chunk);
    // The pipe waits meanwhile, and perf with it.
    for (const step of steps.splice(0)) await guard.take(step);
  }
  const isCut = threads.end();
  for (const step of steps.splice(0)) await guard.take(step);
  if (isCut) lose('the end of the recording: it is cut off');
  return guard.end();
}

class PerfGuard {
  readonly #request: PerfGuardRequest;
  readonly #profiles: GuardProfiles;
  readonly #threads: PipeThreads;
  readonly #tell: (event: GuardEvent) => void;
  readonly #images: ImageSource;
  readonly #names: NameSources;
  readonly #programs: Map<PerfProgram, FollowedProgram> = new Map();

  constructor(
    request: PerfGuardRequest,
    profiles: GuardProfiles,
    threads: PipeThreads,
    tell: (event: GuardEvent) => void,
  ) {
    this.#request = request;
    this.#profiles = profiles;
    this.#threads = threads;
    this.#tell = tell;
    const { binDirs, names } = request;
    this.#images = binDirs.length > 0 ? new ImageStore(binDirs) : new HostImages();
    this.#names = new NameSources(names);
  }

  async take({ thread: { tid, program }, bytes }: Step): Promise<void> {
    let followed = this.#programs.get(program);
    if (followed === undefined) {
      if (program.map.mappings.length === 0) return;
      followed = { mapVersion: -1, run: undefined };
      this.#programs.set(program, followed);
    }
    if (followed.mapVersion !== program.map.version) await this.#remap(program, followed);
    const { run } = followed;
    if (run === undefined) return;
    const { info, sharesProcessor } = this.#threads;
    await run.push(tid, bytes, { mtc: info?.mtc, sharesProcessor });
  }

  async #remap({ pid, map }: PerfProgram, followed: FollowedProgram): Promise<void> {
    const isNew = followed.mapVersion < 0;
    followed.mapVersion = map.version;
    if (!isNew && followed.run === undefined) return;
    const text = map.mappings.map((mapping) => `${mapLine(mapping)}\n`).join('');
    const space = await buildAddressSpace(parseMemoryMap(text, this.#request.path), this.#images);
    if (followed.run === undefined) followed.run = await this.#begin(pid, map.mappings, space);
    else followed.run.remap(space);
  }

  async #begin(
    pid: number,
    mappings: readonly CodeMapping[],
    space: Awaited<ReturnType<typeof buildAddressSpace>>,
  ): Promise<FollowedRun | undefined> {
    const program = mappings.find(({ path }) => path.startsWith('/'))?.path ?? '';
    const choice = chooseProfile(this.#profiles, program, this.#isChosen);
    if (choice.index === undefined) {
      this.#tell({
        ...{ event: 'process', pid, parentPid: 0, program },
        ...{ origin: 'start', profile: undefined, why: choice.why },
      });
      return undefined;
    }
    const setup = await this.#profiles.setup(choice.index);
    const evidence = join(this.#request.evidence, 'alarms', `${basename(program)}-${pid}`);
    return new FollowedRun(setup, space, { pid, program, evidence }, this.#names, this.#tell);
  }

  /** Of many processes, a profile judges those of its program; a thread's buffers are recorded for it. */
  get #isChosen(): boolean {
    return this.#threads.info?.isPerCpu !== true;
  }

  async end(): Promise<readonly ProcessVerdict[]> {
    const verdicts: ProcessVerdict[] = [];
    for (const { run } of this.#programs.values()) {
      if (run !== undefined) verdicts.push(await run.end(undefined, undefined));
    }
    return verdicts;
  }
}
