import { type Address, formatAddress } from '../address.ts';

/** What ends a place or a line, begins a comment, or is not seen; and the sign that stands for it. */
const reserved = /[\s\p{C}%>#]/gu;

/**
 * A place in an image as one word: `module+0xOFFSET`. A program may call its files what it likes; a name with a
 * line break must not become two lines of a list. Such characters are written as URLs write them: `%0a`.
 *
 * @param module  its name
 */
export function imagePlace(module: string, offset: Address): string {
  return `${module.replaceAll(reserved, inHex)}+${formatAddress(offset)}`;
}

function inHex(character: string): string {
  return Buffer.from(character).toString('hex').replaceAll(/../g, '%$&');
}
