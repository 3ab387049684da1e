import { spawn } from 'node:child_process';
import type { Address } from '../base/address.ts';
import type { PlaceNames } from './place-names.ts';

/** Programs that read debug information, in the order they are tried, and what makes them print alike. */
const readers = [
  ['llvm-symbolizer', ['--output-style=GNU', '--no-demangle', '--functions=none', '-a', '-e']],
  ['addr2line', ['-a', '-e']],
] as const;

/** Debug information of a browser takes this long. */
const mostSeconds = 20;
/** KiB of address space: what they read is mapped. */
const mostMemory = 4 * 1024 * 1024;
const mostOutput = 8 * 1024 * 1024;
const mostAddresses = 10_000;
const longestName = 200;

/**
 * Asks the system's `llvm-symbolizer` or `addr2line` which line of source made the code at some addresses.
 * Those programs read debug files that anybody may have made, so each run has a limit of time and memory,
 * no network, and none of our environment but the search path.
 *
 * @param search  as `PATH`, where they are looked for; `undefined` = none is run
 * @returns `parser.c:1234` by address; nothing where there is no such program, or no debug information
 */
export async function sourceLines(
  names: PlaceNames,
  addresses: Iterable<Address>,
  search: string | undefined,
  signal?: AbortSignal,
): Promise<ReadonlyMap<Address, string>> {
  if (search === undefined) return new Map();
  const byFile = new Map<string, Map<number, Address[]>>();
  for (const address of new Set(addresses)) {
    const place = names.linesAt(address);
    if (place === undefined) continue;
    const wanted = byFile.get(place.file) ?? new Map<number, Address[]>();
    byFile.set(place.file, wanted);
    wanted.set(place.own, [...(wanted.get(place.own) ?? []), address]);
  }
  const lines = new Map<Address, string>();
  for (const [file, wanted] of byFile) {
    const own = [...wanted.keys()].slice(0, mostAddresses);
    for (const [at, line] of await linesOf(file, own, search, signal)) {
      for (const address of wanted.get(at) ?? []) lines.set(address, line);
    }
  }
  return lines;
}

async function linesOf(
  file: string,
  addresses: readonly number[],
  search: string,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<number, string>> {
  for (const [program, words] of readers) {
    const input = addresses.map((own) => `0x${own.toString(16)}\n`).join('');
    const output = await runConfined(program, [...words, file], input, search, signal);
    if (output !== undefined) return parseLines(output);
  }
  return new Map();
}

/**
 * Reads what both programs print: an address, then the file and line of the code there, as
 * `src/parser.c:1234 (discriminator 2)`, or `??:0`.
 *
 * @returns `parser.c:1234` by address
 */
export function parseLines(output: string): ReadonlyMap<number, string> {
  const lines = new Map<number, string>();
  let address: number | undefined;
  for (const line of output.split('\n')) {
    const digits = /^0x([0-9a-f]{1,16})$/.exec(line)?.[1];
    if (digits !== undefined) {
      address = Number.parseInt(digits, 16);
      continue;
    }
    const found = /^(.*?):(\d+)(?::\d+)?(?: \(discriminator \d+\))?$/.exec(line);
    const name = found?.[1]?.split(/[\\/]/).at(-1) ?? '';
    const number = Number(found?.[2]);
    if (address === undefined || name === '' || name === '??' || !(number > 0)) continue;
    // The first line is of the innermost function, where the reader tells inlined ones.
    if (!lines.has(address)) lines.set(address, `${name.slice(0, longestName)}:${number}`);
  }
  return lines;
}

/** @returns what the program printed; `undefined` where there is none, it fails, or takes too much */
function runConfined(
  program: string,
  words: readonly string[],
  input: string,
  search: string,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const limits = `ulimit -v ${mostMemory}; ulimit -t ${mostSeconds}; ulimit -c 0; exec "$0" "$@"`;
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const child = spawn('/bin/sh', ['-c', limits, program, ...words], {
    // Both programs look for debug files on servers where the environment names some.
    env: { PATH: search, LC_ALL: 'C', DEBUGINFOD_URLS: '' },
    stdio: ['pipe', 'pipe', 'ignore'],
    timeout: 2000 * mostSeconds,
    killSignal: 'SIGKILL',
    ...(signal === undefined ? {} : { signal }),
  });
  const pieces: Buffer[] = [];
  let length = 0;
  child.stdout.on('data', (piece: Buffer) => {
    pieces.push(piece);
    length += piece.length;
    if (length > mostOutput) child.kill('SIGKILL');
  });
  // A program that ends early closes its input; what it printed tells.
  child.stdin.on('error', () => {});
  child.on('error', () => resolve(undefined));
  child.on('close', (code) =>
    resolve(code === 0 ? Buffer.concat(pieces).toString('utf8') : undefined),
  );
  child.stdin.end(input);
  return promise;
}
