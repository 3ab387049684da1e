/** `1,234,567`, for messages and terminals. */
export function showCount(value: number): string {
  // The first `toLocaleString` of a process reads the tables of a language: 45 ms for a comma.
  if (!Number.isSafeInteger(value)) return value.toLocaleString('en-US');
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** Controls but tab and line feed, and the marks that turn the direction of writing. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const unsafe = /[\0-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/**
 * Makes a text fit for a terminal: names in traces, maps and images are anybody's, and could clear
 * the screen or hide what is printed. What a terminal would obey is shown as `\u001b`, as in JSON.
 */
export function forTerminal(text: string): string {
  return text.replace(unsafe, escaped);
}

/** As `forTerminal`, for a text that must not begin another line. */
export function inOneLine(text: string): string {
  return forTerminal(text).replaceAll('\n', '\\n');
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** @returns a value that a file holds where something else belongs, in a few words: any at all may stand there */
export function showValue(value: unknown): string {
  if (typeof value === 'object' && value !== null) {
    return Array.isArray(value) ? 'a list' : 'an object';
  }
  const text = String(value);
  return inOneLine(text.length > 60 ? `${text.slice(0, 57)}...` : text);
}

/** A text that was given, short enough to stand in a sentence. */
export function shorten(text: string): string {
  return inOneLine(text.length > 60 ? `${text.slice(0, 57)}...` : text);
}

/** Breaks a text into lines between words; a word that is longer than a line stands by itself. */
export function wrap(text: string, width: number): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines[lines.length - 1] ?? '';
    if (line !== '' && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.join('\n');
}
