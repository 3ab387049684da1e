import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Random } from '../../base/random.ts';
import { FactsFolder } from './facts-folder.ts';

const image = Uint8Array.of(1, 2, 3);
const lists = [Float64Array.of(1, 2.5, 2 ** 40), new Float64Array(0), Float64Array.of(-1)];
let root = '';

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'facts-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('a folder of facts about images', () => {
  test('gives the next process what was kept for the same bytes and name, and no other', () => {
    const folder = join(root, 'new', 'code');
    expect(new FactsFolder(folder).read(image, 'references')).toBeUndefined();
    new FactsFolder(folder).write(image, 'references', lists);
    const later = new FactsFolder(folder);
    expect(later.read(Uint8Array.from(image), 'references')).toEqual(lists);
    expect(later.read(image, 'reads')).toBeUndefined();
    expect(later.read(Uint8Array.of(1, 2, 4), 'references')).toBeUndefined();
    expect(readdirSync(folder)).toHaveLength(1);
  });

  test('takes damaged files for none', () => {
    const folder = join(root, 'damaged');
    const facts = new FactsFolder(folder);
    facts.write(image, 'reads', lists);
    const path = join(folder, readdirSync(folder)[0]!);
    const whole = readFileSync(path);
    const random = new Random(3);
    for (let round = 0; round < 300; round++) {
      const damaged = Buffer.from(
        whole.subarray(0, round % 3 === 0 ? random.below(whole.length) : undefined),
      );
      if (round % 3 > 0) damaged[random.below(damaged.length)]! ^= 1 << random.below(8);
      writeFileSync(path, damaged);
      expect(facts.read(image, 'reads')).toBeUndefined();
    }
    writeFileSync(path, whole);
    expect(facts.read(image, 'reads')).toEqual(lists);
  });

  test('believes no file that others may have written', () => {
    const folder = join(root, 'others');
    const facts = new FactsFolder(folder);
    facts.write(image, 'reads', lists);
    const path = join(folder, readdirSync(folder)[0]!);
    chmodSync(path, 0o666);
    expect(facts.read(image, 'reads')).toBeUndefined();
    chmodSync(path, 0o600);
    expect(facts.read(image, 'reads')).toEqual(lists);
  });

  test('keeps nothing where it cannot be made', () => {
    const file = join(root, 'file');
    writeFileSync(file, '');
    const facts = new FactsFolder(join(file, 'code'));
    facts.write(image, 'reads', lists);
    expect(facts.read(image, 'reads')).toBeUndefined();
  });
});
