import { enlarged } from '../../base/bytes/typed-array.ts';
import { historyLevels } from './levels.ts';
import type { Places } from './place-hashes.ts';

/**
 * What a run did that its own past does not tell: struct of arrays, in the order of the run.
 *
 * An event is a transfer whose target the code does not say, and that does not do what the same path led
 * to the last time in this run. The others are counted.
 */
export interface TransferEvents {
  readonly length: number;
  /** `[length, levels, 2]`: 64 bits for each context; both halves 0 where the past is not known so far. */
  readonly hashes: Int32Array;
  /** Place of the block that made each transfer, and of the one that it reached. */
  readonly site: Int32Array;
  readonly target: Int32Array;
  /** Where the same path led the last time in this run; -1 = it is new. */
  readonly last: Int32Array;
  /** How often in a row it led there. */
  readonly repeats: Int32Array;
  /** Block index (blocks only, from 0 in the run) of the block that made each transfer. */
  readonly position: Int32Array;
  /** Number of the transfer among all that are predicted, from 0 in the run. */
  readonly ordinal: Int32Array;
  /** `Transfer` kind of each transfer, and how it finds its target: index into `transferForms`. */
  readonly kind: Uint8Array;
  readonly form: Uint8Array;
  /** Bytes from the start of the block to the instruction. */
  readonly into: Int32Array;
  /** What sort of target it was, and how many of the sort there are. */
  readonly sort: Uint8Array;
  readonly count: Float64Array;
  readonly places: Places;
  /** Transfers that are predicted: those that the code explains, those that repeat, and the events. */
  readonly transfers: number;
  readonly explained: number;
  readonly blocks: number;
}

const width = 2 * historyLevels.length;

/** Gathers events. */
export class EventWriter {
  length = 0;
  hashes: Int32Array<ArrayBuffer> = new Int32Array(1024 * width);
  site: Int32Array<ArrayBuffer> = new Int32Array(1024);
  target: Int32Array<ArrayBuffer> = new Int32Array(1024);
  last: Int32Array<ArrayBuffer> = new Int32Array(1024);
  repeats: Int32Array<ArrayBuffer> = new Int32Array(1024);
  position: Int32Array<ArrayBuffer> = new Int32Array(1024);
  ordinal: Int32Array<ArrayBuffer> = new Int32Array(1024);
  kind: Uint8Array<ArrayBuffer> = new Uint8Array(1024);
  form: Uint8Array<ArrayBuffer> = new Uint8Array(1024);
  into: Int32Array<ArrayBuffer> = new Int32Array(1024);
  sort: Uint8Array<ArrayBuffer> = new Uint8Array(1024);
  count: Float64Array<ArrayBuffer> = new Float64Array(1024);

  /** @returns the index of a new event, whose hashes begin at `index * 2 * levels`, all 0 */
  add(
    site: number,
    target: number,
    last: number,
    repeats: number,
    position: number,
    ordinal: number,
  ): number {
    const index = this.length++;
    if (index === this.site.length) this.#grow();
    this.site[index] = site;
    this.target[index] = target;
    this.last[index] = last;
    this.repeats[index] = repeats;
    this.position[index] = position;
    this.ordinal[index] = ordinal;
    return index;
  }

  /** Begins anew, with the room that it has. */
  clear(): void {
    this.hashes.fill(0, 0, this.length * width);
    this.length = 0;
  }

  #grow(): void {
    const room = 2 * this.site.length;
    this.hashes = enlarged(this.hashes, room * width);
    this.site = enlarged(this.site, room);
    this.target = enlarged(this.target, room);
    this.last = enlarged(this.last, room);
    this.repeats = enlarged(this.repeats, room);
    this.position = enlarged(this.position, room);
    this.ordinal = enlarged(this.ordinal, room);
    this.kind = enlarged(this.kind, room);
    this.form = enlarged(this.form, room);
    this.into = enlarged(this.into, room);
    this.sort = enlarged(this.sort, room);
    this.count = enlarged(this.count, room);
  }

  /** @returns what was gathered, in arrays of its own */
  take(
    places: Places,
    counts: Pick<TransferEvents, 'transfers' | 'explained' | 'blocks'>,
  ): TransferEvents {
    const events = this.look(places, counts);
    return { ...events, hashes: events.hashes.slice() };
  }

  /** @returns what was gathered; its hashes, which are most of it, are those of the writer and go on with it */
  look(
    places: Places,
    counts: Pick<TransferEvents, 'transfers' | 'explained' | 'blocks'>,
  ): TransferEvents {
    const { length } = this;
    return {
      length,
      hashes: this.hashes.subarray(0, length * width),
      site: this.site.slice(0, length),
      target: this.target.slice(0, length),
      last: this.last.slice(0, length),
      repeats: this.repeats.slice(0, length),
      position: this.position.slice(0, length),
      ordinal: this.ordinal.slice(0, length),
      kind: this.kind.slice(0, length),
      form: this.form.slice(0, length),
      into: this.into.slice(0, length),
      sort: this.sort.slice(0, length),
      count: this.count.slice(0, length),
      places,
      ...counts,
    };
  }
}
