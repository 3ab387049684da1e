import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { demangle } from './demangle.ts';

const names = [
  '_ZN6Parser6getObjEb7CryptoAj',
  '_ZNSt6vectorIiSaIiEE9push_backERKi',
  '_ZNKSt3mapISsiSt4lessISsESaISt4pairIKSsiEEE4findERS3_',
  '_Z3foov',
  '_ZN12_GLOBAL__N_1L6helperEPFvPvE',
  '_ZL5localc',
  '_ZNSaIcED1Ev',
];

describe('demangle', () => {
  test('leaves other names, and those nobody can read', () => {
    for (const name of ['main', 'malloc', '', '_start', '_Z', '_ZN', `_Z${'N'.repeat(10_000)}`]) {
      expect(demangle(name)).toBe(name);
    }
  });

  test('reads C++ of both kinds, and Rust', () => {
    expect(demangle('_ZN6Parser6getObjEi')).toBe('Parser::getObj(int)');
    expect(demangle('?foo@@YAXXZ')).toBe('foo(void)');
    expect(demangle('_RNvCs1234_7mycrate3foo')).toBe('mycrate::foo');
  });

  const filt = spawnSync('c++filt', ['--version']).status === 0;
  test.skipIf(!filt)('says what c++filt of the GNU binutils says', () => {
    const { stdout } = spawnSync('c++filt', names, { encoding: 'utf8' });
    // They differ in spaces between brackets, and in the name of std::string.
    const string = 'std::basic_string<char, std::char_traits<char>, std::allocator<char>>';
    const plain = (text: string): string =>
      text.replaceAll('> >', '>>').replaceAll('> >', '>>').replaceAll('std::string', string);
    expect(names.map((name) => plain(demangle(name)))).toEqual(
      stdout.trimEnd().split('\n').map(plain),
    );
  });

  test('comes back from any name, and reads the next one right', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^_Z[NKSIELT0-9a-z_]{0,60}$/), (name) => {
        expect(typeof demangle(name)).toBe('string');
        expect(demangle('_Z3foov')).toBe('foo()');
      }),
      { seed: 4, numRuns: 2000 },
    );
  });
});
