import type { Random } from '../../../src/base/random.ts';
import { html, pdf, png, prose, sentence, table, wav, word, words, xml } from '../documents.ts';
import { between, type FieldProgram, type FieldRun, pick, some, times } from '../program.ts';

const c = (random: Random): string => {
  const names = words(random, 4).map((name, index) => `${name}${index}`);
  const body = (name: string): string =>
    pick(random, [
      `int ${name}(int x) { int s = ${random.below(9)}; for (int i = 0; i < x; i++) s += i * x; return s; }`,
      `int ${name}(int x) { switch (x) { ${times(8, (i) => `case ${i}: return ${random.below(99)};`).join(' ')} default: return -1; } }`,
      `struct ${name}_s { int a; double b[${between(random, 2, 9)}]; }; double ${name}(struct ${name}_s *p) { return p ? p->b[1] * p->a : 0; }`,
      `static int ${name}_v[] = {${times(9, () => random.below(100)).join(', ')}}; int ${name}(int x) { while (x & 7) x = ${name}_v[x & 7] / 2; return x; }`,
      `char *${name}(char *s) { char *p = s; while (*p) { if (*p >= 'a') *p -= 32; p++; } return s; }`,
    ]);
  return `${names.map(body).join('\n')}\n`;
};

const sql = (random: Random): string => {
  const t = word(random);
  const rows = times(
    between(random, 5, 60),
    (i) => `(${i}, ${random.below(999)}, '${word(random)}')`,
  );
  const queries = [
    `SELECT name, count(*), avg(v) FROM "${t}" GROUP BY substr(name, 1, 1) ORDER BY 2 DESC LIMIT ${between(random, 2, 9)};`,
    `WITH RECURSIVE f(a, b) AS (SELECT 0, 1 UNION ALL SELECT b, a + b FROM f WHERE b < ${between(random, 99, 9999)}) SELECT max(a) FROM f;`,
    `SELECT x.name, y.v FROM "${t}" x JOIN "${t}" y ON x.id = y.id + 1 WHERE x.v > ${random.below(500)} OR y.name LIKE '%a%';`,
    `CREATE INDEX i1 ON "${t}"(v); EXPLAIN QUERY PLAN SELECT * FROM "${t}" WHERE v = 3; UPDATE "${t}" SET v = v + 1 WHERE id % 3 = 0;`,
    `BEGIN; DELETE FROM "${t}" WHERE id < ${random.below(20)}; ROLLBACK; SELECT sum(v) OVER (ORDER BY id) FROM "${t}" LIMIT 3;`,
    `SELECT json_extract('{"a":[1,2,{"b":3}]}', '$.a[2].b'), printf('%08.3f', 3.14), upper('${word(random)}'), datetime(0, 'unixepoch');`,
    `CREATE TRIGGER t1 AFTER INSERT ON "${t}" BEGIN UPDATE "${t}" SET v = 0 WHERE id = new.id; END; INSERT INTO "${t}" VALUES (9999, 5, 'z');`,
    `SELECT * FROM nosuch; SELECT FROM; INSERT INTO "${t}" VALUES (0, 1, 'again');`,
  ];
  return `CREATE TABLE "${t}" (id INTEGER PRIMARY KEY, v INT, name TEXT);\nINSERT INTO "${t}" VALUES ${rows.join(', ')};\n${some(random, queries, between(random, 2, 5)).join('\n')}\n`;
};

const roff = (random: Random): string => {
  const part = (): string =>
    pick(random, [
      `.ft ${pick(random, ['B', 'I', 'R', 'CW'])}\n${sentence(random)}\n.ft P`,
      `.sp ${between(random, 1, 4)}\n.in ${between(random, 0, 9)}\n.ti +2\n${sentence(random)}`,
      `.de ${word(random).slice(0, 2).toUpperCase()}\n.nr x \\\\n[x]+1\n.tm \\\\$1\n..\n.nr x 1`,
      `.ds s ${word(random)}\n\\*s and \\f[B]${word(random)}\\fP \\(em \\s+2big\\s0`,
      `.if ${random.below(3)}>1 .tm big\n.ie n \\{\\\n${word(random)}\n.\\}\n.el ${word(random)}`,
      `.nr i 0 1\n.while \\n+i<${between(random, 2, 12)} \\{\\\n\\ni\n.\\}`,
      `.ce 2\n${sentence(random)}\n${word(random)}\n.ta 1i 2i\na\tb\t${word(random)}`,
      `.di dd\n${sentence(random)}\n.br\n.di\n.dd\n.ll ${between(random, 20, 70)}n\n${prose(random, 3)}`,
      `\\h'1i'x\\v'-1'y\\v'1' \\l'2i' \\w'${word(random)}' \\o'a^' \\zx`,
      `.hy 0\n.ad ${pick(random, ['l', 'r', 'c', 'b'])}\n.tr ab\n${prose(random, 2)}.na\n.bp`,
    ]);
  return `${times(between(random, 4, 16), part).join('\n')}\n`;
};

const scanner = (random: Random): string => {
  const rule = (index: number): string => {
    const text = pick(random, [
      `"${word(random)}"`,
      `'${word(random)}'`,
      '[0-9]+',
      '[a-z_][a-z0-9_]*',
      '"0x" [0-9a-fA-F]{1,4}',
      '"/*" [^*]* "*/"',
      '[ \\t\\n]+',
      '(a|b)* c?',
      '[^x] \\ [a-f]',
      '"\\"" [^"\\x00]* "\\""',
    ]);
    return `    ${text} { return ${index + 1}; }`;
  };
  const rules = times(between(random, 2, 9), rule).join('\n');
  return `int f(const char *YYCURSOR) {\n  const char *YYMARKER;\n  /*!re2c\n    re2c:define:YYCTYPE = "unsigned char";\n    re2c:yyfill:enable = 0;\n    w = [${word(random)}]+;\n${rules}\n    * { return 0; }\n  */\n}\n`;
};

const grammar = (random: Random): string => {
  const operators = some(random, ['PLUS', 'TIMES', 'MINUS', 'DIV', 'POW'], between(random, 2, 5));
  return `%token <int> INT
%token LPAREN RPAREN EOF ${operators.join(' ')}
${operators.map((name) => `%${pick(random, ['left', 'right'])} ${name}`).join('\n')}
%start <int> main
%%
main: e = expr EOF { e }
expr:
| i = INT { i }
| LPAREN e = expr RPAREN { e }
${operators.map((name) => `| a = expr ${name} b = expr { a + b }`).join('\n')}
${random.below(2) === 0 ? '| l = separated_list(LPAREN, INT) RPAREN { List.length l }' : ''}
`;
};

const tex = (random: Random): string => {
  const part = (): string =>
    pick(random, [
      `\\section{${word(random)}} ${sentence(random)}`,
      `\\begin{itemize}\\item ${word(random)} \\item \\textbf{${word(random)}}\\end{itemize}`,
      `\\begin{tabular}{|l|r|}\\hline a & ${random.below(99)} \\\\ ${word(random)} & 2\\\\ \\hline\\end{tabular}`,
      `$\\frac{${random.below(9)}}{x^2} + \\sum_{i=1}^n \\alpha_i$ and \\emph{${sentence(random)}}`,
      `\\newcommand{\\m${word(random)}}[1]{<#1>} \\verb|${word(random)}| \\footnote{${word(random)}}`,
      `\\ifthenelse{\\equal{a}{${pick(random, ['a', 'b'])}}}{yes}{no} \\begin{quote}${sentence(random)}\\end{quote}`,
    ]);
  return `\\documentclass{article}\n\\usepackage{ifthen}\n\\begin{document}\n${times(between(random, 3, 10), part).join('\n\n')}\n\\end{document}\n`;
};

const postscript = (random: Random): string => {
  const part = (): string =>
    pick(random, [
      `newpath ${random.below(200)} ${random.below(200)} moveto ${random.below(300)} ${random.below(300)} lineto ${times(6, () => random.below(300)).join(' ')} curveto ${between(random, 1, 9)} setlinewidth stroke`,
      `gsave ${random.uniform().toFixed(2)} ${random.uniform().toFixed(2)} 0 setrgbcolor ${random.below(300)} ${random.below(300)} ${between(random, 5, 90)} 0 360 arc fill grestore`,
      `/Helvetica findfont ${between(random, 8, 40)} scalefont setfont ${random.below(200)} ${random.below(200)} moveto (${sentence(random)}) show`,
      `0 1 ${between(random, 3, 20)} { dup mul pop } for /f { dup 1 le { pop 1 } { dup 1 sub f mul } ifelse } def ${between(random, 3, 9)} f pop`,
      `{ 1 0 div } stopped { pop pop $error /errorname get pop } if [ ${words(random, 5)
        .map((w) => `(${w})`)
        .join(' ')} ] { length pop } forall`,
      `gsave ${random.below(90)} rotate 40 40 8 [8 0 0 8 0 0] { <${times(8, () => random.below(256).toString(16).padStart(2, '0')).join('')}> } image grestore`,
    ]);
  return `%!PS\n${times(between(random, 3, 10), part).join('\n')}\nshowpage\n`;
};

const shell = (random: Random): string => {
  const part = (): string =>
    pick(random, [
      `for f in $(ls *.${word(random)}); do echo $f; done`,
      `if [ $1 == "${word(random)}" ]; then cd $2; rm -rf "$3"/*; fi`,
      `${word(random)}=\`date\`\nread x\necho "$${word(random)}"`,
      `case "$1" in a) echo a;; ${word(random)}*) exit;; esac`,
      `f() { local y=$1; return $y; }\nf "$@" | grep foo | wc -l`,
      `while read -r line; do (( n++ )); done < <(cat ${word(random)})`,
    ]);
  return `#!/bin/${pick(random, ['bash', 'sh'])}\n${times(between(random, 1, 4), part).join('\n')}\n`;
};

const rust = (random: Random): FieldRun => {
  const files = Object.fromEntries(
    times(between(random, 2, 9), () => [`d/${word(random)}.txt`, prose(random, 30)]),
  );
  const flags = pick(random, [
    ['-n'],
    ['-c'],
    ['-i', '-w'],
    ['--json'],
    ['-A2', '-B1'],
    ['-o'],
    ['-v', '-m3'],
    ['--sort', 'path', '-l'],
    ['-j2'],
    ['-U'],
    ['--stats'],
  ]);
  const pattern = pick(random, [
    word(random),
    `\\b[kmr]\\w{3,}`,
    `(${word(random)}|${word(random)})+`,
    `^[A-K].*[.!]$`,
    `a.{1,4}o`,
    `(?P<x>k.)\\S+`,
    `(unclosed`,
    `\\d|[^a-z ]{2}`,
  ]);
  return { args: [...flags, pattern, 'd'], files };
};

const gitEnv = [
  '-c',
  'user.name=x',
  '-c',
  'user.email=x@example.org',
  '-c',
  'gc.auto=0',
  '-c',
  'core.pager=cat',
];
const git = (random: Random): FieldRun => {
  const files = Object.fromEntries(
    times(between(random, 2, 6), () => [`${word(random)}.txt`, prose(random, 20)]),
  );
  const command = pick(random, [
    ['log', '--stat', '-p'],
    ['status'],
    ['diff', '--word-diff'],
    ['add', '-A'],
    ['commit', '-qam', 'two'],
    ['branch', '-v'],
    ['grep', '-n', 'ka'],
    ['blame', Object.keys(files)[0]],
    ['ls-tree', '-r', 'HEAD'],
    ['fsck'],
    ['archive', '-o', 'a.tar', 'HEAD'],
    ['rev-list', '--objects', 'HEAD'],
    ['stash', 'list'],
    ['checkout', '-q', '-b', 'two'],
    ['show', 'HEAD:nothing'],
    ['shortlog', '-s', 'HEAD'],
    ['cat-file', '-p', 'HEAD^{tree}'],
    ['merge-base', 'HEAD', 'HEAD'],
    ['log', '--graph', '--oneline', '--all'],
    ['tag', '-a', 'v1', '-m', 'tag'],
  ]);
  return {
    args: [...gitEnv, ...command],
    files,
    before: [
      ['git', 'init', '-q', '.'],
      ['git', ...gitEnv, 'add', '-A'],
      ['git', ...gitEnv, 'commit', '-qm', 'one'],
      ['sh', '-c', `echo ${word(random)} >> ${Object.keys(files)[0]}`],
    ],
  };
};

const openssl = (random: Random): FieldRun => {
  const files = { 'in.txt': prose(random, between(random, 5, 90)) };
  const key = ['openssl', 'genpkey', '-algorithm', 'ED25519', '-out', 'key.pem'];
  const choices: FieldRun[] = [
    {
      args: [
        'dgst',
        `-${pick(random, ['sha256', 'sha512', 'md5', 'sha3-256', 'blake2b512'])}`,
        'in.txt',
      ],
    },
    {
      args: [
        'enc',
        `-${pick(random, ['aes-256-cbc', 'aes-128-ctr', 'camellia-128-cbc', 'chacha20'])}`,
        '-k',
        word(random),
        '-pbkdf2',
        '-iter',
        '20',
        '-in',
        'in.txt',
        '-out',
        'out',
      ],
    },
    {
      args: [
        'genpkey',
        '-algorithm',
        'EC',
        '-pkeyopt',
        `ec_paramgen_curve:${pick(random, ['P-256', 'P-384', 'secp256k1'])}`,
        '-out',
        'k',
      ],
    },
    { args: ['prime', '-generate', '-bits', `${between(random, 32, 160)}`] },
    {
      args: [
        'req',
        '-x509',
        '-new',
        '-key',
        'key.pem',
        '-subj',
        `/CN=${word(random)}`,
        '-days',
        '9',
        '-out',
        'c.pem',
        '-batch',
      ],
      before: [key],
    },
    { args: ['asn1parse', '-in', 'key.pem'], before: [key] },
    { args: ['pkey', '-in', 'key.pem', '-text', '-noout'], before: [key] },
    { args: ['base64', '-in', 'in.txt'] },
    { args: ['ciphers', '-v', pick(random, ['HIGH', 'ALL', 'kRSA:!NULL'])] },
    { args: ['rand', '-hex', `${between(random, 8, 900)}`] },
    { args: ['x509', '-in', 'in.txt', '-text'] },
    { args: ['list', pick(random, ['-digest-algorithms', '-commands', '-cipher-algorithms'])] },
    { args: ['passwd', `-${pick(random, ['1', '5', '6'])}`, '-salt', 'abcdefgh', word(random)] },
    { args: ['genrsa', '-out', 'r.pem', '512'] },
  ];
  const run = pick(random, choices);
  return { ...run, files };
};

const busybox = (random: Random): FieldRun => {
  const files = {
    'in.txt': prose(random, between(random, 5, 60)),
    't.csv': table(random, 20, 3),
    'r.sh': `for i in 1 2 3; do x=$((i * ${between(random, 2, 9)})); case $x in *2) echo two;; *) echo "$x";; esac; done; f() { echo "$1" | tr a-z A-Z; }; f ${word(random)}; trap 'echo bye' EXIT; set -- ${words(random, 3).join(' ')}; shift; echo $#\n`,
  };
  return {
    files,
    args: pick(random, [
      ['sort', '-r', 'in.txt'],
      ['awk', '-F,', `{ s += $2; print $1, length($3) } END { print s }`, 't.csv'],
      ['sed', '-n', `s/\\(k.\\)\\(.\\)/\\2\\1/gp;${between(random, 2, 9)}q`, 'in.txt'],
      ['grep', '-n', '[km]', 'in.txt'],
      ['sh', 'r.sh'],
      ['gzip', '-kf', 'in.txt'],
      ['sha256sum', 'in.txt', 't.csv'],
      ['tar', 'cf', 'o.tar', 'in.txt', 't.csv'],
      ['dc', '-e', `${between(random, 2, 99)} 3 ^ p`],
      ['diff', 'in.txt', 't.csv'],
      ['find', '.', '-name', '*.txt'],
      ['wc', 'in.txt'],
      ['od', '-c', 'in.txt'],
      ['tr', 'a', 'b'],
      ['cut', '-d,', '-f2', 't.csv'],
      ['uniq', '-c', 'in.txt'],
      ['vi', '--help'],
      ['expr', '3', '*', `${between(random, 1, 99)}`],
      ['xxd', 'in.txt'],
      ['cal', '5', '2020'],
    ]),
  };
};

const qemuImage = (random: Random): FieldRun => {
  const size = `${between(random, 1, 8)}M`;
  const format = pick(random, ['qcow2', 'vmdk', 'vdi', 'vhdx', 'qed', 'raw', 'parallels']);
  const made = ['qemu-img', 'create', '-q', '-f', 'qcow2', 'a.img', size];
  const filled = [
    'qemu-io',
    '-c',
    `write -P ${random.below(255)} ${random.below(16) * 65536} ${between(random, 1, 8) * 65536}`,
    'a.img',
  ];
  const before = [made, filled];
  return pick(random, [
    { args: ['create', '-f', format, 'b.img', size] },
    { args: ['convert', '-O', format, 'a.img', 'b.img'], before },
    { args: ['info', '--output=json', 'a.img'], before },
    { args: ['check', 'a.img'], before },
    { args: ['map', 'a.img'], before },
    { args: ['snapshot', '-c', 'one', 'a.img'], before },
    { args: ['resize', 'a.img', '+1M'], before },
    { args: ['convert', '-c', '-O', 'qcow2', 'a.img', 'c.img'], before },
    { args: ['compare', 'a.img', 'a.img'], before },
    { args: ['bench', '-c', `${between(random, 5, 50)}`, '-w', 'a.img'], before },
    { args: ['info', 'nothing.img'] },
  ]);
};

const compiler = (random: Random, suffix: string, text: string): FieldRun => ({
  args: ['-quiet', `-O${random.below(3)}`, `in.${suffix}`, '-o', 'out.s'],
  files: { [`in.${suffix}`]: text },
});

const cplusplus = (random: Random): string => `struct B { virtual int f(int) = 0; virtual ~B() {} };
${times(between(random, 1, 4), (i) => `struct D${i} : B { int v = ${random.below(99)}; int f(int x) override { return x * v + ${random.below(9)}; } };`).join('\n')}
template <class T, int N> struct A { T d[N]; T sum() const { T s{}; for (auto x : d) s += x; return s; } };
int g(B &b) { try { if (b.f(1) > ${random.below(50)}) throw 1; return A<int, ${between(random, 1, 9)}>{}.sum(); } catch (int e) { return [e](auto y) { return y + e; }(${random.below(9)}); } }
`;

export const tools: readonly FieldProgram[] = [
  {
    name: 'optipng',
    make: 'C, long jumps out of libpng',
    package: 'optipng',
    paths: ['/usr/bin/optipng'],
    run: (r) => ({
      args: [`-o${r.below(3)}`, ...(r.below(2) ? ['-i1'] : []), '-out', 'o.png', 'in.png'],
      files: {
        'in.png':
          r.below(4) === 0
            ? png(r, between(r, 8, 40), 20).slice(0, -30 - r.below(20))
            : png(r, between(r, 8, 64), between(r, 8, 64)),
      },
    }),
  },
  {
    name: 'fzf',
    make: 'Go: goroutines on stacks of their own',
    package: 'fzf',
    paths: ['/usr/bin/fzf'],
    run: (r) => ({
      args: [
        '-f',
        word(r).slice(0, 3),
        ...pick(r, [[], ['-e'], ['-i'], ['--tac'], ['--algo=v1'], ['--no-sort']]),
      ],
      files: { 'in.txt': prose(r, between(r, 20, 600)) },
      stdin: 'in.txt',
    }),
  },
  {
    name: 'age',
    make: 'Go: goroutines on stacks of their own',
    package: 'age',
    paths: ['/usr/bin/age'],
    run: (r) => ({
      args: pick(r, [
        [
          '-r',
          'age1hsz90zqq30m4kx92537jkeau3yvalw47t6fez09ln6y083xsae5smzur5m',
          '-o',
          'o.age',
          'in.txt',
        ],
        ['-a', '-r', 'age1hsz90zqq30m4kx92537jkeau3yvalw47t6fez09ln6y083xsae5smzur5m', 'in.txt'],
        ['-d', '-i', 'in.txt', 'in.txt'],
        ['-r', 'age1nonsense', 'in.txt'],
        ['--version'],
      ]),
      files: { 'in.txt': prose(r, between(r, 2, 900)) },
    }),
  },
  {
    name: 'shellcheck',
    make: 'Haskell: its own stack, tail calls everywhere',
    package: 'shellcheck',
    paths: ['/usr/bin/shellcheck'],
    run: (r) => ({
      args: ['-f', pick(r, ['tty', 'gcc', 'json', 'checkstyle']), 'in.sh'],
      files: { 'in.sh': shell(r) },
    }),
  },
  {
    name: 'hevea',
    make: 'OCaml: exceptions by return',
    package: 'hevea',
    paths: ['/usr/bin/hevea'],
    run: (r) => ({
      args: [...pick(r, [[], ['-text'], ['-info']]), 'in.tex'],
      files: { 'in.tex': tex(r) },
    }),
  },
  {
    name: 'menhir',
    make: 'OCaml: exceptions by return',
    package: 'menhir',
    paths: ['/usr/bin/menhir'],
    run: (r) => ({
      args: [
        ...pick(r, [
          ['--only-preprocess-u'],
          ['--explain'],
          ['--dump', '--lalr'],
          ['--table'],
          ['--canonical'],
          ['--list-errors'],
          ['--only-tokens', '--trace'],
          ['--inspection', '--table', '--infer-write-query', 'q.ml'],
        ]),
        'in.mly',
      ],
      files: { 'in.mly': grammar(r) },
    }),
  },
  { name: 'git', make: 'C', package: 'git', paths: ['/usr/bin/git'], run: git },
  {
    name: 'openssl',
    make: 'C and much assembly',
    package: 'openssl',
    paths: ['/usr/bin/openssl'],
    run: openssl,
  },
  {
    name: 'gs',
    make: 'C, an interpreter with a stack of its own',
    package: 'ghostscript',
    paths: ['/usr/bin/gs'],
    maxBlocks: 80e6,
    run: (r) => ({
      args: [
        '-q',
        '-dBATCH',
        '-dNOPAUSE',
        `-sDEVICE=${pick(r, ['ppmraw', 'pbmraw', 'nullpage', 'bbox'])}`,
        '-r20',
        '-sOutputFile=o',
        'in.ps',
      ],
      files: { 'in.ps': postscript(r) },
    }),
  },
  { name: 'ripgrep', make: 'Rust, threads', package: 'ripgrep', paths: ['/usr/bin/rg'], run: rust },
  {
    name: 'fd',
    make: 'Rust, threads',
    package: 'fd-find',
    paths: ['/usr/bin/fdfind', '/usr/lib/cargo/bin/fd'],
    run: (r) => ({
      args: [
        ...pick(r, [[], ['-e', 'txt'], ['-t', 'f'], ['-a'], ['-l'], ['-j', '2'], ['-s']]),
        pick(r, ['k', '^[a-k]', `${word(r)}$`, '(', '.']),
      ],
      files: Object.fromEntries(times(between(r, 1, 20), () => [`${word(r)}/${word(r)}.txt`, 'x'])),
    }),
  },
  {
    name: 'qemu-img',
    make: 'C: coroutines by sigsetjmp and fresh stacks',
    package: 'qemu-utils',
    paths: ['/usr/bin/qemu-img'],
    run: qemuImage,
  },
  {
    name: 'busybox',
    make: 'C, static, ash with long jumps',
    package: 'busybox',
    paths: ['/bin/busybox', '/usr/bin/busybox'],
    run: busybox,
  },
  {
    name: 'xmllint',
    make: 'C, callbacks',
    package: 'libxml2-utils',
    paths: ['/usr/bin/xmllint'],
    run: (r) => ({
      args: [
        ...pick(r, [
          ['--noout'],
          ['--format'],
          ['--c14n'],
          ['--xpath', '//*[@*]'],
          ['--stream'],
          ['--html'],
          ['--sax', '--noout'],
          ['--recover'],
          ['--debug'],
        ]),
        'in.xml',
      ],
      files: { 'in.xml': r.below(4) ? xml(r, 5) : html(r, 9) },
    }),
  },
  {
    name: 'xsltproc',
    make: 'C, callbacks',
    package: 'xsltproc',
    paths: ['/usr/bin/xsltproc'],
    run: (r) => ({
      args: ['s.xsl', 'in.xml'],
      files: {
        'in.xml': xml(r, 5),
        's.xsl': `<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/"><o><xsl:apply-templates select="${pick(r, ['//*', '*', '//@*', '//text()'])}"><xsl:sort select="name()"/></xsl:apply-templates></o></xsl:template><xsl:template match="*"><xsl:choose><xsl:when test="position() mod ${between(r, 2, 5)} = 0"><e><xsl:value-of select="concat(name(), '-', string-length(.))"/></e></xsl:when><xsl:otherwise><c><xsl:copy-of select="@*"/><xsl:number/></c></xsl:otherwise></xsl:choose></xsl:template></xsl:stylesheet>`,
      },
    }),
  },
  {
    name: 'troff',
    make: 'C++, objects',
    package: 'groff-base',
    paths: ['/usr/bin/troff'],
    run: (r) => ({
      args: [`-T${pick(r, ['ascii', 'latin1', 'utf8'])}`, 'in.tr'],
      files: { 'in.tr': roff(r) },
    }),
  },
  {
    name: 'qpdf',
    make: 'C++, objects, exceptions',
    package: 'qpdf',
    paths: ['/usr/bin/qpdf'],
    run: (r) => ({
      args: pick(r, [
        ['--linearize', 'in.pdf', 'o.pdf'],
        ['--qdf', 'in.pdf', 'o.pdf'],
        ['--check', 'in.pdf'],
        ['--json', 'in.pdf'],
        ['--encrypt', 'a', 'b', '128', '--use-aes=y', '--', 'in.pdf', 'o.pdf'],
        ['--object-streams=generate', 'in.pdf', 'o.pdf'],
        ['--show-xref', 'in.pdf'],
        ['--rotate=+90', 'in.pdf', 'o.pdf'],
        ['in.pdf', '--pages', '.', '1', '--', 'o.pdf'],
        ['--coalesce-contents', '--stream-data=uncompress', 'in.pdf', 'o.pdf'],
      ]),
      files: { 'in.pdf': pdf(r) },
    }),
  },
  {
    name: 'source-highlight',
    make: 'C++, objects, regular expressions of Boost',
    package: 'source-highlight',
    paths: ['/usr/bin/source-highlight'],
    run: (r) => {
      const [language, text] = pick(r, [
        ['c', c(r)],
        ['cpp', cplusplus(r)],
        ['sh', shell(r)],
        ['sql', sql(r)],
        ['html', html(r, 6)],
        ['latex', tex(r)],
      ]);
      const format = pick(r, ['html', 'xhtml', 'esc', 'latex', 'docbook']);
      return {
        args: ['-s', language, '-f', format, ...pick(r, [[], ['-n'], ['--doc']]), '-i', 'in.txt'],
        files: { 'in.txt': text },
      };
    },
  },
  {
    name: 're2c',
    make: 'C++, a generator of scanners',
    package: 're2c',
    paths: ['/usr/bin/re2c'],
    run: (r) => ({
      args: [...pick(r, [[], ['-s'], ['-b'], ['-g'], ['-i'], ['--tags']]), 'in.re', '-o', 'o.c'],
      files: { 'in.re': scanner(r) },
    }),
  },
  {
    name: 'sqlite3',
    make: 'C, a virtual machine, a generated parser',
    package: 'sqlite3',
    paths: ['/usr/bin/sqlite3'],
    run: (r) => ({
      args: [...pick(r, [[], ['-json'], ['-csv'], ['-line'], ['-box']]), ':memory:', '.read q.sql'],
      files: { 'q.sql': sql(r) },
    }),
  },
  {
    name: 'flac',
    make: 'C and assembly',
    package: 'flac',
    paths: ['/usr/bin/flac'],
    run: (r) => ({
      args: [
        '-s',
        '-f',
        `-${r.below(9)}`,
        ...pick(r, [[], ['-V'], ['--no-padding'], ['-b', '512']]),
        'in.wav',
      ],
      files: { 'in.wav': wav(r, between(r, 500, 6000)) },
    }),
  },
  {
    name: '7z',
    make: 'C++, COM-like objects, threads',
    package: 'p7zip-full',
    paths: ['/usr/lib/p7zip/7z', '/usr/bin/7z'],
    run: (r) => ({
      args: pick(r, [
        ['a', '-bd', 'o.7z', 'in.txt'],
        ['a', '-bd', '-tzip', 'o.zip', 'in.txt', 't.csv'],
        ['a', '-bd', '-ttar', 'o.tar', '.'],
        ['a', '-bd', '-mx1', '-m0=BZip2', 'o.7z', 't.csv'],
        ['l', 'in.txt'],
        ['h', 'in.txt'],
        ['a', '-bd', '-m0=PPMd', 'o.7z', 'in.txt'],
        ['a', '-tgzip', 'o.gz', 't.csv'],
        ['i'],
      ]),
      files: { 'in.txt': prose(r, between(r, 5, 90)), 't.csv': table(r, 50, 4) },
    }),
  },
  {
    name: 'gnuplot',
    make: 'C and C++, long jumps at errors',
    package: 'gnuplot-nox',
    paths: ['/usr/bin/gnuplot-nox', '/usr/bin/gnuplot'],
    run: (r) => ({
      args: ['in.gp'],
      files: {
        't.csv': table(r, 20, 4, ' '),
        'in.gp': `set terminal ${pick(r, ['dumb', 'svg', 'postscript', 'canvas'])}\nset output 'o'\nf(x) = ${pick(r, ['sin(x)', 'x**2', 'exp(-x)', 'x < 0 ? 0 : sqrt(x)'])}\n${some(r, [`plot f(x), ${between(r, 1, 9)} * cos(x)`, `set samples ${between(r, 20, 90)}; splot x * y with lines`, "print 1 / 3.0, strlen('abc')", `do for [i=1:${between(r, 2, 9)}] { print i ** 2 }`, 'set grid; set title "t"; plot [0:5] f(x) with points', 'a = 1; fit a * x "t.csv" using 0:2 via a', 'print nothing'], 3).join('\n')}\n`,
      },
    }),
  },
  {
    name: 'gforth',
    make: 'threaded code',
    package: 'gforth',
    paths: ['/usr/bin/gforth-0.7.3', '/usr/bin/gforth'],
    run: (r) => ({
      args: ['in.fs', '-e', 'bye'],
      files: {
        'in.fs': `: fib dup 2 < if else dup 1- recurse swap 2 - recurse + then ;\n${between(r, 5, 15)} fib .\n${some(r, [`: sq dup * ; ${between(r, 2, 99)} sq .`, `: l ${between(r, 3, 60)} 0 do i 3 mod if i . then loop ; l`, `: t ['] abs catch . ; : u ${between(r, 1, 9)} throw ; ' u catch .`, `create a ${between(r, 5, 50)} cells allot a 9 cells erase a @ .`, `s" ${words(r, 4).join(' ')}" type`, `: c case 1 of ." one" endof 2 of ." two" endof ." other" endcase ; ${r.below(4)} c`, `${between(r, 1, 999)} s>f fsqrt f.`, 'see fib', ': w begin dup 0> while 1- repeat drop ; 50 w'], 4).join('\n')}\n`,
      },
    }),
  },
  {
    name: 'povray',
    make: 'C++, threads, boost',
    package: 'povray',
    paths: ['/usr/bin/povray'],
    run: (r) => ({
      args: [
        '+Iin.pov',
        '-D',
        `+W${between(r, 6, 24)}`,
        `+H${between(r, 6, 18)}`,
        '+Oo.png',
        '+WT1',
        '-V',
      ],
      files: {
        'in.pov': `#version 3.7; global_settings { assumed_gamma 1 } camera { location <0,2,-5> look_at 0 } light_source { <4,5,-5> color rgb 1 }\n#declare N = ${between(r, 1, 5)};\n#while (N > 0) ${pick(r, ['sphere { <N-2,0,N>, 0.7', 'box { <N,0,0>, <N+1,1,1>', 'torus { 1, 0.3', 'cylinder { <0,0,0>, <0,N,0>, 0.4'])} pigment { ${pick(r, ['checker', 'color rgb <1,0.3,N/5>', 'marble', 'bozo color_map { [0 rgb 0] [1 rgb 1] }'])} } finish { ${pick(r, ['phong 0.8', 'reflection 0.3', 'ambient 0.2'])} } }\n#declare N = N - 1; #end\n${r.below(3) === 0 ? '#error "stop"' : ''}\n`,
      },
    }),
  },
  {
    name: 'dot',
    make: 'C, plug-ins',
    package: 'graphviz',
    paths: ['/usr/bin/dot'],
    run: (r) => ({
      args: [
        `-T${pick(r, ['svg', 'plain', 'dot', 'json'])}`,
        `-K${pick(r, ['dot', 'neato', 'circo', 'twopi'])}`,
        'in.gv',
      ],
      files: {
        'in.gv': `digraph g { ${times(between(r, 3, 14), () => `n${r.below(9)} -> n${r.below(9)} [label="${word(r)}"${r.below(2) ? ',style=dashed' : ''}];`).join(' ')} subgraph cluster_a { n1; n2; label=a; } n3 [shape=${pick(r, ['box', 'record', 'star'])}]; }`,
      },
    }),
  },
  {
    name: 'cppcheck',
    make: 'C++, exceptions',
    package: 'cppcheck',
    paths: ['/usr/bin/cppcheck'],
    run: (r) => ({
      args: ['-q', ...pick(r, [[], ['--std=c99'], ['--xml']]), 'in.c'],
      files: { 'in.c': `${c(r)}${r.below(4) === 0 ? 'int x = ( {;\n' : ''}` },
    }),
  },
  {
    name: 'tidy',
    make: 'C',
    package: 'tidy',
    paths: ['/usr/bin/tidy'],
    run: (r) => ({
      args: ['-q', ...pick(r, [[], ['-i'], ['-asxml'], ['-c', '-b'], ['-m']]), 'in.html'],
      files: { 'in.html': html(r, between(r, 3, 40)) },
    }),
  },
  {
    name: 'zstd',
    make: 'C, threads',
    package: 'zstd',
    paths: ['/usr/bin/zstd'],
    run: (r) => ({
      args: ['-q', '-f', pick(r, ['-1', '-9', '-15', '--fast=3', '-T2', '--ultra']), 'in.txt'],
      files: {
        'in.txt': pick(r, [
          prose(r, between(r, 3, 300)),
          table(r, 200, 5),
          'x'.repeat(between(r, 1, 90000)),
        ]),
      },
    }),
  },
  {
    name: 'cc1',
    make: 'C, a compiler',
    package: 'cpp-12',
    paths: ['/usr/lib/gcc/x86_64-linux-gnu/*/cc1'],
    run: (r) => compiler(r, 'c', c(r)),
  },
  {
    name: 'cc1plus',
    make: 'C++, a compiler',
    package: 'g++-12',
    paths: ['/usr/lib/gcc/x86_64-linux-gnu/*/cc1plus'],
    run: (r) => compiler(r, 'cc', cplusplus(r)),
  },
  {
    name: 'bc',
    make: 'C, a stack machine',
    package: 'bc',
    paths: ['/usr/bin/bc'],
    run: (r) => ({
      args: ['-l', '-q', 'in.bc'],
      files: {
        'in.bc': `define f(n) { if (n < 2) return (n); return (f(n - 1) + f(n - 2)) }\n${some(r, [`f(${between(r, 5, 13)})`, `scale = ${between(r, 5, 60)}; 1 / 7; sqrt(2); e(1)`, `for (i = 0; i < ${between(r, 3, 40)}; i++) { if (i % 3 == 0) continue; if (i > 30) break; a[i] = i ^ 3 }; a[4]`, `obase = 16; ${r.below(99999)}; ibase = 8; 17`, `1 / 0`, `x = ${between(r, 2, 99)}; while (x > 1) { x /= 2; x }`, `print "a", 4 ^ ${between(r, 9, 90)}, "\\n"; length(123); s(1); c(1); a(1); j(1, 2)`], 4).join('\n')}\nquit\n`,
      },
    }),
  },
];
