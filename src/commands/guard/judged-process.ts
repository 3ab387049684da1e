import type { AddressSpace } from '../../image/address-space.ts';
import type { NameSources } from '../../names/name-sources.ts';
import {
  type AlarmFacts,
  factsOfAlarm,
  lastBlocksOf,
  modulesOf,
  reportAlarm,
} from './live/alarm.ts';
import { AlarmNames } from './live/alarm-names.ts';
import { LiveRun } from './live/live-run.ts';
import type { OpenedSetup } from './live/open-setup.ts';
import { type Judgement, type LiveOutcome, nothingJudged, notJudged } from './live/outcome.ts';
import { RunWarnings } from './live/run-warnings.ts';
import { judgeWhole } from './live/whole-run.ts';
import { judged, type SharedProgress } from './progress.ts';
import type { OfRun, ToJudge } from './protocol.ts';

/** What is told of a process, by whoever knows its number. */
export type Found = OfRun extends infer Message
  ? Message extends { readonly run: number }
    ? Omit<Message, 'run'>
    : never
  : never;

export interface JudgedProcessContext {
  readonly setup: OpenedSetup;
  /** Path of its program. */
  readonly program: string;
  readonly bitness: 32 | 64;
  readonly names: NameSources;
  readonly progress: SharedProgress;
}

/** One process in the judging thread. */
export class JudgedProcess {
  readonly #context: JudgedProcessContext;
  readonly #tell: (found: Found) => void;
  /** From its first map on. */
  #live: LiveRun | undefined;
  #warnings: RunWarnings | undefined;
  /** Alarms that are not told yet, and the last one, whose last blocks are not. */
  readonly #untold: AlarmFacts[] = [];
  #last: AlarmFacts | undefined;
  /** Of all that is mapped, once they were read. */
  #names: AlarmNames | undefined;

  constructor(context: JudgedProcessContext, tell: (found: Found) => void) {
    this.#context = context;
    this.#tell = tell;
  }

  /** There is something to tell that `tellAlarms` tells. */
  get hasStrayed(): boolean {
    return this.#last !== undefined;
  }

  map(space: AddressSpace): void {
    if (this.#live !== undefined) {
      this.#live.remap(space);
      this.#names = undefined;
      return;
    }
    const { setup, program } = this.#context;
    const live: LiveRun = new LiveRun(setup, space, (place) => {
      // At once, so that it can be acted on; all else takes time.
      this.#tell({ type: 'strayed' });
      this.#onAlarm(factsOfAlarm(place, live));
    });
    this.#live = live;
    this.#warnings = new RunWarnings(live, (what) => this.#tell({ type: 'warning', what }));
    this.#warnings.tellDifferences(setup, program, space);
  }

  follow(message: ToJudge): void {
    const live = this.#live;
    switch (message.type) {
      case 'trace':
        live?.push(message.thread, message.bytes);
        this.#warnings?.tellFull();
        if (judged(this.#context.progress, message.blocks)) this.#tell({ type: 'caught-up' });
        return;
      case 'made':
        live?.makeCode(message.start, message.code, this.#context.bitness);
        return;
      case 'skip':
        live?.skip();
        return;
      case 'end-thread':
        live?.endThread(message.thread);
        return;
      case 'end':
        live?.end();
        return;
    }
  }

  #onAlarm(facts: AlarmFacts): void {
    this.#last = facts;
    if (this.#names === undefined) this.#untold.push(facts);
    else this.#tell({ type: 'alarm', alarm: reportAlarm(facts, this.#names) });
  }

  async tellAlarms(): Promise<void> {
    const live = this.#live;
    const last = this.#last;
    if (live === undefined || last === undefined) return;
    this.#last = undefined;
    const { setup, names: sources } = this.#context;
    for (const facts of this.#untold.splice(0)) {
      // Names of more than it takes would let it wait.
      const modules = modulesOf(facts, setup.vocabulary);
      const names = await AlarmNames.open(live.space, setup, sources, modules);
      this.#tell({ type: 'alarm', alarm: reportAlarm(facts, names) });
    }
    this.#names ??= await AlarmNames.open(live.space, setup, sources);
    this.#tell({ type: 'last-blocks', lines: lastBlocksOf(last, this.#names) });
  }

  /** Reads names before an alarm asks for them. */
  async prepare(): Promise<void> {
    const { setup, names: sources } = this.#context;
    if (this.#live === undefined) return;
    this.#names = await AlarmNames.open(this.#live.space, setup, sources);
  }

  /** @returns the verdict on all of it, once it has ended; see `judgeWhole`. @param mapped  all that it ever mapped */
  async judgeAgain(
    mapped: AddressSpace,
    sample: string,
    threads: number,
    inTurn: (work: () => void) => Promise<void>,
  ): Promise<Judgement> {
    const live = this.#live;
    if (live === undefined) return notJudged;
    const space = live.space.copyFor(mapped);
    return judgeWhole(this.#context.setup, space, sample, threads, inTurn);
  }

  /** Once it has ended. */
  get outcome(): LiveOutcome {
    return this.#live?.outcome ?? nothingJudged;
  }
}
