import type { BlockBatch, BlockSource, TraceSummary } from './blocks.ts';

/**
 * Reads a trace as its reader asks for it: the source waits while batches lie here that nobody has
 * taken, so that a slow reader costs no memory. Leaving the loop ends the reading.
 *
 * @returns the summary, once the trace has ended
 */
export async function* pullBatches(
  source: BlockSource,
  signal?: AbortSignal,
): AsyncGenerator<BlockBatch, TraceSummary> {
  const left = new AbortController();
  const waiting: BlockBatch[] = [];
  let come = Promise.withResolvers<void>();
  let taken = Promise.withResolvers<void>();
  let summary: TraceSummary | undefined;
  let failure: { readonly error: unknown } | undefined;
  const reading = source
    .run((batch) => waiting.push({ ...batch, entries: batch.entries.slice(0, batch.length) }), {
      signal: signal === undefined ? left.signal : AbortSignal.any([left.signal, signal]),
      pace: () => {
        if (waiting.length === 0) return undefined;
        come.resolve();
        return taken.promise;
      },
    })
    .then(
      (end) => {
        summary = end;
      },
      (error: unknown) => {
        failure = { error };
      },
    )
    .finally(() => come.resolve());
  try {
    for (;;) {
      await come.promise;
      yield* waiting.splice(0);
      if (failure !== undefined) throw failure.error;
      if (summary !== undefined) return summary;
      const before = taken;
      come = Promise.withResolvers();
      taken = Promise.withResolvers();
      before.resolve();
    }
  } finally {
    left.abort();
    taken.resolve();
    await reading;
  }
}
