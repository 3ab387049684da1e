/**
 * Lets a process end while its threads compute: one that is ended within a run of the ONNX runtime takes the
 * process with it, by an exception that nothing can catch. So a process that exits waits for the runs under
 * way, and no thread starts another.
 */

/** Shared: runs under way, and whether the process ends. */
export type BusyThreads = Int32Array;

const all: Set<BusyThreads> = new Set();

/** Longest wait, in milliseconds: many times a run. */
const patience = 30_000;

function waitForRuns(): void {
  const until = performance.now() + patience;
  for (const busy of all) Atomics.store(busy, 1, 1);
  for (const busy of all) {
    for (let runs = Atomics.load(busy, 0); runs > 0; runs = Atomics.load(busy, 0)) {
      if (performance.now() > until) return;
      Atomics.wait(busy, 0, runs, 100);
    }
  }
}

/** For the threads of one pool. */
export function watchThreads(): BusyThreads {
  const busy = new Int32Array(new SharedArrayBuffer(8));
  if (all.size === 0) process.on('exit', waitForRuns);
  all.add(busy);
  return busy;
}

export function unwatchThreads(busy: BusyThreads): void {
  all.delete(busy);
  if (all.size === 0) process.off('exit', waitForRuns);
}

/** In a thread: does `work` unless the process ends; then it never settles. */
export async function whileBusy<T>(busy: BusyThreads, work: () => Promise<T>): Promise<T> {
  Atomics.add(busy, 0, 1);
  try {
    if (Atomics.load(busy, 1) === 0) return await work();
  } finally {
    Atomics.sub(busy, 0, 1);
    Atomics.notify(busy, 0);
  }
  return new Promise<never>(() => {});
}
