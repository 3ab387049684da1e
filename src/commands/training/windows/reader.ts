import { UserError } from '../../../base/errors.ts';
import { ImageCodeCache, ProcessCode } from '../../../evidence/code/process-code.ts';
import { EvidenceCollector } from '../../../evidence/collector.ts';
import type { OddPlace } from '../../../evidence/nominal-evidence.ts';
import type { IndirectTransfers } from '../../../evidence/profile.ts';
import { CodeCache } from '../../../flow/code-cache.ts';
import { ImageStore } from '../../../image/image-store.ts';
import type { CallLogOptions } from '../../../sequences/calls/read-calls.ts';
import { SymbolTable } from '../../../sequences/symbol-table.ts';
import { TraceWindower } from '../../../sequences/trace-windower.ts';
import type { WindowChunk } from '../../../sequences/window-chunk.ts';
import { WindowCounter } from '../../../sequences/window-counter.ts';
import type { OpenedTrace } from '../../../trace/open-trace.ts';
import type { Sample } from '../../../trace/sample.ts';
import { within } from '../../samples/evaluating/time-limit.ts';
import { openSample, type SourceContext } from '../../samples/source.ts';

/** What a thread needs to read samples. */
export interface ReaderSetup {
  readonly binDirs: readonly string[];
  readonly rawImages: boolean;
  readonly preprocessed: boolean;
  readonly cpu?: string | undefined;
  readonly calls?: CallLogOptions;
  readonly windowLength: number;
  readonly filter: Uint8Array;
  /** Seconds for one sample. */
  readonly timeout: number | undefined;
  /** Distinct windows after which they are handed on. */
  readonly partSize: number;
}

/** Symbols that a sample has brought since its last part, in the order of their appearance. */
interface NewSymbols {
  /** All modules so far. */
  readonly modules: readonly string[];
  readonly paths: readonly string[];
  /** As `SymbolTable.checksums`; `null`: none. */
  readonly checksums: readonly (number | null)[];
  readonly module: Int32Array;
  readonly offset: Float64Array;
}

/** A part of a sample. Symbols are numbered from 0 within the sample. */
export interface SamplePart {
  readonly symbols: NewSymbols;
  readonly windows: WindowChunk;
}

/** What a user should know about the images or logs of a sample. */
type Notes = Pick<OpenedTrace, 'missing' | 'flat' | 'notes'>;

/** The last message about a sample. */
export type SampleEnd =
  | { readonly reason: string }
  | {
      readonly part: SamplePart;
      /** How often each symbol of the sample ran. */
      readonly symbolCounts: Float64Array;
      /** One for each trace of the sample. */
      readonly transfers: readonly IndirectTransfers[];
      /** Where the sample would prove something, if nothing else were known. */
      readonly proofs: readonly OddPlace[];
      readonly blocks: number;
      readonly notes: readonly Notes[];
    };

/** Reads training samples, one after the other. */
export class TrainingReader {
  readonly #setup: ReaderSetup;
  readonly #traces: SourceContext;
  readonly #codeCache = new CodeCache();
  readonly #code = new ImageCodeCache();

  constructor(setup: ReaderSetup) {
    this.#setup = setup;
    this.#traces = {
      images: new ImageStore(setup.binDirs, { rawImages: setup.rawImages }),
      codeCache: this.#codeCache,
      preprocessed: setup.preprocessed,
      cpu: setup.cpu,
      ...(setup.calls === undefined ? {} : { calls: setup.calls }),
    };
  }

  /**
   * @param send  takes each part but the last as soon as it is counted
   * @returns the rest; a reason when the sample cannot be read, and then the parts are void
   */
  async read(
    sample: Sample,
    send: (part: SamplePart) => void,
    signal?: AbortSignal,
  ): Promise<SampleEnd> {
    try {
      const { timeout } = this.#setup;
      return await within(timeout, sample, signal, (stop) => this.#read(sample, send, stop));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return { reason: error.message };
    }
  }

  dispose(): void {
    this.#codeCache.dispose();
  }

  async #read(
    sample: Sample,
    send: (part: SamplePart) => void,
    signal: AbortSignal,
  ): Promise<SampleEnd> {
    const { windowLength, filter, partSize } = this.#setup;
    const table = new SymbolTable();
    const counter = new WindowCounter(windowLength);
    let handedOn = 0;
    const take = (): SamplePart => {
      const part = { symbols: symbolsFrom(table, handedOn), windows: contentOf(counter) };
      handedOn = table.length;
      counter.clear();
      return part;
    };
    const transfers: IndirectTransfers[] = [];
    const proofs: OddPlace[] = [];
    const notes: Notes[] = [];
    let symbolCounts = new Float64Array(4096);
    let blocks = 0;
    const opened = await openSample(sample, this.#traces, signal);
    for (const trace of opened) {
      const { source, missing, flat, notes: told, fromStart = false } = trace;
      notes.push({ missing, flat, ...(told === undefined ? {} : { notes: told }) });
      const stream = { blocks: source.blocks, marks: source.marks };
      const windower = new TraceWindower({
        counter,
        table,
        ...stream,
        filter,
        record: false,
        fromStart,
      });
      const { space } = trace;
      const evidence = new EvidenceCollector(
        stream,
        space === undefined
          ? {}
          : { space, code: new ProcessCode(space, this.#code), isAlone: opened.length === 1 },
      );
      const summary = await source.run(
        (batch) => {
          windower.add(batch);
          evidence.push(batch);
          if (counter.length > partSize) send(take());
        },
        { signal },
      );
      symbolCounts = windower.addSymbolCounts(symbolCounts, table);
      transfers.push(portable(evidence.indirectTransfers));
      for (const { place } of evidence.proofs) proofs.push(place);
      blocks += summary.blocks;
    }
    return {
      part: take(),
      symbolCounts: symbolCounts.slice(0, table.length),
      transfers,
      proofs,
      blocks,
      notes,
    };
  }
}

function symbolsFrom(table: SymbolTable, from: number): NewSymbols {
  return {
    modules: [...table.modules],
    paths: [...table.paths],
    checksums: table.checksums.map((checksum) => checksum ?? null),
    module: table.module.slice(from, table.length),
    offset: table.offset.slice(from, table.length),
  };
}

function contentOf({ length, windowLength, symbols, targets, counts }: WindowCounter): WindowChunk {
  return {
    length,
    symbols: symbols.slice(0, length * windowLength),
    targets: targets.slice(0, length),
    counts: counts.slice(0, length),
  };
}

/** Without what a profile does not look at; block tables live on in their own thread. */
function portable({ blocks, sites, targets }: IndirectTransfers): IndirectTransfers {
  const { length, modules, module, offset, lastInstruction } = blocks;
  const none = new Int32Array(0);
  return {
    blocks: {
      length,
      modules: modules.map(({ path, name, base }) => ({ path, name, base })),
      module: module.slice(0, length),
      offset: offset.slice(0, length),
      lastInstruction: lastInstruction.slice(0, length),
      size: none,
      instructions: none,
      kind: new Uint8Array(0),
    },
    sites,
    targets,
  };
}
