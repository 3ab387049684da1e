import { randomBytes } from 'node:crypto';
import { forTerminal } from '../../base/text/format.ts';

const esc = '\u001b';
/**
 * Marks the escapes that are ours until a line is printed. Whatever a trace, a map or a file's name
 * says, it cannot hold this: it is another one in each process.
 */
const mark = `${esc}${randomBytes(9).toString('base64url')}`;

/**
 * Styles a piece of text for `printable`.
 *
 * @param style  puts escapes around a text, as `util.styleText` does
 */
export function paint(style: (text: string) => string, text: string): string {
  return style(forTerminal(text)).replaceAll(esc, mark);
}

/** As `printable`, for a text that must not begin another line. */
export function printableLine(line: string): string {
  return printable(line).replaceAll('\n', '\\n');
}

/** Makes a text fit for a terminal: of all escapes in it, only those of `paint` stay ones. */
export function printable(line: string): string {
  return line
    .split(mark)
    .map((part) => forTerminal(part))
    .join(esc);
}
