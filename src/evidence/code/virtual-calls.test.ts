import { describe, expect, test } from 'vitest';
import { hasTool, mapFiles, run, Workshop } from '../../../test/compiled.ts';
import { AllowedTargets, defaultShares, probabilityOf } from './allowed-targets.ts';
import { ProcessCode } from './process-code.ts';

const source = `
extern "C" int take(int);
struct Shape {
  virtual int first(int x) = 0;
  virtual int second(int x, int y) = 0;
  virtual int third() = 0;
};
struct Round : Shape {
  int first(int x) override { return take(x) + 1; }
  int second(int x, int y) override { return take(x) * y; }
  int third() override { return take(3); }
};
struct Square : Shape {
  int first(int x) override { return take(x) - 1; }
  int second(int x, int y) override { return take(x) - y; }
  int third() override { return take(4); }
};
__attribute__((noinline)) int callFirst(Shape *s) { int n = take(1); return s->first(n) + take(n); }
__attribute__((noinline)) int callSecond(Shape *s) { int n = take(1); return s->second(n, n) + take(n); }
__attribute__((noinline)) int callThird(Shape *s) { int n = take(1); return s->third() + take(n); }
volatile int sink;
extern "C" __attribute__((noinline)) int take(int x) { sink = x; return sink; }
extern "C" __attribute__((noinline)) int one(int a) { return take(a) + a; }
extern "C" __attribute__((noinline)) int three(int a, int b, int c) { sink = b * c; return take(a); }
int (*volatile pointer)(int) = one;
int (*volatile other)(int, int, int) = three;
__attribute__((noinline)) int callPointer(int x) { int n = take(x); return pointer(n) + take(n); }
extern "C" int start(int x) {
  Round round; Square square;
  Shape *volatile shape = x ? (Shape *)&round : (Shape *)&square;
  return callFirst(shape) + callSecond(shape) + callThird(shape) + callPointer(x) + other(x, x, x);
}
extern "C" void __cxa_pure_virtual() { for (;;); }
`;

const library = `
struct Part { virtual ~Part() = 0; virtual int middle(); virtual int last(); };
int Part::middle() { return 1; }
int Part::last() { return 2; }
struct Whole : Part { ~Whole() override; int middle() override; int last() override; };
Whole::~Whole() {}
Part::~Part() {}
int Whole::middle() { return 3; }
int Whole::last() { return 4; }
`;

/** As a parser's handlers: what a position holds at first, the program may change. */
const handlers = `
extern "C" { int one(), two(), three(), other(); }
struct Handlers { int (*first)(), (*second)(), (*third)(); };
extern const Handlers initial = { one, two, three };
Handlers copy(bool isOther) {
  Handlers handlers = initial;
  if (isOther) handlers.second = other;
  return handlers;
}
`;

const compilers = ['g++', 'clang++'].filter((name) => hasTool(name));
const table = compilers.flatMap((name) => ['-O1', '-O2', '-Os'].map((level) => [name, level]));
const slots = ['first', 'second', 'third'] as const;

describe.skipIf(compilers.length === 0 || !hasTool('nm'))('virtual calls and pointers', () => {
  const workshop = new Workshop();
  test.each(table)('%s %s, stripped', async (compiler, level) => {
    const options = [level!, '-fno-rtti', '-fno-exceptions', '-ffreestanding', '-nostdlib'];
    const path = workshop.compile(
      compiler!,
      workshop.write(source, 'cc'),
      ...options,
      '-fno-stack-protector',
      '-fasynchronous-unwind-tables',
      '-fPIE',
      '-pie',
      '-Wl,-e,start',
    );
    const symbols = new Map(
      [...run('nm', '-C', path).matchAll(/^([0-9a-f]+) \w (.*)$/gm)].map((m) => [
        m[2]!,
        Number.parseInt(m[1]!, 16),
      ]),
    );
    const disassembly = run('objdump', '-d', '-C', '--no-show-raw-insn', path);
    run('strip', path);
    const { space, bases } = await mapFiles(path);
    const process = new ProcessCode(space);
    const allowed = new AllowedTargets(process);
    const addressOf = (name: string): number => {
      const at = symbols.get(name);
      expect(at, name).toBeDefined();
      return bases[0]! + at!;
    };
    const siteIn = (name: string): number => {
      const body = disassembly.slice(disassembly.indexOf(`<${name}>:`));
      const site = /^ +([0-9a-f]+):\t(?:notrack )?call +\*/m.exec(body)?.[1];
      return bases[0]! + Number.parseInt(site!, 16);
    };
    for (const [slot, name] of slots.entries()) {
      const caller = `call${name[0]!.toUpperCase()}${name.slice(1)}(Shape*)`;
      const allowance = allowed.at(siteIn(caller))!;
      expect(allowance.mechanism, caller).toBe('virtual');
      const position = allowance.classes.find((one) => one.name === 'position')!;
      const words = ['(int)', '(int, int)', '()'];
      for (const [index, method] of slots.entries()) {
        for (const shape of ['Round', 'Square']) {
          const target = addressOf(`${shape}::${method}${words[index]}`);
          expect(position.has(target), `${caller} ${shape}::${method}`).toBe(index === slot);
        }
      }
      const right = addressOf(`Round::${name}${words[slot]}`);
      const wrong = addressOf(`Round::${slots[(slot + 1) % 3]}${words[(slot + 1) % 3]}`);
      const shares = defaultShares[allowance.mechanism];
      const ratio =
        probabilityOf(allowance, right, shares) / probabilityOf(allowance, wrong, shares);
      expect(ratio).toBeGreaterThan(2);
    }
    // A pointer with one argument: the function that reads three is not among those that fit.
    const pointer = allowed.at(siteIn('callPointer(int)'))!;
    const fitting = pointer.classes.find(({ name }) => name === 'arguments')!;
    expect(fitting.has(addressOf('one'))).toBe(true);
    expect(fitting.has(addressOf('three'))).toBe(false);
    expect(pointer.classes.find(({ name }) => name === 'taken')!.has(addressOf('three'))).toBe(
      true,
    );
    expect(pointer.classes.find(({ name }) => name === 'taken')!.has(addressOf('take'))).toBe(
      false,
    );
  });

  test.each(table)('%s %s, of a library that exports its classes', async (compiler, level) => {
    // Their tables hold names: those of functions, and before them that of the type information.
    const path = workshop.compile(
      compiler!,
      workshop.write(library, 'cc'),
      ...[level!, '-fPIC', '-shared', '-fno-exceptions', '-nostdlib'],
      ...['-fno-stack-protector', '-fasynchronous-unwind-tables'],
    );
    const symbols = new Map(
      [...run('nm', '-D', '-C', path).matchAll(/^([0-9a-f]+) \w (.*)$/gm)].map((m) => [
        m[2]!,
        Number.parseInt(m[1]!, 16),
      ]),
    );
    const { code } = new ProcessCode((await mapFiles(path)).space).imageOf(0)!;
    const word = 8;
    for (const [position, name] of ['middle()', 'last()'].entries()) {
      // Two destructors stand before them; the abstract class has none, and zeros in their places.
      const { names, virtual } = code.pointerTargets.members((2 + position) * word);
      for (const shape of ['Part', 'Whole']) {
        const mangled = `_ZN${shape.length}${shape}${name.length - 2}${name.slice(0, -2)}Ev`;
        expect(symbols.has(`${shape}::${name}`)).toBe(true);
        expect(names.has(mangled), `${shape}::${name}`).toBe(true);
        expect(virtual.names.has(mangled), `${shape}::${name}`).toBe(true);
        for (const other of [0, 1, 3 - position].map((at) =>
          code.pointerTargets.members(at * word),
        )) {
          expect(other.names.has(mangled), `${shape}::${name}`).toBe(false);
        }
      }
      expect([...names].filter((each) => each.startsWith('_ZTI'))).toEqual([]);
    }
  });

  test('tables that a program fills by itself hold no virtual functions', async () => {
    const [compiler] = compilers;
    const path = workshop.compile(
      compiler!,
      workshop.write(handlers, 'cc'),
      ...['-O1', '-fPIC', '-shared', '-fno-exceptions', '-nostdlib', '-Wl,-z,undefs'],
      ...['-fno-stack-protector', '-fasynchronous-unwind-tables'],
    );
    const { code } = new ProcessCode((await mapFiles(path)).space).imageOf(0)!;
    for (const [position, name] of ['one', 'two', 'three'].entries()) {
      const { names, virtual } = code.pointerTargets.members(position * 8);
      expect(names.has(name)).toBe(true);
      expect(virtual.functions.size + virtual.names.size).toBe(0);
    }
  });
});
