import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { UserError } from '../../base/errors.ts';
import { unwatchThreads, watchThreads } from './busy-threads.ts';
import { type Device, prepareRuntime } from './engine.ts';
import type {
  GradientJob,
  GradientResult,
  Job,
  PredictJob,
  PredictResult,
  WorkerSetup,
} from './worker.ts';

type Result = GradientResult | PredictResult;

interface Waiting {
  readonly worker: number;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Worker threads that compute gradients and predictions, each with a one-thread session of its own.
 * A job goes to the worker that its caller names, so that who computes what is fixed.
 */
export class LstmPool {
  readonly size: number;
  readonly #workers: Worker[];
  readonly #waiting: Map<number, Waiting> = new Map();
  readonly #busy = watchThreads();
  readonly #running: Set<Promise<Result>> = new Set();
  #nextId = 0;

  /**
   * @param devices  one for each worker
   * @throws UserError `package-missing`
   */
  constructor(devices: readonly Device[], setup: Omit<WorkerSetup, 'device' | 'busy'>) {
    prepareRuntime();
    this.size = devices.length;
    // The same file, compiled or not, as this one.
    const entry = new URL(`./worker${extname(import.meta.url)}`, import.meta.url);
    this.#workers = devices.map((device, index) => {
      const data: WorkerSetup = { ...setup, device, busy: this.#busy };
      const worker = new Worker(entry, { workerData: data });
      worker.on(
        'message',
        (message: { result?: Result; id?: number; error?: unknown; message?: string }) => {
          const id = message.result?.id ?? message.id ?? -1;
          const waiting = this.#waiting.get(id);
          this.#waiting.delete(id);
          if (message.result !== undefined) waiting?.resolve(message.result);
          else waiting?.reject(revive(message.error, message.message ?? ''));
        },
      );
      const fail = (error: Error): void => {
        for (const [id, waiting] of this.#waiting) {
          if (waiting.worker !== index) continue;
          this.#waiting.delete(id);
          waiting.reject(error);
        }
      };
      worker.on('error', fail);
      worker.on('exit', (code) => fail(new Error(`a learning worker ended with code ${code}`)));
      worker.unref();
      return worker;
    });
  }

  gradient(worker: number, job: Omit<GradientJob, 'kind' | 'id'>): Promise<GradientResult> {
    return this.#send(worker, {
      ...job,
      kind: 'gradient',
      id: this.#nextId++,
    }) as Promise<GradientResult>;
  }

  predict(worker: number, job: Omit<PredictJob, 'kind' | 'id'>): Promise<PredictResult> {
    return this.#send(worker, {
      ...job,
      kind: 'predict',
      id: this.#nextId++,
    }) as Promise<PredictResult>;
  }

  /** Waits for the jobs under way: a thread that is ended within a run takes the process with it. */
  async dispose(): Promise<void> {
    await Promise.allSettled(this.#running);
    unwatchThreads(this.#busy);
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #send(worker: number, job: Job): Promise<Result> {
    const target = this.#workers[worker];
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    this.#waiting.set(job.id, { worker, resolve, reject });
    this.#running.add(promise);
    // A worker holds the process only while it has work.
    target.ref();
    const done = (): void => {
      this.#running.delete(promise);
      if (![...this.#waiting.values()].some((waiting) => waiting.worker === worker)) target.unref();
    };
    promise.then(done, done);
    target.postMessage(job);
    return promise;
  }
}

/** Makes what a worker sent an error again; see `portable` there. */
function revive(error: unknown, message: string): Error {
  const fields = error as
    | { name?: string; code?: string; category?: UserError['category'] }
    | undefined;
  if (fields?.name === 'UserError' && fields.code !== undefined && fields.category !== undefined) {
    return new UserError(fields.code, message, { category: fields.category });
  }
  return error instanceof Error ? error : new Error(message);
}
