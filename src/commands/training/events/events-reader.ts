import { UserError } from '../../../base/errors.ts';
import { ImageCodeCache, ProcessCode } from '../../../evidence/code/process-code.ts';
import { EvidenceCollector, type Proof } from '../../../evidence/collector.ts';
import type { BlockTable } from '../../../flow/blocks.ts';
import { CodeCache } from '../../../flow/code-cache.ts';
import { ImageStore } from '../../../image/image-store.ts';
import type { TransferEvents } from '../../../sequences/histories/events.ts';
import { RunFollower } from '../../../sequences/histories/follower.ts';
import type { OpenedTrace } from '../../../trace/open-trace.ts';
import type { Sample } from '../../../trace/sample.ts';
import { followTrace } from '../../samples/evaluating/follow.ts';
import { within } from '../../samples/evaluating/time-limit.ts';
import { openSample, type SourceContext } from '../../samples/source.ts';

/** What a thread needs to read the events of samples. */
export interface EventsSetup {
  readonly binDirs: readonly string[];
  readonly rawImages: boolean;
  readonly preprocessed: boolean;
  readonly filter: Uint8Array;
  /** Process whose map counts, for maps of several. */
  readonly process: string | undefined;
  /** Seconds for one sample. */
  readonly timeout: number | undefined;
}

/** Blocks that a trace of a sample ran. */
export interface BlockList {
  readonly modules: readonly string[];
  readonly paths: readonly string[];
  /** Index into `modules`; -1 = outside every image. */
  readonly module: Int32Array;
  readonly offset: Float64Array;
}

/** What training takes from a run. */
export interface ReadRun {
  readonly events: TransferEvents;
  /** One for each trace of the sample. */
  readonly blocks: readonly BlockList[];
  /** What the sample would prove, if nothing else were known. */
  readonly proofs: readonly Proof[];
}

/** What a sample gave, or why it gave nothing. */
export type SampleEvents =
  | { readonly reason: string }
  | (ReadRun & { readonly notes: readonly Pick<OpenedTrace, 'missing' | 'flat' | 'notes'>[] });

/** What is known of the images of a corpus and their code, by all who read samples of it in one thread. */
export interface CodeAtHand {
  readonly traces: Pick<SourceContext, 'images' | 'codeCache'>;
  readonly imageCode: ImageCodeCache;
}

/** Reads the events of training samples, one after the other. */
export class EventsReader {
  readonly #setup: EventsSetup;
  readonly #traces: SourceContext;
  readonly #code: ImageCodeCache;
  readonly #own: CodeCache | undefined;
  /** Its room serves one run after the other. */
  readonly #run = new RunFollower();

  /** @param shared  what others in this thread know; made anew unless given */
  constructor(setup: EventsSetup, shared?: CodeAtHand) {
    this.#setup = setup;
    const { binDirs, rawImages, preprocessed, process } = setup;
    const { images, codeCache } = shared?.traces ?? {
      images: new ImageStore(binDirs, { rawImages }),
      codeCache: new CodeCache(),
    };
    this.#own = shared === undefined ? codeCache : undefined;
    this.#traces = { images, codeCache, preprocessed, process };
    this.#code = shared?.imageCode ?? new ImageCodeCache();
  }

  async read(sample: Sample, signal?: AbortSignal): Promise<SampleEvents> {
    try {
      const { timeout } = this.#setup;
      return await within(timeout, sample, signal, (stop) => this.#read(sample, stop));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return { reason: error.message };
    }
  }

  dispose(): void {
    this.#own?.dispose();
  }

  async #read(sample: Sample, signal: AbortSignal): Promise<SampleEvents> {
    const run = this.#run;
    run.begin();
    const blocks: BlockList[] = [];
    const proofs: Proof[] = [];
    let before = 0;
    const notes: Pick<OpenedTrace, 'missing' | 'flat' | 'notes'>[] = [];
    const opened = await openSample(sample, this.#traces, signal);
    for (const trace of opened) {
      const { source, space, missing, flat, notes: told } = trace;
      notes.push({ missing, flat, ...(told === undefined ? {} : { notes: told }) });
      const code = space === undefined ? undefined : new ProcessCode(space, this.#code);
      const evidence = new EvidenceCollector(
        source,
        space === undefined || code === undefined
          ? {}
          : { space, code, isAlone: opened.length === 1 },
      );
      followTrace(run, trace, evidence.follower, this.#setup.filter, code);
      const summary = await source.run((batch) => evidence.push(batch), { signal });
      for (const { told, place } of evidence.proofs) {
        proofs.push({ told: { ...told, position: told.position + before }, place });
      }
      before += summary.blocks;
      blocks.push(listBlocks(source.blocks));
    }
    return { events: run.finish(), blocks, proofs, notes };
  }
}

function listBlocks({ length, modules, module, offset }: BlockTable): BlockList {
  return {
    modules: modules.map(({ name }) => name),
    paths: modules.map(({ path }) => path),
    module: module.slice(0, length),
    offset: offset.slice(0, length),
  };
}
