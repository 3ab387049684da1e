import { formatAddress } from '../base/address.ts';
import { streamMaybeGzip } from '../base/files/read.ts';
import { recordOf } from '../base/values.ts';
import type { BlockTable, TraceSummary } from '../flow/blocks.ts';
import { CodeCache } from '../flow/code-cache.ts';
import { Fingerprint } from '../flow/fingerprint.ts';
import type { Gap } from '../flow/mark.ts';
import type { RunContext } from '../model/first-layer.ts';
import type { PlaceNames } from '../names/place-names.ts';
import { findPsb, isItem, itemBytesAfter, packetLength } from '../pt/packet.ts';
import { describePacket, type PacketText } from '../pt/packet-text.ts';
import { readSample } from '../trace/sample.ts';
import { type TransferName, transferNames } from '../x86/transfer.ts';
import { addressOf, placeOf } from './blocks.ts';
import { TraceOpener, type TraceReading } from './samples/opened-traces.ts';

export interface InspectOptions extends TraceReading {
  /** A sample's folder. */
  readonly sample: string;
  /** Compute the fingerprint. */
  readonly hash: boolean;
  /** Blocks in the list of the hottest. */
  readonly hottest: number;
}

export interface HotBlock {
  readonly place: string;
  readonly address: string;
  readonly count: number;
  readonly share: number;
}

export interface TraceReport {
  readonly path: string;
  readonly summary: TraceSummary;
  /** Executed blocks by the transfer that ends them. */
  readonly transfers: Readonly<Record<TransferName, number>>;
  readonly gaps: readonly Gap[];
  readonly gapReasons: Readonly<Record<string, number>>;
  /** Executed blocks by module, most first. */
  readonly modules: readonly {
    readonly path: string;
    readonly blocks: number;
    readonly distinct: number;
  }[];
  readonly missing: readonly string[];
  readonly flat: readonly string[];
  /** What else there is to know about how it was opened, a sentence each. */
  readonly notes: readonly string[];
  readonly hottest: readonly HotBlock[];
  readonly fingerprint: string | undefined;
  readonly instructions: number | undefined;
  readonly decisions: number | undefined;
  readonly seconds: number;
}

/** Reads each trace of a sample once and counts what is in it. @throws UserError */
export async function inspect(
  options: InspectOptions,
  context: RunContext,
): Promise<readonly TraceReport[]> {
  const codeCache = new CodeCache();
  const reports: TraceReport[] = [];
  try {
    for (const trace of await new TraceOpener(options, codeCache).openNamed(options.sample)) {
      const { source } = trace;
      const counts = new BlockCounts(source.blocks);
      const fingerprint = options.hash ? new Fingerprint(source.blocks) : undefined;
      const started = performance.now();
      const summary = await source.run((batch) => {
        counts.add(batch.entries, batch.length);
        fingerprint?.add(batch);
      }, context);
      const gaps = source.marks.filter((mark): mark is Gap => mark.kind === 'gap');
      const gapReasons: Record<string, number> = {};
      for (const { reason } of gaps) gapReasons[reason] = (gapReasons[reason] ?? 0) + 1;
      reports.push({
        path: trace.path,
        summary,
        transfers: counts.transfers(),
        gaps,
        gapReasons,
        modules: counts.modules(),
        missing: trace.missing,
        flat: trace.flat,
        notes: trace.notes ?? [],
        hottest: counts.hottest(options.hottest, trace.names),
        fingerprint: fingerprint?.value,
        instructions: fingerprint?.instructions,
        decisions: fingerprint?.decisions,
        seconds: (performance.now() - started) / 1000,
      });
    }
  } finally {
    codeCache.dispose();
  }
  return reports;
}

/** Reads the packets of a raw trace in order. @param visit  false ends the reading */
export async function listPackets(
  sample: string,
  visit: (packet: PacketText) => boolean,
): Promise<void> {
  const { traces } = await readSample(sample, 'raw');
  for (const path of traces) {
    let rest: Uint8Array = new Uint8Array(0);
    let offset = 0;
    let isSynchronized = false;
    let itemBytes = 0;
    for await (const chunk of streamMaybeGzip(path)) {
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      let at = 0;
      while (at < bytes.length) {
        if (!isSynchronized) {
          const found = findPsb(bytes, at);
          const to = found < 0 ? Math.max(at, bytes.length - 15) : found;
          if (
            to > at &&
            !visit({ offset: offset + at, length: to - at, name: 'skipped', fields: '' })
          )
            return;
          at = to;
          if (found < 0) break;
          isSynchronized = true;
          itemBytes = 0;
        }
        const pads = countPads(bytes, at);
        if (pads > 1) {
          // Traces end in pages of padding; a line for each byte of it helps nobody.
          const fields = `${pads} bytes`;
          if (!visit({ offset: offset + at, length: pads, name: 'PAD', fields })) return;
          at += pads;
          continue;
        }
        if (itemBytes > 0 && isItem(bytes[at])) {
          if (at + itemBytes > bytes.length) break;
          const value = Buffer.from(bytes.subarray(at + 1, at + itemBytes)).reverse();
          const fields = `${bytes[at] >> 3} 0x${value.toString('hex')}`;
          if (!visit({ offset: offset + at, length: itemBytes, name: 'BIP', fields })) return;
          at += itemBytes;
          continue;
        }
        const length = packetLength(bytes, at, bytes.length);
        if (length === 0) break;
        if (length < 0) {
          isSynchronized = false;
          continue;
        }
        if (!visit(describePacket(bytes, at, length, offset + at))) return;
        itemBytes = itemBytesAfter(bytes, at, itemBytes);
        at += length;
      }
      rest = bytes.slice(at);
      offset += at;
    }
    if (rest.length > 0) visit({ offset, length: rest.length, name: 'truncated', fields: '' });
  }
}

/** @returns PAD packets in a row, each a zero byte */
function countPads(bytes: Uint8Array, at: number): number {
  let end = at;
  while (end < bytes.length && bytes[end] === 0) end++;
  return end - at;
}

/** How often each block ran. */
class BlockCounts {
  readonly #blocks: BlockTable;
  #counts: Float64Array = new Float64Array(4096);
  #total = 0;

  constructor(blocks: BlockTable) {
    this.#blocks = blocks;
  }

  add(entries: Int32Array, length: number): void {
    if (this.#blocks.length > this.#counts.length) {
      const larger = new Float64Array(this.#blocks.length * 2);
      larger.set(this.#counts);
      this.#counts = larger;
    }
    for (let i = 0; i < length; i++) {
      if (entries[i] < 0) continue;
      this.#counts[entries[i]]++;
      this.#total++;
    }
  }

  transfers(): Record<TransferName, number> {
    const sums = recordOf(transferNames, () => 0);
    for (let block = 0; block < this.#blocks.length; block++) {
      sums[transferNames[this.#blocks.kind[block]] ?? 'none'] += this.#counts[block];
    }
    return sums;
  }

  modules(): TraceReport['modules'] {
    const { length, module, modules } = this.#blocks;
    const sums = new Map<number, { blocks: number; distinct: number }>();
    for (let block = 0; block < length; block++) {
      if (this.#counts[block] === 0) continue;
      const sum = sums.get(module[block]) ?? { blocks: 0, distinct: 0 };
      sum.blocks += this.#counts[block];
      sum.distinct++;
      sums.set(module[block], sum);
    }
    return [...sums]
      .map(([index, sum]) => ({ path: index < 0 ? '(no file)' : modules[index].path, ...sum }))
      .sort((a, b) => b.blocks - a.blocks);
  }

  hottest(most: number, names: PlaceNames | undefined): HotBlock[] {
    const ids = Array.from({ length: this.#blocks.length }, (_, block) => block);
    return ids
      .sort((a, b) => this.#counts[b] - this.#counts[a])
      .slice(0, most)
      .filter((block) => this.#counts[block] > 0)
      .map((block) => ({
        place: placeOf(this.#blocks, block, names),
        address: formatAddress(addressOf(this.#blocks, block)),
        count: this.#counts[block],
        share: this.#counts[block] / this.#total,
      }));
  }
}
