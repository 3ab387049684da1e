import { parentPort, Worker, workerData } from 'node:worker_threads';
import { UserError } from '../base/errors.ts';
import { threadEnvironment } from '../base/thread-environment.ts';

/** What a thread gets when it starts. */
interface ThreadData<Setup> {
  readonly setup: Setup;
  /** Shared: messages of this thread that the receiver is done with. */
  readonly received: Int32Array;
}

interface Envelope<Message> {
  readonly message: Message;
  /** A job ends with its last message. */
  readonly isLast: boolean;
}

/** A message of a job. */
export interface JobMessage<Message> extends Envelope<Message> {
  /** Index of the job. */
  readonly job: number;
}

/** Messages that a thread may send before the receiver is done with the first of them. */
const mostAhead = 2;

/** Jobs for each thread that are done or under way, but not received. */
const jobsAhead = 2;

/**
 * Runs jobs on worker threads and yields their messages in the order of the jobs, whichever ends first.
 * Threads that are ahead of the receiver wait, so that what is held stays small.
 *
 * @param entry  module that calls `serveJobs`
 * @throws UserError `worker-failed`; the signal's reason when aborted
 */
export async function* inThreads<Job, Message>(
  entry: URL,
  setup: unknown,
  jobs: readonly Job[],
  threads: number,
  signal?: AbortSignal,
): AsyncGenerator<JobMessage<Message>> {
  const arrived: Envelope<Message>[][] = jobs.map(() => []);
  const threadOf: Int32Array[] = [];
  let failure: unknown;
  let wake = (): void => {};
  let nextJob = 0;
  let current = 0;
  const idle: (() => void)[] = [];

  const start = (): Worker => {
    const received = new Int32Array(new SharedArrayBuffer(4));
    const data: ThreadData<unknown> = { setup, received };
    const worker = new Worker(entry, { workerData: data, env: threadEnvironment() });
    let job = -1;
    const take = (): void => {
      if (nextJob >= jobs.length) return;
      if (nextJob >= current + jobsAhead * threads) {
        idle.push(take);
        return;
      }
      job = nextJob++;
      threadOf[job] = received;
      worker.postMessage(jobs[job]);
    };
    worker.on('message', (envelope: Envelope<Message>) => {
      arrived[job].push(envelope);
      if (envelope.isLast) take();
      wake();
    });
    const fail = (error: unknown): void => {
      failure ??= error;
      wake();
    };
    worker.on('error', fail);
    worker.on('exit', () =>
      fail(new UserError('worker-failed', 'a worker thread ended', { category: 'runtime' })),
    );
    take();
    return worker;
  };

  const abort = (): void => {
    failure ??= signal?.reason;
    wake();
  };
  signal?.throwIfAborted();
  signal?.addEventListener('abort', abort);
  const workers = Array.from({ length: Math.min(threads, jobs.length) }, start);
  try {
    for (; current < jobs.length; current++) {
      for (const take of idle.splice(0)) take();
      for (let isLast = false; !isLast; ) {
        while (arrived[current].length === 0) {
          if (failure !== undefined) throw failure;
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        const envelope = arrived[current].shift() as Envelope<Message>;
        isLast = envelope.isLast;
        yield { job: current, ...envelope };
        Atomics.add(threadOf[current], 0, 1);
        Atomics.notify(threadOf[current], 0);
      }
    }
  } finally {
    signal?.removeEventListener('abort', abort);
    await Promise.all(workers.map((worker) => worker.removeAllListeners().terminate()));
  }
}

/**
 * The other end: runs each job that arrives.
 *
 * @param work  returns the job's last message and may send others before; `send` waits while too many
 *   are on the way
 */
export function serveJobs<Setup, Job, Message>(
  work: (setup: Setup, job: Job, send: (message: Message) => void) => Promise<Message>,
): void {
  const port = parentPort;
  if (port === null) return;
  const { setup, received } = workerData as ThreadData<Setup>;
  let sent = 0;
  const post = (message: Message, isLast: boolean): void => {
    port.postMessage({ message, isLast } satisfies Envelope<Message>);
    sent++;
  };
  const send = (message: Message): void => {
    for (;;) {
      const seen = Atomics.load(received, 0);
      if (sent - seen < mostAhead) break;
      Atomics.wait(received, 0, seen);
    }
    post(message, false);
  };
  // A failure of ours is thrown in the thread, where the receiver hears of it with its stack.
  port.on('message', (job: Job) =>
    work(setup, job, send).then(
      (message) => post(message, true),
      (error: unknown) =>
        setImmediate(() => {
          throw error;
        }),
    ),
  );
}
