/** Bytes of a line that are looked at; arguments behind them do not matter. */
const longestLine = 1 << 16;

/**
 * Cuts a text into lines, each as Latin-1, since names of calls are ASCII and nothing else is kept.
 *
 * @param onLine  gets each line that ends in a line break, without it
 * @returns the rest behind the last line break, and the number of all bytes
 */
export async function eachLine(
  input: AsyncIterable<Uint8Array>,
  onLine: (line: string) => void,
): Promise<{ readonly rest: string; readonly bytes: number }> {
  const line = Buffer.alloc(longestLine);
  let length = 0;
  let offset = 0;
  const take = (): string => line.toString('latin1', 0, Math.min(length, longestLine));
  for await (const piece of input) {
    const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.length);
    for (let from = 0; from < bytes.length; ) {
      const newline = bytes.indexOf(0x0a, from);
      const to = newline < 0 ? bytes.length : newline;
      const room = Math.max(0, longestLine - length);
      bytes.copy(line, length, from, Math.min(to, from + room));
      length += to - from;
      if (newline >= 0) {
        onLine(take());
        length = 0;
      }
      from = to + 1;
    }
    offset += bytes.length;
  }
  return { rest: take(), bytes: offset };
}
