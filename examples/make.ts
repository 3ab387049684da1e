/**
 * Makes `examples/corpus` again: builds tpic, generates documents, records a run on each.
 *
 *   node examples/make.ts [SEED]
 *
 * Needs gcc, libc6-dev and qemu-user.
 */
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Random } from '../src/base/random.ts';
import { ImageCollection } from '../src/capture/image-collection.ts';
import { buildPlugin } from '../src/capture/qemu/plugin/build.ts';
import { record } from '../src/capture/record.ts';
import { parseElf } from '../src/image/files/elf.ts';
import { type Attack, Attacker } from './tpic/attacks.ts';
import { malformed, nominal } from './tpic/documents.ts';

const seed = Number(process.argv[2] ?? 1);
/** After so many training documents comes a badly damaged one: real traffic has them, too. */
const betweenDamaged = 4;
const counts = { train: 100, test: 40, controls: 24 };
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const work = await mkdtemp(join(tmpdir(), 'wayward-examples-'));
const corpus = join(work, 'corpus');
try {
  const program = join(work, 'tpic');
  const flags = [
    '-O1',
    '-no-pie',
    '-fno-stack-protector',
    '-fcf-protection=none',
    '-U_FORTIFY_SOURCE',
  ];
  execFileSync('gcc', [...flags, '-o', program, here('tpic/tpic.c')], { stdio: 'inherit' });
  const plugin = await buildPlugin(work);
  const images = new ImageCollection(join(corpus, 'bin'));
  const input = join(work, 'input.tpic');
  const split: Record<'train' | 'test' | 'controls' | 'attacks', string[]> = {
    train: [],
    test: [],
    controls: [],
    attacks: [],
  };
  let blocksInAll = 0;

  const run = async (
    part: keyof typeof split | undefined,
    name: string,
    bytes: Uint8Array,
    family: string,
  ) => {
    await writeFile(input, bytes);
    const addresses: number[] = [];
    const out = join(part === undefined ? join(work, 'probe') : join(corpus, 'traces'), name);
    const result = await record({
      command: program,
      args: [input],
      cwd: work,
      // Long chains need room above the stack's first frame, which a usual environment gives.
      env: { EXAMPLE: 'x'.repeat(16_000) },
      out,
      images,
      plugin,
      name: `${name}.tpic`,
      label: part === 'attacks' ? 'malicious' : 'benign',
      family,
      timeoutSeconds: 60,
      showPath: (path) => (path === program ? '/usr/local/bin/tpic' : path),
      // As in a trace of hardware, code on the stack has no image.
      saveMadeCode: false,
      onBlock: (address) => addresses.push(address),
    });
    if (part !== undefined) {
      split[part].push(name);
      blocksInAll += addresses.length;
    }
    return { ...result, out, addresses };
  };
  const truth = async (name: string, facts: object): Promise<void> => {
    await mkdir(join(corpus, 'truth'), { recursive: true });
    await writeFile(join(corpus, 'truth', `${name}.json`), `${JSON.stringify(facts)}\n`);
  };
  const number = (i: number): string => String(i).padStart(3, '0');

  const damaged = async (part: 'train' | 'controls', i: number): Promise<void> => {
    const name = part === 'train' ? `damaged-train-${number(i)}` : `malformed-${number(i)}`;
    // No two parts share a seed: the attacks' documents start at 30,000.
    const start = part === 'train' ? 40_000 : 20_000;
    const { bytes, what } = malformed(new Random(seed * 1_000_000 + start + i), i);
    const { addresses, end } = await run(part, name, bytes, what);
    if (end !== 'exit') throw new Error(`${name} did harm: ${end}`);
    await truth(name, { label: 'control', family: what, blocks: addresses.length, hijack: [] });
  };

  for (const part of ['train', 'test'] as const) {
    for (let i = 0; i < counts[part]; i++) {
      const name = `nominal-${part}-${number(i)}`;
      const random = new Random(seed * 1_000_000 + (part === 'train' ? 0 : 10_000) + i);
      const { addresses, end } = await run(part, name, nominal(random).bytes(), 'nominal');
      if (end !== 'exit') throw new Error(`${name} ended by ${end}`);
      await truth(name, {
        label: 'nominal',
        family: 'nominal',
        blocks: addresses.length,
        hijack: [],
      });
      if (part === 'train' && i % betweenDamaged === betweenDamaged - 1) {
        await damaged(part, Math.floor(i / betweenDamaged));
      }
    }
  }
  for (let i = 0; i < counts.controls; i++) await damaged('controls', i);

  // Where things lie, from a run that calls the thumbnail's function.
  const thumb = nominal(new Random(seed), 3).add(
    'THMB',
    Buffer.concat([Buffer.of(0, 64, 0), Buffer.alloc(64)]),
  );
  const probe = await run(undefined, 'probe', thumb.bytes(), 'probe');
  const map = await readFile(join(probe.out, 'mapping.txt'), 'utf8');
  const rowOf = (pattern: RegExp): string[] => pattern.exec(map)?.slice(1) ?? [];
  const libcPath = rowOf(/^[0-9a-f]+-[0-9a-f]+ \S+ 0+ .* (\/\S*libc\.so\.6)$/m)[0] ?? '';
  const hex = (text: string | undefined): number => Number.parseInt(text ?? '', 16);
  const libc = hex(rowOf(/^([0-9a-f]+)-[0-9a-f]+ \S+ 0+ .*libc\.so\.6$/m)[0]);
  const [codeAt, codeTo, codeOffset] = rowOf(
    /^([0-9a-f]+)-([0-9a-f]+) r-xp ([0-9a-f]+) .*libc\.so\.6$/m,
  ).map(hex);
  const libcBytes = await readFile(libcPath);
  const symbolsOf = (bytes: Uint8Array): Map<string, { address: number; size: number }> =>
    new Map(
      parseElf(bytes)
        ?.symbols()
        .map(({ name, address, size }) => [name, { address, size }]),
    );
  const own = symbolsOf(await readFile(program));
  const theirs = symbolsOf(libcBytes);
  const find = (table: Map<string, { address: number; size: number }>, name: string) => {
    const symbol = table.get(name);
    if (symbol === undefined) throw new Error(`no symbol ${name}`);
    return symbol;
  };
  // Data symbols are not in the image's symbol list: nm knows them.
  const data = new Map(
    execFileSync('nm', [program], { encoding: 'utf8' })
      .split('\n')
      .map((line) => {
        const [address, , name] = line.split(' ');
        return [name, hex(address)] as const;
      }),
  );
  const attacker = new Attacker({
    file: data.get('file') ?? 0,
    thumbnail: data.get('thumbnail') ?? 0,
    libc,
    libcBytes,
    codeStart: codeOffset,
    codeEnd: codeOffset + (codeTo - codeAt),
    symbol: (name) => find(theirs, name).address,
  });
  const reader = find(own, 'read_thumbnail');
  const finish = find(own, 'finish_small');
  const finishAt = probe.addresses.indexOf(finish.address);
  const back = probe.addresses.find(
    (a, i) => i > finishAt && a >= reader.address && a < reader.address + reader.size,
  );

  const attacks: ((random: Random) => Attack)[] = [
    ...Array.from({ length: 6 }, () => (r: Random) => attacker.returnToLibc(nominal(r), r)),
    ...[4, 7, 12, 20, 35, 60, 100, 160].map((n) => (r: Random) => attacker.rop(nominal(r), r, n)),
    ...Array.from({ length: 8 }, () => (r: Random) => attacker.pointer(nominal(r), r)),
    ...[2, 3, 4, 5, 6, 7, 8].map((n) => (r: Random) => attacker.jop(nominal(r), r, n)),
    ...Array.from({ length: 6 }, () => (r: Random) => attacker.shellcode(nominal(r), r)),
  ];
  for (const [i, build] of attacks.entries()) {
    const attack = build(new Random(seed * 1_000_000 + 30_000 + i));
    const name = `${attack.family}-${number(i)}`;
    const { addresses, end, killedBy } = await run('attacks', name, attack.bytes, attack.family);
    // A chain's first two steps follow each other, whatever normal code lies at the first address.
    const [one, two] = attack.steps;
    const first =
      two === undefined
        ? addresses.lastIndexOf(one)
        : addresses.findIndex((a, i) => a === one && addresses[i + 1] === two);
    const transfers: number[] = [];
    let at = first;
    for (const step of attack.steps) {
      at = at < 0 ? -1 : addresses.indexOf(step, at);
      if (at < 0)
        throw new Error(
          `${name}: the attack did not work (step ${transfers.length} of ${attack.steps.length}, ended by ${end} ${killedBy})`,
        );
      transfers.push(at++);
    }
    const left = attack.returns ? addresses.indexOf(back ?? -1, first) : -1;
    const last = left < 0 ? addresses.length - 1 : left - 1;
    await truth(name, {
      label: 'attack',
      family: attack.family,
      blocks: addresses.length,
      hijack: [[first, last]],
      transfers,
      crashed: end === 'signal',
    });
  }
  await writeFile(join(corpus, 'split.json'), `${JSON.stringify(split, null, 1)}\n`);
  const goal = here('corpus');
  await rm(goal, { recursive: true, force: true });
  execFileSync('cp', ['-r', corpus, goal]);
  console.log(`${Object.values(split).flat().length} samples, ${blocksInAll} blocks`);
} finally {
  await rm(work, { recursive: true, force: true });
}
