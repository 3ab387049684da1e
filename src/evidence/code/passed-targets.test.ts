import { describe, expect, test } from 'vitest';
import { hasTool, mapFiles, run, Workshop } from '../../../test/compiled.ts';
import { AllowedTargets } from './allowed-targets.ts';
import { ProcessCode } from './process-code.ts';

/** Calls what it is given: itself, behind other calls, and through another function that hands it on. */
const library = `
int sink(int x);
typedef int (*Function)(int);
__attribute__((noinline)) int apply(int n, Function f) {
  int sum = 0;
  for (int i = 0; i < n; i++) { sum += sink(i); sum += f(i); }
  return sum + 1;
}
__attribute__((noinline)) int outer(Function f, int n) { return apply(n, f); }
struct Holder { Function f; };
__attribute__((noinline)) int held(struct Holder *h) { return h->f(sink(2)) + 1; }
`;

const program = `
typedef int (*Function)(int);
struct Holder { Function f; };
int apply(int n, Function f);
int outer(Function f, int n);
int held(struct Holder *h);
volatile int variable;
int sink(int x) { variable = x; return variable; }
__attribute__((noinline)) static int one(int x) { return sink(x) + 1; }
__attribute__((noinline)) static int two(int x) { return sink(x) + 2; }
__attribute__((noinline)) static int three(int x) { return sink(x) + 3; }
__attribute__((noinline)) static int never(int x) { return sink(x) + 4; }
Function volatile kept;
int start(int x) {
  struct Holder holder;
  int sum = apply(x, one) + outer(two, x);
  kept = never;
  holder.f = three;
  return sum + held(&holder) + kept(x);
}
`;

const compilers = ['gcc', 'clang'].filter((name) => hasTool(name));
const table = compilers.flatMap((name) => ['-O1', '-O2', '-Os'].map((level) => [name, level]));

describe.skipIf(compilers.length === 0 || !hasTool('nm'))('functions that are handed on', () => {
  const workshop = new Workshop();
  test.each(table)(
    '%s %s: through registers, by name, and by a function between',
    async (compiler, level) => {
      const common = [level!, '-nostdlib', '-fPIC', '-fno-stack-protector'];
      const unwind = ['-fasynchronous-unwind-tables', '-fno-inline'];
      const shared = workshop.compile(
        compiler!,
        workshop.write(library, 'c'),
        ...[...common, ...unwind, '-shared', '-Wl,-soname,given.so'],
      );
      const path = workshop.compile(
        compiler!,
        workshop.write(program, 'c'),
        ...[...common, ...unwind, '-pie', '-rdynamic', '-Wl,-e,start', shared],
      );
      const symbolsOf = (file: string): Map<string, number> =>
        new Map(
          [...run('nm', file).matchAll(/^([0-9a-f]+) \w (.*)$/gm)].map((m) => [
            m[2]!,
            Number.parseInt(m[1]!, 16),
          ]),
        );
      const own = symbolsOf(path);
      const others = symbolsOf(shared);
      const disassembly = run('objdump', '-d', '--no-show-raw-insn', shared);
      run('strip', path);
      run('strip', shared);
      const { space, bases } = await mapFiles(path, shared);
      const allowed = new AllowedTargets(new ProcessCode(space));
      const siteIn = (name: string): number => {
        expect(others.has(name)).toBe(true);
        const body = disassembly.slice(disassembly.indexOf(`<${name}>:`));
        const site = /^ +([0-9a-f]+):\t(?:notrack )?(?:call|jmp) +\*/m.exec(body)?.[1];
        return bases[1]! + Number.parseInt(site!, 16);
      };
      const isNamed = (site: number, name: string): boolean =>
        allowed
          .at(site)!
          .classes.some((one) => one.name === 'named' && one.has(bases[0]! + own.get(name)!));
      const applied = siteIn('apply');
      expect(isNamed(applied, 'one')).toBe(true);
      expect(isNamed(applied, 'two')).toBe(true);
      // Its address is computed, too, but goes to memory, where somebody may change it.
      expect(isNamed(applied, 'three')).toBe(false);
      expect(isNamed(applied, 'never')).toBe(false);
      expect(isNamed(applied, 'sink')).toBe(false);
      // What is read from memory is no argument.
      expect(isNamed(siteIn('held'), 'three')).toBe(false);
    },
  );
});
