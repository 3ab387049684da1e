import type {
  Evaluation,
  HistoryRecord,
  PlaceList,
  PredictionTable,
} from '../../../evaluation/evaluation.ts';
import type {
  EventJudgements,
  NamedEvents,
  RunEvents,
} from '../../../model/histories/run-judge.ts';
import type { TransferEvents } from '../../../sequences/histories/events.ts';
import type { Places } from '../../../sequences/histories/place-hashes.ts';
import type { Vocabulary } from '../../../sequences/vocabulary.ts';
import { type Column, distinctRows, pick } from './distinct-rows.ts';

/** Events with their targets numbered as a vocabulary does. */
export interface ClassifiedEvents {
  readonly events: NamedEvents;
  /** Places that are no output class, from class `outputClasses` on. */
  readonly places: Places;
}

/** Numbers the targets of a run by output classes, and those that training never saw behind them. */
export class EventClassifier {
  readonly #vocabulary: Vocabulary;
  /** By place of the run. */
  readonly #classOf: number[] = [];
  readonly #modules: number[] = [];
  readonly #offsets: number[] = [];

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
  }

  /** @param events  the next ones of the run; their places go on where those before ended */
  classify(events: TransferEvents): NamedEvents {
    return { ...events, target: events.target.map((place) => this.#class(events.places, place)) };
  }

  #class({ modules, module, offset }: Places, place: number): number {
    const numbered = this.#classOf[place];
    if (numbered !== undefined) return numbered;
    const known = this.#vocabulary.outputOf(modules[module[place]], offset[place]);
    if (known === 0) {
      this.#modules.push(module[place]);
      this.#offsets.push(offset[place]);
    }
    const own = known > 0 ? known : this.#vocabulary.outputClasses + this.#offsets.length - 1;
    this.#classOf[place] = own;
    return own;
  }

  /** Places that are no output class, from class `outputClasses` on. */
  newPlaces({ modules }: Places): Places {
    return {
      length: this.#offsets.length,
      modules,
      module: Int32Array.from(this.#modules),
      offset: Float64Array.from(this.#offsets),
    };
  }
}

/** As `EventClassifier`, for a whole run. */
export function classifyEvents(events: TransferEvents, vocabulary: Vocabulary): ClassifiedEvents {
  const classifier = new EventClassifier(vocabulary);
  return { events: classifier.classify(events), places: classifier.newPlaces(events.places) };
}

/** The part of an evaluation that tells how events went; equal predictions stand there once. */
export function recordEvents(
  events: RunEvents,
  judgements: EventJudgements,
  run: Pick<TransferEvents, 'position' | 'ordinal' | 'transfers' | 'explained'>,
  places: PlaceList,
  firstPlace: number,
): Pick<Evaluation, 'predictions' | 'occurrences' | 'positions'> & {
  readonly histories: HistoryRecord;
} {
  const { length, target, sort, count } = events;
  const { predicted, confidence, chance, trainedTargets, trainedCount, shownCount, surprise } =
    judgements;
  const { first, indexOf } = distinctRows(
    [
      predicted,
      target,
      confidence,
      chance,
      sort,
      trainedTargets,
      trainedCount,
      shownCount,
      surprise,
    ],
    length,
  );
  const rows = first.length;
  const ints = (column: Column): Int32Array<ArrayBuffer> =>
    pick(new Int32Array(rows), column, first);
  const bytes = (column: Column): Uint8Array<ArrayBuffer> =>
    pick(new Uint8Array(rows), column, first);
  const floats = (column: Column): Float32Array<ArrayBuffer> =>
    pick(new Float32Array(rows), column, first);
  const predictions: PredictionTable = {
    length: rows,
    // Class 0 is none.
    predicted: ints(predicted).map((place) => Math.max(0, place)),
    confidence: floats(confidence),
    actual: ints(target),
    actualProbability: floats(chance),
    unseenTransfer: bytes(trainedCount).map((runs) => (runs === 0 ? 1 : 0)),
  };
  return {
    predictions,
    occurrences: indexOf,
    positions: run.position,
    histories: {
      transfers: run.transfers,
      explained: run.explained,
      ordinals: run.ordinal,
      sources: {
        sort: bytes(sort),
        count: Int32Array.from(first, (i) => Math.min(0x7fff_ffff, count[i])),
        trainedTargets: ints(trainedTargets),
        trainedCount: bytes(trainedCount),
        shownCount: bytes(shownCount),
        surprise: floats(surprise),
      },
      firstPlace,
      places: { modules: places.modules, module: places.module, offset: places.offset },
    },
  };
}
