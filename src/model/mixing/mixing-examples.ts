import { enlarged } from '../../base/bytes/typed-array.ts';
import { MixingInputs } from './mixing-inputs.ts';

/** Events of runs, with what came, for a network to learn from: packed, as there are many. */
export class MixingExamples {
  length = 0;
  /** By event: the run it is of; option that came, `options` = something new, -1 = no option. */
  run: Int32Array<ArrayBuffer> = new Int32Array(1024);
  came: Int32Array<ArrayBuffer> = new Int32Array(1024);
  /** Probability of what came, before. */
  probability: Float32Array<ArrayBuffer> = new Float32Array(1024);
  /** Of the most probable, before. */
  highest: Float32Array<ArrayBuffer> = new Float32Array(1024);
  #rest: Float32Array<ArrayBuffer> = new Float32Array(1024);
  #options: Int32Array<ArrayBuffer> = new Int32Array(1024);
  /** Where the options of each event begin, and its inputs. */
  #optionsAt: Int32Array<ArrayBuffer> = new Int32Array(1024);
  #inputsAt: Int32Array<ArrayBuffer> = new Int32Array(1024);
  /** By option and what is new: probability before, and how many inputs come until it begins. */
  #prior: Float32Array<ArrayBuffer> = new Float32Array(4096);
  #starts: Int32Array<ArrayBuffer> = new Int32Array(4096);
  #optionsEnd = 0;
  #index: Uint8Array<ArrayBuffer> = new Uint8Array(1 << 16);
  #value: Float32Array<ArrayBuffer> = new Float32Array(1 << 16);
  #inputsEnd = 0;
  /**
   * @param came  option, `inputs.options` = something new, -1 = something that is no option
   * @param probability  of it
   */
  add(inputs: MixingInputs, run: number, came: number, probability: number): void {
    const { options, prior, starts, rest } = inputs;
    const inputsLength = starts[options];
    this.#reserve(options + 1, inputsLength);
    const event = this.length++;
    this.run[event] = run;
    this.came[event] = came;
    this.probability[event] = probability;
    this.#rest[event] = rest;
    this.#options[event] = options;
    this.#optionsAt[event] = this.#optionsEnd;
    this.#inputsAt[event] = this.#inputsEnd;
    let highest = 0;
    for (let option = 0; option <= options; option++) {
      this.#prior[this.#optionsEnd] = prior[option];
      this.#starts[this.#optionsEnd++] = starts[option];
      if (prior[option] > highest) highest = prior[option];
    }
    this.highest[event] = highest;
    this.#index.set(inputs.index.subarray(0, inputsLength), this.#inputsEnd);
    this.#value.set(inputs.value.subarray(0, inputsLength), this.#inputsEnd);
    this.#inputsEnd += inputsLength;
  }

  /** Sets inputs to those of an event. */
  read(event: number, inputs: MixingInputs): void {
    const options = this.#options[event];
    const from = this.#optionsAt[event];
    inputs.begin();
    let input = this.#inputsAt[event];
    const begin = input;
    for (let option = 0; option <= options; option++) {
      for (const end = begin + this.#starts[from + option]; input < end; input++) {
        inputs.add(this.#index[input], this.#value[input]);
      }
      if (option < options) inputs.addOption(this.#prior[from + option]);
      else inputs.end(this.#prior[from + option]);
    }
    inputs.rest = this.#rest[event];
  }

  /** @returns every second of them */
  halved(): MixingExamples {
    const half = new MixingExamples();
    const inputs = new MixingInputs();
    for (let event = 0; event < this.length; event += 2) {
      this.read(event, inputs);
      half.add(inputs, this.run[event], this.came[event], this.probability[event]);
    }
    return half;
  }

  #reserve(options: number, inputs: number): void {
    if (this.length === this.run.length) {
      const room = 2 * this.length;
      this.run = enlarged(this.run, room);
      this.came = enlarged(this.came, room);
      this.probability = enlarged(this.probability, room);
      this.highest = enlarged(this.highest, room);
      this.#rest = enlarged(this.#rest, room);
      this.#options = enlarged(this.#options, room);
      this.#optionsAt = enlarged(this.#optionsAt, room);
      this.#inputsAt = enlarged(this.#inputsAt, room);
    }
    if (this.#optionsEnd + options > this.#prior.length) {
      const room = 2 * this.#prior.length + options;
      this.#prior = enlarged(this.#prior, room);
      this.#starts = enlarged(this.#starts, room);
    }
    if (this.#inputsEnd + inputs > this.#index.length) {
      const room = 2 * this.#index.length + inputs;
      this.#index = enlarged(this.#index, room);
      this.#value = enlarged(this.#value, room);
    }
  }
}
