import { parentPort, workerData } from 'node:worker_threads';
import { messageOf, UserError } from '../../base/errors.ts';
import type { AddressSpace } from '../../image/address-space.ts';
import { HostImages } from '../../image/image-store.ts';
import { buildAddressSpace } from '../../image/mapped-space.ts';
import { parseMemoryMap } from '../../image/maps/memory-map.ts';
import { NameSources } from '../../names/name-sources.ts';
import { GuardProfiles } from './guard-profiles.ts';
import { JudgedProcess } from './judged-process.ts';
import type { Judgement } from './live/outcome.ts';
import type { FromJudge, JudgeThreadData, SentError, ToJudge } from './protocol.ts';

/** Judges what it is told of processes, one message after the other. */
class JudgeThread {
  readonly #profiles: GuardProfiles;
  readonly #send: (message: FromJudge) => void;
  /** Does a piece of work between messages. @returns when it is done; rejects where it fails */
  readonly #inTurn: (work: () => void) => Promise<void>;
  readonly #images = new HostImages();
  readonly #names: NameSources;
  readonly #processes: Map<number, JudgedProcess> = new Map();
  /** Processes whose names were not read so far, and when their first map came. */
  readonly #unprepared: Map<JudgedProcess, number> = new Map();
  #heardAt = 0;

  constructor(
    profiles: GuardProfiles,
    names: NameSources,
    send: (message: FromJudge) => void,
    inTurn: (work: () => void) => Promise<void>,
  ) {
    this.#profiles = profiles;
    this.#names = names;
    this.#send = send;
    this.#inTurn = inTurn;
  }

  async take(message: ToJudge): Promise<void> {
    const { run } = message;
    this.#heardAt = performance.now();
    if (message.type === 'open') {
      const { profile, program, bitness, progress } = message;
      const setup = await this.#profiles.setup(profile);
      const told = { setup, program, bitness, progress, names: this.#names };
      const process = new JudgedProcess(told, (found) => this.#send({ ...found, run }));
      this.#processes.set(run, process);
      this.#unprepared.set(process, this.#heardAt);
      return;
    }
    const process = this.#processes.get(run);
    if (process === undefined) return;
    if (message.type === 'close') {
      this.#processes.delete(run);
      return;
    }
    if (message.type === 'again') {
      // Not waited for: others are judged between its pieces.
      void this.#judgeAgain(process, message);
      return;
    }
    if (message.type === 'map') {
      process.map(await this.#spaceOf(message.text));
      return;
    }
    process.follow(message);
    if (process.hasStrayed) await process.tellAlarms();
    this.#heardAt = performance.now();
    if (message.type !== 'end') return;
    this.#unprepared.delete(process);
    await this.#profiles.keepAnswers();
    this.#send({ type: 'ended', run, outcome: process.outcome });
  }

  async #judgeAgain(
    process: JudgedProcess,
    { run, map, sample, threads }: Extract<ToJudge, { readonly type: 'again' }>,
  ): Promise<void> {
    let judgement: Judgement | undefined;
    try {
      judgement = await process.judgeAgain(
        ...([await this.#spaceOf(map), sample, threads, this.#inTurn] as const),
      );
    } catch (error) {
      // The verdict is that of the live run, and is told as such.
      const what = `is not judged again as a whole: ${messageOf(error)}`;
      this.#send({ type: 'warning', run, what });
    }
    this.#send({ type: 'judged-again', run, judgement });
  }

  async #spaceOf(map: string): Promise<AddressSpace> {
    return buildAddressSpace(parseMemoryMap(map, 'the map of the process'), this.#images);
  }

  /** Reads the names of a process, where there is time for it. */
  async prepare(): Promise<void> {
    const now = performance.now();
    for (const [process, since] of this.#unprepared) {
      if (now - this.#heardAt < idleBefore && now - since < runBefore) continue;
      this.#unprepared.delete(process);
      await process.prepare();
      return;
    }
  }
}

/** Names are read when nothing has come for so long, or a process has run for so long, in ms. */
const idleBefore = 50;
const runBefore = 2000;

function sent(error: unknown): SentError {
  if (error instanceof UserError) {
    const { code, message, category } = error;
    return { code, message, category };
  }
  // A mistake of our own: where it happened is what matters.
  const why = error instanceof Error ? (error.stack ?? error.message) : messageOf(error);
  const message = `the judging thread failed: ${why}`;
  return { code: 'judge-failed', message, category: 'runtime' };
}

const port = parentPort;
if (port !== null) {
  const send = (message: FromJudge): void => port.postMessage(message);
  const data = workerData as JudgeThreadData;
  // One message after the other: reading images takes turns.
  let last: Promise<void> = Promise.resolve();
  const inTurn = (work: () => Promise<void>): void => {
    last = last.then(work).catch((error: unknown) => send({ type: 'failed', error: sent(error) }));
  };
  const between = (work: () => void): Promise<void> =>
    new Promise((done, fail) => {
      inTurn(async () => {
        try {
          done(work());
        } catch (error) {
          fail(error);
          throw error;
        }
      });
    });
  let thread: JudgeThread | undefined;
  inTurn(async () => {
    const opened = await GuardProfiles.open(data);
    await opened.setupOf(data.program);
    thread = new JudgeThread(opened, new NameSources(data.names), send, between);
    const { profiles, isFirstChosen } = opened;
    send({ type: 'ready', profiles, isFirstChosen });
  });
  // An alarm is told sooner when names were read before; short runs need not wait for them.
  setInterval(() => inTurn(async () => thread?.prepare()), idleBefore);
  port.on('message', (message: ToJudge) => inTurn(async () => thread?.take(message)));
}
