import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { UserError } from '../../base/errors.ts';
import type { FromJudge, JudgeThreadData, ToJudge } from './protocol.ts';

/** The main thread's end of the judging thread. */
export class JudgeClient {
  readonly #worker: Worker;
  /** When the profiles are read. */
  readonly ready: Promise<void>;
  onMessage: (message: FromJudge) => void = () => {};
  #isClosed = false;

  constructor(data: JudgeThreadData, onFailure: (error: UserError) => void) {
    const entry = new URL(`./judge-thread${extname(import.meta.url)}`, import.meta.url);
    this.#worker = new Worker(entry, { workerData: data });
    const failed = (message: string): UserError =>
      new UserError('judge-failed', `the judging thread failed: ${message}`, {
        category: 'runtime',
      });
    this.ready = new Promise((resolve, reject) => {
      let isReady = false;
      const fail = (error: UserError): void => {
        if (this.#isClosed) return;
        if (isReady) onFailure(error);
        else reject(error);
      };
      this.#worker.on('message', (message: FromJudge) => {
        if (message.type === 'ready') {
          isReady = true;
          resolve();
        } else if (message.type === 'failed') fail(failed(message.message));
        else this.onMessage(message);
      });
      this.#worker.on('error', (error: Error) => fail(failed(error.message)));
      this.#worker.on('exit', (code) => fail(failed(`it ended with ${code}`)));
    });
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
