import type { Random } from '../../../src/base/random.ts';
import { png, prose, sentence, word } from '../documents.ts';
import { between, type FieldProgram, type FieldRun, pick, some, times } from '../program.ts';

/** A program of a few of `pieces`, each given a number of its own. */
const script = (
  random: Random,
  file: string,
  pieces: readonly ((n: number) => string)[],
  words: readonly string[],
  around: (text: string) => string = (text) => text,
): FieldRun => {
  const chosen = some(random, pieces, between(random, 2, 4));
  const text = chosen.map((piece) => piece(between(random, 2, 40))).join('\n');
  return { args: [...words, file], files: { [file]: around(`${text}\n`) } };
};

const scheme: readonly ((n: number) => string)[] = [
  (n) =>
    `(define (f k) (if (< k 2) k (+ (f (- k 1)) (f (- k 2))))) (display (f ${4 + (n % 12)})) (newline)`,
  (n) =>
    `(display (call-with-current-continuation (lambda (k) (for-each (lambda (x) (if (> x ${n}) (k x))) '(1 9 30 77)) 'none))) (newline)`,
  (n) =>
    `(define (gen n) (define back #f) (define here #f) (lambda () (call/cc (lambda (out) (set! back out) (if here (here #f) (begin (let loop ((i 0)) (if (< i n) (begin (call/cc (lambda (k) (set! here k) (back i))) (loop (+ i 1))))) (back 'end)))))))\n(let ((g (gen ${n % 7}))) (let loop ((x (g))) (if (not (eq? x 'end)) (begin (display x) (loop (g)))))) (newline)`,
  (n) =>
    `(dynamic-wind (lambda () (display "in")) (lambda () (display (vector-map (lambda (x) (* x ${n})) '#(1 2 3)))) (lambda () (display "out"))) (newline)`,
  (n) =>
    `(define (deep n) (if (= n 0) 0 (+ 1 (deep (- n 1))))) (display (deep ${n * 300})) (newline)`,
  (n) =>
    `(display (with-exception-handler (lambda (e) 7) (lambda () (+ 1 (raise-continuable ${n}))))) (newline)`,
  (n) =>
    `(display (map string->number (list "${n}" "x" "1/3" "2.5"))) (display (list-tail '(1 2 3 4 5) ${n % 4})) (newline)`,
];

const lisp: readonly ((n: number) => string)[] = [
  (n) =>
    `(defun f${n} (x) (if (< x 2) x (+ (f${n} (- x 1)) (f${n} (- x 2))))) (print (f${n} ${n % 14}))`,
  (n) => `(print (catch 'out (dotimes (i ${n}) (when (> i 7) (throw 'out i)))))`,
  (n) => `(print (handler-case (/ ${n} 0) (division-by-zero () :zero)))`,
  (n) => `(print (block b (mapc (lambda (x) (when (> x ${n}) (return-from b x))) '(3 30 99))))`,
  (n) => `(print (restart-case (invoke-restart 'r ${n}) (r (x) (* x 2))))`,
  (n) =>
    `(let ((h (make-hash-table))) (dotimes (i ${n}) (setf (gethash i h) (* i i))) (print (hash-table-count h)))`,
  (n) => `(print (format nil "~R ~5,2F ~A" ${n} 3.14159 '(a b)))`,
];

const ml: readonly ((n: number) => string)[] = [
  (n) =>
    `fun fib x = if x < 2 then x else fib (x - 1) + fib (x - 2); print (Int.toString (fib ${n % 15}) ^ "\\n");`,
  (n) =>
    `exception E of int; fun g x = if x > 5 then raise E x else x; print (Int.toString (g ${n} handle E y => ~y) ^ "\\n");`,
  (n) =>
    `val l = List.tabulate (${n}, fn i => i * i); print (Int.toString (List.foldl op+ 0 l) ^ "\\n");`,
  (n) =>
    `val s = String.concatWith "," (List.map Int.toString (List.filter (fn x => x mod 3 = 0) (List.tabulate (${n}, fn i => i)))); print (s ^ "\\n");`,
  () => `print (Int.toString (hd []) handle Empty => print "empty\\n");`,
];

const pascal: readonly ((n: number) => string)[] = [
  (n) => `procedure p${n}(x: integer); begin if x > 0 then p${n}(x - 1) else writeln('end'); end;`,
  (n) =>
    `function f${n}(x: integer): integer; begin case x of 1: f${n} := 2; 2..9: f${n} := x * ${n}; else f${n} := 0; end; end;`,
  (n) =>
    `type t${n} = class private v: longint; public constructor create; function get: longint; virtual; end;\nconstructor t${n}.create; begin v := ${n}; end;\nfunction t${n}.get: longint; begin get := v + 1; end;`,
  (n) => `var a${n}: array[0..${n}] of string[20]; s${n}: set of 0..31;`,
  (n) =>
    `procedure q${n}; var i: integer; begin for i := 1 to ${n} do begin if odd(i) then continue; writeln(i:5, i / 3:8:2); end; end;`,
  (n) => `procedure wrong${n}; begin nosuch(${n}); end;`,
];

const nim: readonly ((n: number) => string)[] = [
  (n) => `proc f${n}(x: int): int = (if x < 2: x else: f${n}(x - 1) + f${n}(x - 2))`,
  (n) => `type T${n} = object\n  a: array[${n}, int]\n  b: string`,
  (n) =>
    `iterator it${n}(x: int): int =\n  for i in 0 ..< x: yield i * ${n}\nfor y in it${n}(3): discard y`,
  (n) => `const c${n} = block:\n  var s = 0\n  for i in 0 .. ${n}: s += i\n  s`,
  (n) =>
    `proc e${n}() =\n  try: raise newException(ValueError, "${n}")\n  except ValueError: discard`,
  (n) => `let bad${n}: string = ${n}`,
];

const vhdl = (random: Random): string => {
  const name = word(random).replaceAll(/[^a-z]/g, 'x');
  const wait = between(random, 1, 9);
  const body = some(
    random,
    [
      `report integer'image(${random.below(99)});`,
      `for i in 0 to ${between(random, 2, 20)} loop s <= not s; wait for ${wait} ns; end loop;`,
      `v := v + 1; assert v < ${between(random, 1, 3)} report "${name}" severity warning;`,
      `case v is when 0 => v := 3; when others => v := 1; end case;`,
      `a(${random.below(9)}) := v; wait until s = '1' for ${wait} ns;`,
      `v := undefined_${name};`,
    ],
    between(random, 2, 5),
  );
  return `entity e is end e;\narchitecture a of e is signal s : bit; begin process\n  type t is array (0 to 8) of integer; variable a : t; variable v : integer := 0;\nbegin\n  ${body.join('\n  ')}\n  wait;\nend process; end a;\n`;
};

const source = (random: Random): FieldRun => {
  const [name, text] = pick(random, [
    [
      'a.py',
      `def f(x):\n    """${word(random)}"""\n    return {x: [${random.below(9)}]}\n# ${sentence(random)}\n`,
    ],
    [
      'a.rs',
      `fn main() { let v: Vec<u32> = (0..${random.below(99)}).collect(); println!("{:?}", v); }\n`,
    ],
    ['a.json', `{"a": [1, 2.5e${random.below(9)}, "${word(random)}", null]}\n`],
    ['a.md', `# ${word(random)}\n\n${prose(random, 3)}\n\n* [x](y)\n\`\`\`c\nint main;\n\`\`\`\n`],
    ['a.sh', `for i in 1 2; do echo "$i ${word(random)}" | sed 's/a/b/' > /dev/null; done\n`],
  ] as const);
  const style = pick(random, ['--style=plain', '--style=full', '--style=numbers', '--diff']);
  return { args: ['--color=always', '--paging=never', style, name], files: { [name]: text } };
};

const dub = (random: Random): FieldRun => {
  const json = {
    name: word(random).replaceAll(/[^a-z]/g, 'x'),
    description: sentence(random),
    targetType: pick(random, ['executable', 'library', 'nonsense']),
    dependencies: { [word(random).replaceAll(/[^a-z]/g, 'y')]: `~>${random.below(9)}.1.0` },
    configurations: times(random.below(4), (i) => ({ name: `c${i}`, versions: [`V${i}`] })),
  };
  const text = random.below(6) === 0 ? '{"name": ' : JSON.stringify(json);
  const args = pick(random, [
    ['convert', '-f', 'sdl', '-s'],
    ['describe', '--skip-registry=all'],
    ['lint', '--skip-registry=all'],
  ]);
  return { args, files: { 'dub.json': text, 'source/a.d': 'void main() {}\n' } };
};

const foil = (random: Random): FieldRun => {
  const commands = [
    'PLOP',
    'G F',
    '',
    `NACA ${between(random, 0, 4)}${between(random, 0, 6)}${between(random, 10, 18)}`,
    ...some(
      random,
      [
        ['PANE'],
        ['GDES', `TSET 0.1 0.4`, ''],
        ['OPER', `ALFA ${random.below(9)}`, 'CPWR a.cp', ''],
      ],
      2,
    ).flat(),
    ...(random.below(3) === 0 ? ['NOSUCH', 'LOAD nothing'] : []),
    'OPER',
    ...times(between(random, 1, 3), () => `CL 0.${random.below(9)}`),
    '',
    'QUIT',
  ];
  return { args: [], files: { in: `${commands.join('\n')}\n` }, stdin: 'in' };
};

const filters = [
  '.[] | select(.a > 3)',
  'map(.a) | add',
  'group_by(.b) | map({b: .[0].b, n: length})',
  'try error("x") catch .',
  '[limit(3; .[])] | tojson',
  'to_entries | from_entries',
  'def f: if . > 9 then . else (. + 1 | f) end; [.[].a | f]',
  '.[0] as {a: $x} | [$x, input_line_number]',
  'label $out | foreach .[] as $i (0; . + 1; if . > 2 then ., break $out else empty end)',
  '.[] | .nosuch.deep[0]',
  'sort_by(.b) | reverse | .[] | @csv "\\([.a, .b])"',
  '{ bad',
];

/** Programs of makes that the others do not have. */
export const more: readonly FieldProgram[] = [
  {
    name: 'chez',
    make: 'Scheme in native code of its own, stacks in segments',
    package: 'chezscheme',
    paths: ['/usr/bin/chezscheme'],
    // Most of it is the start.
    maxBlocks: 60_000_000,
    run: (random) => script(random, 'a.ss', scheme, ['--script']),
  },
  {
    name: 'chicken',
    make: 'Scheme as C that never returns and jumps out of a full stack',
    package: 'chicken-bin',
    paths: ['/usr/bin/csi'],
    run: (random) => script(random, 'a.scm', scheme.slice(0, 6), ['-s']),
  },
  {
    name: 'ecl',
    make: 'C, Lisp’s exits by long jumps',
    package: 'ecl',
    paths: ['/usr/bin/ecl'],
    // Most of it is the start.
    maxBlocks: 100_000_000,
    run: (random) => script(random, 'a.lisp', lisp, ['--shell']),
  },
  {
    name: 'poly',
    make: 'Standard ML in native code made as it runs, exceptions of its own',
    package: 'polyml',
    paths: ['/usr/bin/poly'],
    run: (random) => script(random, 'a.ml', ml, ['--script']),
  },
  {
    name: 'ghdl',
    make: 'Ada, exceptions, code made as it runs',
    package: 'ghdl-mcode',
    paths: ['/usr/bin/ghdl-mcode'],
    run: (random) => ({
      args: random.below(2) ? ['-c', 'a.vhdl', '-r', 'e'] : ['-s', 'a.vhdl'],
      files: { 'a.vhdl': vhdl(random) },
    }),
  },
  {
    name: 'fpc',
    make: 'Pascal, its own exceptions by setjmp, no C library',
    package: 'fp-compiler-3.2.2',
    paths: ['/usr/lib/x86_64-linux-gnu/fpc/3.2.2/ppcx64'],
    run: (random) =>
      script(
        random,
        'a.pas',
        pascal,
        ['-s', '-Mobjfpc'],
        (text) => `program a;\n${text}begin end.\n`,
      ),
  },
  {
    name: 'nim',
    make: 'Nim as C: exceptions by gotos, a virtual machine',
    package: 'nim',
    paths: ['/usr/bin/nim'],
    // Most of it is the start.
    maxBlocks: 150_000_000,
    run: (random) => script(random, 'a.nim', nim, ['check']),
  },
  {
    name: 'bat',
    make: 'Rust, regular expressions, unwinding',
    package: 'bat',
    paths: ['/usr/bin/batcat'],
    run: source,
  },
  {
    name: 'exiv2',
    make: 'C++, objects, exceptions',
    package: 'exiv2',
    paths: ['/usr/bin/exiv2'],
    run: (random) => {
      const image = png(random, between(random, 4, 40), between(random, 4, 40));
      const broken = random.below(3) === 0 ? image.subarray(0, image.length >> 1) : image;
      const args = pick(random, [
        ['-pS'],
        ['-pa'],
        ['pr'],
        [`-Mset Exif.Image.Artist ${word(random)}`],
      ]);
      return { args: [...args, 'a.png'], files: { 'a.png': broken } };
    },
  },
  {
    name: 'dub',
    make: 'D, exceptions, a garbage collector',
    package: 'dub',
    paths: ['/usr/bin/dub'],
    run: dub,
  },
  {
    name: 'xfoil',
    make: 'Fortran, computed gotos',
    package: 'xfoil',
    paths: ['/usr/bin/xfoil'],
    run: foil,
  },
  {
    name: 'jq',
    make: 'C, a backtracking virtual machine',
    package: 'jq',
    paths: ['/usr/bin/jq'],
    // Most of it is the start.
    maxBlocks: 60_000_000,
    run: (random) => ({
      args: [pick(random, filters), 'a.json'],
      files: {
        'a.json': JSON.stringify(
          times(between(random, 1, 12), (i) => ({ a: random.below(20), b: word(random), c: [i] })),
        ),
      },
    }),
  },
];
