import type { Random } from '../../../src/base/random.ts';
import { between, type FieldProgram, some } from '../program.ts';

type Piece = (n: number) => string;

/** Three to five of `pieces`, each given a number of its own. */
function chosen(random: Random, pieces: readonly Piece[]): string {
  const picked = some(random, pieces, between(random, 3, 5));
  return `${picked.map((piece) => piece(between(random, 2, 40))).join('\n')}\n`;
}

const icon: readonly Piece[] = [
  (n) => `every write(squares(${n}))`,
  (n) =>
    `c := create squares(${n}); d := create ("abcdef" ? move(1 to 3)); while write(@c) do @d; write(*d)`,
  (n) => `e := create |("x" | "y"); every 1 to ${n} do writes(@e); e := ^e; write(@e)`,
  (n) => `every (i := 1 to ${n}) & (j := 1 to 6) & i * j = 12 do write(i, " ", j)`,
  (n) => `t := table(0); every t[!"hello ${n}"] +:= 1; every k := key(t) do write(k, t[k])`,
  () => `&error := 3; x := "a" + 1 | write("failed ", &errortext)`,
  (n) =>
    `e := create { every x := 1 to 3 do back(x) }; every 1 to 2 do @e; write(sort([${n}, 1, 2])[1])`,
];
const iconHead = `procedure squares(n)
  every i := 1 to n do suspend i * i
end
procedure back(x)
  writes("in ", x)
  x @ &source
end
procedure main()
`;

const rexx: readonly Piece[] = [
  (n) => `say fib(${n % 12})`,
  (n) => `do i = 1 to ${n}; if i // 7 = 6 then leave; say i * i; end`,
  (n) => `parse value 'a b c${n}' with x y z; say z x; interpret "say 'hi' ${n}"`,
  (n) =>
    `signal on novalue name missing${n}; say nothing; missing${n}: say 'missing' condition('D')`,
  (n) => `call on error; a.${n} = 5; a.0 = ${n}; do k = 0 to a.0 by ${n}; say k a.k; end`,
  (n) => `say copies('ab', ${n}) translate('abc', 'xyz', 'abc') d2x(${n}) format(${n} / 7, 3, 2)`,
  () => `signal on syntax name bad; x = 1 / 0; bad: say 'error' rc`,
];
const rexxTail = `exit
fib: procedure; arg n; if n < 2 then return n; return fib(n - 1) + fib(n - 2)
error: return
`;

const smt: readonly Piece[] = [
  (n) => `(push)(assert (= (* x y) ${n}))(assert (> x 1))(check-sat)(get-model)(pop)`,
  (n) =>
    `(push)(assert (forall ((z Int)) (= (f z) (+ z ${n}))))(assert (= (f 3) x))(check-sat)(pop)`,
  (n) =>
    `(push)(assert (= b (bvmul b #x${n.toString(16).padStart(2, '0')})))(check-sat)(get-value (b))(pop)`,
  (n) => `(push)(assert (and (< x ${n}) (> x ${n - 1})))(check-sat)(get-unsat-core)(pop)`,
  (n) => `(push)(assert (= (select (store a x ${n}) y) y))(check-sat)(get-model)(pop)`,
  (n) => `(simplify (+ x ${n} (* 2 x)))(eval (nosuch ${n}))`,
];
const smtHead = `(set-option :produce-unsat-cores true)
(declare-const x Int)(declare-const y Int)(declare-fun f (Int) Int)
(declare-const b (_ BitVec 8))(declare-const a (Array Int Int))
`;

/** A machine with stacks of its own, an interpreter of trees, a proof searcher. */
export const rarer: readonly FieldProgram[] = [
  {
    name: 'icon',
    make: 'C, a backtracking machine with co-expressions that are threads or stacks',
    package: 'iconx icont',
    paths: ['/usr/bin/iconx'],
    run: (random) => ({
      args: ['run'],
      files: { 'run.icn': `${iconHead}${chosen(random, icon)}end\n` },
      before: [['icont', '-s', '-o', 'run', 'run.icn']],
    }),
  },
  {
    name: 'regina',
    make: 'C, an interpreter of trees, conditions by long jumps',
    package: 'regina-rexx',
    paths: ['/usr/bin/regina'],
    run: (random) => ({
      args: ['./run.rexx'],
      files: { 'run.rexx': `${chosen(random, rexx)}${rexxTail}` },
    }),
  },
  {
    name: 'z3',
    make: 'C++, a search with exceptions',
    package: 'z3',
    paths: ['/usr/bin/z3'],
    run: (random) => ({
      args: ['in.smt2'],
      files: { 'in.smt2': `${smtHead}${chosen(random, smt)}` },
    }),
  },
];
