import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { hasTool, mapFiles, run, Workshop } from '../../test/compiled.ts';
import { ProcessCode } from '../evidence/code/process-code.ts';
import { elfBuildId } from '../image/files/build-id.ts';
import { type NameSourceOptions, NameSources } from './name-sources.ts';
import { PlaceNames } from './place-names.ts';
import { sourceLines } from './source-lines.ts';

const source = `
#include <stdio.h>
#include <stdlib.h>
static __attribute__((noinline)) int third(int x) { return x * 3 + puts("three"); }
__attribute__((visibility("default"), noinline)) int shown(char *p) { free(p); return third(7); }
int main(int count, char **words) { return shown(malloc(count)) + atoi(words[0]); }
`;

/** Names and addresses as nm tells them. */
function symbolsOf(path: string): Map<string, number> {
  const lines = run('nm', '--defined-only', path).split('\n');
  return new Map(
    lines.flatMap((line) => {
      const [, address, name] = /^([0-9a-f]+) [tT] (\S+)$/.exec(line) ?? [];
      return name === undefined ? [] : [[name, Number.parseInt(address!, 16)] as const];
    }),
  );
}

async function namesOf(
  options: NameSourceOptions,
  ...paths: string[]
): Promise<{ readonly names: PlaceNames; readonly base: number }> {
  const { space, bases } = await mapFiles(...paths);
  return {
    names: await PlaceNames.open(new ProcessCode(space), new NameSources(options)),
    base: bases[0]!,
  };
}

const none: NameSourceOptions = { debugDirs: [] };

describe.skipIf(!hasTool('gcc') || !hasTool('objcopy'))('places of a compiled program', () => {
  const shop = new Workshop();
  let whole = '';
  let at = new Map<string, number>();

  beforeAll(() => {
    const flags = ['-g', '-O1', '-fno-ipa-icf', '-Wl,--build-id', '-rdynamic'];
    whole = shop.compile('gcc', shop.write(source, 'c'), ...flags, '-fvisibility=hidden');
    at = symbolsOf(whole);
  });

  /** A copy without what `strip` takes out, changed by more words of objcopy. */
  function stripped(name: string, ...words: string[]): string {
    const path = join(shop.folder, name);
    copyFileSync(whole, path);
    run('strip', '--strip-all', path);
    if (words.length > 0) run('objcopy', ...words, path);
    return path;
  }

  test('have the names of the symbol table, with the offset in the function', async () => {
    const { names, base } = await namesOf(none, whole);
    expect(names.at(base + at.get('third')! + 3)).toMatchObject({
      function: { name: 'third', offset: 3, by: 'symbol' },
      near: undefined,
    });
    expect(names.textAt(base + at.get('shown')!)).toMatch(/!shown$/);
  });

  test('of a stripped one have the names that it gives to others, else where they begin', async () => {
    const { names, base } = await namesOf(none, stripped('bare'));
    expect(names.textAt(base + at.get('shown')! + 1)).toBe('bare!shown+0x1');
    const third = at.get('third')!;
    const place = names.at(base + third + 2);
    expect(place.function).toEqual({ name: `sub_${third.toString(16)}`, offset: 2, by: 'bounds' });
    expect(names.textAt(base + third + 2)).toBe(`bare!sub_${third.toString(16)}+0x2`);
  });

  test('where no table tells bounds are near the last name, and never said to be in it', async () => {
    const path = stripped('unbounded', '--remove-section=.eh_frame_hdr');
    const bytes = readFileSync(path);
    // The program header of what was removed still leads there: blank it.
    const headers = bytes.readUInt16LE(56);
    for (let i = 0; i < headers; i++) {
      const row = 64 + 56 * i;
      if (bytes.readUInt32LE(row) === 0x6474e550) bytes.writeUInt32LE(0, row);
    }
    writeFileSync(path, bytes);
    const { names, base } = await namesOf(none, path);
    const main = at.get('main')!;
    const shown = at.get('shown')!;
    expect(main).toBeGreaterThan(shown);
    expect(names.at(base + main)).toMatchObject({ function: undefined, near: 'shown' });
    expect(names.textAt(base + main)).toBe(`unbounded+0x${main.toString(16)} (near shown)`);
  });

  test('in linkage stubs have the name of what they lead to', async () => {
    const libc = run('gcc', '-print-file-name=libc.so.6').trim();
    const { names, base } = await namesOf(none, stripped('linked'), libc);
    const stubs = [
      ...run('objdump', '-d', '--section=.plt.sec', '--section=.plt', whole).matchAll(
        /^([0-9a-f]+) <(\w+)@plt>:/gm,
      ),
    ];
    expect(stubs.length).toBeGreaterThan(2);
    for (const [, address, name] of stubs) {
      const stub = base + Number.parseInt(address!, 16);
      expect(names.at(stub).function).toEqual({ name: `${name}@plt`, offset: 0, by: 'stub' });
    }
  });

  test.skipIf(!hasTool('xz'))(
    'have the names of MiniDebugInfo; a damaged one names nothing',
    async () => {
      const debug = join(shop.folder, 'mini');
      run('objcopy', '--only-keep-debug', '--strip-debug', '--keep-symbol=third', whole, debug);
      run('xz', '--keep', '--force', debug);
      const path = stripped('fedora', `--add-section=.gnu_debugdata=${debug}.xz`);
      const third = at.get('third')!;
      const { names, base } = await namesOf(none, path);
      expect(names.textAt(base + third + 5)).toBe('fedora!third+0x5');
      const packed = readFileSync(`${debug}.xz`);
      for (const damage of [packed.subarray(0, packed.length / 2), Buffer.from('no xz at all')]) {
        writeFileSync(`${debug}.bad`, damage);
        const bad = stripped('damaged', `--add-section=.gnu_debugdata=${debug}.bad`);
        const still = await namesOf(none, bad);
        expect(still.names.at(still.base + third).function?.by).toBe('bounds');
      }
    },
  );

  describe('with a debug file', () => {
    const id = (): string => elfBuildId(readFileSync(whole))!;
    const place = (folder: string, ...words: string[]): string => {
      const path = join(shop.folder, folder, ...words);
      mkdirSync(dirname(path), { recursive: true });
      run('objcopy', '--only-keep-debug', whole, path);
      return path;
    };

    test.each([
      ['by build id', () => ['.build-id', id().slice(0, 2), `${id().slice(2)}.debug`]],
      ["in debuginfod's cache", () => [id(), 'debuginfo']],
    ])('%s have its names and lines', async (folder, words) => {
      place(folder, ...words());
      const options = { debugDirs: [join(shop.folder, folder)], search: process.env.PATH ?? '' };
      const { names, base } = await namesOf(options, stripped('split'));
      const third = base + at.get('third')!;
      expect(names.textAt(third)).toBe('split!third');
      const lines = await sourceLines(names, [third, third, base], options.search);
      const hasReader = hasTool('llvm-symbolizer') || hasTool('addr2line');
      if (hasReader) expect([...lines]).toEqual([[third, 'source0.c:4']]);
      else expect(lines.size).toBe(0);
      expect((await sourceLines(names, [third], undefined)).size).toBe(0);
      expect((await sourceLines(names, [third], '/nowhere')).size).toBe(0);
    });

    test('by the name in the image; one of another build names nothing', async () => {
      const debug = place('named', 'split.debug');
      const path = stripped('linking', `--add-gnu-debuglink=${debug}`);
      const options = { debugDirs: [join(shop.folder, 'named')] };
      const found = await namesOf(options, path);
      const third = at.get('third')!;
      expect(found.names.textAt(found.base + third)).toBe('linking!third');
      const other = shop.compile(
        'gcc',
        shop.write(`int other;${source}`, 'c'),
        '-g',
        '-Wl,--build-id',
      );
      run('objcopy', '--only-keep-debug', other, debug);
      const missed = await namesOf(options, path);
      expect(missed.names.at(missed.base + third).function?.by).toBe('bounds');
    });

    test('that is a pipe, a folder or nonsense have what the image says', async () => {
      const path = stripped('odd');
      const files = { pipe: 'pipe', folder: 'folder', text: 'text' };
      for (const kind of Object.values(files)) {
        const at = join(shop.folder, `odd-${kind}`, id(), 'debuginfo');
        mkdirSync(dirname(at), { recursive: true });
        if (kind === 'pipe') spawnSync('mkfifo', [at]);
        else if (kind === 'folder') mkdirSync(at, { recursive: true });
        else writeFileSync(at, 'nothing of the kind');
        const { names, base } = await namesOf(
          { debugDirs: [join(shop.folder, `odd-${kind}`)] },
          path,
        );
        expect(names.textAt(base + 8 + 0x1000)).toContain('odd');
      }
    });
  });
});

describe.skipIf(!hasTool('x86_64-w64-mingw32-gcc'))('places of a program for Windows', () => {
  const shop = new Workshop();
  const code = `
__declspec(dllexport) int first(int x) { return x * 3; }
static __attribute__((noinline)) int hidden(int x) { volatile int big[900]; big[x] = x; return first(big[1]); }
__declspec(dllexport) int last(int x) { return hidden(x) + 1; }
`;

  test('have exported names inside the bounds of their functions alone', async () => {
    const flags = [
      '-shared',
      '-O1',
      '-nostdlib',
      '-Wl,--entry=0',
      '-lgcc',
      '-lkernel32',
      '-lmsvcrt',
    ];
    const path = shop.compile('x86_64-w64-mingw32-gcc', shop.write(code, 'c'), ...flags);
    const listed = run('x86_64-w64-mingw32-nm', path);
    const own = (name: string): number => {
      const [, address] = new RegExp(`^([0-9a-f]+) [tT] ${name}$`, 'm').exec(listed) ?? [];
      return Number.parseInt(address!, 16) % 0x10000;
    };
    run('x86_64-w64-mingw32-strip', path);
    const { names, base } = await namesOf(none, path);
    expect(names.at(base + own('last') + 2).function).toMatchObject({ name: 'last', offset: 2 });
    expect(names.at(base + own('hidden') + 1).function).toMatchObject({
      name: `sub_${own('hidden').toString(16)}`,
      by: 'bounds',
    });
  });
});
