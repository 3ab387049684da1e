/**
 * Adler-32 of a text's UTF-8 bytes, unsigned.
 *
 * @see RFC 1950, section 9
 */
export function adler32(text: string): number {
  let a = 1;
  let b = 0;
  for (const byte of Buffer.from(text, 'utf8')) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  return b * 65536 + a;
}
