import type { AddressSpace } from '../../../image/address-space.ts';
import { GrowingSpace } from '../../../image/growing-space.ts';
import type { HistoryModel } from '../../../model/histories/model.ts';
import {
  type EventJudgements,
  type NamedEvents,
  RunJudge,
} from '../../../model/histories/run-judge.ts';
import type { TransferEvents } from '../../../sequences/histories/events.ts';
import { RunFollower } from '../../../sequences/histories/follower.ts';
import type { Vocabulary } from '../../../sequences/vocabulary.ts';
import type { NominalDecision } from '../../../verdict/classify-nominal.ts';
import type { TraceFeatures } from '../../../verdict/features/features.ts';
import { natsOfProbability } from '../../../verdict/features/measurement.ts';
import { RunningSurprise } from '../../../verdict/features/running-surprise.ts';
import { EventClassifier } from '../../samples/evaluating/evaluate-histories.ts';
import { type PassedPlace, passOver } from '../../samples/evaluating/known-places.ts';
import { type FollowSetup, LiveThread, type ThreadTraceKind } from './live-thread.ts';
import { type Inexact, type LiveOutcome, nothingJudged } from './outcome.ts';

/** What runs are judged with while they go on. */
export interface LiveSetup extends FollowSetup {
  readonly model: HistoryModel;
  readonly vocabulary: Vocabulary;
  /** What the calibration runs say of the largest surprises so far. */
  readonly decide: (trace: TraceFeatures) => NominalDecision;
  /** Fingerprints of transfers that somebody found harmless. */
  readonly knownPlaces: ReadonlySet<string>;
}

/** The place at which a run became anomalous, as the first look at it tells. */
export interface AlarmPlace {
  /** Number of the thread. */
  readonly thread: number;
  /** Block index in the thread of the block that made the transfer. */
  readonly position: number;
  /** Blocks that the thread had run when the place was seen. */
  readonly blocks: number;
  readonly decision: NominalDecision;
  readonly surprise: EventSurprise;
}

/** How one event surprised. */
export interface EventSurprise {
  readonly nats: number;
  /** At the scale of what nominal runs showed at the place. */
  readonly scaled: number;
  /** Index into `targetSorts`, and how many targets of the sort the code allows. */
  readonly sort: number;
  readonly count: number;
  readonly trainedTargets: number;
  readonly trainedRuns: number;
  readonly shown: number;
  /** Class that was held most probable; 0 = none. */
  readonly predicted: number;
}

/** A place is told, too, that is so many nats worse than the one told before: 20 times as improbable. */
const worse = 3;
const mostAlarms = 16;

interface Thread {
  readonly flow: LiveThread;
  readonly surprise: RunningSurprise;
}

/**
 * Judges a process that still runs. Bytes of its threads' traces go in as they come; at the first place at
 * which the run so far is flagged, `onAlarm` is called, and again at places that are far worse.
 *
 * A run's score is that of its most improbable place, so what is found so far only grows: a run with one
 * thread is flagged at some moment if and only if `judge` flags it whole. With several threads, places are
 * judged in the order in which they are seen, where `judge` takes one thread after the other.
 */
export class LiveRun {
  readonly space: GrowingSpace;
  readonly #setup: LiveSetup;
  readonly #onAlarm: (place: AlarmPlace) => void;
  readonly #judge: RunJudge;
  readonly #classifier: EventClassifier;
  readonly #shared: RunFollower = new RunFollower();
  readonly #threads: Map<number, Thread> = new Map();
  /** Of threads that have ended, together. */
  readonly #ended = { threads: 0, blocks: 0, gaps: 0, worst: RunningSurprise.largest([]) };
  #alarms = 0;
  /** Score of the last alarm. */
  #alarmed = Number.NEGATIVE_INFINITY;
  /** Threads so far. */
  #started = 0;
  /** Why a look at the whole sample may find something else; empty where it cannot. */
  readonly inexact: Set<Inexact> = new Set();
  readonly #passed: Map<string, number> = new Map();

  /** @param space  a `GrowingSpace` is the run's own */
  constructor(setup: LiveSetup, space: AddressSpace, onAlarm: (place: AlarmPlace) => void) {
    this.space = space instanceof GrowingSpace ? space : new GrowingSpace(space);
    this.#setup = setup;
    this.#onAlarm = onAlarm;
    this.#judge = new RunJudge(setup.model.tables);
    this.#classifier = new EventClassifier(setup.vocabulary);
  }

  /** The map of the process has changed. */
  remap(space: AddressSpace): void {
    if (!this.space.grow(space) || this.#threads.size + this.#ended.threads === 0) return;
    this.inexact.add('mapped-later');
    for (const { flow } of this.#threads.values()) flow.grow();
  }

  /** Code ran that lies in no file, or not as the file has it. */
  makeCode(start: number, code: Uint8Array, bits: 32 | 64): void {
    this.space.make(start, code, bits);
    // What a forked child has from its parent is known before it runs.
    if (this.#started > 0) this.inexact.add('made-code');
  }

  /** The next bytes of a thread's trace. */
  push(number: number, bytes: Uint8Array, kind: ThreadTraceKind = {}): void {
    const thread = this.#threads.get(number) ?? this.#start(number, kind);
    thread.flow.push(bytes);
  }

  /** A thread ran more distinct blocks than are kept, and is not followed any more. */
  get isFull(): boolean {
    for (const { flow } of this.#threads.values()) if (flow.isFull) return true;
    return false;
  }

  /** What would come next was left out: flow is lost until a trace says where it is. */
  skip(): void {
    this.inexact.add('skipped');
    for (const { flow } of this.#threads.values()) flow.skip();
  }

  /** The thread ends; its number may come again. */
  endThread(number: number): void {
    const thread = this.#threads.get(number);
    if (thread === undefined) return;
    thread.flow.end();
    const { blocks, gaps } = thread.flow.summary;
    const ended = this.#ended;
    ended.threads++;
    ended.blocks += blocks;
    ended.gaps += gaps;
    ended.worst = RunningSurprise.largest([ended.worst, thread.surprise.features()]);
    this.#threads.delete(number);
  }

  /** The process ends. */
  end(): void {
    for (const number of [...this.#threads.keys()]) this.endThread(number);
  }

  thread(number: number): LiveThread | undefined {
    return this.#threads.get(number)?.flow;
  }

  /** The largest surprises so far. */
  get features(): TraceFeatures {
    const all = [...this.#threads.values()].map(({ surprise }) => surprise.features());
    return RunningSurprise.largest([this.#ended.worst, ...all]);
  }

  /** The known places that it came by. */
  get passedOver(): readonly PassedPlace[] {
    return [...this.#passed].map(([fingerprint, times]) => ({ fingerprint, times }));
  }

  get decision(): NominalDecision {
    return this.#setup.decide(this.features);
  }

  get counts(): { readonly blocks: number; readonly gaps: number } {
    let { blocks, gaps } = this.#ended;
    for (const { flow } of this.#threads.values()) {
      blocks += flow.summary.blocks;
      gaps += flow.summary.gaps;
    }
    return { blocks, gaps };
  }

  /** What there is to say of it, once it has ended. */
  get outcome(): LiveOutcome {
    const { isFlagged, pValue, score } = this.decision;
    const { blocks, gaps } = this.counts;
    const found = { gaps, knownPlaces: this.passedOver, inexact: [...this.inexact] };
    // Nothing strays in a run of which nothing was read, so that it says nothing.
    if (blocks === 0) return { ...nothingJudged, ...found };
    return { verdict: isFlagged ? 'anomalous' : 'nominal', pValue, score, blocks, ...found };
  }

  #start(number: number, kind: ThreadTraceKind): Thread {
    const isAlone = this.#started++ === 0;
    if (!isAlone) this.inexact.add('threads');
    const run = new RunFollower(this.#shared);
    const surprise = new RunningSurprise();
    const flow: LiveThread = new LiveThread(
      ...([this.#setup, this.space, run, { ...kind, isAlone }] as const),
      () => this.#look(number, run, surprise),
    );
    const thread = { flow, surprise };
    this.#threads.set(number, thread);
    return thread;
  }

  /** Judges the events that have come, one after the other. */
  #look(number: number, run: RunFollower, surprise: RunningSurprise): void {
    if (run.events.length === 0) {
      run.skipTo(run.blocks);
      return;
    }
    const events = run.drain();
    const named = this.#classifier.classify(events);
    const judgements = this.#judge.judge(named);
    this.#passOver(events, judgements, named);
    for (let i = 0; i < events.length; i++) {
      const position = events.origin + events.position[i];
      const hasGrown = surprise.push(judgements.surprise[i], events.sort[i], position);
      if (!hasGrown || this.#alarms === mostAlarms) continue;
      const { decision } = this;
      if (!decision.isFlagged || decision.score < this.#alarmed + worse) continue;
      this.#alarms++;
      this.#alarmed = decision.score;
      this.#onAlarm({
        ...{ thread: number, position, blocks: run.blocks, decision },
        surprise: surpriseOf(events, named, judgements, i),
      });
    }
  }

  #passOver(events: TransferEvents, judgements: EventJudgements, named: NamedEvents): void {
    const { knownPlaces } = this.#setup;
    if (knownPlaces.size === 0) return;
    for (const { fingerprint, times } of passOver(knownPlaces, events, judgements, named)
      .passedOver) {
      this.#passed.set(fingerprint, (this.#passed.get(fingerprint) ?? 0) + times);
    }
  }
}

function surpriseOf(
  events: TransferEvents,
  named: NamedEvents,
  judgements: EventJudgements,
  i: number,
): EventSurprise {
  return {
    nats: natsOfProbability(judgements.chance[i]),
    scaled: judgements.surprise[i],
    sort: events.sort[i],
    count: named.count[i],
    trainedTargets: judgements.trainedTargets[i],
    trainedRuns: judgements.trainedCount[i],
    shown: judgements.shownCount[i],
    predicted: Math.max(0, judgements.predicted[i]),
  };
}
