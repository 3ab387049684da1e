/** What traces are counted in: blocks of code, or calls of a system or API. */
export type Unit = 'block' | 'call';

const wordsOfCalls: ReadonlyMap<string, string> = new Map([
  ['block', 'call'],
  ['transfer', 'step'],
  ['code', 'calls'],
]);

/** @returns a text of ours about blocks and transfers, put in the words of a log of calls if need be */
export function inUnits(text: string, unit: Unit): string {
  if (unit === 'block') return text;
  return text.replace(/\b(?:block|transfer|code)(?=s?\b)/gi, (word) => {
    const other = wordsOfCalls.get(word.toLowerCase()) ?? word;
    return /^[A-Z]/.test(word) ? other[0].toUpperCase() + other.slice(1) : other;
  });
}
