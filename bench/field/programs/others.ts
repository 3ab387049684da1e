import type { Random } from '../../../src/base/random.ts';
import { html, png, prose, wav, word } from '../documents.ts';
import { between, type FieldProgram, type FieldRun, pick, some, times } from '../program.ts';

/** Two to four of `pieces`, each given a number of its own. */
function chosen(random: Random, pieces: readonly ((n: number) => string)[]): string {
  const picked = some(random, pieces, between(random, 2, 4));
  return `${picked.map((piece) => piece(between(random, 2, 40))).join('\n')}\n`;
}

const java: readonly ((n: number) => string)[] = [
  (n) => `System.out.println(fib(${n % 14}));`,
  (n) =>
    `for (int i = 0; i < ${n}; i++) try { if (i % 3 == 0) throw new IllegalStateException("x" + i); } catch (IllegalStateException e) { System.out.println(e.getMessage()); } finally { System.out.print("."); }`,
  () =>
    `try { Object o = null; o.toString(); } catch (NullPointerException e) { System.out.println("null"); }`,
  (n) =>
    `System.out.println(IntStream.range(0, ${n}).map(x -> x * x % 17).filter(x -> x % 2 == 0).boxed().sorted().collect(Collectors.toList()));`,
  (n) =>
    `{ Thread t = new Thread(() -> System.out.println(${n})); t.start(); try { t.join(); } catch (InterruptedException e) { } }`,
  () => `try { deep(0); } catch (StackOverflowError e) { System.out.println("deep"); }`,
  (n) =>
    `for (Shape s : new Shape[] { new Round(), new Square() }) System.out.println(s.area(${n}));`,
];
const javaHead = `import java.util.stream.*;
class A {
  interface Shape { int area(int x); }
  static class Round implements Shape { public int area(int x) { return 3 * x * x; } }
  static class Square implements Shape { public int area(int x) { return x * x; } }
  static int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
  static int deep(int n) { return 1 + deep(n + 1); }
  public static void main(String[] words) {
`;

const fish: readonly ((n: number) => string)[] = [
  (n) => `function f${n}; test $argv[1] -gt 0; and f${n} (math $argv[1] - 1); end; f${n} ${n % 9}`,
  (n) => `for i in (seq ${n % 12}); switch $i; case 3 '5*'; echo $i; case '*'; continue; end; end`,
  (n) => `string replace -r '(\\d+)' '<$1>' a${n}b; string split , a,b,${n} | string upper`,
  (n) => `set -l x (echo ${n} | string length); nosuchcommand; or echo $status $x`,
  (n) => `begin; echo ${n}; false; end; and echo yes; or echo no; math "2^${n % 20}"`,
];

const octave: readonly ((n: number) => string)[] = [
  (n) => `x = [1 1]; for i = 3:${3 + n} x(i) = mod(x(i-1) + x(i-2), 97); end; disp(x)`,
  (n) =>
    `try; error("a:b", "no ${n}"); catch e; disp(e.message); end; unwind_protect; disp(1); unwind_protect_cleanup; disp(2); end_unwind_protect`,
  (n) => `A = magic(${3 + (n % 5)}); disp(size(inv(A + eye(size(A))))); disp(sum(A(:)))`,
  (n) => `disp(regexprep("abc${n}", "[a-b]+", "x")); printf("%5.2f %s\\n", ${n} / 3, "s")`,
  (n) => `f = @(x) x .^ 2; disp(cellfun(@numel, {"a", "bcd"})); disp(arrayfun(f, 1:${n % 9}))`,
];

const scheme: readonly ((n: number) => string)[] = [
  (n) =>
    `(define (f${n} k) (if (< k 2) k (+ (f${n} (- k 1)) (f${n} (- k 2))))) (display (f${n} ${n % 15}))`,
  (n) =>
    `(display (call/cc (lambda (k) (for-each (lambda (x) (if (> x ${n}) (k x))) '(1 9 30 77)) 'none)))`,
  (n) => `(display (with-exception-catcher (lambda (e) 'bad) (lambda () (vector-ref #(1) ${n}))))`,
  (n) => `(thread-join! (thread-start! (make-thread (lambda () (display ${n})))))`,
  (n) => `(define (deep n) (if (= n 0) 0 (+ 1 (deep (- n 1))))) (display (deep ${n * 500}))`,
];

const cmake: readonly ((n: number) => string)[] = [
  (n) =>
    `function(f${n} x)\n  if(x GREATER 0)\n    math(EXPR y "\${x} - 1")\n    f${n}(\${y})\n  endif()\nendfunction()\nf${n}(${n % 9})`,
  (n) =>
    `foreach(i RANGE ${n % 9})\n  string(REGEX REPLACE "b(.)" "<\\\\1>" o "abc\${i}")\n  message("\${o}")\nendforeach()`,
  (n) =>
    `set(l ${n} 9 3 7)\nlist(SORT l)\nlist(REMOVE_AT l 0)\nfile(GLOB g *)\nmessage("\${l} \${g}")`,
  (n) => `string(MD5 h "${n}")\nmessage("\${h}")\nstring(TIMESTAMP t "%Y")\n`,
  (n) => `message(SEND_ERROR "no ${n}")`,
];

const tcl: readonly ((n: number) => string)[] = [
  (n) =>
    `proc f${n} {x} {if {$x < 2} {return $x}; expr {[f${n} [expr {$x - 1}]] + [f${n} [expr {$x - 2}]]}}\nputs [f${n} ${n % 12}]`,
  (n) =>
    `try {error "no ${n}"} on error {m o} {puts $m} finally {puts end}\ncatch {expr {${n} / 0}} e\nputs $e`,
  (n) => `foreach i {1 2 3} {if {$i == 2} continue; puts [format %05d [expr {$i * ${n}}]]}`,
  (n) =>
    `puts [regsub -all {[a-c]+} "xabcy${n}" <&>]; puts [lsort -decreasing -integer {3 ${n} 2}]`,
];

/** A grammar of expressions with some rules more, and sometimes conflicts or a symbol that nobody defines. */
function grammar(random: Random): string {
  const rules = some(
    random,
    [
      '| e "+" e',
      '| e "*" e',
      '| "(" e ")"',
      '| "-" e %prec "*"',
      '| NAME "(" list ")"',
      '| nosuch',
    ],
    between(random, 2, 5),
  );
  return `%token NAME "name"\n%left "+"\n%left "*"\n%%\ns: %empty | s e ";" { ${word(random)}; };\ne: NAME ${rules.join(' ')};\nlist: e | list "," e;\n`;
}

const pictures: readonly (readonly string[])[] = [
  ['in.png', '-resize', '150%', 'out.jpg'],
  ['in.png', '-blur', '0x2', '-rotate', '30', 'out.png'],
  ['-size', '24x24', 'gradient:red-blue', 'in.png', '-append', 'out.gif'],
  ['in.png', '-colors', '8', '-format', '%k %w', 'info:'],
  ['nosuch.png', 'out.png'],
];

const films: readonly (readonly string[])[] = [
  ['-i', 'in.wav', '-c:a', 'flac', '-f', 'null', '-'],
  ['-i', 'in.wav', '-af', 'atempo=1.5,volume=0.5', '-f', 'null', '-'],
  ['-f', 'lavfi', '-i', 'testsrc=size=32x24:rate=5', '-t', '1', '-c:v', 'mpeg4', '-f', 'null', '-'],
  ['-i', 'nosuch.wav', '-f', 'null', '-'],
];

const questions: readonly (readonly string[])[] = [
  ['-ex', 'print 6 * 7', '-ex', 'info functions main'],
  ['-ex', 'ptype int (*)(char)', '-ex', 'print $_siginfo'],
  ['-ex', 'python print(sum(range(9)))', '-ex', 'show version'],
  ['-ex', 'help break', '-ex', 'list main', '-ex', 'nosuch'],
  ['-ex', 'info files', '-ex', 'x/8i 0'],
];

const run =
  (file: string, pieces: readonly ((n: number) => string)[], args: readonly string[]) =>
  (random: Random): FieldRun => ({ args, files: { [file]: chosen(random, pieces) } });

/** Programs that nobody had tried before the third list was judged. */
export const others: readonly FieldProgram[] = [
  {
    name: 'java',
    make: 'Java in an interpreter made as it runs, then in code of two compilers; many threads',
    package: 'openjdk-17-jdk-headless',
    paths: ['/usr/lib/jvm/java-17-openjdk-*/bin/java'],
    // Most of it is the start.
    maxBlocks: 60_000_000,
    run: (random) => ({
      args: [...pick(random, [['-Xint'], []]), '-XX:+UseSerialGC', '-cp', '.', 'A'],
      before: [['javac', 'A.java']],
      files: { 'A.java': `${javaHead}${chosen(random, java)}}}\n` },
    }),
  },
  {
    name: 'octave',
    make: 'C++, an interpreter that unwinds by exceptions, libraries in Fortran',
    package: 'octave',
    paths: ['/usr/bin/octave-cli'],
    // Most of it is the start.
    maxBlocks: 40_000_000,
    run: run('a.m', octave, ['--norc', '--no-history', 'a.m']),
  },
  {
    name: 'gambit',
    make: 'Scheme as C with stacks, threads and trampolines of its own',
    package: 'gambc',
    paths: ['/usr/bin/gsi'],
    run: run('a.scm', scheme, ['a.scm']),
  },
  {
    name: 'fish',
    make: 'C++, a shell with threads',
    package: 'fish',
    paths: ['/usr/bin/fish'],
    run: run('a.fish', fish, ['--no-config', 'a.fish']),
  },
  {
    name: 'jimsh',
    make: 'C, a small interpreter of Tcl',
    package: 'jimsh',
    paths: ['/usr/bin/jimsh'],
    run: run('a.tcl', tcl, ['a.tcl']),
  },
  {
    name: 'gdb',
    make: 'C++, exceptions, Python inside',
    package: 'gdb',
    paths: ['/usr/bin/gdb'],
    // Most of it is the start.
    maxBlocks: 60_000_000,
    run: (random) => ({ args: ['-nx', '-batch', ...pick(random, questions), '/bin/true'] }),
  },
  {
    name: 'cmake',
    make: 'C++, an interpreter',
    package: 'cmake',
    paths: ['/usr/bin/cmake'],
    run: run('a.cmake', cmake, ['-P', 'a.cmake']),
  },
  {
    name: 'bison',
    make: 'C, a generator of parsers',
    package: 'bison',
    paths: ['/usr/bin/bison'],
    run: (random) => ({
      args: [...pick(random, [[], ['-Wall'], ['--graph=o.gv']]), '-o', 'o.c', 'in.y'],
      files: { 'in.y': grammar(random) },
    }),
  },
  {
    name: 'lynx',
    make: 'C, a browser',
    package: 'lynx',
    paths: ['/usr/bin/lynx'],
    // Most of it is the start.
    maxBlocks: 60_000_000,
    run: (random) => ({
      args: ['-cfg=/dev/null', '-dump', ...pick(random, [[], ['-nolist'], ['-source']]), 'in.html'],
      files: { 'in.html': html(random, between(random, 3, 20)) },
    }),
  },
  {
    name: 'convert',
    make: 'C, codecs as plug-ins, threads of OpenMP',
    package: 'imagemagick-6.q16',
    paths: ['/usr/bin/convert-im6.q16'],
    run: (random) => {
      const image = png(random, between(random, 4, 30), between(random, 4, 30));
      const broken = random.below(4) === 0 ? image.subarray(0, image.length >> 1) : image;
      return { args: pick(random, pictures), files: { 'in.png': broken } };
    },
  },
  {
    name: 'ffmpeg',
    make: 'C and assembly, codecs, threads',
    package: 'ffmpeg',
    paths: ['/usr/bin/ffmpeg'],
    // Most of it is the start.
    maxBlocks: 60_000_000,
    run: (random) => ({
      args: ['-nostdin', '-v', 'info', ...pick(random, films)],
      files: { 'in.wav': wav(random, between(random, 500, 4000)), 'a.txt': prose(random, 2) },
    }),
  },
  {
    name: 'nginx',
    make: 'C, a server that reads its settings',
    package: 'nginx-light',
    paths: ['/usr/sbin/nginx'],
    run: (random) => {
      const places = times(
        between(random, 1, 6),
        (i) =>
          `location ${pick(random, ['/', '=', '~ ^/', '^~ /'])}${word(random)}${i} { return ${pick(random, ['200', '404', '301', 'no'])} "${word(random)}"; }`,
      );
      const text = `pid nginx.pid;\nerror_log stderr;\nevents { worker_connections ${between(random, 1, 64)}; }\nhttp { access_log off; server { listen 127.0.0.1:${between(random, 9000, 9999)}; ${places.join(' ')} } }\n`;
      return { args: ['-t', '-p', '.', '-c', 'nginx.conf'], files: { 'nginx.conf': text } };
    },
  },
];
