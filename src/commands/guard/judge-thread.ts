import { parentPort, workerData } from 'node:worker_threads';
import { messageOf } from '../../base/errors.ts';
import { HostImages } from '../../image/image-store.ts';
import { buildAddressSpace } from '../../image/mapped-space.ts';
import { parseMemoryMap } from '../../image/memory-map.ts';
import { lastBlocksOf, reportAlarm } from './alarm.ts';
import { LiveRun } from './live-run.ts';
import { type OpenedSetup, openSetup } from './open-setup.ts';
import type { FromJudge, JudgeThreadData, ToJudge } from './protocol.ts';

/** One process, until its first map has come. */
interface Run {
  readonly setup: OpenedSetup;
  readonly bitness: 32 | 64;
  live: LiveRun | undefined;
  /** Thread of an alarm whose last blocks are not told yet. */
  alarmed?: number | undefined;
}

/** Judges what it is told of processes, one message after the other. */
class JudgeThread {
  readonly #setups: readonly OpenedSetup[];
  readonly #send: (message: FromJudge) => void;
  readonly #images = new HostImages();
  readonly #runs: Map<number, Run> = new Map();

  constructor(setups: readonly OpenedSetup[], send: (message: FromJudge) => void) {
    this.#setups = setups;
    this.#send = send;
  }

  async take(message: ToJudge): Promise<void> {
    if (message.type === 'open') {
      const { run, profile, bitness } = message;
      this.#runs.set(run, { setup: this.#setups[profile], bitness, live: undefined });
      return;
    }
    const run = this.#runs.get(message.run);
    if (run === undefined) return;
    if (message.type === 'map') {
      await this.#map(message.run, run, message.text);
      return;
    }
    const { live } = run;
    if (live !== undefined) this.#follow(message, run, live);
    this.#tellLastBlocks(message.run, run);
    if (message.type === 'trace') {
      this.#send({ type: 'done', run: message.run, blocks: message.blocks });
    }
    if (message.type === 'end') this.#end(message.run, live);
  }

  #tellLastBlocks(number: number, run: Run): void {
    const { alarmed, live } = run;
    if (alarmed === undefined || live === undefined) return;
    run.alarmed = undefined;
    const thread = live.thread(alarmed);
    const lines = thread === undefined ? [] : lastBlocksOf(thread, live.space);
    this.#send({ type: 'last-blocks', run: number, lines });
  }

  async #map(number: number, run: Run, text: string): Promise<void> {
    const space = await buildAddressSpace(
      parseMemoryMap(text, 'the map of the process'),
      this.#images,
    );
    if (run.live !== undefined) {
      run.live.remap(space);
      return;
    }
    const live: LiveRun = new LiveRun(run.setup, space, (place) => {
      const alarm = reportAlarm(place, live, run.setup.vocabulary);
      this.#send({ type: 'alarm', run: number, alarm });
      // Told when the batch has been followed to its end, and so after the alarm.
      run.alarmed = place.thread;
    });
    run.live = live;
  }

  #follow(message: ToJudge, run: Run, live: LiveRun): void {
    switch (message.type) {
      case 'trace':
        live.push(message.thread, message.bytes);
        return;
      case 'made':
        live.makeCode(message.start, message.code, run.bitness);
        return;
      case 'skip':
        live.skip();
        return;
      case 'end-thread':
        live.endThread(message.thread);
        return;
      case 'end':
        live.end();
        return;
    }
  }

  #end(run: number, live: LiveRun | undefined): void {
    this.#runs.delete(run);
    const { isFlagged, pValue, score } = live?.decision ?? {
      isFlagged: false,
      pValue: 1,
      score: 0,
    };
    const { blocks, gaps } = live?.counts ?? { blocks: 0, gaps: 0 };
    const inexact = [...(live?.inexact ?? [])];
    const verdict = isFlagged ? 'anomalous' : 'nominal';
    this.#send({ type: 'ended', run, outcome: { verdict, pValue, score, blocks, gaps, inexact } });
  }
}

const port = parentPort;
if (port !== null) {
  const send = (message: FromJudge): void => port.postMessage(message);
  const { profiles, fpr } = workerData as JudgeThreadData;
  // One message after the other: reading images takes turns.
  let last: Promise<void> = Promise.resolve();
  const inTurn = (work: () => Promise<void>): void => {
    last = last.then(work).catch((error: unknown) => {
      send({
        type: 'failed',
        message: error instanceof Error ? (error.stack ?? '') : messageOf(error),
      });
    });
  };
  let thread: JudgeThread | undefined;
  inTurn(async () => {
    const setups = [];
    for (const path of profiles) setups.push(await openSetup(path, fpr));
    thread = new JudgeThread(setups, send);
    send({ type: 'ready' });
  });
  port.on('message', (message: ToJudge) => inTurn(async () => thread?.take(message)));
}
