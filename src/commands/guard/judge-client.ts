import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { UserError } from '../../base/errors.ts';
import { threadEnvironment } from '../../base/thread-environment.ts';
import type { ProfileList } from './guard-profiles.ts';
import type { FromJudge, JudgeThreadData, OfRun, SentError, ToJudge } from './protocol.ts';

/** The main thread's end of the judging thread. */
export class JudgeClient {
  readonly #worker: Worker;
  /** When the profiles are read. */
  readonly ready: Promise<ProfileList>;
  onMessage: (message: OfRun) => void = () => {};
  /** Nothing is judged any more. */
  onFailure: (error: UserError) => void = () => {};
  #isClosed = false;

  constructor(data: JudgeThreadData) {
    const entry = new URL(`./judge-thread${extname(import.meta.url)}`, import.meta.url);
    this.#worker = new Worker(entry, { workerData: data, env: threadEnvironment() });
    this.ready = new Promise((resolve, reject) => {
      let isReady = false;
      const fail = (error: UserError): void => {
        if (this.#isClosed) return;
        if (isReady) this.onFailure(error);
        else reject(error);
      };
      this.#worker.on('message', (message: FromJudge) => {
        if (message.type === 'ready') {
          isReady = true;
          resolve(message);
        } else if (message.type === 'failed') fail(received(message.error));
        else this.onMessage(message);
      });
      this.#worker.on('error', (error: Error) => fail(judgeFailed(error.message)));
      this.#worker.on('exit', (code) => fail(judgeFailed(`it ended with ${code}`)));
    });
    // Who waits for it may do something else first.
    this.ready.catch(() => {});
  }

  /** @param moved  buffers that the sender has no more use for */
  send(message: ToJudge, moved: readonly ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, moved);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#worker.terminate();
  }
}

function received({ code, message, category }: SentError): UserError {
  return new UserError(code, message, { category });
}

function judgeFailed(why: string): UserError {
  return new UserError('judge-failed', `the judging thread failed: ${why}`, {
    category: 'runtime',
  });
}
