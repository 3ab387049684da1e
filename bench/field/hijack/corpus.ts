import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { crc32 } from 'node:zlib';
import { Random } from '../../../src/base/random.ts';
import { ImageCollection } from '../../../src/capture/image-collection.ts';
import { record } from '../../../src/capture/record.ts';
import { run } from '../command-line.ts';
import type { FieldRun } from '../program.ts';
import { findProgram } from '../programs.ts';
import type { Split } from '../recorder.ts';
import { type Attack, families } from './families.ts';
import { Memory } from './memory.ts';
import { dryWrites, encodePlan, type Plan } from './plan.ts';
import { type Registers, type Scene, sceneOf } from './scene.ts';
import { damaged, type HijackTarget } from './targets.ts';

export interface CorpusOptions {
  readonly folder: string;
  readonly nominal: number;
  readonly controls: number;
  /** Attacks of each family. */
  readonly attacks: number;
  readonly seed: number;
  readonly progress: (text: string) => void;
}

/** The first hijacked transfers of a run, as `truth.json` holds them. */
interface Hit {
  /** Block index (from 0) of the block that made the transfer, and where that block starts. */
  readonly block: number;
  readonly from: string;
  readonly to: string;
}

interface TruthEntry {
  readonly label: 'nominal' | 'control' | 'attack';
  readonly family?: string;
  readonly note?: string;
  readonly fire_at: number;
  readonly fire_block?: number;
  readonly hits?: readonly Hit[];
  readonly blocks: number;
  readonly end: string;
  readonly exit: number | undefined;
}

const environment = { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C' };
const mostBlocks = 12e6;

/**
 * Records a corpus of nominal runs, controls with damaged inputs, and runs whose control flow is
 * really hijacked: a copy of the program loads `hijack.c` first in all of them.
 *
 * The emulator lays memory out alike in all runs of one command, so that a plan can be made from a
 * dump of an earlier run of the same input. What an attack did is found by comparing its blocks with
 * those of a dry run of the same plan: they part at the first hijacked transfer.
 */
export async function makeCorpus(target: HijackTarget, options: CorpusOptions): Promise<void> {
  const { folder, progress } = options;
  const { program } = target;
  const command = await prepare(target, folder);
  const images = new ImageCollection(join(folder, 'bin'));
  const truthPath = join(folder, 'truth.json');
  const truth: Record<string, TruthEntry> = existsSync(truthPath)
    ? JSON.parse(await readFile(truthPath, 'utf8'))
    : {};
  const keep = async (name: string, entry: TruthEntry): Promise<void> => {
    truth[name] = entry;
    await writeFile(truthPath, `${JSON.stringify(truth, undefined, 1)}\n`);
    progress(
      `${program.name} ${name}: ${entry.blocks} blocks, ${entry.end} ${entry.exit ?? ''} ${entry.note ?? ''} ${entry.hits?.length ?? ''}`,
    );
  };
  const randomOf = (name: string): Random =>
    new Random((options.seed ^ crc32(`${program.name}/${name}`)) >>> 0);

  const harmless = [
    ...Array.from({ length: options.nominal }, (_, i) => `n${String(i).padStart(3, '0')}`),
    ...Array.from({ length: options.controls }, (_, i) => `c${String(i).padStart(2, '0')}`),
  ];
  for (const name of harmless) {
    if (truth[name] !== undefined) continue;
    const random = randomOf(name);
    const isControl = name.startsWith('c');
    const plain = program.run(random, 0);
    const made = isControl ? damaged(plain, target.input, random) : plain;
    const stage = await stageOf(folder, name, made, command);
    const fire = await chooseFire(stage, random);
    const plan = { isDry: true, fire, dumps: false, writes: dryWrites(random) };
    await stage.plan(plan);
    const out = join(folder, 'traces', name);
    await rm(out, { recursive: true, force: true });
    const recorded = await record({ ...stage.recording, out, images, name, label: 'benign' });
    await keep(name, {
      label: isControl ? 'control' : 'nominal',
      fire_at: fire,
      blocks: recorded.blocks.reduce((a, b) => a + b, 0),
      end: recorded.end,
      exit: recorded.exitCode,
    });
  }

  for (const family of Object.keys(families)) {
    for (let i = 0; i < options.attacks; i++) {
      const name = `a-${family}-${i}`;
      if (truth[name] !== undefined) continue;
      try {
        const entry = await attack(target, {
          name,
          family,
          folder,
          command,
          images,
          random: randomOf(name),
        });
        if (entry === undefined) progress(`${program.name} ${name}: no way found`);
        else await keep(name, entry);
      } catch (error) {
        progress(`${program.name} ${name}: ${(error as Error).stack}`);
      }
    }
  }

  const names = (label: string): string[] =>
    Object.keys(truth)
      .filter((name) => truth[name].label === label)
      .sort();
  const nominal = new Random(options.seed).shuffle(names('nominal'));
  const half = Math.round(nominal.length / 2);
  const quarter = Math.floor((nominal.length - half) / 2);
  const split: Split = {
    train: nominal.slice(0, half),
    calibrate: nominal.slice(half, half + quarter),
    test: nominal.slice(half + quarter),
    controls: names('control'),
    attacks: names('attack'),
  };
  await writeFile(join(folder, 'split.json'), `${JSON.stringify(split)}\n`);
}

/** Copies the program, and has the copy load the library. @returns its path */
async function prepare(target: HijackTarget, folder: string): Promise<string> {
  const found = findProgram(target.program);
  if (found === undefined) throw new Error(`${target.program.name} is not installed`);
  const place = join(folder, 'program');
  const copy = join(place, basename(await realpath(found)));
  await mkdir(place, { recursive: true });
  if (existsSync(copy)) return copy;
  const library = join(place, 'libhijack.so');
  const source = join(import.meta.dirname, 'hijack.c');
  await must('cc', ['-O2', '-shared', '-fPIC', '-o', library, source]);
  await copyFile(found, `${copy}.part`);
  // In two steps: patchelf 0.14 takes one name for the other when it is given both at once.
  await must('patchelf', ['--set-rpath', '$ORIGIN', `${copy}.part`]);
  await must('patchelf', ['--add-needed', 'libhijack.so', `${copy}.part`]);
  await must('mv', [`${copy}.part`, copy]);
  return copy;
}

async function must(command: string, args: readonly string[]): Promise<void> {
  const ran = await run(command, args);
  if (ran.code !== 0) throw new Error(`${command} failed: ${ran.errors}`);
}

/** The working folder of a run, and how it is started. */
interface Stage {
  readonly folder: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly plan: (plan: Plan) => Promise<void>;
  readonly recording: {
    readonly command: string;
    readonly args: readonly string[];
    readonly cwd: string;
    readonly env: Readonly<Record<string, string>>;
    readonly timeoutSeconds: number;
    readonly maxBlocks: number;
  };
}

async function stageOf(
  root: string,
  name: string,
  made: FieldRun,
  command: string,
): Promise<Stage> {
  const folder = join(root, 'inputs', name);
  const { args, files = {} } = made;
  const lay = async (): Promise<void> => {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    for (const [path, content] of Object.entries(files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), content);
    }
  };
  return {
    folder,
    command,
    args,
    // Each run starts from the same files, whatever the one before it left.
    plan: async (plan) => {
      await lay();
      await writeFile(join(folder, 'hijack.plan'), encodePlan(plan));
    },
    recording: {
      command,
      args,
      cwd: folder,
      env: environment,
      timeoutSeconds: 60,
      maxBlocks: mostBlocks,
    },
  };
}

/** Runs under the emulator without recording. @returns whether a signal killed it */
function emulate(
  stage: Stage,
  flags: readonly string[],
  onLine?: (line: string) => void,
): Promise<boolean> {
  return new Promise((done, fail) => {
    const child = spawn('qemu-x86_64', ['-cpu', 'max', ...flags, stage.command, ...stage.args], {
      cwd: stage.folder,
      env: environment,
      stdio: ['ignore', 'ignore', onLine === undefined ? 'ignore' : 'pipe'],
      timeout: 60_000,
    });
    child.on('error', fail);
    child.on('close', (_code, signal) => done(signal !== null));
    if (child.stderr !== null && onLine !== undefined) {
      createInterface({ input: child.stderr }).on('line', onLine);
    }
  });
}

/** @returns an allocation between a tenth and nine tenths of the run */
async function chooseFire(stage: Stage, random: Random): Promise<number> {
  await stage.plan({ isDry: true, fire: 0, dumps: true, writes: [] });
  await emulate(stage, []);
  const counted = await readFile(join(stage.folder, 'hijack.count')).catch(() => undefined);
  const total = counted === undefined ? 40 : Number(counted.readBigUInt64LE());
  return Math.max(1, Math.floor(total * (0.1 + 0.8 * random.uniform())));
}

interface AttackOptions {
  readonly name: string;
  readonly family: string;
  readonly folder: string;
  readonly command: string;
  readonly images: ImageCollection;
  readonly random: Random;
}

/** Tries inputs, moments and places until control flow is really hijacked. */
async function attack(
  target: HijackTarget,
  options: AttackOptions,
): Promise<TruthEntry | undefined> {
  const { name, family, folder, random } = options;
  let patience = 8;
  for (let input = 0; input < 6; input++) {
    const stage = await stageOf(folder, name, target.program.run(random, 0), options.command);
    const fire = await chooseFire(stage, random);
    await stage.plan({ isDry: true, fire, dumps: true, writes: [] });
    await emulate(stage, []);
    const dump = await readFile(join(stage.folder, 'hijack.dump')).catch(() => undefined);
    if (dump === undefined) continue;
    const scene = sceneOf(new Memory(dump));
    if (['jop', 'shell', 'fptr', 'mimicry'].includes(family)) await findEntered(stage, fire, scene);
    // The run that the attack is compared with: the same, but dry.
    const dry: number[] = [];
    let made: Attack | undefined;
    for (let attempt = 0; attempt < 8; attempt++) {
      made = families[family](scene, random);
      if (made === undefined) break;
      const { isReached, crashes } = await probe(stage, fire, made, scene);
      if (!isReached) continue;
      // A crash gives an attack away by itself: taken only where nothing better is found.
      if (crashes && --patience > 0) continue;
      const plan = { fire, dumps: false, writes: made.writes };
      const out = join(folder, 'traces', name);
      await rm(out, { recursive: true, force: true });
      await rm(`${out}.dry`, { recursive: true, force: true });
      await stage.plan({ ...plan, isDry: true });
      dry.length = 0;
      await record({
        ...stage.recording,
        out: `${out}.dry`,
        images: options.images,
        name,
        label: 'benign',
        onBlock: (address, thread) => thread === 0 && dry.push(address),
      });
      await rm(`${out}.dry`, { recursive: true, force: true });
      await stage.plan({ ...plan, isDry: false });
      const blocks: number[] = [];
      const recorded = await record({
        ...stage.recording,
        out,
        images: options.images,
        name,
        label: 'malicious',
        family,
        onBlock: (address, thread) => thread === 0 && blocks.push(address),
      });
      const seen = compare(dry, blocks, made, fireAddress(scene));
      if (seen === undefined) {
        await rm(out, { recursive: true, force: true });
        continue;
      }
      return {
        label: 'attack',
        family,
        note: made.note,
        fire_at: fire,
        ...seen,
        blocks: recorded.blocks.reduce((a, b) => a + b, 0),
        end: recorded.end,
        exit: recorded.exitCode,
      };
    }
  }
  return undefined;
}

/** @returns where the hijack shows, or `undefined` when it had no effect or not this one */
function compare(
  dry: readonly number[],
  blocks: readonly number[],
  made: Attack,
  fire: number,
): { fire_block: number; hits: Hit[] } | undefined {
  const fired = blocks.indexOf(fire);
  let parted = 0;
  while (parted < blocks.length && blocks[parted] === dry[parted]) parted++;
  if (fired < 0 || parted <= fired) return undefined;
  if (made.chain.length === 0) {
    const hasEffect = parted < blocks.length || dry.length !== blocks.length;
    return hasEffect ? { fire_block: fired, hits: [] } : undefined;
  }
  if (blocks[parted] !== made.chain[0]) return undefined;
  const hits: Hit[] = [];
  const hex = (address: number): string => `0x${address.toString(16)}`;
  for (let at = parted, next = 0; at < Math.min(blocks.length, parted + 400); at++) {
    if (blocks[at] !== made.chain[next]) continue;
    hits.push({ block: at - 1, from: hex(blocks[at - 1]), to: hex(blocks[at]) });
    if (++next === made.chain.length) break;
  }
  return { fire_block: fired, hits };
}

function fireAddress(scene: Scene): number {
  const symbol = scene.hijack.get('hijack_fire');
  if (symbol === undefined) throw new Error('libhijack.so has no hijack_fire');
  return symbol;
}

const traceLine = /^Trace \d+: \S+ \[[0-9a-f]+\/([0-9a-f]+)\//;

/** Finds which functions that pointers hold run after the writes, and with which registers. */
async function findEntered(stage: Stage, fire: number, scene: Scene): Promise<void> {
  const wanted = new Set(
    scene.pointers.flatMap(({ value, table }) => (table.length ? table : [value])),
  );
  const start = fireAddress(scene);
  const filter = [start, ...wanted].slice(0, 800).map((address) => `0x${address.toString(16)}+0x1`);
  await stage.plan({ isDry: true, fire, dumps: false, writes: [] });
  let hasFired = false;
  let registers: Record<string, bigint> = {};
  // QEMU prints the registers, and then the block.
  await emulate(stage, ['-d', 'exec,cpu,nochain', '-dfilter', filter.join(',')], (line) => {
    const trace = traceLine.exec(line);
    if (trace !== null) {
      const address = Number.parseInt(trace[1], 16);
      if (address === start) hasFired = true;
      else if (hasFired && wanted.has(address) && !scene.entered.has(address)) {
        scene.entered.set(address, registers as Registers);
      }
      registers = {};
      return;
    }
    for (const [, name, value] of line.matchAll(
      /\b(R[A-D]X|R[SD]I|R[SB]P|R\d+) *=([0-9a-f]{16})/g,
    )) {
      registers[name.toLowerCase()] = BigInt(`0x${value}`);
    }
  });
}

/** @returns whether the first two targets of an attack run after its writes, and whether it crashes */
async function probe(
  stage: Stage,
  fire: number,
  made: Attack,
  scene: Scene,
): Promise<{ isReached: boolean; crashes: boolean }> {
  await stage.plan({ isDry: false, fire, dumps: false, writes: made.writes });
  const wanted = [fireAddress(scene), ...made.chain.slice(0, 2)];
  const filter = wanted.map((address) => `0x${address.toString(16)}+0x1`);
  let next = 0;
  const crashes = await emulate(
    stage,
    ['-d', 'exec,nochain', '-dfilter', filter.join(',')],
    (line) => {
      const trace = traceLine.exec(line);
      if (trace !== null && Number.parseInt(trace[1], 16) === wanted[next]) next++;
    },
  );
  return { isReached: next >= wanted.length, crashes };
}
