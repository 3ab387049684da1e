import { UserError } from '../base/errors.ts';
import { streamMaybeGzip } from '../base/files/read.ts';
import type { CodeCache } from '../flow/code-cache.ts';
import { TraceDecoder } from '../flow/trace-decoder.ts';
import type { Module } from '../image/address-space.ts';
import type { ImageStore } from '../image/image-store.ts';
import { buildAddressSpace } from '../image/mapped-space.ts';
import type { MappedProcess } from '../image/maps/map-row.ts';
import type { MemoryMap } from '../image/maps/memory-map.ts';
import { moduleName } from '../image/maps/module-name.ts';

/** Whose map a trace is read with, out of several. */
export interface ChosenProcess {
  readonly map: MemoryMap;
  /** Says which it is and why; `undefined` where there was nothing to choose. */
  readonly note: string | undefined;
}

/** How well a trace goes with a map; only compared. */
export type MapScore = (map: MemoryMap) => Promise<number>;

/** Enough of a trace to tell whose code it runs. */
const sampleBytes = 1 << 18;
/** `ldrmodules` cuts names: to 14 characters in the kernel's record, to 20 in its columns. */
const shortestCut = 14;

/**
 * Chooses the process that was traced: the one that was asked for, or that has the name of the
 * recorded program; where that leaves several, the one that goes best with the trace.
 *
 * @param file  where the maps are from
 * @param wanted  number or name
 * @param program  name of the recorded program, if the sample says it
 * @throws UserError `no-such-process`
 */
export async function chooseProcess(
  maps: readonly MemoryMap[],
  file: string,
  { wanted, program }: { readonly wanted: string | undefined; readonly program: string },
  score: MapScore,
): Promise<ChosenProcess> {
  const [first] = maps;
  if (first === undefined || (maps.length === 1 && !contradicts(first.process, wanted))) {
    return { map: maps[0] as MemoryMap, note: undefined };
  }
  const asked = maps.filter(({ process }) => wanted !== undefined && isMeant(process, wanted));
  if (wanted !== undefined && asked.length === 0) {
    const names = maps.slice(0, 20).map(({ process }) => show(process));
    throw new UserError(
      'no-such-process',
      `no process ${wanted} is in it; there are ${names.join(', ')}${maps.length > 20 ? ' ...' : ''}`,
      { category: 'arguments', path: file },
    );
  }
  const named = maps.filter(({ process }) => hasName(process, moduleName(program)));
  const [left, why] =
    wanted !== undefined
      ? [asked, 'as was asked for']
      : named.length > 0
        ? [named, 'which has the name of the recorded program']
        : [maps, ''];
  const say = (map: MemoryMap, reason: string): ChosenProcess => ({
    map,
    note: `${file} holds the maps of ${maps.length} processes: taking ${show(map.process)}, ${reason}`,
  });
  if (left.length === 1 && left[0] !== undefined) return say(left[0], why);
  let best = left[0] as MemoryMap;
  let most = -1;
  for (const map of left) {
    const points = await score(map);
    if (points > most) [best, most] = [map, points];
  }
  return say(
    best,
    most > 0 ? 'whose code the trace runs' : 'the first, since the trace runs code of none of them',
  );
}

/** @returns blocks of known code that the beginning of a raw trace runs in a map */
export function scoreByCode(trace: string, images: ImageStore, codeCache: CodeCache): MapScore {
  let start: Promise<Uint8Array> | undefined;
  return async (map) => {
    start ??= beginningOf(trace);
    const space = await buildAddressSpace(map, images);
    const decoder = new TraceDecoder({ space, input: await start, codeCache });
    const { blocks, gaps } = await decoder.run(() => {});
    // A gap costs a block, so that of two that run as much the one that loses its way less wins.
    return Math.max(0, blocks - gaps);
  };
}

/** @returns modules of a stored trace that lie where a map has them */
export function scoreByModules(modules: readonly Module[]): MapScore {
  return async ({ regions }) => {
    const startsThere = ({ base, path }: Module): boolean => {
      const index = regions.find(base);
      return index >= 0 && regions.at(index).start === base && regions.at(index).path === path;
    };
    return modules.filter(startsThere).length;
  };
}

async function beginningOf(trace: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of streamMaybeGzip(trace)) {
    parts.push(chunk);
    length += chunk.length;
    if (length >= sampleBytes) break;
  }
  return Buffer.concat(parts).subarray(0, sampleBytes);
}

function isMeant(process: MappedProcess, wanted: string): boolean {
  return /^\d+$/.test(wanted) ? process.pid === Number(wanted) : hasName(process, wanted);
}

/** A map that does not say whose it is contradicts nothing. */
function contradicts(process: MappedProcess, wanted: string | undefined): boolean {
  if (wanted === undefined || process.pid === undefined) return false;
  return !isMeant(process, wanted);
}

function hasName({ name }: MappedProcess, wanted: string): boolean {
  const [own, other] = [name.toLowerCase(), wanted.toLowerCase()];
  if (own === '' || other === '') return false;
  return own === other || (own.length >= shortestCut && other.startsWith(own));
}

function show({ pid, name }: MappedProcess): string {
  return `${pid ?? '(unnumbered)'} ${name}`.trimEnd();
}
