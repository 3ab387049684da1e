import { Worker } from 'node:worker_threads';

/** Four threads that write into one store at once. @returns the names that must be there after */
export async function writeAtOnce(
  place: string,
  collection: { readonly id: string; readonly description: string },
  count: number,
): Promise<string[]> {
  const writers = [0, 1, 2, 3];
  await Promise.all(
    writers.map(
      (writer) =>
        new Promise<void>((resolve, reject) => {
          const worker = new Worker(new URL('./store-writer.ts', import.meta.url), {
            workerData: { place, collection, writer, count },
          });
          worker.once('error', reject);
          worker.once('exit', (code) =>
            code === 0 ? resolve() : reject(new Error(`a writer ended with ${code}`)),
          );
        }),
    ),
  );
  return writers
    .flatMap((writer) =>
      Array.from({ length: count }, (_, i) =>
        i % 10 === 9 ? [] : [`writer ${writer}, sample ${i}`],
      ).flat(),
    )
    .sort();
}
