import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sealJson, unsealJson } from '../../../base/files/sealed.ts';
import { type AnswerShelf, CodeFindings } from '../../../evidence/code/code-findings.ts';
import { ProcessCode } from '../../../evidence/code/process-code.ts';
import { SharedTargets } from '../../../evidence/code/shared-targets.ts';
import type { AddressSpace } from '../../../image/address-space.ts';
import { ImageStore } from '../../../image/image-store.ts';
import { buildAddressSpace } from '../../../image/mapped-space.ts';
import { RegionTable } from '../../../image/maps/region-table.ts';
import { Transfer } from '../../../x86/transfer.ts';
import { KeptAnswers } from './kept-answers.ts';

const libc = '/lib/x86_64-linux-gnu/libc.so.6';
const loader = '/lib64/ld-linux-x86-64.so.2';
const paths = [libc, loader].filter((path) => existsSync(path)).map((path) => realpathSync(path));

function mapAt(places: readonly (readonly [string, number])[]): Promise<AddressSpace> {
  const store = new ImageStore([...new Set(paths.map((path) => dirname(path)))]);
  const regions = places.map(([path, start]) => ({
    ...{ start, end: start + 0x1000_0000, path, isExecutable: undefined, fileOffset: undefined },
  }));
  const process = { pid: undefined, name: '' };
  return buildAddressSpace(
    { format: 'ldrmodules', process, regions: RegionTable.of(regions) },
    store,
  );
}

/** Some indirect calls and jumps of a process. */
function sitesIn(code: ProcessCode): number[] {
  const found: number[] = [];
  for (const [module, image] of code.images.entries()) {
    const bias = code.imageOf(module)?.bias ?? 0;
    for (const [i, start] of (image?.ranges.starts ?? []).entries()) {
      const flow = i % 40 === 0 ? image?.sites.flowAt(start) : undefined;
      flow?.flow.starts.forEach((at, index) => {
        const kind = flow.flow.kinds[index];
        if (kind === Transfer.icall || kind === Transfer.ijmp) found.push(flow.start + at + bias);
      });
    }
  }
  return found;
}

/** All that is asked of a process, in words. */
function answersOf(code: ProcessCode, shelf?: AnswerShelf): string[] {
  const shared = new SharedTargets(code, shelf);
  const sites = sitesIn(code);
  expect(sites.length).toBeGreaterThan(20);
  const targets = [...sites.slice(0, 10), 0x1234];
  for (const module of [0, 1]) {
    const image = code.imageOf(module);
    for (const own of image?.code.pointerTargets.taken.subarray(0, 10) ?? []) {
      targets.push(own + (image?.bias ?? 0));
    }
  }
  return sites.flatMap((site) => {
    const at = shared.translated(site);
    const each = targets.map((target) => {
      const to = shared.translated(target);
      const found = shared.narrowest(at, to);
      return `${found?.name} ${found?.count} ${shared.explains(at, to)}`;
    });
    return [JSON.stringify(shared.site(at)), ...each];
  });
}

/** A shelf that tells how much it knew. */
function telling(shelf: KeptAnswers): { shelf: AnswerShelf; known: number[] } {
  const known: number[] = [];
  const open = (findings: CodeFindings, process: ProcessCode): void => {
    shelf.open(findings, process);
    known.push(findings.size);
  };
  return { shelf: { open }, known };
}

describe.skipIf(paths.length < 2)('answers about code that are kept', () => {
  let folder = '';
  const [first = '', second = ''] = paths;
  const near = [
    [first, 0x5000_0000_0000],
    [second, 0x7000_0000_0000],
  ] as const;
  const far = [
    [first, 0x5000_0012_3000],
    [second, 0x6000_0045_6000],
  ] as const;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'wayward-answers-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** Finds out all that is asked, and keeps it. @returns the file */
  async function keep(): Promise<string> {
    const shelf = new KeptAnswers(folder);
    answersOf(new ProcessCode(await mapAt(near)), shelf);
    await shelf.keep();
    const [name = '', ...others] = readdirSync(folder);
    expect(others).toEqual([]);
    return join(folder, name);
  }

  /** How many answers there are before anything is asked. */
  async function knownOf(places: readonly (readonly [string, number])[]): Promise<number> {
    const process = new ProcessCode(await mapAt(places));
    const findings = new CodeFindings(process);
    new KeptAnswers(folder).open(findings, process);
    return findings.size;
  }

  test('are those that the code gives, wherever the images lie', async () => {
    await keep();
    const expected = answersOf(new ProcessCode(await mapAt(far)));
    const { shelf, known } = telling(new KeptAnswers(folder));
    expect(answersOf(new ProcessCode(await mapAt(far)), shelf)).toEqual(expected);
    expect(known[0]).toBeGreaterThan(100);
  });

  test('are those of the same images only', async () => {
    await keep();
    expect(await knownOf(near)).toBeGreaterThan(100);
    expect(await knownOf([...near].reverse())).toBe(0);
    expect(await knownOf([near[0]])).toBe(0);
  });

  test('are made anew where the file was damaged, or others may write to it', async () => {
    const path = await keep();
    const text = readFileSync(path, 'utf8');
    chmodSync(path, 0o660);
    expect(await knownOf(near)).toBe(0);
    chmodSync(path, 0o600);
    writeFileSync(path, text.replace('"mayExplain": true', '"mayExplain": false'));
    expect(await knownOf(near)).toBe(0);
    const { sites, ...rest } = unsealJson(text, path);
    expect(Array.isArray(sites)).toBe(true);
    for (const wrong of [undefined, 7, [[[99, 0], null]], [[[0, -1], null]], [[[0, 1], {}]]]) {
      writeFileSync(path, sealJson({ ...rest, sites: wrong }));
      expect(await knownOf(near)).toBe(0);
    }
    writeFileSync(path, text);
    expect(await knownOf(near)).toBeGreaterThan(100);
  });

  test('are written again only where there are more', async () => {
    const path = await keep();
    rmSync(path);
    const shelf = new KeptAnswers(folder);
    const code = new ProcessCode(await mapAt(near));
    answersOf(code, shelf);
    await shelf.keep();
    rmSync(path);
    await shelf.keep();
    expect(existsSync(path)).toBe(false);
  });
});
