/**
 * What the code of stripped programs says about their recorded transfers, by mechanism: how many it
 * covers, how many places it allows, and which recorded targets of nominal runs it does not allow. Then
 * the hijacked transfers of recorded attacks in the same terms, and what reading the images costs.
 *
 * node bench/code.bench.ts [--runs N] [--attacks] [FOLDER...]   FOLDER as in ../shared/data/field
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';
import {
  AllowedTargets,
  defaultShares,
  type Mechanism,
  probabilityOf,
  type TargetClassName,
} from '../src/evidence/code/allowed-targets.ts';
import { ImageCodeCache, ProcessCode } from '../src/evidence/code/process-code.ts';
import type { BlockTable } from '../src/flow/blocks.ts';
import { CodeCache } from '../src/flow/code-cache.ts';
import { TraceDecoder } from '../src/flow/trace-decoder.ts';
import { ImageStore } from '../src/image/image-store.ts';
import { buildAddressSpace } from '../src/image/mapped-space.ts';
import { readMemoryMap } from '../src/image/maps/memory-map.ts';
import { RegionTable } from '../src/image/maps/region-table.ts';
import { Transfer } from '../src/x86/transfer.ts';

const { values, positionals } = parseArgs({
  options: { runs: { type: 'string', default: '6' }, attacks: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const shared = '../shared/data';
const folders =
  positionals.length > 0
    ? positionals
    : ['xmllint', 'lua5.4', 'perl', 'optipng', 'ruby', 'fzf']
        .map((name) => join(shared, 'field', name))
        .concat(join(shared, 'pdftotext'));
const runs = Number(values.runs);

type Row = 'return' | 'none' | Mechanism;

interface Tally {
  transfers: number;
  pairs: number;
  readonly sites: Set<string>;
  /** Sum over pairs of how many places the narrowest class holds. */
  allowed: number;
  readonly byClass: Map<TargetClassName | 'outside', { pairs: number; transfers: number }>;
  readonly outside: Set<string>;
}

/** One recorded run as pairs of blocks that an indirect transfer joins, and its returns. */
interface Run {
  readonly process: ProcessCode;
  readonly blocks: BlockTable;
  /** Transfers by pair; of the dynamic linker's last jump also by the stub that ran before. */
  readonly pairs: Map<string, { from: number; to: number; stub: number; count: number }>;
  readonly returns: { explained: number; deeper: number; other: number };
  /** Pairs at the positions asked for. */
  readonly at: Map<number, { from: number; to: number; stub: number }>;
  readonly decodeMs: number;
}

const codeCache = new CodeCache();
const imageCodes = new ImageCodeCache();

async function read(
  folder: string,
  name: string,
  store: ImageStore,
  wanted: ReadonlySet<number>,
): Promise<Run> {
  const sample = join(folder, 'traces', name);
  const space = await buildAddressSpace(await readMemoryMap(join(sample, 'mapping.txt')), store);
  const zipped = join(sample, 'trace_0.gz');
  const input = existsSync(zipped)
    ? gunzipSync(readFileSync(zipped))
    : readFileSync(join(sample, 'trace_0'));
  const source = new TraceDecoder({ space, input, codeCache });
  const process = new ProcessCode(space, imageCodes);
  const pairs: Run['pairs'] = new Map();
  const at: Run['at'] = new Map();
  const returns = { explained: 0, deeper: 0, other: 0 };
  const stack: number[] = [];
  const stubs: number[] = [];
  const isLazy: (boolean | undefined)[] = [];
  let previous = -1;
  let position = -1;
  const started = performance.now();
  await source.run((batch) => {
    const { blocks } = source;
    for (let i = 0; i < batch.length; i++) {
      const block = batch.entries[i]!;
      if (block < 0) {
        previous = -1;
        stack.length = 0;
        stubs.length = 0;
        continue;
      }
      position++;
      const kind = previous < 0 ? Transfer.none : blocks.kind[previous]!;
      const start = startOf(blocks, block);
      if (kind === Transfer.call || kind === Transfer.icall) {
        stack.push(endOf(blocks, previous));
        if (stack.length > 100_000) stack.splice(0, 50_000);
      }
      if (kind === Transfer.ret) {
        if (stack.at(-1) === start) {
          stack.pop();
          returns.explained++;
        } else {
          const open = stack.lastIndexOf(start);
          if (open < 0) returns.other++;
          else {
            returns.deeper++;
            stack.length = open;
          }
        }
      } else if (kind === Transfer.icall || kind === Transfer.ijmp) {
        const site = startOf(blocks, previous) + blocks.lastInstruction[previous]!;
        const isBinder = process.isBinderJump(site);
        const stub = isBinder ? (stubs.pop() ?? -1) : -1;
        const key = `${previous} ${block} ${stub}`;
        const pair = pairs.get(key);
        if (pair === undefined) pairs.set(key, { from: previous, to: block, stub, count: 1 });
        else pair.count++;
      }
      if (wanted.has(position) && previous >= 0) {
        at.set(position, { from: previous, to: block, stub: stubs.at(-1) ?? -1 });
      }
      isLazy[block] ??= process.lazyBinding(start) !== undefined;
      if (isLazy[block]) stubs.push(block);
      previous = block;
    }
  });
  return {
    process,
    blocks: source.blocks,
    pairs,
    returns,
    at,
    decodeMs: performance.now() - started,
  };
}

function startOf({ module, modules, offset }: BlockTable, block: number): number {
  const index = module[block]!;
  return offset[block]! + (index < 0 ? 0 : modules[index]!.base);
}

function endOf(blocks: BlockTable, block: number): number {
  return startOf(blocks, block) + blocks.size[block]!;
}

function nameOf({ process }: Run, address: number): string {
  const place = process.place(address);
  const module = process.space.moduleAt(address);
  const own = place?.own ?? address;
  return `${module < 0 ? '' : process.space.modules[module]!.name}+0x${own.toString(16)}`;
}

function tallyOf(tallies: Map<Row, Tally>, row: Row): Tally {
  let tally = tallies.get(row);
  if (tally === undefined) {
    tally = {
      transfers: 0,
      pairs: 0,
      sites: new Set(),
      allowed: 0,
      byClass: new Map(),
      outside: new Set(),
    };
    tallies.set(row, tally);
  }
  return tally;
}

const exact: ReadonlySet<Row> = new Set<Row>(['stub', 'binder', 'table']);
const total = new Map<Row, Tally>();

for (const folder of folders) {
  if (!existsSync(folder)) {
    console.log(`${folder}: absent`);
    continue;
  }
  const split = JSON.parse(readFileSync(join(folder, 'split.json'), 'utf8'));
  const nominal: string[] = [
    ...(split.test ?? []),
    ...(split.calibrate ?? []),
    ...(split.train ?? []),
  ];
  const store = new ImageStore([join(folder, 'bin')]);
  const tallies = new Map<Row, Tally>();
  let decodeMs = 0;
  let readMs = 0;
  let firstMs = 0;
  const seenPairs = new Set<string>();
  for (const [index, name] of nominal.slice(0, runs).entries()) {
    const run = await read(folder, name, store, new Set());
    decodeMs += run.decodeMs;
    const started = performance.now();
    const allowed = new AllowedTargets(run.process);
    const found = [];
    for (const pair of run.pairs.values()) {
      const site = startOf(run.blocks, pair.from) + run.blocks.lastInstruction[pair.from]!;
      const target = startOf(run.blocks, pair.to);
      const stub = pair.stub < 0 ? undefined : startOf(run.blocks, pair.stub);
      const allowance = allowed.at(site, stub);
      const narrowest = allowance?.classes.find(({ has }) => has(target));
      found.push({ pair, site, target, allowance, narrowest });
    }
    const took = performance.now() - started;
    if (index === 0) firstMs = took;
    else readMs += took;
    for (const { pair, site, target, allowance, narrowest } of found) {
      const row: Row = allowance?.mechanism ?? 'none';
      const label = `${nameOf(run, site)} -> ${nameOf(run, target)}`;
      for (const tally of [tallyOf(tallies, row), tallyOf(total, row)]) {
        tally.transfers += pair.count;
        tally.sites.add(nameOf(run, site));
        const className = narrowest?.name ?? 'outside';
        const known = tally.byClass.get(className) ?? { pairs: 0, transfers: 0 };
        known.transfers += pair.count;
        if (!seenPairs.has(label)) {
          known.pairs++;
          tally.pairs++;
          tally.allowed += allowance?.classes[0]?.count ?? 0;
        }
        tally.byClass.set(className, known);
        const isOutside = exact.has(row) ? className !== 'named' : className === 'anywhere';
        if (isOutside && row !== 'none') tally.outside.add(label);
      }
      seenPairs.add(label);
    }
    const returns = tallyOf(tallies, 'return');
    returns.transfers += run.returns.explained + run.returns.deeper + run.returns.other;
    returns.pairs += run.returns.deeper;
    returns.allowed += run.returns.other;
  }
  const count = Math.min(runs, nominal.length);
  console.log(
    `\n${basename(folder)}: ${count} nominal runs; decoding ${decodeMs.toFixed(0)} ms; ` +
      `the code: first run ${firstMs.toFixed(0)} ms, the others ${readMs.toFixed(0)} ms`,
  );
  show(tallies);
  if (values.attacks) await attacks(folder, split, store);
}

console.log('\nall programs');
show(total);
await images();

function show(tallies: ReadonlyMap<Row, Tally>): void {
  const all = [...tallies.values()].reduce((sum, { transfers }) => sum + transfers, 0);
  const returns = tallies.get('return');
  if (returns !== undefined) {
    console.log(
      `  return   ${share(returns.transfers, all)} of transfers; to an outer open call ${returns.pairs}, ` +
        `elsewhere ${returns.allowed}`,
    );
  }
  for (const row of ['stub', 'binder', 'table', 'virtual', 'member', 'pointer', 'none'] as const) {
    const tally = tallies.get(row);
    if (tally === undefined) continue;
    const classes = [...tally.byClass]
      .map(([name, { pairs, transfers }]) => `${name} ${pairs} (${transfers})`)
      .join(', ');
    console.log(
      `  ${row.padEnd(8)} ${share(tally.transfers, all)} of transfers, ${tally.sites.size} sites, ` +
        `${tally.pairs} pairs, on average ${(tally.allowed / Math.max(1, tally.pairs)).toFixed(1)} allowed, ` +
        `outside ${tally.outside.size}; narrowest class, pairs (transfers): ${classes}`,
    );
    for (const label of [...tally.outside].slice(0, 5))
      console.log(`             outside: ${label}`);
  }
}

function share(part: number, all: number): string {
  return `${((100 * part) / Math.max(1, all)).toFixed(2)} %`.padStart(8);
}

/** In nats and classes: what the code gives to the first hijacked calls and jumps of each attack. */
async function attacks(
  folder: string,
  split: { readonly attacks?: readonly string[] },
  store: ImageStore,
): Promise<void> {
  const truthFile = join(folder, 'truth.json');
  const truth = existsSync(truthFile) ? JSON.parse(readFileSync(truthFile, 'utf8')) : undefined;
  for (const name of split.attacks ?? []) {
    const own = join(folder, 'truth', `${name}.json`);
    const facts = truth?.[name] ?? (existsSync(own) ? JSON.parse(readFileSync(own, 'utf8')) : {});
    const hits: number[] = facts.transfers ?? (facts.hits ?? []).map((hit: [number]) => hit[0]);
    const positions = new Set(hits.slice(0, 4).flatMap((hit) => [hit, hit + 1]));
    const run = await read(folder, name, store, positions);
    const allowed = new AllowedTargets(run.process);
    for (const position of positions) {
      const pair = run.at.get(position);
      if (pair === undefined) continue;
      const kind = run.blocks.kind[pair.from]!;
      if (kind !== Transfer.icall && kind !== Transfer.ijmp) continue;
      const site = startOf(run.blocks, pair.from) + run.blocks.lastInstruction[pair.from]!;
      const target = startOf(run.blocks, pair.to);
      const allowance = allowed.at(site);
      if (allowance === undefined) continue;
      const narrowest = allowance.classes.find(({ has }) => has(target));
      const nats = -Math.log(probabilityOf(allowance, target, defaultShares[allowance.mechanism]));
      console.log(
        `  ${name}: ${facts.family}: ${nameOf(run, site)} -> ${nameOf(run, target)}: ${allowance.mechanism}, ` +
          `${narrowest?.name} of ${narrowest?.count}, ${nats.toFixed(1)} nats`,
      );
    }
  }
}

/** Time to read everything of an image at once, and per megabyte. */
async function images(): Promise<void> {
  console.log('\nreading whole images: tables and ranges, references, argument registers, census');
  const paths = folders
    .filter((folder) => existsSync(join(folder, 'bin')))
    .flatMap((folder) => readdirSync(join(folder, 'bin')).map((name) => join(folder, 'bin', name)));
  const byName = new Map(paths.map((path) => [basename(path), path]));
  for (const [name, path] of byName) {
    const store = new ImageStore([path.slice(0, -name.length - 1)]);
    const region = {
      start: 0x7000_0000_0000,
      end: 0x7000_8000_0000,
      path: name,
      isExecutable: undefined,
      fileOffset: undefined,
    };
    const process = { pid: undefined, name: '' };
    const map = { format: 'ldrmodules', process, regions: RegionTable.of([region]) } as const;
    const space = await buildAddressSpace(map, store);
    const started = performance.now();
    const code = new ProcessCode(space).imageOf(0)?.code;
    if (code === undefined) continue;
    const tables = performance.now();
    const { length } = code.references.taken;
    const references = performance.now();
    code.pointerTargets.takenByReads;
    const read = performance.now();
    const { bytes } = code.census;
    const end = performance.now();
    if (bytes < 200_000) continue;
    const steps = [tables - started, references - tables, read - references, end - read];
    console.log(
      `  ${name}: ${(bytes / 1e6).toFixed(1)} MB of code, ${code.ranges.starts.length} ranges, ${length} taken: ` +
        `${steps.map((ms) => ms.toFixed(0)).join(' + ')} = ${(end - started).toFixed(0)} ms`,
    );
  }
}
