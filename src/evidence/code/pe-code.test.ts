import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { hasTool, mapFiles, run, Workshop } from '../../../test/compiled.ts';
import { Random } from '../../base/random.ts';
import { AllowedTargets } from './allowed-targets.ts';
import { ProcessCode } from './process-code.ts';

const compiler = 'x86_64-w64-mingw32-g++';
const objdump = 'x86_64-w64-mingw32-objdump';

const source = `
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
volatile int out;
__attribute__((noinline)) int choose(int x) {
  switch (x) {
    case 0: out = 11; return 5; case 1: out = 3; return 9; case 2: out = 8; return 2;
    case 3: out = 1; return 7; case 4: out = 4; return 4; case 5: out = 6; return 1;
    case 6: out = 2; return 8; default: return 0;
  }
}
__attribute__((noinline)) int risky(int x) {
  if (x > 3) throw std::runtime_error("no");
  return choose(x);
}
int main(int argc, char **argv) {
  char *copy = strdup(argv[0]);
  std::puts(copy);
  try { std::printf("%d\\n", risky(argc)); } catch (const std::exception &e) { std::puts(e.what()); }
  std::free(copy);
  return 0;
}`;

describe.skipIf(!hasTool(compiler) || !hasTool(objdump))('a PE program of mingw-w64', () => {
  const workshop = new Workshop();
  const text = workshop.write(source, 'cc');

  test.each([['-O0'], ['-O2']])('%s, against binutils', async (level) => {
    const path = workshop.compile(compiler, text, level, '-static');
    const { space, bases } = await mapFiles(path);
    const process = new ProcessCode(space);
    const { code } = process.imageOf(0)!;
    const base = bases[0]!;
    const { imageBase, bindings } = code.tables;
    expect(code.tables.format).toBe('pe');

    const headers = run(objdump, '-p', path);
    const functions = [
      ...headers.matchAll(/^ [0-9a-f]+:\t+([0-9a-f]{16}) ([0-9a-f]{16}) [0-9a-f]{16}/gm),
    ].map((m) => [Number.parseInt(m[1]!, 16) - imageBase, Number.parseInt(m[2]!, 16) - imageBase]);
    expect(functions.length).toBeGreaterThan(100);
    for (const [start, end] of functions) {
      expect(process.functionRange(base + start!)).toEqual({
        start: base + start!,
        end: base + end!,
      });
      expect(process.isFunctionEntry(base + start!)).toBe(true);
    }

    // Imports: "vma: Hint/Ord Member-Name Bound-To".
    const listed = [...headers.matchAll(/^\t[0-9a-f]+\t +\d+ +(\w+)/gm)].map((m) => m[1]!);
    const names = new Set([...bindings.values()].map((b) => (b.kind === 'name' ? b.name : '')));
    expect(listed.length).toBeGreaterThan(20);
    expect(listed.filter((name) => !names.has(name))).toEqual([]);
    const disassembly = run(objdump, '-d', '--no-show-raw-insn', path);
    const stubs = [
      ...disassembly.matchAll(/^ +([0-9a-f]+):\tjmp +\*\S+\(%rip\) +# ([0-9a-f]+) <__imp_(\w+)>/gm),
    ];
    expect(stubs.length).toBeGreaterThan(10);
    for (const [, , slot, name] of stubs) {
      // Old names of the C library have an underscore in its DLL.
      const binding = bindings.get(Number.parseInt(slot!, 16) - imageBase);
      expect(binding?.kind === 'name' && binding.name.replace(/^_/, '')).toBe(
        name!.replace(/^_/, ''),
      );
    }

    // The switch: its table leads to eight places of one function, or nine with the default.
    const body = disassembly.slice(disassembly.indexOf('<_Z6choosei>:'));
    const site = /^ +([0-9a-f]+):\t(?:notrack )?jmp +\*%r/m.exec(body)?.[1];
    const own = Number.parseInt(site!, 16) - imageBase;
    const allowed = new AllowedTargets(process).at(base + own)!;
    expect(allowed.mechanism).toBe('table');
    expect(allowed.classes[0]!.count).toBe(7);
    expect(allowed.classes[0]!.has(base + own)).toBe(false);
    const { landingPads, handlers } = code.unwind;
    expect(handlers.length).toBeGreaterThan(0);
    const main = code.rangeAt(code.rangeAt(own)!.start)!;
    expect(landingPads.length).toBeGreaterThan(1);
    expect([...landingPads].every((pad) => pad < main.start || pad >= main.end)).toBe(true);
  });

  test('functions of another image are found by name, stubs lead to them', async () => {
    const library = workshop.write(
      'extern "C" __declspec(dllexport) int given(int x) { return x + 1; }',
      'cc',
    );
    const dll = join(workshop.folder, 'given.dll');
    run('cp', workshop.compile(compiler, library, '-shared', '-O1'), dll);
    const user = workshop.write(
      'extern "C" __declspec(dllimport) int given(int);\nint main() { return given(2) + given(3); }',
      'cc',
    );
    const path = workshop.compile(compiler, user, dll, '-O1');
    const { space, bases } = await mapFiles(path, dll);
    const process = new ProcessCode(space);
    const given = process.resolve(0, { kind: 'name', name: 'given' })!;
    expect(given).toHaveLength(1);
    expect(given[0]).toBeGreaterThan(bases[1]!);
    expect(process.exportedNames(given[0]!)).toContain('given');
    const text = run(objdump, '-d', '--no-show-raw-insn', path);
    const sites = [...text.matchAll(/^ +([0-9a-f]+):\tcall +\*\S+\(%rip\) .*<__imp_given>/gm)];
    const { imageBase } = process.imageOf(0)!.code.tables;
    const direct = sites.map((m) => bases[0]! + Number.parseInt(m[1]!, 16) - imageBase);
    for (const site of direct) expect(process.slotTargets(site)).toEqual(given);
    const loads = new AllowedTargets(process);
    const indirect = [...text.matchAll(/^ +([0-9a-f]+):\tcall +\*%\w+/gm)].map(
      (m) => bases[0]! + Number.parseInt(m[1]!, 16) - imageBase,
    );
    const reached = indirect.filter((site) => {
      const allowance = loads.at(site);
      return allowance?.mechanism === 'stub' && allowance.classes[0]!.has(given[0]!);
    });
    expect(direct.length + reached.length).toBeGreaterThanOrEqual(2);
  });

  test('damaged headers and tables lose what they held, and nothing else', async () => {
    const path = workshop.compile(compiler, text, '-O1', '-static');
    const bytes = readFileSync(path);
    const random = new Random(7);
    for (let round = 0; round < 30; round++) {
      const damaged = Uint8Array.from(bytes);
      // Headers, then anywhere: unwind, import and relocation tables.
      for (let i = 0; i < 12; i++) damaged[random.below(0x400)] = random.below(256);
      for (let i = 0; i < 4000; i++) damaged[random.below(damaged.length)] = random.below(256);
      const file = join(workshop.folder, `damaged${round}.exe`);
      writeFileSync(file, damaged);
      const { space, bases } = await mapFiles(file);
      const process = new ProcessCode(space);
      const allowed = new AllowedTargets(process);
      for (let i = 0; i < 40; i++) {
        const at = bases[0]! + random.below(damaged.length);
        process.functionRange(at);
        process.isFunctionEntry(at);
        process.isLandingPad(at);
        const allowance = allowed.at(at);
        expect(allowance === undefined || allowance.classes.at(-1)!.has(at)).toBe(true);
      }
    }
  });
});
