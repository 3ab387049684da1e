import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { escapeMarkup, shorten, visible } from './escape.ts';

const anyText = fc.string({ unit: 'binary', maxLength: 60 });

describe('escapeMarkup', () => {
  test.each([
    ['<script>alert(1)</script>', '&lt;script&gt;alert(1)&lt;/script&gt;'],
    ['" onload="x', '&quot; onload=&quot;x'],
    ["'`&", '&#39;&#96;&amp;'],
    ['a\u202egpj.exe', 'a\\u{202e}gpj.exe'],
    ['\u0000\u001b[31m', '\\u{0}\\u{1b}[31m'],
    ['\u{e0041}tag', '\\u{e0041}tag'],
    ['\ud800', '\ufffd'],
    ['naïve Ω 漢字 😀', 'naïve Ω 漢字 😀'],
  ])('%j', (text, expected) => {
    expect(escapeMarkup(text)).toBe(expected);
  });

  test('leaves nothing that ends a text, an attribute or a line', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const out = escapeMarkup(text);
        expect(out).not.toMatch(/[<>"'`\p{Cc}\p{Cf}]/u);
        expect(out.replace(/&(?:amp|lt|gt|quot|#39|#96);/g, '')).not.toContain('&');
        expect(out.isWellFormed()).toBe(true);
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  test('can be read back: two texts of printable characters never look the same', () => {
    const decode = (text: string): string =>
      text.replace(
        /&(amp|lt|gt|quot|#39|#96);/g,
        (_, name: string) =>
          ({ amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'", '#96': '`' })[name]!,
      );
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme-ascii' }), (text) => {
        expect(decode(escapeMarkup(text))).toBe(visible(text));
      }),
      { seed: 2, numRuns: 300 },
    );
  });
});

describe('shorten', () => {
  test('keeps both ends', () => {
    expect(shorten('abcdefghijklmnop', 8)).toBe('abcde…op');
    expect(shorten('short', 8)).toBe('short');
  });

  test('never makes a text longer than asked, and never cuts a character in two', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 300 }).map((s) => s.toWellFormed()),
        fc.integer({ min: 2, max: 60 }),
        (text, limit) => {
          const cut = shorten(text, limit);
          expect([...cut].length).toBeLessThanOrEqual(Math.max(limit, 0));
          expect(cut.isWellFormed()).toBe(true);
        },
      ),
      { seed: 3, numRuns: 500 },
    );
  });
});
