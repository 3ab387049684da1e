import { existsSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { hasTool, mapFiles, run, Workshop } from '../../../test/compiled.ts';
import { ProcessCode } from './process-code.ts';

const libc = '/lib/x86_64-linux-gnu/libc.so.6';
const hasBinutils = hasTool('readelf') && existsSync(libc);

/** Ranges and personalities that binutils finds in the frame descriptions. */
function framesOf(path: string): { start: number; end: number }[] {
  const text = run('readelf', '-W', '--debug-dump=frames', path);
  return [...text.matchAll(/ FDE cie=\S+ pc=([0-9a-f]+)\.\.([0-9a-f]+)/g)].map((match) => ({
    start: Number.parseInt(match[1]!, 16),
    end: Number.parseInt(match[2]!, 16),
  }));
}

/** Names by the place of their slot, as binutils reads the relocations. */
function slotsOf(path: string): Map<number, string> {
  const text = run('readelf', '-rW', path);
  const line = /^([0-9a-f]+) +\S+ +R_\S+_(?:JUMP_SLOT|JUMP_SLO|GLOB_DAT) +\S+ +([^@\s]+)/gm;
  return new Map(
    [...text.matchAll(line)].map((match) => [Number.parseInt(match[1]!, 16), match[2]!]),
  );
}

describe.skipIf(!hasBinutils)('this machine’s C library, against binutils', () => {
  const path = existsSync(libc) ? realpathSync(libc) : '';
  let code: ProcessCode;
  let base: number;

  beforeAll(async () => {
    const { space, bases } = await mapFiles(path);
    code = new ProcessCode(space);
    base = bases[0]!;
  });

  test('every range with unwind information, and none between them', () => {
    const frames = framesOf(path);
    expect(frames.length).toBeGreaterThan(1000);
    const starts = new Set(frames.map(({ start }) => start));
    let gaps = 0;
    for (const { start, end } of frames) {
      const range = code.functionRange(base + end - 1);
      // A signal's return is described from the byte before it.
      expect([base + start, base + start + 1]).toContain(range?.start);
      expect(range?.end).toBe(base + end);
      const isCovered = frames.some((other) => end >= other.start && end < other.end);
      if (isCovered || starts.has(end)) continue;
      gaps++;
      const behind = code.functionRange(base + end);
      // Only a symbol that has a size may say more.
      expect(behind === undefined || behind.start === base + end).toBe(true);
    }
    expect(gaps).toBeGreaterThan(100);
  });

  test('exported functions are entries, and the byte behind their start is none', () => {
    const symbols = run('readelf', '-W', '--dyn-syms', path);
    const functions = [
      ...symbols.matchAll(/^ +\d+: ([0-9a-f]+) +(\d+) I?FUNC +\S+ +DEFAULT +\d+ ([^@\s]+)/gm),
    ];
    expect(functions.length).toBeGreaterThan(1000);
    for (const [, address, size, name] of functions) {
      const at = base + Number.parseInt(address!, 16);
      expect(code.isFunctionEntry(at)).toBe(true);
      expect(code.exportedNames(at)).toContain(name);
      if (Number(size) > 1) expect(code.isFunctionEntry(at + 1), name).not.toBe(true);
    }
  });

  test('versions are told apart: of a name asked for in one version, that one alone', () => {
    const symbols = run('readelf', '-W', '--dyn-syms', path);
    const find = (suffix: string): number =>
      Number.parseInt(
        new RegExp(`: ([0-9a-f]+).* memcpy${suffix}\\b`).exec(symbols)?.[1] ?? '',
        16,
      );
    const binding = { kind: 'name', name: 'fmemopen' } as const;
    const all = code.resolve(0, binding);
    const old = code.resolve(0, { ...binding, version: 'GLIBC_2.2.5' });
    const young = code.resolve(0, { ...binding, version: 'GLIBC_2.22' });
    expect(find('@@GLIBC_2.14')).toBeGreaterThan(0);
    expect(all).toHaveLength(2);
    expect([old, young].map((list) => list?.length)).toEqual([1, 1]);
    expect(new Set([...old!, ...young!])).toEqual(new Set(all));
  });

  test('an indirect function is what its resolver takes the address of', () => {
    const found = code.resolve(0, { kind: 'name', name: 'strlen' });
    expect(found!.length).toBeGreaterThan(2);
    for (const address of found!) expect(code.functionRange(address)?.start).toBe(address);
  });
});

const program = `
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv) {
  puts(argv[0]);
  char *copy = strdup(argv[0]);
  printf("%d %zu\\n", atoi(argv[argc - 1]), strlen(copy));
  free(copy);
  return 0;
}`;

describe.skipIf(!hasBinutils || !hasTool('gcc'))('linkage stubs of a program', () => {
  const workshop = new Workshop();
  test.each([
    ['lazy binding', ['-O1']],
    ['bound at once', ['-O1', '-Wl,-z,now']],
    ['with landing marks', ['-O1', '-fcf-protection=full', '-Wl,-z,ibtplt']],
    ['lazy, with landing marks', ['-O1', '-fcf-protection=full', '-Wl,-z,lazy', '-Wl,-z,ibtplt']],
    ['no stubs', ['-O1', '-fno-plt']],
    ['fixed', ['-O1', '-no-pie']],
    ['classic hash table', ['-O1', '-Wl,--hash-style=sysv']],
  ])('%s: each leads to the function that its slot is named for', async (_, options) => {
    const path = workshop.compile('gcc', workshop.write(program, 'c'), ...options);
    const { space, bases } = await mapFiles(path, realpathSync(libc));
    const code = new ProcessCode(space);
    const slots = slotsOf(path);
    const lowest = code.imageOf(0)!.code.lowest;
    const text = run('objdump', '-d', '--no-show-raw-insn', path);
    const transfers = [
      ...text.matchAll(/^ +([0-9a-f]+):\t.*(?:jmp|call) +\*\S+\(%rip\) +# ([0-9a-f]+)/gm),
    ].map((match) => [Number.parseInt(match[1]!, 16), Number.parseInt(match[2]!, 16)] as const);
    const named = transfers.filter(([, slot]) => slots.has(slot));
    expect(named.length).toBeGreaterThanOrEqual(5);
    let bound = 0;
    for (const [site, slot] of named) {
      const name = slots.get(slot)!;
      const targets = code.slotTargets(bases[0]! + site - lowest);
      // What no mapped image defines is not known.
      if (name.startsWith('__gmon') || name.startsWith('_ITM')) {
        expect(targets, name).toBeUndefined();
        continue;
      }
      const wanted = code.resolve(0, { kind: 'name', name })!;
      expect(wanted.every((address) => address >= bases[1]!)).toBe(true);
      for (const address of wanted) expect(targets, name).toContain(address);
      for (const address of targets!) {
        if (wanted.includes(address)) continue;
        // Until it is bound the slot leads to the push in its own stub.
        expect(code.lazyBinding(address), name).toEqual(wanted);
        bound++;
      }
    }
    const isLazy = !options.includes('-fno-plt') && !options.includes('-Wl,-z,now');
    if (isLazy) expect(bound).toBeGreaterThanOrEqual(4);
  });
});

const catching = `
#include <stdexcept>
#include <cstdio>
struct Guard { ~Guard() { std::puts("left"); } };
int risky(int x) { if (x > 1) throw std::runtime_error("no"); return x; }
int main(int argc, char **) {
  Guard guard;
  try { return risky(argc); } catch (const std::exception &e) { std::puts(e.what()); }
  return 1;
}`;

describe.skipIf(!hasBinutils || !hasTool('g++'))('exceptions', () => {
  const workshop = new Workshop();
  test.each([['-O2'], ['-O0']])(
    '%s: landing pads are where the compiler put them',
    async (level) => {
      const source = workshop.write(catching, 'cc');
      const path = workshop.compile('g++', source, level);
      const { space, bases } = await mapFiles(path);
      const code = new ProcessCode(space);
      const text = run('objdump', '-d', '-C', '--no-show-raw-insn', path);
      // Every landing pad of this program ends in a call of the unwinder's or of the catch's.
      const { landingPads } = code.imageOf(0)!.code.unwind;
      expect(landingPads.length).toBeGreaterThanOrEqual(2);
      for (const pad of landingPads) {
        const at = text.indexOf(`\n    ${pad.toString(16)}:\t`);
        expect(at, pad.toString(16)).toBeGreaterThan(0);
        expect(code.isLandingPad(bases[0]! + pad)).toBe(true);
        expect(code.isFunctionEntry(bases[0]! + pad) === true && level === '-O0').toBe(false);
      }
      expect(code.isLandingPad(bases[0]! + landingPads[0]! + 1)).toBe(false);
    },
  );
});

describe('a damaged image', () => {
  const path = existsSync(libc) ? realpathSync(libc) : process.execPath;
  test('answers, and nothing hangs, whatever bytes of its tables are changed', async () => {
    const workshop = new Workshop();
    const bytes = readFileSync(path).subarray(0, 2 ** 21);
    let state = 12_345;
    const below = (limit: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((state / 2 ** 32) * limit);
    };
    for (let round = 0; round < 40; round++) {
      const damaged = Uint8Array.from(bytes);
      // Headers and the tables behind them lie at the beginning, dynamic tables near the end.
      for (let i = 0; i < 64; i++) damaged[below(round < 20 ? 1024 : damaged.length)] = below(256);
      for (let i = 0; i < 512; i++) damaged[below(0x2_0000)] = below(256);
      const file = join(workshop.folder, `damaged${round}`);
      writeFileSync(file, damaged);
      const { space, bases } = await mapFiles(file);
      const code = new ProcessCode(space);
      for (let i = 0; i < 50; i++) {
        const at = bases[0]! + below(damaged.length);
        code.functionRange(at);
        code.isFunctionEntry(at);
        code.slotTargets(at);
        code.lazyBinding(at);
      }
      expect(code.functionRange(1)).toBeUndefined();
    }
  });
});

describe.skipIf(!hasTool('cc') || !hasTool('nm'))('a program that stays where it is', () => {
  const workshop = new Workshop();
  const source = `
    #include <stdlib.h>
    #include <string.h>
    struct hooks { long pad[3]; void (*at)(void); };
    __attribute__((noinline)) void on_stack(void) { __asm__(""); }
    __attribute__((noinline)) void in_constants(void) { __asm__(""); }
    __attribute__((noinline)) int called_only(int n) { __asm__(""); return n + 1; }
    void (*const constants[])(void) = {in_constants, in_constants};
    __attribute__((noinline)) void take(volatile struct hooks *h) { h->at(); }
    __attribute__((noinline)) int pick(int n) {
      switch (n) {
        case 0: return called_only(n) * 3;
        case 1: return n - 7;
        case 2: return called_only(n) + 9;
        case 3: return n ^ 5;
        case 4: abort();
        default: return 0;
      }
    }
    int main(int n, char **list) {
      volatile struct hooks h;
      h.at = on_stack;
      take(&h);
      constants[n & 1]();
      qsort(list, 1, sizeof *list, (int (*)(const void *, const void *))strcmp);
      return pick(n);
    }`;

  test('names its functions by absolute addresses: in code, beside code, for those of libraries', async () => {
    const options = [
      '-O2',
      '-no-pie',
      '-fno-pie',
      '-fcf-protection=none',
      '-Wl,-z,noseparate-code',
    ];
    const path = workshop.compile('cc', workshop.write(source, 'c'), ...options);
    const { space, bases } = await mapFiles(path);
    const code = new ProcessCode(space);
    const at = (address: number): number => bases[0]! + address - 0x40_0000;
    const symbols = new Map(
      [...run('nm', path).matchAll(/^(\w+) \w (\w+)$/gm)].map(
        ([, value, name]) => [name!, Number.parseInt(value!, 16)] as const,
      ),
    );
    for (const name of ['on_stack', 'in_constants', 'main']) {
      expect(code.isTaken(at(symbols.get(name)!)), name).toBe(true);
    }
    expect(code.isTaken(at(symbols.get('called_only')!))).toBe(false);
    // The comparison of qsort is the linkage stub of strcmp.
    const text = run('objdump', '-d', '--no-show-raw-insn', path);
    const stub = /mov +\$0x(\w+),%ecx/.exec(text)?.[1] ?? '';
    expect(text).toContain(`${stub.padStart(16, '0')} <strcmp@plt>`);
    expect(code.isTaken(at(Number.parseInt(stub, 16)))).toBe(true);
  });

  test('takes functions that a table of calls names, as compilers ahead of time write them', async () => {
    const names = Array.from({ length: 12 }, (_, i) => `f${i}`);
    const table = (list: readonly string[]): string =>
      list.map((name) => `.byte 0xe8\n.long ${name} - . - 4\n`).join('');
    // One function is missing: the table stands for it. g is named by too few calls to be a table.
    const text = [
      '.text',
      ...[...names, 'g'].map((name) => `.global ${name}\n.hidden ${name}\n${name}: ret\nnop`),
      '.data',
      `table: ${table([...names.slice(0, 5), 'table', ...names.slice(5)])}.quad 0\n${table(['g', 'g'])}`,
    ];
    const assembly = workshop.write(`${text.join('\n')}\n`, 's');
    const path = workshop.compile('cc', assembly, '-shared', '-nostdlib');
    const { space, bases } = await mapFiles(path);
    const code = new ProcessCode(space);
    const at = new Map(
      [...run('nm', path).matchAll(/^(\w+) t (\w+)$/gm)].map(([, address, name]) => [
        name,
        bases[0]! + Number.parseInt(address!, 16),
      ]),
    );
    expect(names.map((name) => code.isTaken(at.get(name)!))).toEqual(names.map(() => true));
    expect(code.isTaken(at.get('g')!)).not.toBe(true);
  });

  test('knows stretches of functions that are named by nothing that can be read', async () => {
    // 60 functions that nothing names, and 60 of which each is called by the one before but the last.
    const functions = (prefix: string, body: (i: number) => string): string[] =>
      Array.from(
        { length: 60 },
        (_, i) =>
          `.type ${prefix}${i}, @function\n${prefix}${i}: .cfi_startproc\n${body(i)}\nret\n.cfi_endproc`,
      );
    const text = [
      '.text',
      ...functions('lone', () => 'nop'),
      ...functions('called', (i) => (i < 58 ? `call called${i + 1}` : 'nop')),
    ];
    const path = workshop.compile(
      'cc',
      workshop.write(`${text.join('\n')}\n`, 's'),
      '-shared',
      '-nostdlib',
    );
    const { space, bases } = await mapFiles(path);
    const code = new ProcessCode(space);
    const at = (name: string): number => {
      const [, address] = new RegExp(`^(\\w+) t ${name}$`, 'm').exec(run('nm', path)) ?? [];
      return bases[0]! + Number.parseInt(address ?? '', 16);
    };
    expect(code.isAmongUnreferenced(at('lone30'))).toBe(true);
    // No pointer at all: whoever loads it makes them.
    expect(code.isWithoutPointers(at('called59'))).toBe(true);
    // That nothing calls it says something where others are called.
    expect(code.isAmongUnreferenced(at('called59'))).toBe(false);
    expect(code.isTaken(at('called59'))).not.toBe(true);

    const pointer = workshop.write(`${text.join('\n')}\n.data\n.quad lone1\n`, 's');
    const other = workshop.compile('cc', pointer, '-shared', '-nostdlib');
    const mapped = await mapFiles(other);
    expect(new ProcessCode(mapped.space).isWithoutPointers(mapped.bases[0]! + 0x1000)).toBe(false);
  });

  test('names the cases of a switch by a table of absolute addresses, those in its cold part, too', async () => {
    const options = ['-O2', '-no-pie', '-fno-pie', '-fcf-protection=none'];
    const path = workshop.compile('cc', workshop.write(source, 'c'), ...options);
    const { space, bases } = await mapFiles(path);
    const code = new ProcessCode(space);
    const at = (address: number): number => bases[0]! + address - 0x40_0000;
    const text = run('objdump', '-d', '--no-show-raw-insn', path);
    const jump = /^ *(\w+):\s+(?:notrack )?jmp +\*0x(\w+)\(,%r\w+,8\)/m.exec(text);
    const table = Number.parseInt(jump?.[2] ?? '', 16);
    const site = at(Number.parseInt(jump?.[1] ?? '', 16));
    const bytes = readFileSync(path);
    const [offset, address] = [...run('readelf', '-lW', path).matchAll(/LOAD +0x(\w+) 0x(\w+)/g)]
      .map(([, from, to]) => [Number.parseInt(from!, 16), Number.parseInt(to!, 16)] as const)
      .filter(([, to]) => to <= table)
      .at(-1)!;
    const cases = Array.from({ length: 5 }, (_, i) =>
      Number(bytes.readBigUInt64LE(offset + table - address + 8 * i)),
    );
    const starts = cases.map((target) => code.functionRange(at(target))?.start);
    expect(new Set(starts).size).toBe(2);
    for (const target of cases) expect(code.namesTarget(site, at(target))).toBe(true);
    expect(code.namesTarget(site, at(cases[0]! + 1))).toBe(false);
  });
});
