import { basename, join } from 'node:path';
import { toMapPath } from '../../base/text/line.ts';
import { PerfPipe } from '../../capture/perf/pipe.ts';
import { CodeMap, type CodeMapping } from '../../capture/perf/processes.ts';
import type { LifeEvent } from '../../capture/perf/records.ts';
import { HostImages, type ImageSource, ImageStore } from '../../image/image-store.ts';
import { buildAddressSpace } from '../../image/mapped-space.ts';
import { parseMemoryMap } from '../../image/memory-map.ts';
import type { GuardEvent, ProcessVerdict } from './events.ts';
import { FollowedRun } from './followed-run.ts';
import type { OpenedSetup } from './open-setup.ts';

export interface PerfGuardRequest {
  /** What perf writes. */
  readonly input: AsyncIterable<Buffer>;
  /** For messages. */
  readonly path: string;
  /** Folders of the files that run; empty: where the recording says that they are. */
  readonly binDirs: readonly string[];
  readonly evidence: string;
}

interface PerfProcess {
  readonly map: CodeMap;
  /** The map has changed since the last trace. */
  isNew: boolean;
  run: FollowedRun | undefined;
}

/** Something that came through the pipe, in order. */
type Step =
  | { readonly event: LifeEvent }
  | { readonly tid: number; readonly cpu: number; readonly bytes: Uint8Array };

/**
 * Judges what perf records while it does. Followed are buffers of threads (`perf record --per-thread`); those of
 * processors hold many threads, which can be told apart only when all is there: they are counted and told.
 *
 * @throws UserError as `PerfPipe`
 */
export async function guardPerf(
  request: PerfGuardRequest,
  setup: OpenedSetup,
  tell: (event: GuardEvent) => void,
): Promise<readonly ProcessVerdict[]> {
  const guard = new PerfGuard(request, setup, tell);
  const steps: Step[] = [];
  const pipe = new PerfPipe(request.path, {
    onEvent: (event) => void steps.push({ event }),
    onTrace: (tid, cpu, bytes) => void steps.push({ tid, cpu, bytes }),
  });
  for await (const chunk of request.input) {
    pipe.add(chunk);
    // The pipe waits meanwhile, and perf with it.
    for (const step of steps.splice(0)) await guard.take(step, pipe);
  }
  const isCut = pipe.end();
  for (const step of steps.splice(0)) await guard.take(step, pipe);
  if (isCut) tell({ event: 'lost', pid: 0, what: 'the end of the recording: it is cut off' });
  return guard.end();
}

class PerfGuard {
  readonly #request: PerfGuardRequest;
  readonly #setup: OpenedSetup;
  readonly #tell: (event: GuardEvent) => void;
  readonly #images: ImageSource;
  readonly #processes: Map<number, PerfProcess> = new Map();
  /** Process of each thread. */
  readonly #owners: Map<number, number> = new Map();
  #hasToldCpus = false;

  constructor(request: PerfGuardRequest, setup: OpenedSetup, tell: (event: GuardEvent) => void) {
    this.#request = request;
    this.#setup = setup;
    this.#tell = tell;
    const { binDirs } = request;
    this.#images = binDirs.length > 0 ? new ImageStore(binDirs) : new HostImages();
  }

  async take(step: Step, pipe: PerfPipe): Promise<void> {
    if ('event' in step) this.#happened(step.event);
    else if (step.cpu >= 0) this.#tellCpus();
    else await this.#trace(step.tid, step.bytes, pipe);
  }

  #happened(event: LifeEvent): void {
    if (event.kind === 'fork' || event.kind === 'comm' || event.kind === 'run') {
      this.#owners.set(event.tid, event.pid);
    }
    if (event.kind !== 'mmap') return;
    const { pid, start, length, fileOffset, path, buildId } = event;
    const process = this.#process(pid);
    process.map.add({ start, end: start + length, fileOffset, path, buildId });
    process.isNew = true;
  }

  #process(pid: number): PerfProcess {
    let process = this.#processes.get(pid);
    if (process === undefined) {
      process = { map: new CodeMap(), isNew: true, run: undefined };
      this.#processes.set(pid, process);
    }
    return process;
  }

  #tellCpus(): void {
    if (this.#hasToldCpus) return;
    this.#hasToldCpus = true;
    const what = 'traces of whole processors: record with --per-thread, or judge the recording';
    this.#tell({ event: 'lost', pid: 0, what });
  }

  async #trace(tid: number, bytes: Uint8Array, pipe: PerfPipe): Promise<void> {
    const pid = this.#owners.get(tid) ?? tid;
    const process = this.#process(pid);
    if (process.isNew && process.map.mappings.length > 0) await this.#remap(pid, process);
    const { run } = process;
    if (run === undefined) return;
    run.live.push(tid, bytes, { mtc: pipe.records.info?.mtc });
    await run.writeEvidence();
  }

  async #remap(pid: number, process: PerfProcess): Promise<void> {
    process.isNew = false;
    const { mappings } = process.map;
    const map = parseMemoryMap(mapText(mappings), this.#request.path);
    const space = await buildAddressSpace(map, this.#images);
    if (process.run !== undefined) {
      process.run.live.remap(space);
      return;
    }
    const program = mappings.find(({ path }) => path.startsWith('/'))?.path ?? '';
    const evidence = join(this.#request.evidence, 'alarms', `${basename(program)}-${pid}`);
    process.run = new FollowedRun(this.#setup, space, { pid, program, evidence }, this.#tell);
    this.#tell({
      ...{ event: 'process', pid, parentPid: 0, program, origin: 'start' },
      profile: this.#setup.path,
    });
  }

  async end(): Promise<readonly ProcessVerdict[]> {
    const verdicts: ProcessVerdict[] = [];
    for (const { run } of this.#processes.values()) {
      if (run !== undefined) verdicts.push(await run.end(undefined, undefined));
    }
    return verdicts;
  }
}

function mapText(mappings: readonly CodeMapping[]): string {
  const hex = (value: number): string => value.toString(16).padStart(8, '0');
  return mappings
    .map(({ start, end, fileOffset, path }) => {
      const shown = toMapPath(path.replace(/ \(deleted\)$/, '').replaceAll('\n', '?'));
      const named = shown.startsWith('//') ? '' : shown;
      return `${hex(start)}-${hex(end)} r-xp ${hex(fileOffset)} 00:00 0 ${named}`.trimEnd();
    })
    .map((line) => `${line}\n`)
    .join('');
}
