import type { Random } from '../../../src/base/random.ts';
import { json, prose, table, word, words } from '../documents.ts';
import { between, type FieldProgram, type FieldRun, some, times } from '../program.ts';

/** A piece of a script; pieces stand by themselves, and a run is a few of them one after the other. */
type Piece = (random: Random) => string;

const n = (random: Random, low: number, high: number): string => `${between(random, low, high)}`;

/** @returns a maker of runs whose script is `head` and three to six of the pieces */
function script(
  file: string,
  pieces: readonly Piece[],
  args: readonly string[] = [file],
  head = '',
): (random: Random) => FieldRun {
  return (random) => {
    const chosen = some(random, pieces, between(random, 3, 6));
    const text = chosen.map((piece) => piece(random)).join('\n');
    return {
      args,
      files: {
        [file]: `${head}${text}\n`,
        'words.txt': prose(random, between(random, 5, 40)),
        'table.csv': table(random, between(random, 5, 40), 4),
        'data.json': JSON.stringify(json(random, 4)),
      },
    };
  };
}

const perl: readonly Piece[] = [
  (r) =>
    `my @a = map { ($_ * 7919) % ${n(r, 50, 300)} } 1..${n(r, 50, 300)}; print join(',', sort { $a <=> $b } @a), "\\n";`,
  (r) =>
    `open(my $f, '<', 'words.txt'); my %c; while (<$f>) { $c{lc $1}++ while /(\\w{${n(r, 2, 4)},})/g } print "$_ $c{$_}\\n" for sort keys %c; close $f;`,
  (r) =>
    `for my $i (1..${n(r, 5, 30)}) { eval { die { code => $i } if $i % 3 == 0; print "ok $i\\n"; 1 } or print "caught $@->{code}\\n" }`,
  (r) =>
    `OUTER: for my $i (1..${n(r, 5, 20)}) { for my $j (1..20) { next OUTER if $i * $j % 7 == 0; last OUTER if $i * $j > ${n(r, 80, 200)} } }`,
  (r) =>
    `sub fib { my $n = shift; $n < 2 ? $n : fib($n - 1) + fib($n - 2) } print fib(${n(r, 8, 15)}), "\\n";`,
  (r) =>
    `package P${n(r, 1, 99)}; sub new { bless { v => $_[1] }, $_[0] } sub DESTROY { } sub v { $_[0]{v}++ } package main; { my @o = map { P1->can('new') ? 1 : $_ } 1..${n(r, 3, 30)}; local $, = '-'; print @o, "\\n" }`,
  (r) =>
    `my $s = '${words(r, 12).join(' ')}'; (my $t = $s) =~ s/(\\w+)/ucfirst reverse $1/ge; $t =~ tr/a-m/n-z/; printf "%-20s|%5.2f|%x\\n", $t, length($t) / 3, ${n(r, 100, 9999)}; print join '|', split /[aeiou]+/, $s;`,
  (r) =>
    `my $code = 'sub { my $x = shift; $x * ${n(r, 2, 9)} }'; my $g = eval $code; print $g->(5), "\\n"; eval 'die "x" . (1 +'; print $@ if $@;`,
  (r) =>
    `local $SIG{__DIE__} = sub { print "dying: @_" }; local $SIG{__WARN__} = sub { print "warn @_" }; warn "w"; eval { my @x = (1) x ${n(r, 2, 9)}; die "deep\\n" }; local $_ = 'x'; print sprintf('%s', sub { wantarray ? 'l' : 's' }->()), "\\n";`,
  (r) =>
    `my $p = pack('NnCa*', ${n(r, 1, 99999)}, 5, 6, '${word(r)}'); print unpack('H*', $p), "\\n"; my %h; @h{'a'..'z'} = (1..26); while (my ($k, $v) = each %h) { delete $h{$k} if $v % 2 } print scalar(keys %h);`,
  (r) =>
    `tie my $x, 'T'; sub T::TIESCALAR { bless [], shift } sub T::FETCH { $_[0][0]++ } print "$x $x\\n" for 1..${n(r, 1, 9)}; use overload (); my @l = sort { $b cmp $a } qw(${words(r, 20).join(' ')}); print "@l[0..2]\\n";`,
  (r) =>
    `local $SIG{ALRM} = sub { print "alarm\\n" }; kill 'ALRM', $$ for 1..${n(r, 1, 4)}; my $r = \\my @q; push @$r, [$_, $_ ** 2] for 1..${n(r, 5, 50)}; print join ' ', map { "@$_" } grep { $_->[1] % 2 } @q;`,
];

const bash: readonly Piece[] = [
  (r) =>
    `for i in $(seq 1 ${n(r, 3, 9)}); do echo "$i $((i * i % 7))"; done | { while read a b; do echo "$b:$a"; done; }`,
  (r) =>
    `declare -A m; for w in ${words(r, 20).join(' ')}; do m[\${w:0:2}]=$(( \${m[\${w:0:2}]:-0} + 1 )); done; for k in "\${!m[@]}"; do printf '%s=%d\\n' "$k" "\${m[$k]}"; done`,
  (r) =>
    `f() { local n=$1; if (( n < 2 )); then return $n; fi; f $((n - 1)); local a=$?; f $((n - 2)); return $(( (a + $?) % 256 )); }; f ${n(r, 4, 9)}; echo $?`,
  () =>
    `while IFS=, read -r a b c d; do case $a in *o*) echo "o $b";; k?*) echo "k \${c^^}";; *) echo "\${d//[0-9]/x}";; esac; done < table.csv`,
  (r) =>
    `s="${words(r, 8).join(' ')}"; echo "\${s#* }" "\${s%% *}" "\${#s}" "\${s/a/b}" "\${s^}"; [[ $s =~ ([a-z]+)\\ (k[a-z]*) ]] && echo "\${BASH_REMATCH[1]}"`,
  (r) =>
    `trap 'echo usr1' USR1; trap 'echo bye' EXIT; for i in 1 2 ${n(r, 3, 9)}; do kill -USR1 $$; done`,
  (r) =>
    `( exit ${n(r, 1, 9)} ); echo "sub $?"; x=$(echo one; echo two); echo "$x"; set -- $x; shift; echo "$#" "$@"; eval "y=\\$((${n(r, 1, 99)} + 1))"; echo $y`,
  (r) =>
    `a=(${words(r, 15).join(' ')}); for ((i = 0; i < \${#a[@]}; i++)); do (( i % 4 == 3 )) && continue; [[ \${a[i]} < m ]] && b+=("\${a[i]}"); done; echo "\${b[@]:1:3}"; unset b`,
  (r) =>
    `set -e; g() { false || true; return 0; }; g; set +e; nosuchcommand_${word(r)} 2>/dev/null; echo $?; cat <<EOT\n$(( 3 ** ${n(r, 2, 9)} )) \`echo nested\`\nEOT`,
  (r) =>
    `i=0; until (( i >= ${n(r, 5, 40)} )); do (( i += 3 )); for j in a b c; do [[ $j == b ]] && continue 2; done; done; select_() { echo "\${FUNCNAME[0]} $LINENO"; }; select_; printf -v out '%05d|%-8s|%q' ${n(r, 1, 999)} '${word(r)}' 'a b'; echo "$out"`,
  (r) =>
    `echo {${n(r, 1, 3)}..9} {a..e}{1,2}; for f in *.@(txt|csv); do echo "$f \${f%.*}"; done; readonly R${n(r, 1, 999)}=1; ( R=2; : \${nope:?missing} ) 2>/dev/null; echo after`,
  () =>
    `mapfile -t lines < words.txt; echo "\${#lines[@]} \${lines[-1]}"; exec 3<words.txt; read -u 3 -n 5 x; echo "$x"; exec 3<&-; type -t cd; hash -r; test -f words.txt -a -d . && echo yes`,
];

const lua: readonly Piece[] = [
  (r) =>
    `local t = {} for i = 1, ${n(r, 50, 400)} do t[i] = (i * 7919) % 257 end table.sort(t, function(a, b) return a > b end) print(table.concat(t, ',', 1, 20))`,
  (r) =>
    `local co = coroutine.wrap(function(a) for i = 1, ${n(r, 5, 50)} do a = a + coroutine.yield(i * a) end return 'end' end) for i = 1, 4 do print(co(i)) end`,
  (r) =>
    `for i = 1, ${n(r, 4, 20)} do local ok, e = pcall(function() if i % 2 == 0 then error({ code = i }) end return i end) print(ok, type(e) == 'table' and e.code or e) end`,
  (r) =>
    `local c = 0 for l in io.lines('words.txt') do for w in l:gmatch('%a+') do if #w > ${n(r, 3, 8)} then c = c + 1 end end end print(c, ('x'):rep(${n(r, 3, 40)}))`,
  (r) =>
    `local V = setmetatable({}, { __index = function(t, k) return k .. '!' end, __call = function(_, x) return x * 2 end, __add = function(a, b) return ${n(r, 1, 99)} end }) print(V.a, V(4), V + 1, #'${word(r)}')`,
  (r) =>
    `local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end print(fib(${n(r, 8, 16)})) local function loop(n) if n == 0 then return 0 end return loop(n - 1) end print(loop(${n(r, 100, 900)}))`,
  (r) =>
    `print(load('return function(x) return x ^ ${n(r, 2, 5)} end')()(3)) print(load('x = = 1')) print(string.format('%5.2f %q %x', ${n(r, 1, 99)} / 7, 'a\\nb', 255))`,
  (r) =>
    `print(('${words(r, 10).join(' ')}'):gsub('(%w)(%w*)', function(a, b) return b .. a:upper() end)) print(xpcall(function() local x = nil; return x.y end, function(m) return 'handled ' .. #m end))`,
  (r) =>
    `local q = {} for i = 1, ${n(r, 10, 80)} do q[#q + 1] = { v = i, s = tostring(i * 1.5) } if i % 9 == 0 then collectgarbage('step') end end for i, v in ipairs(q) do if v.v == 7 then goto done end end ::done:: print(#q, utf8 and utf8.char(228))`,
  () =>
    `local gen = coroutine.create(function() local ok, e = pcall(function() coroutine.yield(1) error('inside') end) coroutine.yield(e) error('out') end) print(coroutine.resume(gen)) print(coroutine.resume(gen)) print(coroutine.resume(gen)) print(coroutine.status(gen))`,
];

const python: readonly Piece[] = [
  (r) =>
    `print(sorted({(i * 7919) % ${n(r, 50, 400)} for i in range(${n(r, 50, 300)})}, key=lambda x: -x)[:9])`,
  (r) =>
    `def gen(k):\n    while True:\n        x = yield k\n        k += x or 1\n        if k > ${n(r, 20, 90)}:\n            return\ng = gen(1)\nprint(next(g), [v for v in g][:4])`,
  (r) =>
    `class E(Exception):\n    pass\nfor i in range(${n(r, 4, 20)}):\n    try:\n        try:\n            if i % 3 == 0: raise E(i)\n            [][i]\n        except IndexError as e:\n            raise E('from') from e\n        finally:\n            pass\n    except E as e:\n        print(repr(e), e.__cause__)`,
  (r) =>
    `import re\ntext = open('words.txt').read()\nprint(re.findall(r'\\b[kmr]\\w{${n(r, 2, 4)},}', text)[:9], re.sub(r'(a)(.)', r'\\2\\1', text)[:40])`,
  () =>
    `import json\nd = json.load(open('data.json'))\nprint(len(json.dumps(d, indent=1, sort_keys=True)))`,
  (r) =>
    `class A:\n    __slots__ = ('x',)\n    def __init__(self, x): self.x = x\n    def __lt__(self, o): return self.x < o.x\n    def __add__(self, o): return A(self.x + o.x)\n    @property\n    def y(self): return self.x * 2\nl = [A(i * 37 % 101) for i in range(${n(r, 10, 90)})]\nl.sort()\nprint(sum((a.y for a in l)), (l[0] + l[1]).x)`,
  (r) => `import csv\nprint([row[1:3] for row in csv.reader(open('table.csv'))][:${n(r, 2, 9)}])`,
  (r) =>
    `async def sub(x):\n    return x * 2\nasync def main():\n    return [await sub(i) for i in range(${n(r, 2, 9)})]\nc = main()\ntry:\n    c.send(None)\nexcept StopIteration as s:\n    print(s.value)`,
  (r) =>
    `print(f"{${n(r, 1, 999)}:08.3f} {'${word(r)}':>12} {2 ** ${n(r, 60, 300)} % 1000007}", eval('1 + ' * ${n(r, 2, 30)} + '1'))`,
  (r) =>
    `def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\nprint(fib(${n(r, 6, 13)}))\nimport struct, zlib\nprint(struct.pack('<IhB', ${n(r, 1, 9999)}, -2, 3), zlib.crc32(zlib.compress(b'${word(r)}' * 50)))`,
  (r) =>
    `from collections import Counter, OrderedDict, deque\nprint(Counter('${words(r, 10).join('')}').most_common(3), deque(range(9), ${n(r, 2, 8)}))\nwith open('out.txt', 'w') as f: f.write('x' * ${n(r, 5, 5000)})`,
  (r) =>
    `import threading\nout = []\nts = [threading.Thread(target=lambda i=i: out.append(i * i)) for i in range(${n(r, 1, 4)})]\n[t.start() for t in ts]\n[t.join() for t in ts]\nprint(sorted(out))`,
];

const ruby: readonly Piece[] = [
  (r) => `puts (1..${n(r, 50, 300)}).map { |i| i * 7919 % 257 }.sort.reverse.first(9).join(',')`,
  (r) =>
    `f = Fiber.new { |x| ${n(r, 3, 20)}.times { |i| x += Fiber.yield(i * x) }; :done }; 4.times { |i| p f.resume(i) if f.alive? }`,
  (r) =>
    `(1..${n(r, 4, 20)}).each { |i| begin; raise ArgumentError, "x#{i}" if i % 3 == 0; Integer('zz') if i % 3 == 1; rescue ArgumentError => e; puts e.message; else; puts 'ok'; ensure; i; end }`,
  (r) =>
    `e = Enumerator.new { |y| a, b = 0, 1; loop { y << a; a, b = b, a + b } }; p e.lazy.select(&:even?).first(${n(r, 3, 9)}), e.next, e.next, e.peek`,
  (r) =>
    `p catch(:found) { (1..50).each { |i| (1..50).each { |j| throw :found, [i, j] if i * j == ${n(r, 12, 99)} } }; nil }`,
  (r) =>
    `puts File.read('words.txt').scan(/\\b[kmr]\\w{${n(r, 2, 4)},}/).tally.sort.first(5).inspect; puts '${words(r, 6).join(' ')}'.gsub(/(\\w)(\\w*)/) { $2 + $1.upcase }`,
  (r) =>
    `class Q${n(r, 1, 99)}; include Comparable; attr_accessor :v; def initialize(v) = @v = v; def <=>(o) = v <=> o.v; def method_missing(m, *a) = m.to_s.start_with?('x') ? [m, a] : super; def respond_to_missing?(*) = true; end; q = ObjectSpace.each_object(Class).find { |c| c.name =~ /^Q/ }; p [q.new(3), q.new(1)].max.v, q.new(1).xyz(4); begin; q.new(1).abc; rescue NoMethodError => e; p e.name; end`,
  (r) =>
    `def fib(n) = n < 2 ? n : fib(n - 1) + fib(n - 2); p fib(${n(r, 8, 14)}); p [3, 1, 2].sort_by { -_1 }, %w[${words(r, 8).join(' ')}].group_by(&:size).transform_values(&:count)`,
  (r) =>
    `p [1, 2, 3].each_slice(2).to_a, (proc { |x| next x * 2 }).call(${n(r, 1, 50)}), (lambda { |x| return x + 1 }).call(2); def early; [1, 2, 3].each { |x| return x if x > 1 }; end; p early; p eval('1 + ${n(r, 1, 99)}'); begin; eval('1 +'); rescue SyntaxError; p :syntax; end`,
  (r) =>
    `t = Thread.new { Thread.stop; ${n(r, 1, 9)} }; Thread.pass until t.stop?; t.run; p t.value; m = Mutex.new; p m.synchronize { 4 }; q = Queue.new; Thread.new { 3.times { |i| q << i } }.join; p q.size; GC.start`,
  (r) =>
    `p 2 ** ${n(r, 60, 400)} % 1000003, 10.0 / 3, Rational(3, ${n(r, 2, 9)}), format('%08.3f|%-9s|%x', 3.14159, '${word(r)}', 255); begin; 1 / 0; rescue ZeroDivisionError; retry_ = true; end; trap('USR1') { puts 'usr1' }; Process.kill('USR1', $$); sleep 0.01`,
];

const guile: readonly Piece[] = [
  (r) => `(display (sort (map (lambda (i) (modulo (* i 7919) 257)) (iota ${n(r, 20, 99)})) <))`,
  (r) =>
    `(display (call/cc (lambda (k) (for-each (lambda (x) (if (> x ${n(r, 5, 30)}) (k x))) (iota 50)) 'none)))`,
  (r) =>
    `(display (catch 'oops (lambda () (throw 'oops ${n(r, 1, 99)})) (lambda (key . args) (list key args))))`,
  (r) =>
    `(define (fib n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))) (display (fib ${n(r, 6, 12)}))`,
  (r) =>
    `(dynamic-wind (lambda () (display "in")) (lambda () (display ${n(r, 1, 99)})) (lambda () (display "out")))`,
  (r) =>
    `(define p (make-prompt-tag)) (display (call-with-prompt p (lambda () (+ 1 (abort-to-prompt p ${n(r, 1, 9)}))) (lambda (k v) (k (* v 2)))))`,
  (r) =>
    `(define k2 #f) (define count 0) (display (+ 1 (call/cc (lambda (k) (set! k2 k) 1)))) (set! count (+ count 1)) (if (< count ${n(r, 2, 6)}) (k2 count))`,
  (r) =>
    `(use-modules (ice-9 regex)) (display (match:substring (string-match "[a-k]+" "zz${word(r)}a")))`,
  (r) =>
    `(define h (make-hash-table)) (for-each (lambda (w) (hash-set! h w (string-length w))) '(${words(
      r,
      12,
    )
      .map((w) => `"${w}"`)
      .join(' ')})) (display (hash-fold (lambda (k v s) (+ v s)) 0 h))`,
  (r) =>
    `(define-syntax swap! (syntax-rules () ((_ a b) (let ((t a)) (set! a b) (set! b t))))) (let ((x 1) (y ${n(r, 2, 99)})) (swap! x y) (display (list x y)))`,
  (r) =>
    `(display (expt 7 ${n(r, 30, 300)})) (display (string-append "${word(r)}" (number->string (sqrt ${n(r, 2, 99)}) 10))) (display (with-output-to-string (lambda () (write '(a "b" #\\c 1.5)))))`,
  () =>
    `(display (call-with-input-file "words.txt" (lambda (port) (let loop ((n 0)) (if (eof-object? (read-char port)) n (loop (+ n 1)))))))`,
];

const php: readonly Piece[] = [
  (r) =>
    `$a = array_map(fn($i) => $i * 7919 % 257, range(1, ${n(r, 40, 300)})); sort($a); usort($a, fn($x, $y) => $y <=> $x); echo implode(',', array_slice($a, 0, 9));`,
  (r) =>
    `function gen($k) { try { while ($k < ${n(r, 9, 60)}) { $x = yield $k => $k * 2; $k += $x ?? 1; } } finally { echo 'fin'; } return 7; } $g = gen(1); foreach ($g as $k => $v) { if ($v > 12) break; echo $v; } unset($g);`,
  (r) =>
    `$f = new Fiber(function ($x) { for ($i = 0; $i < ${n(r, 2, 9)}; $i++) { $x += Fiber::suspend($i * $x); } return 'done'; }); echo $f->start(3); while (!$f->isTerminated()) echo $f->resume(2); echo $f->getReturn();`,
  (r) =>
    `for ($i = 0; $i < ${n(r, 4, 20)}; $i++) { try { if ($i % 3 == 0) throw new DomainException("x$i"); if ($i % 3 == 1) intdiv(1, 0); echo 'ok'; } catch (DomainException $e) { echo $e->getMessage(); } catch (Error $e) { echo get_class($e); } finally { echo '.'; } }`,
  (r) =>
    `preg_match_all('/\\b[kmr]\\w{${n(r, 2, 4)},}/', file_get_contents('words.txt'), $m); print_r(array_slice(array_count_values($m[0]), 0, 5)); echo preg_replace_callback('/(\\w)(\\w*)/', fn($m) => $m[2] . strtoupper($m[1]), '${words(r, 6).join(' ')}');`,
  () =>
    `$j = json_decode(file_get_contents('data.json'), true); echo strlen(json_encode($j, JSON_PRETTY_PRINT)), md5(serialize($j));`,
  (r) =>
    `abstract class S${n(r, 1, 99)} { abstract function area(); static function make($x) { return new class($x) { function __construct(public $x) {} function __get($n) { return "no $n"; } function __call($m, $a) { return [$m, count($a)]; } function __toString() { return "o$this->x"; } }; } } $o = S::class; foreach (get_declared_classes() as $c) if (preg_match('/^S\\d+$/', $c)) { $q = $c::make(4); echo $q, $q->zz, $q->foo(1, 2)[1]; }`,
  (r) =>
    `function fib($n) { return $n < 2 ? $n : fib($n - 1) + fib($n - 2); } echo fib(${n(r, 8, 15)}); echo eval('return 3 + ${n(r, 1, 99)};'); try { eval('x ='); } catch (ParseError $e) { echo 'parse'; }`,
  (r) =>
    `set_error_handler(function ($n, $s) { echo "E:$s"; return true; }); echo $undefined; echo [][${n(r, 1, 9)}]; restore_error_handler(); printf('%08.3f|%-9s|%x|%b', 3.14159, '${word(r)}', 255, 9); echo date('Y', 0), strrev('${word(r)}'), sha1('${word(r)}');`,
  (r) =>
    `$h = fopen('table.csv', 'r'); while (($row = fgetcsv($h)) !== false) { [$a, $b] = $row; echo match (true) { is_numeric($b) => (int) $b % ${n(r, 2, 9)}, default => ucfirst($b) }; } fclose($h); echo str_pad(number_format(${n(r, 1000, 99999)} / 7, 2), 12, '*', STR_PAD_BOTH);`,
  (r) =>
    `$ao = new ArrayObject(explode(' ', '${words(r, 9).join(' ')}')); foreach ($ao as $i => $w) { if ($i == 3) continue; echo strlen($w); } $h = new SplPriorityQueue(); foreach (range(1, ${n(r, 3, 30)}) as $i) $h->insert($i, $i * 37 % 11); while (!$h->isEmpty()) echo $h->extract(); ob_start(); echo 'buffered'; echo strtoupper(ob_get_clean());`,
];

const node: readonly Piece[] = [
  (r) =>
    `console.log(Array.from({ length: ${n(r, 50, 300)} }, (_, i) => (i * 7919) % 257).sort((a, b) => b - a).slice(0, 9).join());`,
  (r) =>
    `for (let i = 0; i < ${n(r, 4, 20)}; i++) try { if (i % 2) throw new RangeError('x' + i); null.x; } catch (e) { console.log(e.constructor.name) } finally { i++ }`,
  (r) =>
    `function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2) } console.log(fib(${n(r, 12, 20)}));`,
  (r) =>
    `console.log(require('fs').readFileSync('words.txt', 'utf8').match(/\\b[kmr]\\w{${n(r, 2, 4)},}/g)?.length, '${words(r, 6).join(' ')}'.replace(/(\\w)(\\w*)/g, (_, a, b) => b + a.toUpperCase()));`,
  (r) =>
    `function* g(k) { while (k < ${n(r, 9, 60)}) k += (yield k) ?? 1 } console.log([...g(1)].length); (async () => { for (let i = 0; i < 5; i++) await i; console.log('async'); })();`,
  () =>
    `console.log(JSON.stringify(JSON.parse(require('fs').readFileSync('data.json', 'utf8')), null, 1).length);`,
  (r) =>
    `class A { #v = ${n(r, 1, 99)}; get v() { return this.#v++ } static s = new Map([[1, 2]]) } const a = new A(); let sum = 0; for (let i = 0; i < ${n(r, 1000, 30000)}; i++) sum += a.v ^ i; console.log(sum, A.s.size, new Proxy({}, { get: (_, k) => k + '!' }).abc);`,
  (r) =>
    `console.log(2n ** ${n(r, 60, 300)}n % 1000007n, (3.14159).toFixed(${n(r, 1, 5)}), eval('1 + ${n(r, 1, 99)}'), new Intl.NumberFormat('de').format(12345.6)); setTimeout(() => console.log('timer'), 1);`,
  (r) =>
    `console.log(require('zlib').gzipSync('${word(r)}'.repeat(${n(r, 10, 300)})).length, require('crypto').createHash('sha256').update('${word(r)}').digest('hex')); const t = new Float64Array(${n(r, 100, 999)}).map((_, i) => Math.sin(i)); console.log(t.reduce((a, b) => a + b));`,
];

const tcl: readonly Piece[] = [
  (r) =>
    `set l {}; for {set i 1} {$i < ${n(r, 30, 200)}} {incr i} {lappend l [expr {$i * 7919 % 257}]}; puts [lrange [lsort -integer -decreasing $l] 0 8]`,
  (r) =>
    `proc fib n {expr {$n < 2 ? $n : [fib [expr {$n - 1}]] + [fib [expr {$n - 2}]]}}; puts [fib ${n(r, 6, 13)}]`,
  (r) =>
    `for {set i 0} {$i < ${n(r, 4, 20)}} {incr i} {if {[catch {if {$i % 3 == 0} {error "x$i"}; set i} m o]} {puts "caught $m [dict get $o -code]"}}`,
  (r) =>
    `proc gen {} {yield; for {set i 0} {$i < ${n(r, 3, 20)}} {incr i} {yield $i}; return end}; coroutine c${n(r, 1, 999)} gen; foreach c [info commands c\\[0-9\\]*] {puts [$c][$c]}`,
  (r) =>
    `set f [open words.txt]; set d [dict create]; foreach w [regexp -all -inline {[a-z]{${n(r, 3, 6)},}} [read $f]] {dict incr d $w}; close $f; puts [dict size $d]; puts [regsub -all {(a)(.)} "${words(r, 6).join(' ')}" {\\2\\1}]`,
  (r) =>
    `try {throw {MY ERR} msg} trap {MY} {m} {puts "trapped $m"} finally {puts fin}; puts [format %08.3f|%-9s|%x 3.14159 ${word(r)} 255]; puts [string map {a A o 0} "${words(r, 5).join(' ')}"]`,
  (r) =>
    `namespace eval n${n(r, 1, 99)} {variable v 3; proc p {} {variable v; incr v}; p}; set x 5; while 1 {incr x -1; if {$x == 3} continue; if {$x < 0} break}; puts [uplevel 0 {set x}]; trace add variable x write {apply {args {puts traced}}}; set x ${n(r, 1, 9)}; puts [eval {expr 2**${n(r, 40, 90)}}]`,
  (r) =>
    `puts [lmap x {${words(r, 9).join(' ')}} {string toupper $x}]; oo::class create C${n(r, 1, 99)} {variable v; constructor {a} {set v $a}; method get {} {return $v}; destructor {puts gone}}; foreach c [info commands C\\[0-9\\]*] {set o [$c new 4]; puts [$o get]; $o destroy}; after 1 {set ::done 1}; vwait ::done; puts [clock format 0 -gmt 1]`,
];

const gawk: readonly Piece[] = [
  (r) =>
    `BEGIN { for (i = 1; i < ${n(r, 30, 200)}; i++) a[i] = i * 7919 % 257; k = asort(a, b); for (i = 1; i < 9; i++) printf "%d ", b[i] }`,
  (r) =>
    `{ for (i = 1; i <= NF; i++) if (length($i) > ${n(r, 3, 7)}) c[tolower($i)]++ } END { for (w in c) print w, c[w] }`,
  () => `function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2) } END { print fib(NR % 12) }`,
  (r) =>
    `/^[A-K]/ { gsub(/[aeiou]/, "${n(r, 0, 9)}"); print toupper(substr($0, 2, 9)); next } NR == ${n(r, 3, 9)} { exit }`,
  (r) =>
    `END { s = sprintf("%08.3f|%-9s|%x|%e", 3.14159, "${word(r)}", 255, ${n(r, 1, 999)} / 7); print s, length(s), index(s, "x"), match(s, /[0-9]+/, m), m[0]; print strftime("%Y", 0), sin(1), exp(2), int(-3.7), "a" < "b" }`,
  (r) =>
    `BEGIN { PROCINFO["sorted_in"] = "@ind_str_asc"; n = split("${words(r, 12).join(' ')}", v, " "); for (i in v) if (i % 3) x[v[i]][i] = i; for (i in x) for (j in x[i]) print i, j; delete x }`,
  (r) =>
    `function cmp(i1, v1, i2, v2) { return v1 < v2 ? -1 : v1 > v2 } function call(f, x) { return @f(x) } function dbl(x) { return x * 2 } BEGIN { split("5 3 9 ${n(r, 1, 99)}", q); asort(q, z, "cmp"); print z[1], call("dbl", 4) }`,
  (r) =>
    `{ switch (NR % 4) { case 0: print "zero"; break; case /^1$/: print gensub(/(.)(.)/, "\\\\2\\\\1", "g"); break; default: $2 = "${word(r)}"; print } } BEGINFILE { print FILENAME }`,
  () =>
    `END { while ((getline line < "table.csv") > 0) { split(line, f, ","); sum += f[2]; if (++k > 20) break } close("table.csv"); print sum, k, ENVIRON["PATH"]; do { k-- } while (k > 3); print k | "cat"; close("cat") }`,
];

const lisp: readonly Piece[] = [
  (r) => `(print (sort (loop for i below ${n(r, 30, 200)} collect (mod (* i 7919) 257)) #'>))`,
  (r) =>
    `(defun fib (n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))) (print (fib ${n(r, 6, 13)}))`,
  (r) =>
    `(dotimes (i ${n(r, 4, 20)}) (print (handler-case (if (zerop (mod i 3)) (error "x~a" i) (if (= (mod i 3) 1) (/ 1 (- i i)) i)) (division-by-zero () :div) (error (e) (format nil "~a" e)))))`,
  (r) =>
    `(print (catch 'found (dotimes (i 50) (dotimes (j 50) (when (= (* i j) ${n(r, 12, 99)}) (throw 'found (list i j)))))))`,
  (r) =>
    `(print (block outer (unwind-protect (mapc (lambda (x) (when (> x ${n(r, 2, 9)}) (return-from outer x))) '(1 2 3 4 5 6 7 8 9 10)) (print :cleanup))))`,
  (r) =>
    `(defclass p${n(r, 1, 99)} () ((v :initarg :v :accessor v))) (defgeneric f (x)) (defmethod f ((x integer)) (* x 2)) (defmethod f ((x string)) (string-upcase x)) (print (list (f 3) (f "${word(r)}")))`,
  (r) =>
    `(let ((h (make-hash-table :test 'equal))) (dolist (w '(${words(r, 12)
      .map((w) => `"${w}"`)
      .join(
        ' ',
      )})) (incf (gethash (subseq w 0 2) h 0))) (maphash (lambda (k v) (format t "~a ~a~%" k v)) h))`,
  (r) =>
    `(print (restart-case (handler-bind ((error (lambda (e) (declare (ignore e)) (invoke-restart 'use-it ${n(r, 1, 99)})))) (error "bad")) (use-it (x) (* x 2))))`,
  (r) =>
    `(defmacro my-swap (a b) \`(rotatef ,a ,b)) (let ((x 1) (y ${n(r, 2, 99)})) (my-swap x y) (print (list x y))) (print (expt 7 ${n(r, 30, 200)})) (print (multiple-value-list (floor 17 5)))`,
  () =>
    `(with-open-file (s "words.txt") (print (loop for l = (read-line s nil) while l sum (length l)))) (print (read-from-string "(a b #(1 2) \\"s\\")"))`,
  (r) =>
    `(print (funcall (compile nil '(lambda (x) (let ((s 0)) (dotimes (i x s) (incf s i))))) ${n(r, 5, 60)})) (tagbody (go b) a (print :a) b (print :b)) (print (ignore-errors (car 5)))`,
];

const prolog: readonly Piece[] = [
  (r) =>
    `t1 :- numlist(1, ${n(r, 20, 90)}, L), findall(Y, (member(X, L), Y is X * 7919 mod 257), M), msort(M, S), print(S), nl.`,
  (r) =>
    `app([], L, L). app([H|T], L, [H|R]) :- app(T, L, R). t2 :- findall(X-Y, app(X, Y, [${words(r, 7).join(',')}]), L), length(L, N), print(N), nl.`,
  (r) =>
    `t3 :- forall(between(1, ${n(r, 4, 15)}, I), (catch((I mod 3 =:= 0 -> throw(oops(I)) ; X is 1 / (I mod 2), print(X)), E, (print(caught(E)), nl)))).`,
  (r) =>
    `queens(N, Q) :- numlist(1, N, L), permutation(L, Q), safe(Q), !. safe([]). safe([H|T]) :- no(H, T, 1), safe(T). no(_, [], _). no(H, [X|T], D) :- H =\\= X + D, H =\\= X - D, D1 is D + 1, no(H, T, D1). t4 :- queens(${n(r, 4, 6)}, Q), print(Q), nl.`,
  (r) =>
    `:- dynamic f/2. t5 :- forall(member(X, [${words(r, 9).join(',')}]), (atom_length(X, N), assertz(f(X, N)))), aggregate_all(sum(N), f(_, N), S), retractall(f(_, _)), print(S), nl.`,
  (r) =>
    `greet --> [hello], name. name --> [X], { atom(X) }. t6 :- (phrase(greet, [hello, ${word(r)}]) -> print(yes) ; print(no)), atom_codes(A, "${word(r)}"), atom_concat(A, x, B), print(B), nl, format("~w ~a ~e ~t~20|~d~n", [f(X, Y), b, 1.5, ${n(r, 1, 999)}]).`,
  (r) =>
    `t7 :- freeze(X, (print(woken(X)), nl)), X = ${n(r, 1, 9)}, dif(A, B), A = 1, \\+ B = 1, length(L, ${n(r, 2, 9)}), maplist([E]>>(E = z), L), print(L), nl, setup_call_cleanup(true, member(_, [1, 2]), (print(clean), nl)), !.`,
];

export const scripting: readonly FieldProgram[] = [
  {
    name: 'perl',
    make: 'C, an interpreter that dies by long jumps',
    package: 'perl-base',
    paths: ['/usr/bin/perl'],
    run: script('run.pl', perl),
  },
  {
    name: 'bash',
    make: 'C, long jumps at errors, signals and subshells',
    package: 'bash',
    paths: ['/bin/bash'],
    run: script('run.sh', bash, ['run.sh'], 'shopt -s extglob nullglob\n'),
  },
  {
    name: 'lua5.4',
    make: 'C, long jumps for errors and coroutines',
    package: 'lua5.4',
    paths: ['/usr/bin/lua5.4'],
    run: script('run.lua', lua),
  },
  {
    name: 'luajit',
    make: 'C and assembly, a tracing JIT',
    package: 'luajit',
    paths: ['/usr/bin/luajit'],
    run: script('run.lua', lua),
  },
  {
    name: 'python3',
    make: 'C, an interpreter with computed gotos',
    package: 'python3.11-minimal',
    paths: ['/usr/bin/python3.11', '/usr/bin/python3.*'],
    run: script('run.py', python, ['-S', '-E', 'run.py']),
  },
  {
    name: 'ruby',
    make: 'C, __builtin_longjmp, fibers',
    package: 'ruby3.1',
    paths: ['/usr/bin/ruby3.*'],
    run: script('run.rb', ruby, ['--disable-gems', 'run.rb']),
  },
  {
    name: 'guile',
    make: 'C, a JIT, continuations',
    package: 'guile-3.0',
    paths: ['/usr/bin/guile'],
    run: script('run.scm', guile, ['--no-auto-compile', '-s', 'run.scm']),
  },
  {
    name: 'php',
    make: 'C, fibers, an interpreter with global registers',
    package: 'php8.2-cli',
    paths: ['/usr/bin/php8.*'],
    run: script('run.php', php, ['-n', 'run.php'], '<?php\n'),
  },
  {
    name: 'node',
    make: 'C++ and a JIT, many threads',
    package: 'nodejs',
    paths: ['/usr/bin/node'],
    maxBlocks: 60e6,
    run: script('run.js', node),
  },
  {
    name: 'tclsh',
    make: 'C, a stackless interpreter',
    package: 'tcl8.6',
    paths: ['/usr/bin/tclsh8.6'],
    run: script('run.tcl', tcl),
  },
  {
    name: 'gawk',
    make: 'C, a bytecode interpreter',
    package: 'gawk',
    paths: ['/usr/bin/gawk'],
    run: script('run.awk', gawk, ['-f', 'run.awk', 'words.txt']),
  },
  {
    name: 'sbcl',
    make: 'Lisp in native code of its own, exceptions that leave frames',
    package: 'sbcl',
    paths: ['/usr/bin/sbcl', '/usr/lib/sbcl/sbcl'],
    run: script('run.lisp', lisp, ['--script', 'run.lisp']),
  },
  {
    name: 'clisp',
    make: 'C, long jumps for all of Lisp’s exits',
    package: 'clisp',
    paths: ['/usr/lib/clisp*/base/lisp.run'],
    run: script('run.lisp', lisp, [
      '-B',
      '/usr/lib/clisp-2.49.93+',
      '-M',
      '/usr/lib/clisp-2.49.93+/base/lispinit.mem',
      '-norc',
      '-q',
      'run.lisp',
    ]),
  },
  {
    name: 'swipl',
    make: 'C, a Prolog machine with a switch of instructions',
    package: 'swi-prolog-nox',
    paths: ['/usr/bin/swipl', '/usr/lib/swi-prolog/bin/swipl'],
    run: (random) => {
      const made = script('run.prolog', prolog, ['-q', '-g', 'go', '-t', 'halt', 'run.prolog'])(
        random,
      );
      const text = String(made.files?.['run.prolog']);
      const goals = times(7, (i) => `t${i + 1}`).filter((goal) => text.includes(`${goal} :-`));
      const go = `go :- ${goals.map((goal) => `ignore(${goal})`).join(', ')}.\n`;
      return { ...made, files: { ...made.files, 'run.prolog': `${text}${go}` } };
    },
  },
];
