/** What traces are counted in: blocks of code, or calls of a system or API. */
export type Unit = 'block' | 'call';

/** @returns a text of ours about blocks and transfers, put in the words of a log of calls if need be */
export function inUnits(text: string, unit: Unit): string {
  if (unit === 'block') return text;
  return text.replace(/\b(b)lock(s?)\b|\b(t)ransfer(s?)\b/gi, (_, b, many, t, more) =>
    b === undefined ? `${t === 'T' ? 'S' : 's'}tep${more}` : `${b === 'B' ? 'C' : 'c'}all${many}`,
  );
}
