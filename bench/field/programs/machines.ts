import type { Random } from '../../../src/base/random.ts';
import { prose, words } from '../documents.ts';
import { between, type FieldProgram, type FieldRun, pick, some } from '../program.ts';

/** A piece of a script, given a number of its own; pieces stand by themselves. */
type Piece = (n: number) => string;

/** @returns a maker of runs whose script is two to four of the pieces between `head` and `tail` */
function script(
  file: string,
  pieces: readonly Piece[],
  args: readonly string[],
  { head = '', tail = '', before = [] as readonly (readonly string[])[] } = {},
): (random: Random) => FieldRun {
  return (random) => {
    const chosen = some(random, pieces, between(random, 2, 4));
    const text = chosen.map((piece) => piece(between(random, 2, 40))).join('\n');
    return {
      args,
      before,
      files: { [file]: `${head}${text}\n${tail}`, 'words.txt': prose(random, 12) },
    };
  };
}

const csharp: readonly Piece[] = [
  (n) => `Console.WriteLine(Fib(${n % 16}));`,
  (n) =>
    `for (int i = 0; i < ${n}; i++) try { if (i % 3 == 0) throw new InvalidOperationException("x" + i); } catch (InvalidOperationException e) { Console.WriteLine(e.Message); } finally { Console.Write("."); }`,
  (n) => `foreach (var x in Squares(${n})) if (x > 30) { Console.WriteLine(x); break; }`,
  (n) => `I[] all = { new A(), new B() }; foreach (var i in all) Console.WriteLine(i.F(${n}));`,
  (n) =>
    `try { object o = null; Console.WriteLine(o.ToString() + ${n}); } catch (NullReferenceException) { Console.WriteLine("null"); }`,
  (n) =>
    `var thread = new System.Threading.Thread(() => Console.WriteLine(${n})); thread.Start(); thread.Join();`,
  (n) =>
    `Console.WriteLine(string.Join(",", Squares(${n}).Where(x => x % 2 == 1).OrderBy(x => -x)));`,
];
const csharpHead = `using System; using System.Collections.Generic; using System.Linq;
class P {
  interface I { int F(int x); }
  class A : I { public int F(int x) { return x + 1; } }
  class B : I { public virtual int F(int x) { return x * 2; } }
  static IEnumerable<int> Squares(int n) { for (int i = 0; i < n; i++) yield return i * i; }
  static int Fib(int n) { return n < 2 ? n : Fib(n - 1) + Fib(n - 2); }
  static void Main() {
`;

const prolog: readonly Piece[] = [
  (n) => `t${n} :- findall(X-Y, app(X, Y, [a,b,c,${n}]), L), write(L), nl.`,
  (n) => `u${n} :- catch(throw(oops(${n})), oops(N), (write(N), nl)).`,
  (n) => `v${n} :- between(1, ${n}, X), write(X), nl, X > 4, !.\nv${n}.`,
  (n) => `w${n} :- X is ${n} ** 3 mod 7, write(X), nl, atom_codes(A, "x${n}"), write(A), nl.`,
  (n) =>
    `x${n} :- catch(atom_length(_, _), error(E, _), (write(E), nl)), length(L, ${n}), write(L), nl.`,
];

const elisp: readonly Piece[] = [
  (n) =>
    `(defun f${n} (x) (if (< x 2) x (+ (f${n} (- x 1)) (f${n} (- x 2))))) (princ (f${n} ${n % 14}))`,
  (n) => `(princ (condition-case e (/ ${n} 0) (arith-error 'div)))`,
  (n) => `(princ (catch 'out (dotimes (i ${n}) (when (> i 7) (throw 'out i)))))`,
  (n) =>
    `(with-temp-buffer (insert-file-contents "words.txt") (while (re-search-forward "\\\\(${'[a-k]'}+\\\\)" nil t) (replace-match "<\\\\1>")) (sort-lines nil (point-min) (point-max)) (princ (buffer-substring 1 ${n})))`,
  (n) => `(unwind-protect (ignore-errors (error "no %d" ${n})) (princ (format "%5.2f" 3.14)))`,
  (n) => `(require 'cl-lib) (princ (cl-loop for i below ${n} collect (* i i)))`,
  (n) => `(princ (sort (mapcar (lambda (x) (mod (* x ${n}) 17)) '(1 2 3 4 5 6)) #'<))`,
];

const python: readonly Piece[] = [
  (n) =>
    `def f(x): return x if x < 2 else f(x - 1) + f(x - 2)\nprint(f(${n % 14}))\ns = 0\nfor i in range(${60 * n}): s += i * i % 7\nprint(s)`,
  (n) =>
    `for i in range(${n}):\n    try:\n        if i % 2: raise ValueError(i)\n        [][i]\n    except (ValueError, IndexError) as e: print(repr(e))`,
  (n) => `def g():\n    for i in range(${n}): yield i\nprint(list(g())[::3])`,
  (n) => `import re\nprint(re.findall(r'[k-t]\\w+', open('words.txt').read())[:${n}])`,
  (n) => `print(sorted({i * ${n} % 31 for i in range(99)}, key=lambda x: -x)[:9])`,
];

const greenlets: readonly Piece[] = [
  (n) =>
    `def a(x):\n    for i in range(${n}): x = two.switch(x + i)\n    return x\ndef b(x):\n    while True: x = one.switch(x * 2 % 97)\none = greenlet(a); two = greenlet(b)\nprint(one.switch(1))`,
  (n) =>
    `def deep(n): return n and deep(n - 1) or greenlet.getcurrent().parent.switch(7)\nmany = [greenlet(lambda n=n: deep(n)) for n in range(${n % 12})]\nprint([g.switch() for g in many], [g.switch(1) for g in many])`,
  () =>
    `def wait():\n    try: greenlet.getcurrent().parent.switch(1)\n    except ZeroDivisionError: return 'zero'\ng = greenlet(wait); g.switch(); print(g.throw(ZeroDivisionError))`,
  (n) =>
    `def inner(): raise KeyError(${n})\ntry: greenlet(inner).switch()\nexcept KeyError as e: print(repr(e))`,
  (n) =>
    `def nest(n):\n    if n: greenlet(nest).switch(n - 1)\n    greenlet.getcurrent().parent.switch(n)\ngreenlet(nest).switch(${n % 7})`,
];

const lisp: readonly Piece[] = [
  (n) => `(de fib (X) (if (> 2 X) X (+ (fib (dec X)) (fib (- X 2))))) (println (fib ${n % 16}))`,
  (n) => `(println (catch 'a (for I ${n} (and (> I 5) (throw 'a I)))))`,
  (n) => `(co 'c${n} (for I ${n} (yield I))) (println (co 'c${n} T) (co 'c${n} T)) (co 'c${n})`,
  (n) => `(println (catch '("foo") (quit "foo" ${n})))`,
  (n) => `(println (sort (mapcar '((X) (% (* X ${n}) 17)) (range 1 9))))`,
  (n) => `(let L (make (for I ${n} (link (* I I)))) (println (apply + L) (pack "a" L)))`,
];

const ruby: readonly Piece[] = [
  (n) =>
    `fiber = Fiber.new { |x| 3.times { |i| x = Fiber.yield(x + i) }; :done }\n4.times { |i| puts fiber.resume(i * ${n}) }`,
  (n) => `begin; raise "no ${n}"; rescue => e; puts e.message; ensure; puts "end"; end`,
  (n) => `def f${n}(x) x < 2 ? x : f${n}(x - 1) + f${n}(x - 2) end\nputs f${n}(${n % 15})`,
  (n) => `p((1..${n}).map { |x| x * x }.select { |x| x % 2 == 0 }.reverse)`,
  (n) => `e = (1..${n}).each\nputs e.next, e.next\n[1, 2, 3].each { |x| break if x > 1 }`,
  (n) =>
    `puts "%05d|%-5s" % [${n}, "x"], "abc".tr("a-b", "x"), :a.to_proc.call("b") rescue puts "no"`,
];

const javascript: readonly Piece[] = [
  (n) => `function f(x) { return x < 2 ? x : f(x - 1) + f(x - 2) } print(f(${n % 15}))`,
  (n) => `try { throw new Error('${n}') } catch (e) { print(e.message) } finally { print('end') }`,
  (n) => `print([3, ${n}, 2].sort().map(function (x) { return x * 2 }).join())`,
  (n) => `print('abcabc'.replace(/a(.)/g, '$1${n}'), JSON.stringify({ a: [1, { b: ${n} }] }))`,
  (n) =>
    `var t = new Duktape.Thread(function (x) { for (var i = 0; i < 3; i++) x = Duktape.Thread.yield(x + i) }); for (var i = 0; i < 3; i++) print(Duktape.Thread.resume(t, ${n}))`,
  () => `print(eval('1 +')) `,
];

const numbers: readonly Piece[] = [
  (n) => `f(x) = if(x < 2, x, f(x - 1) + f(x - 2)); print(f(${n % 15}))`,
  (n) => `print(factor(2^${n} + 1))`,
  (n) => `iferr(${n} / 0, e, print("err ", e))`,
  (n) => `for(i = 1, ${n}, if(i == 4, next); if(i > 7, break); print(i))`,
  (n) => `print(polroots(x^3 - ${n})); print(matdet([1, 2; 3, ${n}]))`,
  (n) => `print(nextprime(10^${(n % 20) + 3})); print(ellinit([0, ${n}]).disc)`,
];

const c: readonly Piece[] = [
  (n) => `int f${n}(int x) { return x < 2 ? x : f${n}(x - 1) + f${n}(x - 2); }`,
  (n) =>
    `void s${n}(int x) { switch (x) { case 1: puts("1"); break; case 2: puts("2"); default: puts("d"); } }`,
  (n) => `int cmp${n}(const void *a, const void *b) { return *(int *)a - *(int *)b; }`,
  (n) => `struct s${n} { int a[${n}]; double b; } v${n} = { { 1, 2 }, ${n}.5 };`,
  (n) => `static const char *t${n}[] = { "a", "b${n}" };`,
];

const shell: readonly Piece[] = [
  (n) => `f() { (( $1 < 2 )) && { print $1; return }; f $(( $1 - 2 )) }; f ${n}`,
  (n) => `for i in {1..${n}}; do [[ $i == 3 ]] && continue; (( i > 7 )) && break; print $i; done`,
  () => `{ print in; false || return 1 } always { print always }`,
  (n) => `a=(c b ${n}); print \${(o)a} \${a:u} \${#a} \${a[2,3]}`,
  () => `TRAPUSR1() { print trap }; kill -USR1 $$`,
  () => `while read -r line; do print \${line%% *}; done < words.txt`,
  (n) => `typeset -A m; for i in a b a; do (( m[$i] += ${n} )); done; print \${(kv)m}`,
];

const editing = (random: Random): FieldRun => {
  const commands = some(
    random,
    ['sort', 'g/a/s/a/<&>/', '%s/\\v(\\w+) (\\w+)/\\2 \\1/e', 'normal ggddp', '1,3join', 'v/e/d'],
    between(random, 2, 4),
  );
  const scripts = [
    `let s = 0 | for i in range(${between(random, 2, 30)}) | let s += i | endfor | call append(0, s)`,
    `try | throw 'x' | catch /x/ | call append(0, v:exception) | finally | endtry`,
    `call append(0, map(split('${words(random, 5).join(' ')}'), 'toupper(v:val)'))`,
    `undo | redo`,
  ];
  const all = [...commands, pick(random, scripts)].flatMap((text) => ['-c', text]);
  return {
    args: ['-es', '-u', 'NONE', '-i', 'NONE', '-N', 'a.txt', ...all, '-c', 'wq! b.txt'],
    files: { 'a.txt': prose(random, between(random, 4, 30)) },
  };
};

/** Virtual machines and runtimes with stacks, tables and compilers of their own. */
export const machines: readonly FieldProgram[] = [
  {
    name: 'mono',
    make: 'C#, compiled ahead of time and as it runs',
    package: 'mono-mcs',
    paths: ['/usr/bin/mono'],
    run: script('a.cs', csharp, ['a.exe'], {
      head: csharpHead,
      tail: '}}',
      before: [['mcs', 'a.cs']],
    }),
  },
  {
    name: 'gprolog',
    make: 'Prolog in native code of its own',
    package: 'gprolog',
    paths: ['/usr/bin/gprolog'],
    run: (random) => {
      const made = script('a.pl', prolog, [], {
        head: 'app([], L, L).\napp([H|T], L, [H|R]) :- app(T, L, R).\n',
      })(random);
      const text = `${made.files?.['a.pl'] ?? ''}`;
      const goals = [...text.matchAll(/^([t-x]\d+) :-/gm)].map(([, goal]) => goal);
      const main = `:- initialization((${[...new Set(goals)].join(', ')}, halt)).\n`;
      return { ...made, args: ['--consult-file', 'a.pl'], files: { 'a.pl': `${text}${main}` } };
    },
  },
  {
    name: 'emacs',
    make: 'C, a Lisp with long jumps for its exits',
    package: 'emacs-nox',
    paths: ['/usr/bin/emacs-nox'],
    // Most of it is the start.
    maxBlocks: 60_000_000,
    run: script('a.el', elisp, ['-Q', '--batch', '-l', 'a.el']),
  },
  {
    name: 'pypy3',
    make: 'Python as C by RPython, a tracing JIT',
    package: 'pypy3',
    paths: ['/usr/bin/pypy3'],
    run: script('a.py', python, ['-S', '-E', 'a.py']),
  },
  {
    name: 'greenlet',
    make: 'C++, stacks that are copied out and in',
    package: 'python3-greenlet',
    paths: ['/usr/bin/python3.11'],
    run: script('a.py', greenlets, ['a.py'], { head: 'from greenlet import greenlet\n' }),
  },
  {
    name: 'picolisp',
    make: 'Lisp by LLVM, coroutines on stacks of their own',
    package: 'picolisp',
    paths: ['/usr/bin/picolisp'],
    run: script('a.l', lisp, ['/usr/lib/picolisp/lib.l', 'a.l'], { tail: '(bye)\n' }),
  },
  {
    name: 'mruby',
    make: 'C, a virtual machine with fibers and long jumps',
    package: 'mruby',
    paths: ['/usr/bin/mruby'],
    run: script('a.rb', ruby, ['a.rb']),
  },
  {
    name: 'duktape',
    make: 'C, a virtual machine with threads and long jumps',
    package: 'duktape',
    paths: ['/usr/bin/duk'],
    run: script('a.js', javascript, ['a.js']),
  },
  {
    name: 'pari',
    make: 'C, a calculator with a stack of its own and long jumps',
    package: 'pari-gp',
    paths: ['/usr/bin/gp'],
    run: script('a.gp', numbers, ['-q', '-f', 'a.gp'], { tail: 'quit\n' }),
  },
  {
    name: 'tcc',
    make: 'C, a compiler that runs what it makes',
    package: 'tcc',
    paths: ['/usr/bin/tcc'],
    run: script('a.c', c, ['-run', 'a.c'], {
      head: '#include <stdio.h>\n#include <setjmp.h>\n',
      tail: 'jmp_buf b;\nint main() { if (!setjmp(b)) longjmp(b, 1); printf("%d\\n", 7); return 0; }\n',
    }),
  },
  {
    name: 'vim',
    make: 'C, an editor with an interpreter',
    package: 'vim',
    paths: ['/usr/bin/vim.basic'],
    run: editing,
  },
  {
    name: 'zsh',
    make: 'C, a shell with signals',
    package: 'zsh',
    paths: ['/bin/zsh'],
    run: script('a.zsh', shell, ['-f', 'a.zsh']),
  },
];
