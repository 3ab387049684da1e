import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { hasTool, mapFiles, run, Workshop } from '../../../test/compiled.ts';
import { ProcessCode } from './process-code.ts';

/** Switches of all sizes: dense, with holes, without a default, in a loop, of characters, and nested. */
const cases = (from: number, to: number, step = 1): string =>
  Array.from({ length: Math.ceil((to - from) / step) }, (_, i) => {
    const value = from + i * step;
    return `case ${value}: sink(${value * 7 + 3}); x += ${value % 5}; break;`;
  }).join('\n');

/**
 * Left out of 32-bit code: a switch of 64-bit values, whose two comparisons set no limit that is read;
 * its table ends where entries stop to make sense.
 */
const source = `
volatile int out;
__attribute__((noinline)) static void sink(int x) { out += x; }
int dense(int x) { switch (x) { ${cases(0, 9)} default: x = 1; } return x; }
int shifted(int x) { switch (x) { ${cases(-3, 12)} default: x = 2; } return x; }
int holes(unsigned x) { switch (x) { ${cases(10, 80, 3)} default: x = 3; } return (int)x; }
int closed(unsigned x) {
  switch (x & 7) { ${cases(0, 8)} }
  return (int)x;
}
int large(int x) { switch (x) { ${cases(0, 300)} default: x = 4; } return x; }
int letters(const char *text) {
  int x = 0;
  for (; *text; text++) {
    switch (*text) { ${cases(97, 123, 2)} default: x -= 1; }
  }
  return x;
}
#if __SIZEOF_POINTER__ == 8
int wide(unsigned long long x) { switch (x) { ${cases(5, 30)} default: x = 6; } return (int)x; }
#else
int wide(int x) { return x; }
#endif
int nested(int x, int y) {
  switch (x) {
    ${cases(0, 6)}
    case 6:
      switch (y) { ${cases(20, 31)} default: x = 8; }
      break;
    ${cases(7, 12)}
    default: x = 9;
  }
  return x;
}
int threaded(const unsigned char *code) {
  static const void *const places[] = { &&stop, &&one, &&two, &&three, &&four };
  int x = 0;
  goto *places[*code++];
one: x += 1; goto *places[*code++];
two: x *= 3; goto *places[*code++];
three: x ^= 5; goto *places[*code++];
four: x -= 11; goto *places[*code++];
stop: return x;
}
int start(int x, char **y) {
  return dense(x) + shifted(x) + holes(x) + closed(x) + large(x) + letters(*y) + wide(x) +
    nested(x, x) + threaded((unsigned char *)*y);
}
`;

interface Listing {
  /** Targets of each table that the compiler lists, as sorted addresses. */
  readonly tables: readonly (readonly number[])[];
}

/** The compiler's own tables: runs of directives that hold labels of code, behind a label. */
function tablesOf(assembly: string, addresses: ReadonlyMap<string, number>): Listing {
  const tables: number[][] = [];
  let current: number[] | undefined;
  for (const line of assembly.split('\n')) {
    const entry = /^\t\.(?:long|quad|value|4byte|8byte)\t(\.L\w+)(?:[-@].*)?$/.exec(line);
    const address = entry === null ? undefined : addresses.get(entry[1]!);
    if (address !== undefined && current !== undefined) current.push(address);
    else if (/^[.\w]+:/.test(line)) {
      current = [];
      tables.push(current);
    } else if (!/^\s*(?:#|\.(?:align|p2align|section|type|size))/.test(line)) current = undefined;
  }
  const distinct = tables.map((table) => [...new Set(table)].sort((a, b) => a - b));
  return { tables: distinct.filter(({ length }) => length > 1) };
}

function symbolsOf(path: string): Map<string, number> {
  const text = run('nm', '-a', path);
  return new Map(
    [...text.matchAll(/^([0-9a-f]+) \w (\S+)$/gm)].map((m) => [m[2]!, Number.parseInt(m[1]!, 16)]),
  );
}

const compilers = ['gcc', 'clang'].filter((name) => hasTool(name));
const hasObjdump = hasTool('objdump') && hasTool('nm');
const levels = ['-O0', '-O1', '-O2', '-O3', '-Os'];
const kinds: readonly (readonly [string, readonly string[]])[] = [
  ['position-independent', ['-fPIC', '-shared']],
  ['an executable', ['-fPIE', '-pie']],
  ['fixed', ['-fno-pie', '-no-pie']],
  ['marked', ['-fPIE', '-pie', '-fcf-protection=full']],
  ['32-bit, fixed', ['-m32', '-fno-pie', '-no-pie']],
];

describe.skipIf(compilers.length === 0 || !hasObjdump)(
  'jump tables, against the compilers’ own',
  () => {
    const workshop = new Workshop();
    const table = compilers.flatMap((compiler) =>
      kinds.flatMap(([name, options]) =>
        levels.map((level) => [compiler, level, name, options] as const),
      ),
    );
    test.each(table)('%s %s, %s', async (compiler, level, _, options) => {
      const text = workshop.write(source, 'c');
      const words = [level, ...options, '-ffreestanding', '-fno-stack-protector'];
      const assembly = workshop.compile(compiler, text, '-S', ...words);
      const path = workshop.compile(
        compiler,
        text,
        ...words,
        '-nostdlib',
        '-Wl,-e,start',
        '-Wa,-L',
      );
      const addresses = symbolsOf(path);
      const { tables } = tablesOf(readFileSync(assembly, 'utf8'), addresses);
      expect(tables.length).toBeGreaterThanOrEqual(5);
      const { space, bases } = await mapFiles(path);
      const process = new ProcessCode(space);
      const { code, bias } = process.imageOf(0)!;
      expect(bases[0]).toBe(bias + code.lowest);
      const disassembly = run('objdump', '-d', '-j', '.text', '--no-show-raw-insn', path);
      const sites = [...disassembly.matchAll(/^ +([0-9a-f]+):\t(?:notrack )?jmp +\*(.*)$/gm)].map(
        (match) => Number.parseInt(match[1]!, 16),
      );
      expect(sites.length).toBeGreaterThanOrEqual(5);
      const keyOf = (targets: ArrayLike<number>): string => Array.from(targets).join();
      const listed = new Set(tables.map(keyOf));
      const found = new Set<string>();
      for (const site of sites) {
        const { targets, isOpen, isTable } = code.sites.at(site);
        expect([isTable, isOpen], site.toString(16)).toEqual([true, false]);
        found.add(keyOf(targets));
        expect(listed.has(keyOf(targets)), `${site.toString(16)}: ${keyOf(targets)}`).toBe(true);
      }
      expect([...listed].filter((key) => !found.has(key))).toEqual([]);
    });
  },
);
