import { join } from 'node:path';
import { firstAtLeast } from '../../../base/bytes/search.ts';
import { enlarged } from '../../../base/bytes/typed-array.ts';
import { isAbsent, UserError } from '../../../base/errors.ts';
import { readJsonFile, writeJsonFile } from '../../../base/files/json-file.ts';
import { isCount } from '../../../base/values.ts';
import {
  type FunctionIdentity,
  type FunctionStretch,
  identifyFunctions,
} from '../../../evidence/code/function-identity.ts';
import { FunctionMatch } from '../../../evidence/code/function-match.ts';
import { ProcessCode } from '../../../evidence/code/process-code.ts';
import type { BlockTable } from '../../../flow/blocks.ts';
import type { ImageStore } from '../../../image/image-store.ts';
import { buildAddressSpace } from '../../../image/mapped-space.ts';
import { RegionTable } from '../../../image/maps/region-table.ts';
import type { Vocabulary } from '../../../sequences/vocabulary.ts';

/** For modules of which other builds are at hand than those that were learned: where their code was then. */
export type EarlierBuilds = ReadonlyMap<string, FunctionMatch>;

const fileName = 'functions.json';

/** Where an image is laid out to be read; no address of its own matters. */
const anyBase = 0x7000_0000_0000;
const anySize = 0x4000_0000;

/**
 * @param choose  see `identifyFunctions`
 * @returns the functions of an image; empty where its file is not at hand or says none
 */
async function functionsOf(
  name: string,
  images: ImageStore,
  choose?: Parameters<typeof identifyFunctions>[1],
): Promise<FunctionIdentity[]> {
  const region = { start: anyBase, end: anyBase + anySize, path: name };
  const unknown = { isExecutable: undefined, fileOffset: undefined };
  const process = { pid: undefined, name: '' };
  const regions = RegionTable.of([{ ...region, ...unknown }]);
  const space = await buildAddressSpace({ format: 'ldrmodules', process, regions }, images);
  const code = new ProcessCode(space).imageOf(0)?.code;
  return code === undefined ? [] : identifyFunctions(code, choose);
}

/** Writes beside a model which functions training ran, and which have the same code, of each image that is at hand. */
export async function writeFunctions(
  model: string,
  vocabulary: Vocabulary,
  images: ImageStore,
): Promise<void> {
  const modules: Record<string, readonly FunctionRow[]> = {};
  const twins: Record<string, readonly FunctionRow[]> = {};
  for (const [module, offsets] of vocabulary.offsetsByModule()) {
    const functions = await functionsOf(module, images, (all) => sizedLikeRan(all, offsets));
    const ran = functions.filter((one) => holdsOne(one, offsets));
    if (ran.length === 0) continue;
    modules[module] = ran.map(rowOf);
    const known = new Set(ran);
    const codes = new Set(ran.map(({ id }) => id));
    const others = functions.filter((one) => codes.has(one.id) && !known.has(one));
    if (others.length > 0) twins[module] = others.map(rowOf);
  }
  await writeJsonFile(join(model, fileName), { schemaVersion: 1, modules, twins });
}

/** @returns functions as long as one that ran, that one among them: no other has the same code */
function sizedLikeRan(
  all: readonly FunctionStretch[],
  offsets: readonly number[],
): readonly FunctionStretch[] {
  const ran = all.filter((one) => holdsOne(one, offsets));
  const sizes = new Set(ran.map(({ size }) => size));
  return all.filter(({ size }) => sizes.has(size));
}

type FunctionRow = readonly [start: number, bytes: number, id: string, name: string | undefined];

function rowOf({ start, size, id, name }: FunctionIdentity): FunctionRow {
  return [start, size, id, name];
}

/** @param offsets  ascending */
function holdsOne({ start, size }: FunctionStretch, offsets: readonly number[]): boolean {
  return (offsets[firstAtLeast(offsets, start)] ?? Number.POSITIVE_INFINITY) < start + size;
}

/**
 * Finds the functions that training ran in other builds of their images.
 *
 * @param model  folder of the model
 * @param changed  names of the modules of which other builds are at hand
 * @throws UserError `file-damaged`, `functions-damaged`
 */
export async function matchEarlierBuilds(
  model: string,
  changed: readonly string[],
  images: ImageStore,
): Promise<EarlierBuilds> {
  const matches = new Map<string, FunctionMatch>();
  if (changed.length === 0) return matches;
  const path = join(model, fileName);
  let found: Record<string, unknown>;
  try {
    found = await readJsonFile(path);
  } catch (error) {
    // Profiles of before functions were kept.
    if (isAbsent(error)) return matches;
    throw error;
  }
  const { schemaVersion, modules, twins = {} } = found;
  const isByName = [modules, twins].every((value) => typeof value === 'object' && value !== null);
  if (schemaVersion !== 1 || !isByName) {
    throw new UserError('functions-damaged', 'lists no functions of this version', {
      category: 'input',
      path,
    });
  }
  const [ran, others] = [modules, twins].map((value) => new Map(Object.entries(value ?? {})));
  for (const name of changed) {
    const before = functionsIn(ran.get(name));
    if (before.length === 0) continue;
    const now = await functionsOf(name, images);
    if (now.length > 0) {
      matches.set(name, new FunctionMatch(before, now, functionsIn(others.get(name))));
    }
  }
  return matches;
}

function functionsIn(value: unknown): FunctionIdentity[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((row: unknown): FunctionIdentity[] => {
    const [start, size, id, word]: unknown[] = Array.isArray(row) ? row : [];
    const name = typeof word === 'string' ? word : undefined;
    const isOne = isCount(start) && isCount(size) && typeof id === 'string';
    return isOne ? [{ start, size, id, name }] : [];
  });
}

/** The blocks of a trace by the names that they had when the profile was learned. */
export function namedAsBefore(blocks: BlockTable, builds: EarlierBuilds): BlockTable {
  return builds.size === 0 ? blocks : new EarlierNames(blocks, builds);
}

class EarlierNames implements BlockTable {
  readonly #blocks: BlockTable;
  readonly #builds: EarlierBuilds;
  #offset: Float64Array<ArrayBuffer> = new Float64Array(4096);
  #known = 0;

  constructor(blocks: BlockTable, builds: EarlierBuilds) {
    this.#blocks = blocks;
    this.#builds = builds;
  }

  get length(): number {
    return this.#blocks.length;
  }

  get modules(): BlockTable['modules'] {
    return this.#blocks.modules;
  }

  get module(): Int32Array {
    return this.#blocks.module;
  }

  get offset(): Float64Array {
    const { length, module, modules, offset } = this.#blocks;
    if (this.#offset.length < length) this.#offset = enlarged(this.#offset, 2 * length);
    for (; this.#known < length; this.#known++) {
      const build = this.#builds.get(modules[module[this.#known]]?.name ?? '');
      const now = offset[this.#known];
      this.#offset[this.#known] = build === undefined ? now : build.offsetBefore(now);
    }
    return this.#offset;
  }

  get lastInstruction(): Int32Array {
    return this.#blocks.lastInstruction;
  }

  get size(): Int32Array {
    return this.#blocks.size;
  }

  get instructions(): Int32Array {
    return this.#blocks.instructions;
  }

  get kind(): Uint8Array {
    return this.#blocks.kind;
  }
}
