import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { adler32 } from '../src/base/bytes/adler32.ts';
import { Random } from '../src/base/random.ts';

const path = '/bin/tiny';
const high = BigInt(adler32(path)) << 32n;

/** Transfers of a sample: as few as tell most runs apart, because every test that learns goes through all of them. */
const fewSteps = 1000;

/**
 * Writes a root of samples in the ancestor's preprocessed format: a small program that walks over 40
 * blocks, each of which returns or jumps to one of three others; malicious ones take 30 transfers
 * that no benign one takes.
 */
export function writeTinyCorpus(
  benign: number,
  malicious: number,
  steps: number = fewSteps,
): string {
  const root = mkdtempSync(join(tmpdir(), 'wayward-corpus-'));
  const write = (name: string, label: string, seed: number): void =>
    writeTinySample(root, name, label, seed, label === 'malicious' ? 30 : 0, steps);
  for (let i = 0; i < benign; i++) write(`b${String(i).padStart(3, '0')}`, 'benign', i + 1);
  for (let i = 0; i < malicious; i++)
    write(`m${String(i).padStart(3, '0')}`, 'malicious', i + 1001);
  return root;
}

/** Writes one sample of such a corpus, with so many transfers in a row that go anywhere. */
export function writeTinySample(
  root: string,
  name: string,
  label: string,
  seed: number,
  odd: number,
  steps: number = fewSteps,
): void {
  const directory = join(root, name);
  mkdirSync(directory);
  writeFileSync(join(directory, 'info.txt'), `${name}.pdf\n${label}\n`);
  writeFileSync(join(directory, 'mapping.txt'), `400000-500000 r-xp 00000000 00:00 0 ${path}\n`);
  writeFileSync(join(directory, 'trace_parsed.gz'), gzipSync(walk(seed, odd, steps)));
}

function walk(seed: number, oddSteps: number, steps: number): Buffer {
  const random = new Random(seed);
  const records: Buffer[] = [];
  let at = 0;
  let before = 0;
  for (let step = 0; step < steps; step++) {
    const odd = step >= steps / 2 && step < steps / 2 + oddSteps;
    // Where it goes depends on the block before, so that there is something to learn.
    const next = odd
      ? random.below(40)
      : (at * 7 + (before % 3) * 5 + 1 + (random.below(20) === 0 ? 3 : 0)) % 40;
    records.push(record(at, next, at % 2 === 0 ? 'ret' : 'jmp'));
    before = at;
    at = next;
  }
  return Buffer.concat(records);
}

function record(from: number, to: number, mnemonic: string): Buffer {
  const text = mnemonic === 'ret' ? 'ret ' : 'jmp rax';
  const body = Buffer.alloc(21 + mnemonic.length + text.length);
  body.writeUInt16LE(body.length - 2, 0);
  body.writeBigUInt64LE(high + BigInt(from * 16 + 16), 2);
  body.writeBigUInt64LE(high + BigInt(to * 16 + 16), 10);
  body[18] = mnemonic.length;
  body[19] = text.length;
  body[20] = 2;
  body.write(mnemonic + text, 21, 'latin1');
  return body;
}
