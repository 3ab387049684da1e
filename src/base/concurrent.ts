/**
 * Does something with each item, several at a time, and gives the results in the order of the items.
 * What waits for disks costs its waiting once, not once an item.
 *
 * @throws what `work` throws first; no further item is begun then
 */
export async function mapConcurrently<T, R>(
  items: readonly T[],
  width: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  const slot = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      try {
        results[index] = await work(items[index], index);
      } catch (error) {
        next = items.length;
        throw error;
      }
    }
  };
  const slots = Array.from({ length: Math.min(width, items.length) }, slot);
  // All have ended before anybody hears of it: nothing goes on behind the caller's back.
  const ends = await Promise.allSettled(slots);
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
  return results;
}
