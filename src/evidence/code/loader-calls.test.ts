import { existsSync, realpathSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { hasTool, mapFiles, run, Workshop } from '../../../test/compiled.ts';
import type { Address } from '../../base/address.ts';
import { AllowedTargets } from './allowed-targets.ts';
import { ProcessCode } from './process-code.ts';

const libc = '/lib/x86_64-linux-gnu/libc.so.6';
const loader = '/lib64/ld-linux-x86-64.so.2';

/**
 * A program with a table of functions as Go's linker writes it, of those that only Go's runtime would find: `first` and
 * `second`. `begin` is an initializer.
 */
const program = `
  .text
  .globl main
main: xor %eax, %eax
  ret
begin: ret
first: nop
  ret
second: nop
  nop
  ret
last: ret
  .section .init_array, "aw"
  .quad begin
  .section .gopclntab, "aw"
  .balign 8
header: .long 0xfffffff1
  .byte 0, 0, 1, 8
  .quad 2, 0, first, 0, 0, 0, 0, list - header
list: .long 0, description - list
  .long second - first, description - list
  .long last - first
description: .long 0, 0, 0, 0
  .section .note.GNU-stack, "", @progbits
`;
const hasAll = hasTool('readelf') && hasTool('objdump') && [libc, loader].every(existsSync);

/** Calls of what a register holds, in the image's own space. */
const callsIn = (path: string): number[] =>
  [
    ...run('objdump', '-d', '--no-show-raw-insn', realpathSync(path)).matchAll(
      /^ +([0-9a-f]+):\t(?:notrack )?call +\*%r/gm,
    ),
  ].map((match) => Number.parseInt(match[1]!, 16));

const isNamed = (allowed: AllowedTargets, site: Address, target: Address): boolean =>
  allowed.at(site)!.classes.some(({ name, has }) => name === 'named' && has(target));

describe.skipIf(!hasAll)('what the dynamic linker calls by itself', () => {
  let allowed: AllowedTargets;
  let bases: readonly number[];

  beforeAll(async () => {
    const mapped = await mapFiles(realpathSync(loader), realpathSync(libc));
    bases = mapped.bases;
    allowed = new AllowedTargets(new ProcessCode(mapped.space));
  });

  /** Addresses of the C library's functions of one kind, as binutils tells them. */
  const functionsOf = (kind: string): Address[] =>
    [
      ...run('readelf', '-W', '--dyn-syms', realpathSync(libc)).matchAll(
        new RegExp(`: ([0-9a-f]{16}) +\\d+ ${kind} +GLOBAL +DEFAULT +\\d+ `, 'g'),
      ),
    ].map((match) => bases[1]! + Number.parseInt(match[1]!, 16));

  test('are resolvers of indirect functions, initializers and finalizers, and nothing else', () => {
    const sites = callsIn(loader).map((own) => bases[0]! + own);
    const resolvers = functionsOf('IFUNC');
    const functions = functionsOf('FUNC').filter((_, index) => index % 8 === 0);
    expect(sites.length).toBeGreaterThan(5);
    expect(resolvers.length).toBeGreaterThan(20);
    // A few sites hold what their own function was given, or are read from fixed places.
    const open = sites.filter((site) => allowed.at(site)!.mechanism !== 'stub');
    expect(open.length).toBeGreaterThan(5);
    const namedAt = (site: Address): number =>
      functions.filter((target) => isNamed(allowed, site, target)).length;
    for (const site of open)
      expect(resolvers.every((target) => isNamed(allowed, site, target))).toBe(true);
    // Some read a slot that only the loader writes to: see below.
    const others = open.filter((site) => namedAt(site) < functions.length / 2);
    expect(others.length).toBeGreaterThan(5);
    for (const site of others) expect(namedAt(site)).toBeLessThan(3);
  });

  test('are functions in slots that it alone writes to, as the C library’s malloc', () => {
    const text = run('readelf', '-lW', realpathSync(loader));
    const [, start, size] = / GNU_RELRO +\S+ (0x\S+) \S+ \S+ (0x\S+)/.exec(text) ?? [];
    const relocated = run('readelf', '-rW', realpathSync(loader));
    const calls = run('objdump', '-d', '--no-show-raw-insn', realpathSync(loader)).matchAll(
      /^ +([0-9a-f]+):\t(?:notrack )?call +\*0x[0-9a-f]+\(%rip\) +# ([0-9a-f]+)/gm,
    );
    const kept = [...calls].filter(([, , slot]) => {
      const at = Number.parseInt(slot!, 16);
      return at >= Number(start) && at < Number(start) + Number(size) && !relocated.includes(slot!);
    });
    expect(kept.length).toBeGreaterThan(0);
    const malloc = / ([0-9a-f]{16}) +\d+ FUNC +GLOBAL +DEFAULT +\d+ malloc@@/.exec(
      run('readelf', '-W', '--dyn-syms', realpathSync(libc)),
    )?.[1];
    const target = bases[1]! + Number.parseInt(malloc!, 16);
    for (const [, own] of kept) {
      const site = bases[0]! + Number.parseInt(own!, 16);
      expect(isNamed(allowed, site, target)).toBe(true);
      expect(isNamed(allowed, site, target + 1)).toBe(false);
    }
  });

  test('are nothing that anybody else calls', () => {
    const sites = callsIn(libc).map((own) => bases[1]! + own);
    const [resolver] = functionsOf('IFUNC');
    const calling = sites.filter(
      (site) => allowed.at(site)?.classes && isNamed(allowed, site, resolver!),
    );
    // Of hundreds, one or two read a slot of their own image that the loader alone writes to.
    expect(sites.length).toBeGreaterThan(100);
    expect(calling.length).toBeLessThan(3);
  });
});

describe.skipIf(!hasAll || !hasTool('gcc'))('a program with functions that Go lists', () => {
  const shop = new Workshop();

  test('has them taken, and the dynamic linker calls its initializers alone', async () => {
    const path = shop.compile('gcc', shop.write(program, 's'));
    const { space, bases } = await mapFiles(realpathSync(loader), path);
    const process = new ProcessCode(space);
    const allowed = new AllowedTargets(process);
    const own = new Map<string, Address>();
    for (const [, at, name] of run('nm', path).matchAll(/^([0-9a-f]+) t (\w+)$/gm)) {
      own.set(name!, bases[1]! + Number.parseInt(at!, 16));
    }
    const [begin, first, second] = ['begin', 'first', 'second'].map((name) => own.get(name)!);
    expect(process.isTaken(first)).toBe(true);
    expect(process.isTaken(second)).toBe(true);
    expect(process.isTaken(second + 1)).toBe(false);
    const sites = callsIn(loader).map((site) => bases[0]! + site);
    const starting = sites.filter((site) => isNamed(allowed, site, begin!));
    expect(starting.length).toBeGreaterThan(5);
    // Slots that the loader alone writes to may hold any function: see above.
    const ofListed = starting.filter((s) => isNamed(allowed, s, first!));
    expect(ofListed.length).toBeLessThan(starting.length / 2);
    expect(ofListed.every((site) => isNamed(allowed, site, second!))).toBe(true);
  });
});
