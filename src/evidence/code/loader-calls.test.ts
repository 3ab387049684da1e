import { existsSync, realpathSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { hasTool, mapFiles, run } from '../../../test/compiled.ts';
import type { Address } from '../../base/address.ts';
import { AllowedTargets } from './allowed-targets.ts';
import { ProcessCode } from './process-code.ts';

const libc = '/lib/x86_64-linux-gnu/libc.so.6';
const loader = '/lib64/ld-linux-x86-64.so.2';
const hasAll = hasTool('readelf') && hasTool('objdump') && [libc, loader].every(existsSync);

describe.skipIf(!hasAll)('what the dynamic linker calls by itself', () => {
  let allowed: AllowedTargets;
  let bases: readonly number[];

  beforeAll(async () => {
    const mapped = await mapFiles(realpathSync(loader), realpathSync(libc));
    bases = mapped.bases;
    allowed = new AllowedTargets(new ProcessCode(mapped.space));
  });

  /** Calls of what a register holds, in the image's own space. */
  const callsIn = (path: string): number[] =>
    [
      ...run('objdump', '-d', '--no-show-raw-insn', realpathSync(path)).matchAll(
        /^ +([0-9a-f]+):\t(?:notrack )?call +\*%r/gm,
      ),
    ].map((match) => Number.parseInt(match[1]!, 16));

  /** Addresses of the C library's functions of one kind, as binutils tells them. */
  const functionsOf = (kind: string): Address[] =>
    [
      ...run('readelf', '-W', '--dyn-syms', realpathSync(libc)).matchAll(
        new RegExp(`: ([0-9a-f]{16}) +\\d+ ${kind} +GLOBAL +DEFAULT +\\d+ `, 'g'),
      ),
    ].map((match) => bases[1]! + Number.parseInt(match[1]!, 16));

  const isNamed = (site: Address, target: Address): boolean =>
    allowed.at(site)!.classes.some(({ name, has }) => name === 'named' && has(target));

  test('are resolvers of indirect functions, initializers and finalizers, and nothing else', () => {
    const sites = callsIn(loader).map((own) => bases[0]! + own);
    const resolvers = functionsOf('IFUNC');
    const functions = functionsOf('FUNC').filter((_, index) => index % 8 === 0);
    expect(sites.length).toBeGreaterThan(5);
    expect(resolvers.length).toBeGreaterThan(20);
    // A few sites hold what their own function was given, or are read from fixed places.
    const open = sites.filter((site) => allowed.at(site)!.mechanism !== 'stub');
    expect(open.length).toBeGreaterThan(5);
    for (const site of open) {
      expect(resolvers.every((target) => isNamed(site, target))).toBe(true);
      expect(functions.filter((target) => isNamed(site, target)).length).toBeLessThan(3);
    }
  });

  test('are nothing that anybody else calls', () => {
    const sites = callsIn(libc).map((own) => bases[1]! + own);
    const [resolver] = functionsOf('IFUNC');
    const calling = sites.filter((site) => allowed.at(site)?.classes && isNamed(site, resolver!));
    expect(calling).toEqual([]);
  });
});
