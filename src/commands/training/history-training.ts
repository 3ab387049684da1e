import { enlarged } from '../../base/bytes/typed-array.ts';
import { UserError } from '../../base/errors.ts';
import type { Evaluation, SampleIdentity } from '../../evaluation/evaluation.ts';
import type { Proof } from '../../evidence/collector.ts';
import { type IndirectTransfers, TransferProfile } from '../../evidence/profile.ts';
import { fitHistories, type LeftOutRun, type MixingKind } from '../../model/histories/fit.ts';
import { HistoryModel } from '../../model/histories/model.ts';
import { TrainingCounts } from '../../model/histories/training-counts.ts';
import type { TransferEvents } from '../../sequences/histories/events.ts';
import { outsideImages, SymbolTable } from '../../sequences/symbol-table.ts';
import { Vocabulary } from '../../sequences/vocabulary.ts';
import { hashWindow, WindowCounter } from '../../sequences/window-counter.ts';
import { Transfer } from '../../x86/transfer.ts';
import { modelIdentity, type Trained } from '../samples/evaluating/evaluate.ts';
import { recordEvents } from '../samples/evaluating/evaluate-histories.ts';
import type { BlockList } from './events/events-reader.ts';
import { type TrainingRun, TrainingRunPacker } from './events/training-runs.ts';
import type { TrainingSummary } from './train.ts';

/** What an evaluation of a training run takes beside its events. */
interface CountedRun {
  readonly sample: SampleIdentity;
  readonly proofs: readonly Proof[];
  readonly run: Pick<TransferEvents, 'position' | 'ordinal' | 'transfers' | 'explained' | 'blocks'>;
}

/** A model of histories as training leaves it. */
export interface TrainedHistories {
  readonly trained: Trained;
  readonly summary: TrainingSummary;
  /** Evaluations of the training runs, in order, each by the model without its own counts. */
  readonly leftOut: () => Iterable<Evaluation>;
}

/**
 * Learns from the histories of nominal runs, one after the other. The same runs in the same order give the same
 * model, whether they come from recordings or from what an earlier training kept of them.
 */
export class HistoryTraining {
  readonly #table = new SymbolTable();
  readonly #counts = new TrainingCounts(this.#table);
  readonly #pairs = new WindowCounter(1);
  readonly #profile = new TransferProfile();
  readonly #packer = new TrainingRunPacker(this.#counts.contexts);
  readonly #runs: CountedRun[] = [];
  /** By block: runs that it ran in. */
  #ranIn = new Float64Array(4096);
  #blocks = 0;
  /** Events of all runs. */
  events = 0;

  add(run: TrainingRun): void {
    const { sample, events, proofs } = run;
    for (const list of run.blocks) this.#addBlocks(list);
    const longest = this.#counts.add(events);
    this.#addPairs(events);
    this.#profile.add(indirectTransfersOf(events));
    this.#profile.evidence.add(proofs.map(({ place }) => place));
    this.#packer.add(run, longest);
    this.#blocks += events.blocks;
    this.events += events.length;
    const { position, ordinal, transfers, explained, blocks } = events;
    this.#runs.push({
      sample,
      proofs,
      run: { position, ordinal, transfers, explained, blocks },
    });
  }

  /**
   * Fits the model to all runs; none can be added then.
   *
   * @throws UserError `no-windows`
   */
  finish(mixing: MixingKind = 'weights'): TrainedHistories {
    if (this.events === 0) {
      throw new UserError(
        'no-windows',
        `the ${this.#runs.length} training traces hold no transfer to predict`,
        { category: 'input' },
      );
    }
    const counts = this.#counts;
    const vocabulary = Vocabulary.learn(this.#table, this.#ranIn, this.#pairs, { kind: 'learned' });
    counts.settle(vocabulary.outputClassesOf(this.#table));
    const { inputClasses, outputClasses } = vocabulary;
    const { model: layer, leftOut } = fitHistories(counts, inputClasses, outputClasses, mixing);
    const runs = this.#packer.finish();
    const trained: Trained = { layer, vocabulary, profile: this.#profile, runs };
    return {
      trained,
      summary: {
        traces: this.#runs.length,
        blocks: this.#blocks,
        windows: counts.transfers,
        distinctWindows: this.events,
        contexts: counts.contexts.length,
        ...{ inputClasses, outputClasses },
        epochs: [],
      },
      leftOut: () => this.#leftOut(trained, leftOut),
    };
  }

  *#leftOut(trained: Trained, left: readonly LeftOutRun[]): Generator<Evaluation> {
    const { outputClasses } = trained.vocabulary;
    const model = modelIdentity(trained);
    for (const [index, { sample, run, proofs }] of this.#runs.entries()) {
      const { events: own, judgements } = left[index];
      const places = { modules: [], module: new Int32Array(0), offset: new Float64Array(0) };
      yield {
        sample,
        model,
        modelName: trained.layer.name,
        trace: {
          ...{ blocks: run.blocks, unknownBlocks: 0, gaps: 0, overflows: 0, bytesLost: 0 },
          ...{ blocksOutsideImages: 0, crashed: false },
        },
        ...recordEvents(own, judgements, run, places, outputClasses),
        unknownRuns: new Int32Array(0),
        // Its own evidence is left out of what is usual.
        evidence: proofs
          .filter(({ place }) => !this.#profile.evidence.isUsual(place, true))
          .map(({ told }) => told),
      };
    }
  }

  #addBlocks(list: BlockList): void {
    const table = this.#table;
    const modules = list.modules.map((name, i) => table.internModule(name, list.paths[i]));
    const outside = table.internModule(outsideImages, outsideImages);
    const most = table.length + list.offset.length;
    if (this.#ranIn.length < most) this.#ranIn = enlarged(this.#ranIn, 2 * most);
    list.offset.forEach((offset, i) => {
      const module = list.module[i] < 0 ? outside : modules[list.module[i]];
      this.#ranIn[table.intern(module, offset)]++;
    });
  }

  /** Counts which block went to which, for the vocabulary. */
  #addPairs(run: TransferEvents): void {
    const table = this.#table;
    const { modules, module, offset, length } = run.places;
    const own = modules.map((name) => table.internModule(name, name));
    const symbols = Int32Array.from({ length }, (_, i) => table.intern(own[module[i]], offset[i]));
    const site = new Int32Array(1);
    for (let event = 0; event < run.length; event++) {
      site[0] = symbols[run.site[event]];
      this.#pairs.add(site, 0, hashWindow(site, 0, 1), symbols[run.target[event]]);
    }
  }
}

/** @returns how a model weighs histories, to learn it anew in the same way */
export function mixingOf({ layer }: Pick<Trained, 'layer'>): MixingKind {
  return layer instanceof HistoryModel && layer.hasNetwork ? 'network' : 'weights';
}

/** The indirect calls and jumps of a run, as a profile of training takes them. */
function indirectTransfersOf({
  length,
  kind,
  site,
  target,
  into,
  places,
}: TransferEvents): IndirectTransfers {
  const sites: number[] = [];
  const targets: number[] = [];
  const lastInstruction = new Int32Array(places.length);
  for (let event = 0; event < length; event++) {
    if (kind[event] !== Transfer.icall && kind[event] !== Transfer.ijmp) continue;
    lastInstruction[site[event]] = into[event];
    sites.push(site[event]);
    targets.push(target[event]);
  }
  const none = new Int32Array(0);
  const outside = places.modules.indexOf(outsideImages);
  return {
    blocks: {
      length: places.length,
      modules: places.modules.map((name) => ({ path: name, name, base: 0 })),
      module: places.module.map((module) => (module === outside ? -1 : module)),
      offset: places.offset,
      ...{ lastInstruction, size: none, instructions: none, kind: new Uint8Array(0) },
    },
    sites,
    targets,
  };
}
