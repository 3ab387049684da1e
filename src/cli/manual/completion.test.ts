import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commands } from '../commands.ts';
import { bashCompletion } from './bash.ts';
import { completionOf } from './completion.ts';
import { fishCompletion } from './fish.ts';
import { zshCompletion } from './zsh.ts';

const completion = completionOf(
  await Promise.all(commands.map(async (entry) => ({ ...entry, command: await entry.load() }))),
);
let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'wayward-test-'));
  writeFileSync(join(folder, '_wayward'), zshCompletion(completion));
  writeFileSync(join(folder, 'bash'), bashCompletion(completion));
  writeFileSync(join(folder, 'fish'), fishCompletion(completion));
  const home = join(folder, 'home');
  mkdirSync(join(home, 'samples with a space'), { recursive: true });
  writeFileSync(join(home, 'sets.txt'), '');
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Command lines whose last word is completed, and what is offered: all of it, or a part. */
const cases: readonly (readonly [line: string, all: readonly string[]])[] = [
  ['wayward lea', ['learn']],
  ['wayward learn --model ', ['lstm', 'ngram']],
  ['wayward judge --bin', ['--bin-dir']],
  ['wayward classifier -l se', ['sets.txt']],
  ['wayward sets ma', ['make']],
  ['wayward completion z', ['zsh']],
];

function inBash(line: string): string[] {
  const script = `
    source "$1"
    COMP_WORDS=($2) COMP_CWORD=$(( \${#COMP_WORDS[@]} - 1 ))
    [[ $2 == *' ' ]] && COMP_WORDS+=('') && COMP_CWORD=$((COMP_CWORD + 1))
    _wayward
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['--norc', '-c', script, 'bash', join(folder, 'bash'), line], {
    cwd: join(folder, 'home'),
    encoding: 'utf8',
  })
    .split('\n')
    .filter(Boolean)
    .sort();
}

describe('bash', () => {
  test.each(cases)('%s', (line, all) => {
    expect(inBash(line)).toEqual(all);
  });

  test('equals signs are words of their own', () => {
    expect(inBash('wayward learn --model = l')).toEqual(['lstm']);
    expect(inBash('wayward learn --model =')).toEqual(['lstm', 'ngram']);
  });

  test('names with spaces stay whole, and stand alone where folders are wanted', () => {
    expect(inBash('wayward learn --bin-dir s')).toEqual(['samples with a space']);
    expect(inBash('wayward learn s')).toEqual(['samples with a space', 'sets.txt']);
  });

  test('behind -- there is no option of ours', () => {
    expect(inBash('wayward record -- --ou')).toEqual([]);
    expect(inBash('wayward record --ou')).toEqual(['--out']);
  });
});

const has = (shell: string): boolean => spawnSync(shell, ['-c', 'exit']).status === 0;

describe.skipIf(!has('fish'))('fish', () => {
  test.each(cases)('%s', (line, all) => {
    const home = join(folder, 'home');
    const out = execFileSync(
      'fish',
      ['--no-config', '-c', 'source $argv[1]; complete -C $argv[2]', join(folder, 'fish'), line],
      { cwd: home, encoding: 'utf8', env: { ...process.env, HOME: home } },
    );
    const offered = out.split('\n').filter(Boolean);
    expect(offered.map((row) => row.split('\t')[0]).sort()).toEqual(all);
  });
});

/** An interactive zsh whose `compadd` also writes what it is given to a file. */
const zshDriver = `
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "cd $1/home; PS1=; fpath=($1 \\$fpath); autoload -Uz compinit; compinit -D -u"
zpty -w shell 'compadd() {
  local -a found
  [[ $* == *" -O "* || $* == *" -D "* || $* == *" -A "* ]] || builtin compadd -A found "$@"
  (( $#found )) && print -rl -- $found >> '$2'
  builtin compadd "$@"
}'
zpty -w -n shell $3$'\\t'
for wait in {1..150}; do [[ -s $2 ]] && break; sleep 0.1; done
sleep 0.3
zpty -d shell
`;

describe.skipIf(!has('zsh'))('zsh', () => {
  test.each(cases)(
    '%s',
    (line, all) => {
      const offered = join(folder, 'offered');
      rmSync(offered, { force: true });
      writeFileSync(join(folder, 'driver'), zshDriver);
      execFileSync('zsh', ['-f', join(folder, 'driver'), folder, offered, line]);
      const words = existsSync(offered) ? readFileSync(offered, 'utf8').split('\n') : [];
      expect([...new Set(words.filter(Boolean))].sort()).toEqual(all);
    },
    30_000,
  );
});

test('every option of every command is offered under each of its names', () => {
  const names = commands.flatMap(({ name, aliases = [] }) => [name, ...aliases]);
  expect(completion.map(({ name }) => name)).toEqual(names);
  const scripts = [bashCompletion, zshCompletion, fishCompletion].map((make) => make(completion));
  for (const { name, options } of completion) {
    expect(options.length).toBeGreaterThan(8);
    for (const { words } of options) {
      for (const script of scripts) {
        const flag = script === scripts[2] ? `-l ${words[0]}` : `--${words[0]}`;
        expect(script.includes(flag), `${name} ${flag}`).toBe(true);
      }
    }
  }
});
