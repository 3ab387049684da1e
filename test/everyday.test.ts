import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { crc32, deflateRawSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { hasTool, run } from './compiled.ts';
import { type Ended, wayward } from './wayward.ts';

/** A bug: a comment that is too long overwrites what lies behind it on the stack. */
const keep = `
#include <string.h>
static void ignore(const char *text) { (void)text; }
__attribute__((noinline)) void keep(const char *text, size_t length) {
  struct {
    char text[32];
    void (*volatile use)(const char *);
  } kept = {"", ignore};
  memcpy(kept.text, text, length);
  kept.use(kept.text);
}
`;

/** A program that is hijacked through its documents. */
interface Victim {
  readonly name: string;
  /** Makes what it takes in the current folder. @returns the words of its command line, and what record is told beside them */
  build(folder: string): {
    readonly command: readonly string[];
    readonly options: readonly string[];
  };
  /** The file that has the bug. */
  readonly image: string;
  /** @returns a document that has a comment, or none, and work to do */
  document(comment: Buffer | undefined, work: number): Buffer;
}

const small: Victim = {
  name: 'a small C program',
  image: 'reader',
  build(folder) {
    const source = `${keep}
#include <stdio.h>
static int start(int v) { return v + 3; }
static int twice(int v) { return v > 9 ? v * 2 : v + 9; }
static int less(int v) { return v > 0 ? v - start(1) : v; }
static int mixed(int v) { return v % 2 ? start(v) : less(v); }
static int (*const steps[])(int) = {start, twice, less, mixed};
int main(int argc, char **argv) {
  FILE *in = fopen(argv[argc - 1], "rb");
  char comment[256];
  int length = getc(in), v = 1;
  if (length > 0) keep(comment, fread(comment, 1, length, in));
  for (int c; (c = getc(in)) != EOF;) v = steps[c & 3](v) & 0xffff;
  printf("%d\\n", v);
  return 0;
}`;
    writeFileSync(join(folder, 'reader.c'), source);
    run('gcc', ...usual, '-o', join(folder, 'reader'), join(folder, 'reader.c'));
    return { command: ['./reader', '{}'], options: [] };
  },
  document(comment = Buffer.alloc(0), work) {
    const steps = Array.from({ length: 30 + 9 * work }, (_, i) => (work * i + (i >> 2)) % 4);
    return Buffer.concat([Buffer.from([comment.length]), comment, Buffer.from(steps)]);
  },
};

const gzip: Victim = {
  name: 'gzip of Debian',
  image: 'keep.so',
  build(folder) {
    // It comes along in a library, and stands in for the C library's read.
    const source = `${keep}
#include <sys/syscall.h>
#include <unistd.h>
ssize_t read(int file, void *buffer, size_t size) {
  ssize_t length = syscall(SYS_read, file, buffer, size);
  unsigned char *at = buffer;
  if (length > 12 && at[0] == 0x1f && at[1] == 0x8b && (at[3] & 4))
    keep(buffer + 12, at[10] | at[11] << 8);
  return length;
}`;
    writeFileSync(join(folder, 'keep.c'), source);
    run('gcc', ...usual, '-shared', '-fPIC', '-o', join(folder, 'keep.so'), join(folder, 'keep.c'));
    const options = ['--env', `LD_PRELOAD=${join(folder, 'keep.so')}`];
    return { command: ['gzip', '-dc', '{}'], options };
  },
  /** A file of RFC 1952, with an extra field. */
  document(comment, work) {
    const content = Buffer.from('all work and no play\n'.repeat(1 + (work % 7)) + work ** 5);
    const head = Buffer.from([0x1f, 0x8b, 8, comment === undefined ? 0 : 4, 0, 0, 0, 0, 0, 255]);
    const extra = Buffer.alloc(comment === undefined ? 0 : 2);
    if (comment !== undefined) extra.writeUInt16LE(comment.length);
    const end = Buffer.alloc(8);
    end.writeUInt32LE(crc32(content));
    end.writeUInt32LE(content.length, 4);
    const packed = deflateRawSync(content);
    return Buffer.concat([head, extra, comment ?? Buffer.alloc(0), packed, end]);
  },
};
const usual = ['-O1', '-fno-stack-protector', '-fomit-frame-pointer'];

/** Where a process has a file's symbol, as one who looks at a recording finds out. */
function addressOf(sample: string, file: string, symbol: string): bigint {
  const maps = readFileSync(join(sample, 'mapping.txt'), 'utf8').split('\n');
  const line = maps.find((text) => text.includes(file)) ?? '';
  const path = line.slice(line.indexOf('/'));
  const symbols = run('nm', ...(file.includes('libc') ? ['-D'] : []), path).split('\n');
  const [offset = ''] =
    symbols.find((text) => new RegExp(` ${symbol}(@|$)`).test(text))?.split(' ') ?? [];
  return BigInt(`0x${line.split('-')[0]}`) + BigInt(`0x${offset}`);
}

function words(...addresses: readonly bigint[]): Buffer {
  const bytes = Buffer.alloc(8 * addresses.length);
  for (const [i, address] of addresses.entries()) bytes.writeBigUInt64LE(address, 8 * i);
  return bytes;
}

/** Two comments of an attacker: one overwrites the pointer behind the text, one the return address. */
function attacks(sample: string, image: string): Readonly<Record<string, Buffer>> {
  const shell = Buffer.from('echo hijacked > proof #'.padEnd(32, '\0'));
  const [system, exit] = ['system', '_exit'].map((name) => addressOf(sample, 'libc.so', name));
  const unchanged = addressOf(sample, image, 'ignore');
  return {
    pointer: Buffer.concat([shell, words(system)]),
    // What the compiler saves beside the return address may be one word or more.
    return: Buffer.concat([shell, words(unchanged, exit, exit, exit, exit)]),
  };
}

const hasAll = ['gcc', 'nm', 'gzip', 'qemu-x86_64'].every((tool) => hasTool(tool));
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** An empty folder, and the command line in it. */
function emptyFolder(): { folder: string; type: (...line: readonly string[]) => Promise<Ended> } {
  const folder = mkdtempSync(join(tmpdir(), 'wayward-everyday-'));
  folders.push(folder);
  return { folder, type: (...line) => wayward(line, {}, folder) };
}

/** What a command says to type next. */
function nextOf({ stdout }: Ended): string[] {
  const [, line = ''] = /^Next: wayward (.*?)$/m.exec(stdout) ?? [];
  return line.split(' ');
}

// A machine without a compiler, or where programs are not emulated, cannot walk this path.
describe.skipIf(!hasAll).each([small, gzip])('the everyday job with $name', (victim) => {
  test('from nominal runs to hijacked ones, and elsewhere with the profile alone', async () => {
    const { folder, type } = emptyFolder();
    const at = (...names: string[]): string => join(folder, ...names);
    const { command, options } = victim.build(folder);
    const record = (from: string, to: string): Promise<Ended> =>
      type('record', ...options, '--input-dir', from, '-o', to, '--', ...command);
    const put = (name: string, comment: Buffer | undefined, work: number): void =>
      writeFileSync(at(name), victim.document(comment, work));

    mkdirSync(at('docs'));
    for (let i = 0; i < 24; i++) {
      put(`docs/doc-${i}`, i % 3 === 0 ? undefined : Buffer.from('comment'.repeat(1 + (i % 4))), i);
    }
    const recorded = await record('docs', 'normal');
    expect(recorded.stdout).toContain('24 exited with 0');
    expect(nextOf(recorded).join(' ')).toMatch(/^learn normal\b/);

    const learned = await type('learn', 'normal', '--profile', 'reader.wayward');
    expect([learned.status, learned.stderr.includes('warning')]).toEqual([0, false]);
    expect(learned.stdout).toContain('24 training, 0 calibration');

    mkdirSync(at('new'));
    for (let i = 30; i < 33; i++)
      put(`new/doc-${i}`, i === 31 ? Buffer.from('a comment') : undefined, i);
    const bad = attacks(at('normal', 'traces', 'doc-1'), victim.image);
    for (const [name, comment] of Object.entries(bad)) put(`new/${name}`, comment, 7);
    expect((await record('new', 'suspect')).status).toBe(0);

    const verdicts = ({ stdout }: Ended): Record<string, string> =>
      Object.fromEntries(
        [...stdout.matchAll(/^(nominal|ANOMALOUS) +p \S+ {2}(\S+)(.*)$/gm)].map(
          ([, verdict, name, place]) => [name, `${verdict}${place}`],
        ),
      );
    const judged = await type('judge', 'reader.wayward', 'suspect', '--exit-code');
    expect(judged.status).toBe(10);
    const told = verdicts(judged);
    for (const name of ['doc-30', 'doc-31', 'doc-32']) expect(told[name]).toBe('nominal');
    expect(told.pointer).toMatch(new RegExp(`^ANOMALOUS.* ${victim.image}!keep.* to libc.so.6!`));
    expect(told.return).toMatch(
      new RegExp(`^ANOMALOUS.* ${victim.image}!keep.* to libc.so.6!_[eE]xit`),
    );
    expect(judged.stdout).toContain('2 of 5 samples anomalous');
    const reported = await type(...nextOf(judged));
    expect(reported.status).toBe(0);
    const page = /\S+\.html/.exec(reported.stdout)?.[0] ?? '';
    for (const name of Object.keys(told))
      expect(readFileSync(resolve(folder, page), 'utf8')).toContain(name);

    // Elsewhere there is the profile and the recordings, and nothing of what they came from.
    const elsewhere = emptyFolder();
    for (const name of ['reader.wayward', 'suspect'])
      renameSync(at(name), join(elsewhere.folder, name));
    rmSync(folder, { recursive: true });
    const again = await elsewhere.type('judge', 'reader.wayward', 'suspect', '--exit-code');
    expect([again.status, verdicts(again)]).toEqual([10, told]);
    expect(readdirSync(elsewhere.folder).sort()).toEqual(['reader.wayward', 'runs', 'suspect']);
  }, 600_000);
});
