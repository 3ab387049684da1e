import { cpSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { UserError } from '../src/base/errors.ts';
import { silentLogger } from '../src/base/log.ts';
import { Random } from '../src/base/random.ts';
import { classify, defaultJudging } from '../src/commands/classify.ts';
import { learn } from '../src/commands/learn.ts';
import { readRunRecord, runFolder } from '../src/commands/run/folder.ts';
import { loadTrained } from '../src/commands/run/trained.ts';
import { reportToJson } from '../src/report/text/json-report.ts';
import { writeTinyCorpus } from './tiny-corpus.ts';
import { tinyLearn } from './tiny-learn.ts';

const context = { log: silentLogger, progress: () => {} };

/** Written for people and other programs; nothing of Wayward reads them again. */
const onlyWritten = /^(?:metrics\.ndjson|sets\.txt)$/;
/** Bits that are flipped in each file, one at a time. */
const flips = 24;

/** All that is told from a run's files, as one text. */
async function readAll(root: string): Promise<string> {
  const trained = await loadTrained(root, { workers: 1, device: 'cpu', seed: 0 });
  const { layer, vocabulary, profile, filter } = trained;
  await layer.dispose();
  const again = join(mkdtempSync(join(tmpdir(), 'wayward-damage-')), 'transfers.gz');
  await profile.save(again);
  const record = await readRunRecord(runFolder(root));
  const judged = await classify({ ...defaultJudging, path: root, fpr: 0.3 }, context);
  return JSON.stringify([
    [layer.fingerprint, vocabulary.serialized, filter, record],
    gunzipSync(readFileSync(again)).toString(),
    reportToJson({ ...judged.report, created: '' }),
  ]);
}

function filesBelow(folder: string, below = ''): string[] {
  return readdirSync(join(folder, below)).flatMap((name) => {
    const path = join(below, name);
    return statSync(join(folder, path)).isDirectory() ? filesBelow(folder, path) : [path];
  });
}

describe.each(['ngram', 'lstm'] as const)('a flipped bit in a run of %s', (model) => {
  let root: string;
  let whole: string;

  beforeAll(async () => {
    const out = mkdtempSync(join(tmpdir(), 'wayward-damage-'));
    const options = { ...tinyLearn, root: writeTinyCorpus(9, 3), out, model };
    const sizes = { train: 3, calibrate: 4, testNominal: 2, testAnomalous: 2 };
    root = (await learn({ ...options, sizes }, context)).folder.root;
    whole = await readAll(root);
  });

  test('is found and named, or changes nothing', async () => {
    const random = new Random(7);
    const changed: string[] = [];
    let found = 0;
    let tried = 0;
    for (const name of filesBelow(root).filter((file) => !onlyWritten.test(file))) {
      const copy = mkdtempSync(join(tmpdir(), 'wayward-damage-'));
      cpSync(root, copy, { recursive: true });
      const bytes = readFileSync(join(copy, name));
      for (let flip = 0; flip < flips; flip++) {
        const bit = random.below(bytes.length * 8);
        bytes[bit >> 3] ^= 1 << (bit & 7);
        writeFileSync(join(copy, name), bytes);
        bytes[bit >> 3] ^= 1 << (bit & 7);
        tried++;
        try {
          // The run's own folder is told in the report.
          const told = (await readAll(copy)).replaceAll(copy, root);
          // An evaluation that cannot be read is left out, by name.
          if (told.includes(JSON.stringify(name).slice(1, -1))) found++;
          else if (told !== whole) changed.push(`${name}, bit ${bit}`);
        } catch (error) {
          expect(error, `${name}, bit ${bit}`).toBeInstanceOf(UserError);
          expect((error as Error).message, `bit ${bit}`).toContain(copy);
          found++;
        }
      }
    }
    expect(changed).toEqual([]);
    // White space of JSON and idle bits of gzip headers are left.
    expect(found).toBeGreaterThan(tried * 0.7);
  });
});
