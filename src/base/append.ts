/** Adds items at the end of a list, however many: `push(...items)` throws from some hundred thousand on. */
export function appendAll<Item>(list: Item[], items: Iterable<Item>): void {
  for (const item of items) list.push(item);
}
