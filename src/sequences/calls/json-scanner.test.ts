import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JsonScanner, type JsonVisitor, longestText } from './json-scanner.ts';

/** Builds what it is told, and passes over members called `skip`. */
class Builder implements JsonVisitor {
  readonly #open: { value: unknown[] | Record<string, unknown>; key: string }[] = [];
  result: unknown;

  key(name = '(long)'): boolean {
    this.#open.at(-1)!.key = name;
    return name !== 'skip';
  }

  open(kind: 'object' | 'list'): boolean {
    const value = kind === 'list' ? [] : {};
    this.scalar(value);
    this.#open.push({ value, key: '' });
    return true;
  }

  close(): void {
    this.#open.pop();
  }

  scalar(value: unknown): void {
    const around = this.#open.at(-1);
    if (around === undefined) this.result = value;
    else if (Array.isArray(around.value)) around.value.push(value);
    else {
      const { key } = around;
      Object.defineProperty(around.value, key, { value, enumerable: true, configurable: true });
    }
  }
}

function scan(text: string | Uint8Array, size = 1e9): { value: unknown; damage?: string } {
  const builder = new Builder();
  const scanner = new JsonScanner(builder);
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) scanner.write(bytes.subarray(at, at + size));
  const damage = scanner.finish();
  return damage === undefined ? { value: builder.result } : { value: builder.result, damage };
}

/** What a builder that passes over `skip` should have built. */
function without(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(without);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key !== 'skip')
      .map(([key, inner]) => [key, without(inner)]),
  );
}

describe('JsonScanner', () => {
  test('tells what JSON.parse finds, however the document is cut and spaced', () => {
    const { value: document } = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        fc.jsonValue({ maxDepth: 1 }),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(fc.oneof(fc.constantFrom('skip', 'a'), fc.string()), tie('value'), {
          maxKeys: 4,
        }),
      ),
    }));
    fc.assert(
      fc.property(document, fc.nat(3), fc.integer({ min: 1, max: 9 }), (value, indent, size) => {
        const text = JSON.stringify(value, undefined, indent);
        // What JSON.stringify cannot hold, such as -0, does not come back from JSON.parse either.
        expect(scan(text, size)).toEqual({ value: without(JSON.parse(text)) });
      }),
      { seed: 5, numRuns: 500 },
    );
  });

  test('reads escapes, numbers as other programs write them, and a byte order mark', () => {
    const text = '\ufeff {"a\\u0041\\n": ["\\ud83d\\ude00", -1.5e3, NaN, Infinity, true, null,]}';
    expect(scan(text).value).toEqual({ 'aA\n': ['😀', -1500, undefined, undefined, true, null] });
    expect(scan('17')).toEqual({ value: 17 });
  });

  test('texts that are too long are told as undefined, invalid UTF-8 and odd escapes stay', () => {
    const long = 'x'.repeat(longestText + 1);
    expect(scan(`["${long}", "${long.slice(1)}", "\\q"]`, 1000).value).toEqual([
      undefined,
      long.slice(1),
      '\\q',
    ]);
    expect(scan(Buffer.from([0x22, 0xff, 0x61, 0x22])).value).toBe('\ufffda');
  });

  test('a hundred thousand brackets are passed over', () => {
    const deep = `${'[{"a":'.repeat(100_000)}1${'}]'.repeat(100_000)}`;
    expect(scan(`{"skip": ${deep}, "b": "]}"}`, 4096)).toEqual({ value: { b: ']}' } });
  });

  test('names the byte where it stops being JSON, and where it is cut off', () => {
    for (const [text, offset] of [
      ['{"a": 1} x', 9],
      ['{"a" 1}', 5],
      ['[1, 2}', 5],
      ['{1: 2}', 1],
      ['["a" "b"]', 5],
      ['[,]', 1],
      ['\u0000', 0],
      ['}', 0],
    ] as const) {
      expect(scan(text).damage, text).toBe(`is no JSON from byte ${offset} on`);
    }
    const whole = '{"a": [1, "b\\"", {"skip": [{}]}], "c": true}';
    for (let length = 0; length < whole.length; length++) {
      expect(scan(whole.slice(0, length)).damage).toBe(`is cut off at byte ${length}`);
    }
    expect(scan(whole).damage).toBeUndefined();
  });

  test('any bytes are read to the end or to a named damage', () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 8 }),
      fc
        .constantFrom('{', '}', '[', ']', '"', ':', ',', '\\', '1', 'true', '"skip":')
        .map((s) => Uint8Array.from(Buffer.from(s))),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), fc.integer({ min: 1, max: 5 }), (list, n) => {
        const bytes = Buffer.concat(list);
        const found = scan(bytes, n);
        expect(found).toEqual(scan(bytes));
        let isJson = true;
        try {
          JSON.parse(bytes.toString());
        } catch {
          isJson = false;
        }
        if (isJson) expect(found.damage).toBeUndefined();
      }),
      { seed: 6, numRuns: 1000 },
    );
  });
});
