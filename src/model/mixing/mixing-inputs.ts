import { enlarged } from '../../base/bytes/typed-array.ts';

/** Inputs that all options of an event share, and those of each option, at most: they are numbered in a byte. */
export const mostInputs = 256;

/**
 * What a `MixingNetwork` is told of one event: the options, how probable each is held, and sparse inputs, those
 * that all options share and those of each. Overwritten by the next event.
 */
export class MixingInputs {
  /** Options but the last one, which is all that is new. */
  options = 0;
  /** By option, what is new behind them: probability before, and afterwards. All above 0. */
  prior: Float64Array<ArrayBuffer> = new Float64Array(16);
  posterior: Float64Array<ArrayBuffer> = new Float64Array(16);
  /** Probability of all that is no option, which the network leaves alone, before and afterwards. */
  rest = 0;
  posteriorRest = 0;
  /** Inputs that all options share come first; then those of each. */
  index: Uint8Array<ArrayBuffer> = new Uint8Array(4096);
  value: Float32Array<ArrayBuffer> = new Float32Array(4096);
  /** Where the inputs of each option begin, and where those of the last one end. */
  starts: Int32Array<ArrayBuffer> = new Int32Array(16);
  #length = 0;

  /** Begins the inputs that all options share. */
  begin(): void {
    this.options = 0;
    this.rest = 0;
    this.#length = 0;
    this.starts[0] = 0;
  }

  /** Ends what was added before, and begins the inputs of the next option. */
  addOption(probability: number): void {
    if (this.options + 2 >= this.starts.length) this.#growOptions();
    this.prior[this.options] = probability;
    this.starts[this.options] = this.#length;
    this.options++;
    this.starts[this.options] = this.#length;
  }

  /** Ends the event. @param probability  of all that is new */
  end(probability: number): void {
    this.prior[this.options] = probability;
    this.starts[this.options] = this.#length;
  }

  /** @param index  below `mostInputs` */
  add(index: number, value: number): void {
    const at = this.#length++;
    if (at === this.index.length) {
      this.index = enlarged(this.index, 2 * at);
      this.value = enlarged(this.value, 2 * at);
    }
    this.index[at] = index;
    this.value[at] = value;
  }

  #growOptions(): void {
    const room = 2 * this.starts.length;
    this.prior = enlarged(this.prior, room);
    this.posterior = enlarged(this.posterior, room);
    this.starts = enlarged(this.starts, room);
  }
}
