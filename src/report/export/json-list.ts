/** Items that are joined before they are handed on. */
const atOnce = 4096;

/** The items of a JSON array, with the commas between them, in pieces of bearable size. */
export function* jsonItems(items: Iterable<unknown>): Generator<string> {
  let held: string[] = [];
  let isFirst = true;
  for (const item of items) {
    held.push(`${isFirst ? '' : ',\n'}${JSON.stringify(item)}`);
    isFirst = false;
    if (held.length === atOnce) {
      yield held.join('');
      held = [];
    }
  }
  yield held.join('');
}
